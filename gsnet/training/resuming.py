"""From which checkpoint a training goes on, if any, and where it stands by it: its options may be others by now."""

from __future__ import annotations

import logging
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gsnet.interface.description import other_names
from gsnet.interface.options import InputError, named_few
from gsnet.interface.result_files import CONFIG
from gsnet.interface.words import counted
from gsnet.training import checkpoints
from gsnet.training.named_structures import comparable

_LOG = logging.getLogger(__name__)


def check_options(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Say in which options a training differs from its checkpoint. Raises InputError where its optimiser is another one.

    before: the checkpoint's, which may be fewer.
    """
    before, now = comparable(before), comparable(now)
    changed = [name for name, value in now.items() if before.get(name, value) != value]
    if "optimizer" in changed:
        raise InputError(
            f"The checkpoint is of --optimizer {before['optimizer']}, whose state --optimizer {now['optimizer']} cannot go on "
            "with: resume with the former, or begin with the checkpoint's weights in a new --save_dir"
        )
    if changed:
        # The training may have been interrupted or finished.
        _LOG.warning("Options differ from those of the training so far: %s", ", ".join(changed))


def check_classes(before: Sequence[str], now: Sequence[str]) -> None:
    """Raise InputError where the classes that are trained have other names, or another order, than the checkpoint's.

    Labels are places in that order: outputs that have learnt one class would go on with another. None on either side: unknown.
    """
    if not before or not now or list(before) == list(now):
        return
    if len(before) != len(now):
        classes = counted(len(before), "class", "classes")
        told = f"{classes} ({named_few(before)}), and there are {len(now)} now ({named_few(now)})"
    else:
        place, old, new = other_names(before, now)[0]
        told = f"other classes: class {place} was {old} and is now {new}"
    raise InputError(
        f"The checkpoint has learnt {told}. Give the classes their names back, or begin with the checkpoint's weights in a new "
        "--save_dir"
    )


def check_images(before: int | None, now: int) -> None:
    """Say it where a training goes on with more or fewer images than its checkpoint's; None: it does not know."""
    if before not in (None, now):
        _LOG.warning(
            "The training had %s training images so far, and there are %s now: it does not end as it would have",
            *(f"{before:,}", f"{now:,}"),
        )


def steps_done(state: Mapping[str, Any], step_images: int, steps_of_epoch: int) -> tuple[int, float]:
    """How many steps of `step_images` images, all processes together, an interrupted epoch has behind it.

    Also the share that these are of the images that it has seen: of a step that it has seen a part of nothing counts, and
    no epoch has more than its own steps behind it, which are fewer by now where images were taken away.
    """
    seen = state["step"] * state.get("step_images", step_images)
    steps = min(seen // step_images, steps_of_epoch)
    return steps, steps * step_images / seen if seen else 1.0


def restarted() -> bool:
    """Whether torchrun has started this process anew because one of the group died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


class Origin(NamedTuple):
    """What a training goes on from: the content of a checkpoint, and the folder in which it lies."""

    state: dict[str, Any]
    folder: Path


def interrupted(options: Namespace) -> Origin | None:
    """The checkpoint to go on from, if any: asked for, or left by the group that torchrun has restarted.

    Raises InputError where there is none that can be read.
    """
    folder = options.save_dir
    if folder is None:
        return _asked_for(options.resume) if options.resume else None
    config = folder / CONFIG
    goes_on = options.auto_resume or (restarted() and config.is_file())
    if goes_on:
        # What is older than the first start of a group belongs to an earlier training in the same folder.
        since = 0.0 if options.auto_resume else config.stat().st_mtime
        state = checkpoints.load_latest(folder, since)
        if state is not None:
            return Origin(state, folder)
    if options.resume:
        return _asked_for(options.resume)
    if goes_on and config.is_file():
        _LOG.warning("The training in %s was stopped before its first checkpoint: it begins anew", folder)
    return None


def folder_of(resume: Path) -> Path:
    """The folder of the training that --resume names, itself or by one of its checkpoints."""
    return resume if resume.is_dir() else resume.parent


def _asked_for(resume: Path) -> Origin:
    """What --resume names: a checkpoint, or the latest one of a training's folder. Raises InputError."""
    if not resume.is_dir():
        return Origin(checkpoints.load(resume), folder_of(resume))
    state = checkpoints.load_latest(resume)
    if state is None:
        raise InputError(
            f"{resume} holds no {checkpoints.LATEST}: --resume takes the folder of a training, or its checkpoint"
        )
    return Origin(state, resume)
