"""From options to a finished training: what both scripts share."""

from __future__ import annotations

import json
import logging
import os
import platform
import sys
from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torch.utils.data import DataLoader

from gsnet.data import DataSettings, training_loader, validation_loader
from gsnet.data.settings import NONE
from gsnet.data.skipping import BrokenImages
from gsnet.interface.apex import find_apex
from gsnet.interface.files import begun_in, write_text
from gsnet.interface.options import FAILED, InputError, device_name
from gsnet.interface.plugins import packages, recorded
from gsnet.interface.result_files import CONFIG
from gsnet.interface.version import commit, version
from gsnet.models.expected import of_description
from gsnet.training import checkpoints, record
from gsnet.training.caller import Caller, command_line
from gsnet.training.class_weights import weights_of
from gsnet.training.describing import complete, describe
from gsnet.training.fine_tuning import freeze
from gsnet.training.finished import check_no_search, check_not_interrupted, is_done, recorded_options
from gsnet.training.image_check import check_images, pictures_of
from gsnet.training.layout import check_layout
from gsnet.training.loop import Trainer
from gsnet.training.losses import BinaryCrossEntropy
from gsnet.training.networks import build_network
from gsnet.training.precision import ApexPrecision, TorchPrecision, mixed_type
from gsnet.training.repeatable import repeatable
from gsnet.training.reporting import Report, report_reading, reported
from gsnet.training.resuming import interrupted, restarted
from gsnet.training.settings import Terminated, TrainingFailed, TrainingSettings
from gsnet.training.settings_of_options import (
    asks_for_apex,
    check_classes,
    data_settings,
    training_settings,
    training_side,
)
from gsnet.training.starting import say_other_names
from gsnet.training.step import Stepper
from gsnet.training.synchronised import with_synchronised_norms
from gsnet.training.tasks import Classification
from gsnet.validation.horovod import horovod_group
from gsnet.validation.precision import warn_of_slow_half
from gsnet.validation.processes import place, process_group, told_by_first

_LOG = logging.getLogger(__name__)
_SEVERAL = ("ddp", "apex")
# Of the log and of the .done file.
CLASSIFIERS = "train_image_classification"
# What two trainings may differ in and still be the same.
_RUN = {"auto_resume", "resume", "save_dir", "save_freq", "print_freq", "skip_broken", "time_limit", "keep_best", "log"}
_INCIDENTAL = _RUN | {"workers_per_gpu", "workers", "retired", "gpu", "plugin", "recipe", "cache_memory"}
TaskBuilder = Callable[[nn.Module, Namespace, TrainingSettings, DataSettings, DataLoader], Classification]
Task = TypeVar("Task", bound=nn.Module)
TrainerT = TypeVar("TrainerT", bound=Trainer)


def exit_status(training: Callable[[], object]) -> int:
    """Run a training; where it ends before its time, say in one sentence why. Returns the exit status of its script."""
    try:
        training()
    except TrainingFailed as failure:
        print(failure, file=sys.stderr)
        return FAILED
    except Terminated as end:
        print(end, file=sys.stderr)
        return end.status
    return 0


def train_classifier(options: Namespace, caller: Caller | None = None) -> Report | None:
    """What train_image_classification.py does; see `train`."""
    return train(options, CLASSIFIERS, lambda network, *_: Classification(network), training_side, caller)


def train(
    options: Namespace,
    name: str,
    build_task: TaskBuilder,
    side: Callable[[Namespace], int],
    caller: Caller | None = None,
) -> Report | None:
    """Train a classifier, or validate it with --evaluate_only. name: of the log and of the .done file.

    build_task makes the task from the network, the options, the settings, the training data's settings and the training
    images. side: of training images, in pixels, by the options; validation images have --input_image_size. caller: by default
    the command line.

    Returns what is reported where nothing is written. Raises InputError, TrainingFailed, Terminated.
    """
    complete(options)
    return run_training(
        options, name, lambda options, device: _trainer(options, device, build_task, side(options)), caller
    )


