"""The folder of a search: what lies in it, and opening it."""

from __future__ import annotations

from pathlib import Path

from gsnet.evolution.database import lock
from gsnet.evolution.history import DATABASE, History
from gsnet.evolution.packed_files import NETWORKS, RECORDS
from gsnet.evolution.recorded import HistoryReader
from gsnet.evolution.settings import FITTING, SearchError, SearchSettings
from gsnet.evolution.verification import VERIFIED
from gsnet.interface.result_files import BEST_JSON, BEST_STRUCTURE, CONFIG, CURVES, TRACKED

LOG = "evolution_search.log"


def has_result(folder: Path) -> bool:
    """Whether a folder holds a finished search's winner."""
    return (folder / BEST_STRUCTURE).exists()


def rule_of(folder: Path | None, overwrite: bool) -> str:
    """The rule of evolution where none is asked for: that of the search in the folder, which may be older than the default."""
    if folder is None or overwrite or not (folder / DATABASE).is_file():
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
    if not (folder / DATABASE).exists():
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


def start_anew(settings: SearchSettings, folder: Path) -> History:
    """A new history in place of the search that a folder holds. Raises SearchError where another process is writing there."""
    folder.mkdir(parents=True, exist_ok=True)
    with lock(folder):
        _clear(folder)
    return History.create(folder, settings)


def _clear(folder: Path) -> None:
    """Remove what a search wrote into a folder; other files stay."""
    names = (
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
    for name in (*names, RECORDS, NETWORKS, DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"):
        (folder / name).unlink(missing_ok=True)
    # Its file stays, as whoever starts the search has opened it.
    if (folder / LOG).exists():
        (folder / LOG).write_bytes(b"")


def open_history(settings: SearchSettings, folder: Path | None, resume: bool) -> History:
    """A new history, or with `resume` the one that the folder holds; without a folder one in memory. Raises SearchError."""
    if folder is None:
        return History.create(None, settings)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / DATABASE).exists():
        return History.create(folder, settings)
    if not resume:
        raise SearchError(
            f"{folder} holds an unfinished search: continue it with --resume, or start anew with --overwrite"
        )
    history = History.open(folder)
    if not history.can_continue:
        history.close()
        raise SearchError(
            f"{folder} was begun by an older version, which drew other candidates: --report {folder} shows what it found, "
            "--overwrite starts anew"
        )
    if differences := settings.differences(history.settings):
        history.close()
        raise SearchError(f"--resume continues a search as it was, but {'; '.join(differences)}")
    history.settings, history.finished = settings, False
    return history
