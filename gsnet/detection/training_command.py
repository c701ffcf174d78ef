"""From the options of train_detection.py to a training."""

from __future__ import annotations

import logging
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gsnet.data.settings import RAM
from gsnet.detection.assignment import AssignmentSettings
from gsnet.detection.augmentation import Augmentation
from gsnet.detection.catalogue import structure_of
from gsnet.detection.checkpoint import TRAINED_PREFIX, detector_weights, holds_detector, read_checkpoint
from gsnet.detection.classes import aligned, of_classes
from gsnet.detection.data_set import LoadingSettings, detection_evaluation_loader, detection_training_loader
from gsnet.detection.data_sets import has_split, read_data_set
from gsnet.detection.detector import Detector
from gsnet.detection.image_check import checked
from gsnet.detection.multi_scale import MultiScale
from gsnet.detection.postprocess import PostprocessSettings
from gsnet.detection.preprocessing import Preprocessing
from gsnet.detection.scene import SceneSet
from gsnet.detection.schedule import DetectionSchedule
from gsnet.detection.settings import DetectorSettings
from gsnet.detection.task import DetectionTask
from gsnet.detection.training import DetectionStepper, DetectionTrainer
from gsnet.detection.windows import Windows
from gsnet.interface.options import InputError, named_few
from gsnet.models.described import checkpoint_of
from gsnet.training.command import kept_options, placed, precision, resumed, run_training
from gsnet.training.optimisers import OptimiserSettings
from gsnet.training.settings import TrainingSettings
from gsnet.training.settings_of_options import of_machine_and_run
from gsnet.training.starting import say_kept_classes
from gsnet.validation.processes import place
from ZenNet.state import State, load_into, read_state

_LOG = logging.getLogger(__name__)
_WARMUP_STEPS = 500
NAME = "train_detection"


def train(options: Namespace) -> None:
    """Train a detector, or validate it with --evaluate_only. Raises InputError, TrainingFailed, Terminated."""
    run_training(options, NAME, _trainer)


def _trainer(options: Namespace, device: str) -> DetectionTrainer:
    data, truth = training_sets(options)
    loading = _loading(options)
    training = detection_training_loader(data, loading)
    settings = training_settings(options, training.sampler.batches)  # type: ignore[attr-defined]
    torch.manual_seed(options.seed)
    network = Detector(detector_settings(options, data.class_names))
    _check_batch(options, loading.batch_size, network)
    if options.start_weights is not None:
        start(network, options.start_weights)
    assignment = AssignmentSettings(tiny_radius=options.tiny_radius, ignored_share=options.ignored_share)
    task = placed(DetectionTask(network, assignment), options, device)
    stepper = DetectionStepper(
        *(task, settings, device, precision(options, settings, device)),
        detach_epoch=options.detach_epoch,
        multi_scale=MultiScale(options.multi_scale, options.seed) if options.multi_scale else None,
    )
    trainer = DetectionTrainer(
        stepper,
        settings,
        training,
        detection_evaluation_loader(truth, loading),
        options.save_dir,
        kept_options(options),
        truth=truth,
        preprocessing=loading.preprocessing,
        interval=options.val_interval,
        postprocess=PostprocessSettings(options.score_threshold, options.nms_threshold, options.max_detections),
        tiles=None if loading.windows is None else loading.windows.tiles(options.nms_threshold),
    )
    return resumed(trainer, options)


def training_sets(options: Namespace) -> tuple[SceneSet, SceneSet]:
    """The images to train and those to validate on, with the classes of the former, no image of them broken.

    Without --val_dir the validation split of --data_dir counts, and without one the training images themselves, which is
    said. Raises InputError.
    """

    def read(path: Path, usual: str) -> SceneSet:
        found = read_data_set(path, options.data_format, usual=usual, skip_broken=None)
        _say_what_is_missing(path, found)
        return found

    data = read(options.data_dir, "train")
    if options.classes is not None:
        data = of_classes(data, options.classes, options.data_dir)
    where = options.val_dir or options.data_dir
    if options.val_dir is None and not has_split(options.data_dir, "val"):
        _LOG.warning(
            "No --val_dir, and %s has no validation split: validation is on the training images, so that its figures say how "
            "well these were learnt and nothing of others",
            options.data_dir,
        )
        (data,) = checked([data], options.skip_broken, thorough=options.skip_broken > 0)
        _check_objects(options.data_dir, data)
        return data, data
    truth = read(where, "val")
    if options.classes is not None:
        truth = of_classes(truth, [name for name in options.classes if name in truth.class_names], where)
    truth = aligned(truth, data, where)
    data, truth = checked([data, truth], options.skip_broken, thorough=options.skip_broken > 0)
    _check_objects(options.data_dir, data)
    return data, truth