def run_training(
    options: Namespace, name: str, build: Callable[[Namespace, str], Trainer], caller: Caller | None = None
) -> Report | None:
    """Run the training that `build` makes from the options and this process's device, and leave what people look at.

    Returns what is reported where nothing is written. Raises InputError, TrainingFailed, Terminated.
    """
    if options.resume and options.auto_resume:
        raise InputError("--resume and --auto_resume contradict each other: use one of them")
    if options.evaluate_only and options.dry_run:
        raise InputError("--evaluate_only and --dry_run contradict each other: use one of them")
    caller = caller or command_line()
    writes = not (options.evaluate_only or options.dry_run)
    if options.save_dir is None and options.auto_resume:
        raise InputError("--auto_resume goes on with what --save_dir holds: name that, or leave --auto_resume out")
    with _group(options) as device, repeatable(device):
        first = place()[0] == 0
        if not writes:
            with caller.logged(None, not first):
                return reported(build(options, device), dry=options.dry_run)
        done = options.save_dir / f"{name}.done"
        if _is_done(options, done):
            _LOG.warning("skip: %s says that this training is finished", done)
            return None
        log = f"{name}.log" if first else None
        with ExitStack() as stack:
            with begun_in(options.save_dir, log) if log else nullcontext():
                stack.enter_context(caller.logged(options.save_dir / log if log else None, not first))
                trainer = build(options, device)
                # Only now: a training that cannot go on stays finished, and a folder without it as it is.
                trainer.bring_best()
                if first:
                    # Before its options are written over.
                    done.unlink(missing_ok=True)
                if first and not restarted():
                    _write_config(options, caller)
            status = trainer.run()
            if first:
                trainer.draw_curves()
                record.write_done(done, status)
    return None


def _is_done(options: Namespace, done: Path) -> bool:
    """`is_done`, as one process decides it for all: others may be on machines that do not see the folder.

    Raises InputError, also where a training that was interrupted or a search's record would be lost.
    """
    verdict = b""
    if place()[0] == 0:
        try:
            verdict = b"done" if is_done(options, done, options.save_dir / CONFIG, _INCIDENTAL) else b""
            if not (verdict or restarted()):
                check_no_search(options.save_dir)
                check_not_interrupted(options)
        except InputError as error:
            verdict = str(error).encode()
    told = told_by_first(verdict)
    if told not in (b"", b"done"):
        raise InputError(told.decode())
    return bool(told)


def _group(options: Namespace) -> AbstractContextManager[str]:
    device = device_of(options)
    return horovod_group(device) if options.dist_mode == "horovod" else process_group(device)


def device_of(options: Namespace) -> str:
    """The device that --dist_mode and --gpu mean; "cuda" alone is shared out among processes. Raises InputError."""
    started, processes = "LOCAL_RANK" in os.environ, int(os.environ.get("WORLD_SIZE", "1"))
    if options.dist_mode == "horovod":
        if processes > 1:
            raise InputError("--dist_mode horovod is started by horovodrun: horovodrun -np 2 python, not by torchrun")
        return "cuda" if torch.cuda.is_available() else "cpu"
    if int(os.environ.get("HOROVOD_SIZE", "1")) > 1:
        raise InputError(f"horovodrun started {os.environ['HOROVOD_SIZE']} processes: use --dist_mode horovod")
    if options.dist_mode in _SEVERAL:
        if not started:
            raise InputError(
                f"--dist_mode {options.dist_mode} is started by torchrun: torchrun --nproc_per_node=2 {sys.argv[0]} …"
            )
        return "cuda" if torch.cuda.is_available() else "cpu"
    if processes > 1:
        raise InputError(f"torchrun started {processes} processes: use --dist_mode ddp")
    return "cpu" if options.dist_mode == "cpu" else device_name(options.gpu or 0)


