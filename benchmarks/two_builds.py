"""Two builds of this project beside each other: the working tree, and a commit of its history."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from statistics import median

from gsnet.evolution.settings import SearchSettings
from gsnet.interface.options import InputError

ROOT = Path(__file__).parent.parent
# Prints processor seconds of a whole search, its history on disk, and the winner's score. What is compiled or loaded once lies
# in a short search before. It uses what both builds have.
SEARCH = """
import json, sys, tempfile, time
from pathlib import Path
from gsnet.evolution.runner import without_collector
from gsnet.evolution.session import Session
from gsnet.evolution.settings import SearchSettings
values = json.loads(sys.argv[1])
for iterations in (2000, values["evolution_max_iter"]):
    settings = SearchSettings.from_json(json.dumps(values | {"evolution_max_iter": iterations}))
    with tempfile.TemporaryDirectory() as folder:
        session = Session(settings, Path(folder))
        with without_collector():
            begun = time.process_time()
            while not session.search.finished:
                session.search.advance()
            session.history.commit()
            seconds = time.process_time() - begun
        score = session.search.best.score
        session.close()
print(seconds, repr(score))
"""


@contextmanager
def build_of(commit: str) -> Iterator[Path]:
    """A folder with the files of a commit. Raises InputError where there is no such commit."""
    command = ["git", "rev-parse", "--quiet", "--verify", "--end-of-options", f"{commit}^{{commit}}"]
    if subprocess.run(command, cwd=ROOT, capture_output=True).returncode:
        raise InputError(f"--against {commit}: the history here has no such commit")
    packed = subprocess.run(["git", "archive", commit], cwd=ROOT, check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
        yield Path(folder)


def searched(build: Path, settings: SearchSettings) -> tuple[float, str]:
    """Processor seconds of a search by a build, and its winner's score. Paths of the settings are of the build's own files."""
    usual = asdict(SearchSettings(settings.zero_shot_score))
    # An older build does not know every setting: what is usual is left out, but for those that say what is compared.
    named = ("zero_shot_score", "objectives", "evolution", "evolution_max_iter")
    values = {name: value for name, value in asdict(settings).items() if name in named or value != usual[name]}
    values["search_space"] = str(Path(values["search_space"]).relative_to(ROOT))
    command = [sys.executable, "-c", SEARCH, json.dumps(values)]
    environment = os.environ | {"PYTHONPATH": str(build), "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, cwd=build, env=environment, check=True, capture_output=True, text=True).stdout
    seconds, score = found.split()
    return float(seconds), score


def compare(commit: str, named: Sequence[tuple[str, SearchSettings]], repeats: int) -> None:
    """Print iterations a second of both builds, which search in turn, and how many times as fast the working tree is."""
    print(f"{'search':<28}{commit[:12]:>14}{'now':>14}{'times':>8}  same winner")
    with build_of(commit) as old:
        for name, settings in named:
            runs = [(searched(old, settings), searched(ROOT, settings)) for _ in range(repeats)]
            before, now = (settings.evolution_max_iter / median(run[place][0] for run in runs) for place in (0, 1))
            times = median(then[0] / this[0] for then, this in runs)
            same = all(then[1] == this[1] for then, this in runs)
            print(f"{name:<28}{before:>14,.0f}{now:>14,.0f}{times:>8.2f}  {'yes' if same else 'NO'}", flush=True)
