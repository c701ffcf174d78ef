"""Reading what torch.save wrote without running anything that it holds.

torch's own restricted unpickler (`torch.load(weights_only=True)`) does the work. Beside tensors and plain values it is told of
the few kinds of objects that training scripts keep in their checkpoints, none of which can do anything: options, paths, numpy's
numbers.
"""

from __future__ import annotations

import argparse
import datetime
import pathlib
import pickle
import re
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ZenNet.files import WeightsError

_BROKEN = (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError)
_NAMED_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")
_SHOWN = 3


def load_plain(file: Path) -> Any:
    """The content of a file that torch.save wrote, on the CPU. Nothing in it is executed.

    Raises WeightsError, which says whether the file is damaged, a pickled module, a TorchScript archive, or holds objects that
    are not known to be harmless; OSError where it cannot be opened.
    """
    if other := _other_archive(file):
        raise WeightsError(f"{file} is {other}")
    try:
        with torch.serialization.safe_globals(_harmless()):
            return torch.load(file, map_location="cpu", weights_only=True)
    except _BROKEN as error:
        raise WeightsError(f"{file} {_fault(file, error)}") from error


def _harmless() -> list[Any]:
    values: list[Any] = [list, dict, set, frozenset, int, float, str]
    values += [(_dictionary, "collections.defaultdict"), (_list, "collections.deque")]
    times = [datetime.datetime, datetime.date, datetime.timedelta]
    return [*values, *times, argparse.Namespace, types.SimpleNamespace, *_paths(), *_numpy()]


def _dictionary(*_: object) -> dict:
    """Stands for a defaultdict, into which torch's unpickler puts nothing."""
    return {}


def _list(*_: object) -> list:
    """Stands for a deque."""
    return []


def _paths() -> list[Any]:
    """Paths as their pure kinds, which touch no disk and exist on every system; Python 3.13 files them elsewhere."""
    kinds = {"Posix": pathlib.PurePosixPath, "Windows": pathlib.PureWindowsPath}
    modules, prefixes = ("pathlib", "pathlib._local"), ("", "Pure")
    return [(kind, f"{m}.{p}{system}Path") for m in modules for p in prefixes for system, kind in kinds.items()]


def _numpy() -> list[Any]:
    """What pickled numbers and arrays of numpy are made of, under the names of numpy 1 and 2."""
    makers = {"scalar": np.float64(0).__reduce__()[0], "_reconstruct": np.zeros(1).__reduce__()[0]}
    named = [(maker, f"numpy.{core}.multiarray.{name}") for name, maker in makers.items() for core in ("core", "_core")]
    kinds = ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
    return [*named, np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in kinds)]


def _fault(file: Path, error: Exception) -> str:
    """What is wrong with a file that torch could not read."""
    names = _objects(file, error)
    listed = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    if any(name.startswith("torch.nn.") for name in names):
        return (
            f"holds a pickled module ({listed}), which could only be read by running its code: "
            "save its weights, torch.save(network.state_dict(), FILE)"
        )
    if names:
        return (
            f"holds other objects than weights and plain values ({listed}), and nothing in a checkpoint is executed: "
            "save the weights alone, torch.save(network.state_dict(), FILE)"
        )
    return f"is torn, or was not written by torch.save ({_reason(error)}): put a whole copy in its place"


def _reason(error: Exception) -> str:
    """The one line of torch's message that is about the file."""
    about = str(error).partition("WeightsUnpickler error:")[2] or str(error)
    return about.strip().split("\n")[0].split(". ")[0]


def _objects(file: Path, error: Exception) -> list[str]:
    """Names of the kinds of objects that were refused; none where that is not why reading failed."""
    if not isinstance(error, pickle.UnpicklingError):
        return []
    try:
        with torch.serialization.safe_globals(_harmless()):
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(str(file)))
    except _BROKEN:
        # Files of torch before 1.6: the message names the first.
        return _NAMED_GLOBAL.findall(str(error))[:1]


def _other_archive(file: Path) -> str | None:
    """What a zip archive is that torch.save did not write; None for one that it did, and for other files."""
    with file.open("rb") as stream:
        if not zipfile.is_zipfile(stream):
            return None
        with zipfile.ZipFile(stream) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    if "constants.pkl" in names:
        return "a TorchScript archive, a program and no checkpoint: give the checkpoint that it was made from"
    return None if "data.pkl" in names else "an archive of another kind and no checkpoint of torch.save"
