"""The folder of a search: what lies in it, and opening it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from gsnet.evolution.database import lock
from gsnet.evolution.history import DATABASE, History
from gsnet.evolution.packed_files import NETWORKS, RECORDS
from gsnet.evolution.recorded import HistoryReader, holds_search
from gsnet.evolution.settings import FITTING, SearchError, SearchSettings
from gsnet.evolution.verification import VERIFIED
from gsnet.interface.result_files import (
    BEST_CHECKPOINT,
    BEST_JSON,
    BEST_STRUCTURE,
    CONFIG,
    CURVES,
    LATEST_CHECKPOINT,
    TRACKED,
)

LOG = "evolution_search.log"
_OUTPUTS = (
    BEST_STRUCTURE,
    BEST_JSON,
    CONFIG,
    "history.csv",
    "pareto.csv",
    "pareto.png",
    "search.png",
    VERIFIED,
    CURVES,
    TRACKED,
)
_OF_THE_HISTORY = (RECORDS, NETWORKS, DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm")
_LOG = logging.getLogger(__name__)


def has_result(folder: Path) -> bool:
    """Whether a folder holds a finished search's winner."""
    return (folder / BEST_STRUCTURE).exists()


def rule_of(folder: Path | None, overwrite: bool) -> str:
    """The rule of evolution where none is asked for: that of the search in the folder, which may be older than the default."""
    if folder is None or overwrite or not holds_search(folder):
        return FITTING
    history = HistoryReader.read(folder)
    try:
        return history.settings.evolution
    finally:
        history.close()


def is_done(settings: SearchSettings, folder: Path) -> bool:
    """Whether a folder holds the result of this very search, or one that nothing else is known of.

    Raises SearchError where it holds another finished search's: other options, or another number of iterations.
    """
    if not has_result(folder):
        return False
    if not holds_search(folder):
        return True
    history = History.open(folder)
    try:
        finished, made_by = history.finished, history.settings
    finally:
        history.close()
    if not finished:
        return False
    others = "name another --save_dir, or start anew with --overwrite"
    if differences := settings.differences(made_by):
        raise SearchError(
            f"{folder} holds the result of another search: {'; '.join(differences)}. To keep both {others}"
        )
    wanted, there = settings.evolution_max_iter, made_by.evolution_max_iter
    if wanted > there:
        raise SearchError(
            f"{folder} holds this search's result after {there:,} iterations: go on to {wanted:,} with --resume"
        )
    if wanted < there:
        raise SearchError(f"{folder} holds this search's result after {there:,} iterations, not {wanted:,}: {others}")
    return True


def begin(settings: SearchSettings, folder: Path, overwrite: bool = False) -> History:
    """A new history in a folder, in place of a database that holds no search, or with `overwrite` of the search that it holds.

    Raises SearchError where another process is writing there, or has begun a search there meanwhile.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder):
        if overwrite:
            _clear(folder)
        elif holds_search(folder):
            raise SearchError(_what_is_there(folder))
        elif (folder / DATABASE).exists():
            _remove(folder, _OF_THE_HISTORY)
    return History.create(folder, settings)


def _clear(folder: Path) -> None:
    """Remove what a search wrote into a folder; other files stay."""
    _remove(folder, (*_OUTPUTS, *_OF_THE_HISTORY))
    # Its file stays, as whoever starts the search has opened it.
    if (folder / LOG).exists():
        (folder / LOG).write_bytes(b"")


def _refuse_training(folder: Path | None) -> None:
    """Raises SearchError where a search would begin in the folder of a training, whose record of its options would be lost."""
    if folder is None or (folder / DATABASE).exists():
        return
    if any((folder / name).exists() for name in (LATEST_CHECKPOINT, BEST_CHECKPOINT)):
        raise SearchError(f"{folder} holds a training: name another --save_dir")


def _remove(folder: Path, names: Iterable[str]) -> None:
    for name in names:
        (folder / name).unlink(missing_ok=True)


def open_history(settings: SearchSettings, folder: Path | None, resume: bool, overwrite: bool = False) -> History:
    """With `resume` the history that the folder holds; otherwise a new one, in memory until `begin` makes the folder's.

    Raises SearchError where the folder holds a search that is to be neither continued nor discarded.
    """
    if folder is None or overwrite or not holds_search(folder):
        _refuse_training(folder)
        if folder is not None and resume:
            _LOG.warning("%s holds nothing to go on with: the search begins", folder)
        return History.create(None, settings)
    if not resume:
        raise SearchError(_what_is_there(folder))
    history = History.open(folder)
    try:
        _refuse_another(settings, history, folder)
        history.settings, history.finished = settings, False
    except BaseException:
        history.close()
        raise
    return history


def _refuse_another(settings: SearchSettings, history: History, folder: Path) -> None:
    """Raises SearchError for a history that a search with these settings cannot go on with."""
    if not history.can_continue:
        raise SearchError(
            f"{folder} was begun by an older version, which drew other candidates: --report {folder} shows what it found, "
            "--overwrite starts anew"
        )
    if differences := settings.differences(history.settings):
        raise SearchError(f"--resume continues a search as it was, but {'; '.join(differences)}")
    if (done := len(history)) > settings.evolution_max_iter:
        raise SearchError(f"{folder} holds {done:,} iterations: --evolution_max_iter must be at least so many")


def _what_is_there(folder: Path) -> str:
    """The search that a folder holds, and what may be done with it, in words."""
    history = HistoryReader.read(folder)
    try:
        done, finished, found = len(history), history.finished, bool(history.best(1))
    finally:
        history.close()
    if not finished:
        return f"{folder} holds an unfinished search: continue it with --resume, or start anew with --overwrite"
    if found:
        return f"{folder} holds a finished search without its outputs: --report {folder} makes them, --overwrite starts anew"
    return (
        f"{folder} holds a search in which none of {done:,} proposals was scored: go on with --resume and a larger "
        "--evolution_max_iter, or start anew with --overwrite"
    )
