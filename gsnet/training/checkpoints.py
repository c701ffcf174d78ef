"""Checkpoints: whole or not there, the last two and the best kept."""

from __future__ import annotations

import io
import logging
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch

from gsnet.interface.files import target_of, written_whole
from gsnet.interface.options import InputError
from gsnet.interface.partial import remove_leftovers
from gsnet.interface.result_files import BEST_CHECKPOINT, LATEST_CHECKPOINT
from gsnet.validation.processes import place, told_by_first

_LOG = logging.getLogger(__name__)
LATEST, BEST = LATEST_CHECKPOINT, BEST_CHECKPOINT
BACKUP = LATEST + ".backup"
# One of the best epochs, counted from 1 as the log does.
KEPT = "best-params_epoch{}.pth"


def save_latest(folder: Path, state: dict[str, Any]) -> None:
    """Write the latest checkpoint; the one before it stays as `.backup`. Never is there a moment without a whole one.

    What a disk or a copy has torn is no such one: it is written over, and the backup from before stays.
    """
    latest = folder / LATEST
    if latest.is_file() and _is_whole(latest):
        second_name = latest.with_name(f".{latest.name}.link")
        second_name.unlink(missing_ok=True)
        _give_second_name(latest, second_name)
        second_name.replace(folder / BACKUP)
    save(latest, state)


def _is_whole(file: Path) -> bool:
    """Whether a file is as torch wrote it, by the sums of its archive."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.testzip() is None
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def _give_second_name(file: Path, name: Path) -> None:
    try:
        os.link(file, name)
    except OSError:
        # FAT and mounted cloud drives know one name a file. Its time says which training it is of.
        shutil.copy2(file, name)


def save(file: Path, state: dict[str, Any]) -> None:
    """Write one checkpoint whole. Raises OSError, of a full disk for instance.

    What a training left that was killed as it wrote this file is removed: it may be as large.
    """
    remove_leftovers(target_of(file))
    with written_whole(file, "wb") as stream:
        try:
            torch.save(state, stream)
        except RuntimeError as error:
            # torch goes on to close its archive, and what it then finds amiss hides why it could not be written.
            cause = error.__context__
            while cause is not None and not isinstance(cause, OSError):
                cause = cause.__context__
            raise cause or error from None


def keep_best(
    folder: Path, history: list[dict[str, Any]], measure: str, count: int, write: Callable[[Path], None]
) -> None:
    """Keep the best `count` epochs, each in its file, and no other epoch's.

    measure: as of `best_epochs`. write: writes the last epoch's state to a file.
    """
    wanted = {KEPT.format(epoch + 1) for epoch in best_epochs(history, measure, count)}
    latest = KEPT.format(history[-1]["epoch"] + 1)
    if latest in wanted:
        write(folder / latest)
    for file in folder.glob(KEPT.format("*")):
        if file.name not in wanted:
            file.unlink()


def best_epochs(history: list[dict[str, Any]], measure: str, count: int) -> list[int]:
    """The best `count` epochs, counted from 0, the best first; fewer where fewer were validated.

    measure: column of `history` that counts, the larger the better, None where there was no validation; of equals the earlier
    epoch is the better.
    """
    measured = [row for row in history if row[measure] is not None]
    return [row["epoch"] for row in sorted(measured, key=lambda row: (-row[measure], row["epoch"]))[:count]]


def load(file: Path) -> dict[str, Any]:
    """A checkpoint on the CPU, tensors and plain values alone. Raises InputError where the file is not one."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(
            f"There is no file {file}: --resume takes a {LATEST} of the same training, or its folder"
        ) from error
    except (OSError, RuntimeError, EOFError, ValueError, LookupError, pickle.UnpicklingError) as error:
        raise InputError(f"{file} is no whole checkpoint of this project: name another with --resume") from error
    if not isinstance(state, dict) or not {"epoch", "state_dict", "optimizer"} <= state.keys():
        raise InputError(f"{file} holds no state of an optimiser, so that no training can go on from it")
    return state


def load_latest(folder: Path, since: float = 0.0) -> dict[str, Any] | None:
    """The latest checkpoint of a folder, else the one before it, else None.

    since: seconds since the epoch; older ones are another training's. Raises InputError where all are broken.
    """
    files = [file for file in (folder / LATEST, folder / BACKUP) if file.is_file()]
    files = [file for file in files if file.stat().st_mtime >= since]
    for file, before in zip_longest(files, files[1:]):
        try:
            return load(file)
        except InputError:
            instead = f": the training goes on from the one before it, {before}" if before else ""
            _LOG.warning("%s is no checkpoint that a training can go on from%s", file, instead)
    if files:
        raise InputError(f"No checkpoint in {folder} can be read: remove them to begin anew")
    return None


def from_first(state: dict[str, Any] | None) -> dict[str, Any] | None:
    """The state that process 0 holds, in every process, whose machines need not see its folder."""
    if place()[1] == 1:
        return state
    stream = io.BytesIO()
    torch.save(state, stream)
    return torch.load(io.BytesIO(told_by_first(stream.getvalue())), map_location="cpu", weights_only=True)
