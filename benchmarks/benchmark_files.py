"""Benchmarks from their files: those by a known name, and tables of structures by any other."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import nas_bench_201, nas_bench_macro
from benchmarks.data_folder import data_folder
from benchmarks.report_benchmarks import SETTINGS, Benchmark, NasBench201, NasBenchMacro
from benchmarks.structure_table import StructureTable
from gsnet.interface.options import InputError
from ZeroShotProxy import ScoringSettings

_KNOWN: dict[str, Callable[[Path], Benchmark]] = {
    nas_bench_201.FILE: NasBench201,
    nas_bench_macro.FILE: NasBenchMacro,
}


def open_benchmarks(files: Sequence[Path] | None, settings: ScoringSettings = SETTINGS) -> list[Benchmark]:
    """The benchmarks of these files; without any, those in the folder that GSNET_DATA names, absent ones with a note.

    A file by another name than the known benchmarks' is a table of structures, scored with `settings`. Raises InputError.
    """
    if files:
        for path in files:
            if not path.is_file():
                raise InputError(f"There is no file {path}")
        return [_KNOWN[p.name](p) if p.name in _KNOWN else StructureTable(p, settings) for p in files]
    folder = data_folder()
    present = [folder / name for name in _KNOWN if (folder / name).is_file()]
    for name in _KNOWN:
        if folder / name not in present:
            print(f"skipped: {folder / name} does not exist (set GSNET_DATA or --benchmark_file)", file=sys.stderr)
    return [_KNOWN[path.name](path) for path in present]
