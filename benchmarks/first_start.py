"""How long the first search on a computer takes to begin, the next ones, and how much memory a long one needs.

    python -m benchmarks.first_start
    python -m benchmarks.first_start --against HEAD~20
    python -m benchmarks.first_start --iterations 480000

Each build is started in turn with an empty folder for machine code, and then again with what the first start has left there.
Processor time is that of all processes; memory, the largest of the searching process alone.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.searches import STARTS
from benchmarks.two_builds import ROOT, build_of

SEARCH = [
    *(
        "evolution_search.py",
        "--zero_shot_score",
        "ZenClosedForm",
        "--origin",
        "--fix_initialize",
        "--max_layers",
        "18",
    ),
    *("--budget_model_size", "1e6", "--budget_flops", "6e8", "--budget_mac", "2e7"),
]


def measure(build: Path, space: str, iterations: int, code: Path) -> tuple[float, float, float]:
    """Seconds, processor seconds and mebibytes of one search."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--search_space", space, "--plainnet_struct", STARTS[space], "--evolution_max_iter", str(iterations)]
        command = [sys.executable, *SEARCH, *options, "--save_dir", folder]
        begun, environment = time.perf_counter(), os.environ | {"NUMBA_CACHE_DIR": str(code)}
        process = subprocess.Popen(
            command, cwd=build, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f"{command} failed in {build}")
    return time.perf_counter() - begun, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=10, help="of each search")
    parser.add_argument("--spaces", nargs="+", default=["XXBL"], choices=list(STARTS))
    parser.add_argument("--against", metavar="REF", help="a commit to compare with")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        builds = {"this build": ROOT}
        if options.against:
            builds[options.against] = opened.enter_context(build_of(options.against))
        print(f"{'build':<14}{'space':<14}{'start':<8}{'s':>8}{'processor s':>14}{'MiB':>8}")
        for space in options.spaces:
            for place, (name, build) in enumerate(builds.items()):
                for start in ("first", "next"):
                    code = Path(folder) / f"{space}-{place}"
                    seconds, processor, memory = measure(build, space, options.iterations, code)
                    print(f"{name:<14}{space:<14}{start:<8}{seconds:>8.1f}{processor:>14.1f}{memory:>8.0f}", flush=True)


if __name__ == "__main__":
    main()