def _trainer(options: Namespace, device: str, build_task: TaskBuilder, side: int) -> Trainer:
    broken = BrokenImages(options.skip_broken)
    seen = data_settings(options)
    # Of a step's batches one at a time, as they are computed: all of them need not fit into memory.
    parts = replace(seen, batch_size=seen.batch_size // options.batches_per_allreduce)
    validation = validation_loader(parts, broken, device)
    # Of training images that nobody trains on, nothing is read.
    data = replace(seen, input_image_size=side, cache=NONE if options.evaluate_only else seen.cache)
    training = training_loader(data, broken, device)
    pictures = training.dataset.images  # type: ignore[attr-defined]
    check_classes(pictures, data.fake_classes)
    images = training.sampler.images  # type: ignore[attr-defined]
    settings = training_settings(options, images, data)
    torch.manual_seed(options.seed)
    network = build_network(options, settings.classes)
    description = describe(options, network, seen, tuple(getattr(pictures, "classes", ())))
    say_other_names(options, description.class_names)
    _LOG.info("%s images %s", options.dataset, of_description(description).described())
    # A task that draws its own weights draws them now, after the network's.
    task = build_task(network, options, settings, data, training)
    if settings.bce:
        task.label_loss = BinaryCrossEntropy(settings.bce_threshold)
    task.weigh(weights_of(options.class_weights, pictures, settings.classes))
    task = placed(task, options, device)
    task.frozen = freeze(task.network, options.freeze, settings.classes)
    stepper = Stepper(task, settings, device, precision(options, settings, device))
    trainer = Trainer(stepper, settings, training, validation, options.save_dir, kept_options(options), description)
    if seen.kind.folders or seen.data_dir:
        trainer.data_dir = seen.folder.resolve()
    trainer = resumed(trainer, options)
    # Last, as it takes time: what the options say wrong has been refused by now.
    looked_at = ([] if options.evaluate_only else pictures_of(training)) + pictures_of(validation)
    check_images(broken, looked_at, options.workers_per_gpu)
    if options.dataloader_testing:
        report_reading(training, validation)
    return trainer


def placed(task: Task, options: Namespace, device: str) -> Task:
    """The task on its device, in the memory layout and with the normalisation that the options ask for.

    Raises InputError where that layout cannot be had.
    """
    task = task.to(device)
    if options.channels_last:
        check_layout(task, device)
        task = task.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return with_synchronised_norms(task, device) if options.sync_bn else task


def kept_options(options: Namespace) -> dict[str, Any]:
    """The options in which two trainings may not differ, as a checkpoint keeps them."""
    return recorded_options(options, _INCIDENTAL)


def resumed(trainer: TrainerT, options: Namespace) -> TrainerT:
    """The trainer, gone on from the checkpoint that the options mean. Raises InputError."""
    origin = interrupted(options) if place()[0] == 0 else None
    state = checkpoints.from_first(origin.state if origin else None)
    if state is not None:
        trainer.resume(state)
        trainer.origin = origin.folder if origin else None
    return trainer


def precision(options: Namespace, settings: TrainingSettings, device: str) -> TorchPrecision | ApexPrecision:
    """torch's mixed precision, or that of an installed Apex where one is asked for; says once which of the two.

    Raises InputError for a scale of the loss where none is scaled.
    """
    dtype = mixed_type(settings, device)
    by_torch = TorchPrecision(device, dtype, options.apex_loss_scale)
    if dtype is not None:
        warn_of_slow_half(device, dtype)
    if asks_for_apex(options):
        found = find_apex()
        if found.amp is not None and device.startswith("cuda"):
            _LOG.info("%s", found.message)
            return ApexPrecision(found.amp, options.apex_opt_level, options.apex_loss_scale)
        _LOG.info("%s", "Apex needs a GPU: torch.amp does its work" if found.amp is not None else found.message)
    if options.apex_loss_scale is not None and not by_torch.scaler.is_enabled():
        raise InputError(f"--apex_loss_scale does nothing {_why_unscaled(settings)}: leave it out")
    return by_torch


def _why_unscaled(settings: TrainingSettings) -> str:
    if not settings.amp:
        return "with --apex_opt_level O0, float32"
    if settings.amp_dtype is None:
        return "on a processor, whose half precision is bfloat16"
    return f"with --amp_dtype {settings.amp_dtype}, which has the range of float32"


def _write_config(options: Namespace, caller: Caller) -> None:
    made_by: dict[str, Any] = {"version": version(), "commit": commit()}
    made_by |= {"python": platform.python_version(), "torch": torch.__version__, "command": list(caller.command)}
    made_by |= {"plugins": recorded(), "packages": packages()}
    text = json.dumps(made_by | {"options": recorded_options(options)}, indent=1)
    write_text(options.save_dir / CONFIG, text + "\n")
