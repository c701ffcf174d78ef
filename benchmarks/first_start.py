"""How long the first search on a computer takes to begin, the next ones, and how much memory a long one needs.

    python -m benchmarks.first_start
    python -m benchmarks.first_start --against HEAD~20
    python -m benchmarks.first_start --iterations 480000
    python -m benchmarks.first_start --repeats 3

Each build is started in turn with an empty folder for machine code, and then again with what the first start has left there.
Processor time is that of all processes; memory, the largest of a single one. A search begins when its first
iteration can run; imports are the first part of that, and the whole has all outputs too. Of several repeats the one with the
least processor time counts. On Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from gsnet.interface.running import run
from benchmarks.searches import STARTS
from benchmarks.two_builds import ROOT, build_of

# Prints seconds and processor seconds after imports, and those when the first iteration can run.
SEARCH = """
import json, os, sys, time
from pathlib import Path
def spent():
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    ticks = [Path(f"/proc/{child}/stat").read_text().rpartition(") ")[2].split()[11:15] for child in children]
    of_children = sum(sum(map(int, of_child)) for of_child in ticks) / os.sysconf("SC_CLK_TCK")
    return time.time() - float(sys.argv[1]), sum(os.times()[:4]) + of_children
import gsnet
from gsnet.evolution.session import Session
imported = spent()
values = json.loads(sys.argv[2])
with gsnet.Search(values.pop("start"), **values) as search:
    opened = spent()
    search.run()
print(json.dumps([*imported, *opened]))
"""
OPTIONS = {"proxy": "ZenClosedForm", "budgets": {"layers": 18, "params": 1e6, "flops": 6e8, "mac": 2e7}}


class Start(NamedTuple):
    """Seconds and processor seconds of a whole search, its mebibytes, and both for its imports and until it can begin."""

    seconds: float
    processor: float
    memory: float
    imports: float
    imports_processor: float
    begin: float
    begin_processor: float


def measure(build: Path, space: str, iterations: int, code: Path) -> Start:
    """One search."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as said:
        values = {"start": STARTS[space], "space": space, "iterations": iterations, "save_dir": folder} | OPTIONS
        begun, environment = time.time(), os.environ | {"NUMBA_CACHE_DIR": str(code), "PYTHONPATH": str(build)}
        command = [sys.executable, "-c", SEARCH, str(begun), json.dumps(values)]
        process = subprocess.Popen(command, cwd=build, env=environment, stdout=said, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.time() - begun
        if status:
            raise RuntimeError(f"A search failed in {build}: {values}")
        said.seek(0)
        return Start(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, *json.loads(said.read()))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=10, help="of each search")
    parser.add_argument("--spaces", nargs="+", default=["XXBL"], choices=list(STARTS))
    parser.add_argument("--against", metavar="REF", help="a commit to compare with")
    parser.add_argument("--repeats", type=int, default=1, help="of both starts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        builds = {"this build": ROOT}
        if options.against:
            builds[options.against] = opened.enter_context(build_of(options.against))
        heads = ("imports s", "cpu s", "begin s", "cpu s", "whole s", "cpu s", "MiB")
        print(f"{'build':<14}{'space':<14}{'start':<7}" + "".join(f"{head:>11}" for head in heads))
        for space in options.spaces:
            for name, build in builds.items():
                found: dict[str, list[Start]] = {"first": [], "next": []}
                for repeat in range(options.repeats):
                    code = Path(folder) / f"{space}-{name.replace('/', '-')}-{repeat}"
                    for of_kind in found.values():
                        of_kind.append(measure(build, space, options.iterations, code))
                for kind, of_kind in found.items():
                    best = min(of_kind, key=lambda start: start.processor)
                    figures = (*best[3:], best.seconds, best.processor, best.memory)
                    print(f"{name:<14}{space:<14}{kind:<7}" + "".join(f"{x:>11.1f}" for x in figures), flush=True)


if __name__ == "__main__":
    sys.exit(run(main))
