"""What a training in a folder, finished or interrupted, means for the next command that names it."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Collection
from pathlib import Path
from typing import Any

from gsnet.interface.options import InputError
from gsnet.interface.result_files import BEST_JSON, DATABASE
from gsnet.interface.words import counted
from gsnet.training import checkpoints
from gsnet.training.named_structures import comparable, with_structures
from gsnet.training.resuming import folder_of

# Of more of these a training goes on.
_LENGTH = ("epochs", "patience")


def plain(value: object) -> object:
    """An option's value as config.json and checkpoints keep it."""
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def recorded_options(options: Namespace, without: Collection[str] = ()) -> dict[str, Any]:
    """The options as config.json and checkpoints keep them, those named `without` left out."""
    return with_structures({name: plain(value) for name, value in vars(options).items() if name not in without})


def is_done(options: Namespace, done: Path, config: Path, incidental: Collection[str]) -> bool:
    """Whether the very training that the options describe is finished.

    done: the file that a finished training leaves; config: what records its options; incidental: those that do not matter.
    False where --resume or --auto_resume goes on to more epochs: the file is then to be taken away, once that has begun. Raises
    InputError where another training is finished there, and where nothing is left to go on from.
    """
    if not done.is_file():
        return False
    changed = _changed(options, config, incidental)
    if not changed:
        return True
    longer = {name: values for name, values in changed.items() if name in _LENGTH}
    # What goes on may do so by other options, as what was interrupted may: it says which they are.
    alike = longer == changed or options.auto_resume or options.resume
    if longer and alike and all(_is_more(*values) for values in longer.values()):
        _check_more(options, done.parent, longer.get("epochs", (None, None))[0])
        return False
    told = "; ".join(f"--{name} was {_said(old)} and is now {_said(new)}" for name, (old, new) in changed.items())
    resuming = next((f" and leave --{name} out," for name in ("auto_resume", "resume") if getattr(options, name)), "")
    raise InputError(
        f"{done.parent} holds a finished training with other options: {told}. Name another --save_dir, or delete "
        f"{done} and {checkpoints.LATEST}*{resuming} to train anew there"
    )


def check_not_interrupted(options: Namespace) -> None:
    """Raise InputError where a training would begin anew in the place of one that can be gone on with, and be its end."""
    folder = options.save_dir
    if options.auto_resume or not _has_checkpoint(folder):
        return
    if options.resume:
        if folder_of(options.resume.resolve()) == folder.resolve():
            return
        raise InputError(
            f"{folder} holds a training of its own, which --resume {options.resume} would write over: go on with that by "
            f"--auto_resume, name another --save_dir, or delete {folder / checkpoints.LATEST}*"
        )
    raise InputError(
        f"{folder} holds a training that did not come to its end: go on with --auto_resume, name another --save_dir, or "
        f"delete {folder / checkpoints.LATEST}* to train anew there"
    )


def check_no_search(folder: Path) -> None:
    """Raise InputError where a training would begin in the folder of a search, whose record of its options would be lost."""
    if _has_checkpoint(folder) or not any((folder / name).exists() for name in (BEST_JSON, DATABASE)):
        return
    raise InputError(f"{folder} holds a search: name another --save_dir, such as {folder / 'training'}")


def _has_checkpoint(folder: Path) -> bool:
    return any((folder / name).is_file() for name in (checkpoints.LATEST, checkpoints.BACKUP))


def _said(value: object) -> str:
    return "not given" if value is None else repr(value)


def _is_more(before: int | None, now: int | None) -> bool:
    """Whether epochs or patience have grown; None is any patience."""
    return before is not None and (now is None or now > before)


def _check_more(options: Namespace, folder: Path, before: int | None) -> None:
    """before: the epochs that there were, None where it is the patience that has grown."""
    ended = "ended by --patience" if before is None else f"finished after {counted(before, 'epoch')}"
    holds = f"{folder} holds this training, {ended}"
    if not (options.auto_resume or options.resume):
        raise InputError(f"{holds}: go on to {options.epochs} with --auto_resume")
    # Without this, --auto_resume would begin anew, and its first epoch would take the place of what is finished.
    if options.auto_resume and not _has_checkpoint(folder):
        raise InputError(f"{holds}, and no checkpoint to go on from: name another --save_dir")


def _changed(options: Namespace, config: Path, incidental: Collection[str]) -> dict[str, tuple[Any, Any]]:
    """What the options were in the finished training, as far as it says so, and are now, where they differ."""
    try:
        recorded = comparable(json.loads(config.read_text())["options"])
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    now = comparable(json.loads(json.dumps(recorded_options(options, incidental))))
    return {
        name: (recorded[name], value) for name, value in now.items() if name in recorded and recorded[name] != value
    }
