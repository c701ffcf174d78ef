"""What the options of a training say of its data and of itself."""

from __future__ import annotations

import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

from torchvision.datasets.folder import IMG_EXTENSIONS

from gsnet.data import DATASETS, DataSettings
from gsnet.data.class_folder import class_folders, training_classes
from gsnet.interface.options import InputError, named_few
from gsnet.interface.words import counted
from gsnet.training.optimisers import OptimiserSettings
from gsnet.training.schedules import Schedule
from gsnet.training.settings import TrainingSettings
from gsnet.validation.processes import place

_LOG = logging.getLogger(__name__)
# What options and `TrainingSettings` call alike, of classifiers and detectors.
_OF_MACHINE_AND_RUN = (
    *("amp_dtype", "fp16_allreduce", "channels_last", "compile", "save_freq", "print_freq", "patience", "time_limit"),
    *("keep_best", "log", "seed"),
)


def data_settings(options: Namespace) -> DataSettings:
    """The options' data set, this process's share of a batch, and its place among the processes. Raises InputError."""
    rank, processes = place()
    batch = options.batch_size_per_gpu or 64
    if options.batch_size is not None:
        if options.batch_size % processes:
            raise InputError(f"--batch_size {options.batch_size} does not divide into {processes} processes")
        batch = options.batch_size // processes
    return DataSettings(
        options.dataset,
        options.data_dir,
        batch * options.batches_per_allreduce,
        options.workers_per_gpu,
        options.input_image_size,
        seed=options.seed,
        download=options.download,
        input_image_crop=options.input_image_crop,
        augment=not options.no_data_augment,
        auto_augment=options.auto_augment,
        random_erase=options.random_erase,
        color_jitter=options.color_jitter,
        crop_scale=None if options.scale is None else (options.scale[0], options.scale[1]),
        lighting=options.lighting,
        aug_repeats=options.aug_repeats,
        rank=rank,
        processes=processes,
        fake_images=options.fake_images,
        fake_classes=_classes(options),
        dataloader_testing=options.dataloader_testing,
        cache=options.cache,
        cache_memory=options.cache_memory,
        reduced_decoding=options.reduced_decoding,
        network_classes=_classes(options),
    )


def training_settings(options: Namespace, images: int, data: DataSettings) -> TrainingSettings:
    """The options as settings; learning rates without --lr follow from the images of a step. Raises InputError."""
    share = data.batch_size * data.processes / 256
    schedule = Schedule(
        options.lr_mode,
        options.lr or options.lr_per_256 * share,
        options.target_lr_per_256 * share if options.target_lr is None else options.target_lr,
        options.epochs,
        images,
        options.warmup,
        options.lr_stage_list,
        options.lr_stage_decay,
    )
    constants = (options.momentum, options.nesterov, options.wd, options.adadelta_rho, options.adadelta_eps)
    return TrainingSettings(
        schedule,
        OptimiserSettings(
            options.optimizer,
            *constants,
            head_scale=_head_scale(options.lr_head, schedule.lr),
            layer_decay=options.layer_decay,
        ),
        _classes(options),
        smoothing=options.label_smoothing,
        mixup=options.mixup,
        cutmix=options.cutmix,
        bce=options.bce_loss,
        bce_threshold=options.bce_target_thresh,
        grad_checkpointing=options.grad_checkpointing,
        grad_clip=options.grad_clip,
        grad_norm=options.grad_norm,
        accumulate=options.batches_per_allreduce,
        ema=options.ema,
        **of_machine_and_run(options),
    )


def of_machine_and_run(options: Namespace) -> dict[str, Any]:
    """What `TrainingSettings` has of the options of `gsnet.training.options.add_machine` and `add_run`."""
    half = options.fp16 or (asks_for_apex(options) and options.apex_opt_level != "O0")
    return {"amp": half} | {name: getattr(options, name) for name in _OF_MACHINE_AND_RUN}


def _head_scale(wanted: float | None, rate: float) -> float:
    """What the rate is multiplied by for the classifier."""
    if wanted is None:
        return 1.0
    if not rate:
        raise InputError(
            f"--lr_head {wanted} rises and falls with the learning rate, which is 0: raise --lr_per_256, or train the "
            "classifier alone with --freeze backbone and --lr"
        )
    return wanted / rate


def training_side(options: Namespace) -> int:
    """The side of training images, in pixels. Raises InputError where it is larger than that of validation's images."""
    side, validated = options.train_crop_size, options.input_image_size
    if side is not None and side > validated:
        raise InputError(
            f"--train_crop_size {side} is larger than --input_image_size {validated}, which validation sees: give a smaller one"
        )
    return side or validated


def _without_training_folder(folder: Path) -> str:
    """The sentence about --data_dir without train/CLASS/IMAGE."""
    why = f"{folder} has no train/CLASS/IMAGE, whose folders say how many classes there are"
    names = class_folders(folder) if folder.is_dir() else []
    found = [name for name in names if _has_pictures(folder / name)]
    if {"val", "test"} & set(names) or not found:
        return f"{why}: name another folder with --data_dir"
    return (
        f"{why}, but folders of pictures itself ({named_few(found)}): move them into {folder / 'train'}, and of each class "
        f"some pictures, such as every fifth, into {folder / 'val'}/CLASS"
    )


def _has_pictures(folder: Path) -> bool:
    return any(entry.suffix.lower() in IMG_EXTENSIONS for entry in folder.iterdir())


def _classes(options: Namespace) -> int:
    kind = DATASETS.get(options.dataset)
    classes = options.num_classes or (kind.classes if kind else 1)
    if not classes:
        classes = len(training_classes(Path(options.data_dir).expanduser()) or ()) if options.data_dir else 0
    if not classes and options.data_dir:
        raise InputError(_without_training_folder(Path(options.data_dir).expanduser()))
    if not classes:
        raise InputError(
            f"--dataset {options.dataset} can have any number of classes: name the folder whose train/ counts them with "
            "--data_dir, or say it with --num_classes"
        )
    return classes


def check_classes(images: object, classes: int) -> None:
    """Say where a data set has other classes than the network. Raises InputError where it has more."""
    names = getattr(images, "classes", None)
    if classes == 1:
        _LOG.warning(
            "There is one class alone, so that every answer is right and nothing is learnt: give it others beside it"
        )
    if names is not None and len(names) > classes:
        raise InputError(
            f"The data set has {counted(len(names), 'class', 'classes')}, the network {classes}: raise --num_classes"
        )
    if names is not None and len(names) < classes:
        _LOG.warning(
            "The data set has %s, the network %d: no image teaches the others",
            *(counted(len(names), "class", "classes"), classes),
        )


def asks_for_apex(options: Namespace) -> bool:
    """Whether the options name NVIDIA Apex."""
    return options.apex or options.dist_mode == "apex"