def _check_objects(path: Path, data: SceneSet) -> None:
    """Say of which classes there is nothing to learn. Raises InputError where there is nothing at all."""
    labels = (
        np.concatenate([scene.labels[~scene.ignored] for scene in data.scenes]) if data.scenes else np.zeros(0, int)
    )
    counts = np.bincount(labels, minlength=len(data.class_names))
    lacking = [name for name, count in zip(data.class_names, counts, strict=True) if not count]
    if len(lacking) == len(data.class_names):
        raise InputError(
            f"{path}: none of the {len(data)} images to train on has an object of {named_few(lacking)}: nothing can be learnt"
        )
    if lacking:
        _LOG.warning("%s: no image to train on has an object of %s: nothing is learnt of it", path, named_few(lacking))


def _say_what_is_missing(path: Path, data: SceneSet) -> None:
    """Annotations without image, and images that count as empty because there is no file for them."""
    for files, what in (
        (data.stray, "annotation files without an image, which are not used"),
        (data.unlabelled, "images without annotations"),
    ):
        if files:
            _LOG.warning("%s: %s: %d (%s)", path, what, len(files), named_few([file.name for file in files]))


def detector_settings(options: Namespace, classes: tuple[str, ...]) -> DetectorSettings:
    """The detector that the options describe. Raises InputError, StructureError."""
    return DetectorSettings(
        structure_of(options.arch),
        classes,
        unit=options.unit,
        use_se=options.use_se,
        tap=options.tap,
        tap_strides=options.tap_strides,
        extra_level=not options.no_extra_level,
        neck_channels=options.neck_channels,
        head_channels=options.head_channels,
        auxiliary=not options.no_auxiliary,
    )


def _loading(options: Namespace) -> LoadingSettings:
    rank, processes = place()
    if options.batch_size % processes:
        raise InputError(f"--batch_size {options.batch_size} does not divide into {processes} processes")
    height = options.input_image_height or options.input_image_size
    names = ("rotation", "mosaic", "copy_paste", "quarter_turns", "hue", "gamma", "cast", "grey", "blur")
    change = Augmentation(scale=tuple(options.scale), **{name: getattr(options, name) for name in names})
    return LoadingSettings(
        Preprocessing(options.input_image_size, height, options.keep_ratio),
        None if options.no_data_augment else change,
        options.batch_size // processes,
        options.workers,
        options.seed,
        rank,
        processes,
        windows=_windows(options),
        cache_memory=options.cache_memory if options.cache == RAM else 0,
    )


def _windows(options: Namespace) -> Windows | None:
    if options.train_tile is None:
        return None
    return Windows(options.train_tile, options.tile_objects, options.tile_whole)


def training_settings(options: Namespace, steps_per_epoch: int) -> TrainingSettings:
    """The options as settings. Raises InputError."""
    steps = options.epochs * steps_per_epoch
    warmup = min(_WARMUP_STEPS, steps // 5) if options.warmup_steps is None else options.warmup_steps
    return TrainingSettings(
        DetectionSchedule(options.lr, options.target_lr, options.epochs, steps_per_epoch, warmup),
        OptimiserSettings(
            options.optimizer, options.momentum, weight_decay=options.wd, decay_all=not options.no_norm_decay
        ),
        classes=0,
        grad_norm=options.grad_norm,
        accumulate=options.batches_per_step,
        ema=options.ema or None,
        **of_machine_and_run(options),
    )


def _check_batch(options: Namespace, batch_size: int, network: nn.Module) -> None:
    """Batch normalisation on 1 x 1 maps, as inside squeeze-and-excitation, needs two images."""
    smallest = batch_size // options.batches_per_step
    if smallest < 2:
        raise InputError(
            f"--batch_size gives {smallest} image to a process or part of a step: the detector needs at least 2 in each"
        )


def start(network: Detector, file: Path) -> None:
    """Begin with the weights of a file: a classifier's for the backbone, or a detector's, whatever its classes.

    Of a detector with other classes everything but the last layer of its head is taken. Raises InputError.
    """
    file = checkpoint_of(file.expanduser())
    if not file.is_file():
        raise InputError(
            f"There is no file {file}: --start_weights takes a checkpoint of a classifier or of a detector"
        )
    state = read_state(file)
    if not any(key.removeprefix(TRAINED_PREFIX).startswith("head.") for key in state):
        network.backbone.load_classifier(state, f"{file}")
        _LOG.info("The backbone starts with the weights of %s", file)
        return
    weights = detector_weights({"state_dict": state})
    replaced = _other_classes(network, weights)
    load_into(network, weights | {key: network.state_dict()[key] for key in replaced}, f"{file}")
    _LOG.info("The detector starts with the weights of %s%s", file, ", its last layers anew" if replaced else "")
    if not replaced and holds_detector(file):
        say_kept_classes(file, read_checkpoint(file)["detector"]["classes"], network.settings.classes)


def _other_classes(network: Detector, weights: State) -> list[str]:
    own = network.state_dict()
    return [
        key
        for key, value in own.items()
        if key.startswith("head.predict.") and key in weights and weights[key].shape != value.shape
    ]
