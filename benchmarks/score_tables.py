"""Scores of all networks of a benchmark, compressed: one file for each benchmark and proxy, read in a moment.

A file is gzip's, of lines: what was scored and how, as one JSON object behind "# ", then one score a network in alphabetical
order of the networks' names, seven significant digits. An empty line is a network that is not scored yet; -inf one that has no
score.
"""

from __future__ import annotations

import gzip
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

from gsnet.interface.files import written_whole
from gsnet.interface.options import InputError

FOLDER = Path(__file__).parent / "scores"


@dataclass(frozen=True)
class ScoreTable:
    """Scores by network of one proxy at one seed.

    networks: how many the benchmark has. milliseconds: median processor time of a score. failures: networks by the reason why
    they have no score.
    """

    benchmark: str
    proxy: str
    scores: dict[str, float]
    networks: int
    milliseconds: float = 0.0
    seed: int = 0
    resolution: int = 32
    batch_size: int = 16
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every network of the benchmark is scored."""
        return len(self.scores) == self.networks

    def write(self, folder: Path, names: list[str]) -> Path:
        """Write the table for a benchmark of networks with these names."""
        path = table_path(folder, self.benchmark, self.proxy)
        path.parent.mkdir(parents=True, exist_ok=True)
        head = {k: v for k, v in asdict(self).items() if k != "scores"}
        head["milliseconds"] = float(f"{self.milliseconds:.3g}")
        lines = [f"# {json.dumps(head)}", *(_text(self.scores.get(name)) for name in sorted(names))]
        with written_whole(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=0) as packed:
            packed.write(("\n".join(lines) + "\n").encode("ascii"))
        return path


def _text(score: float | None) -> str:
    return "" if score is None else f"{score:.7g}"


def table_path(folder: Path, benchmark: str, proxy: str) -> Path:
    """Where the scores of a proxy on a benchmark are kept."""
    return folder / benchmark / f"{proxy}.csv.gz"


def read_table(folder: Path, benchmark: str, proxy: str, names: list[str]) -> ScoreTable | None:
    """The table of a proxy on a benchmark of networks with these names; None where there is none. Raises InputError."""
    path = table_path(folder, benchmark, proxy)
    if not path.is_file():
        return None
    try:
        head, *lines = gzip.decompress(path.read_bytes()).decode("ascii").splitlines()
        facts = json.loads(head.removeprefix("# "))
        values = [float(line) if line else math.nan for line in lines]
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path} is no table of scores ({error}): delete it, and it is made again") from error
    if len(values) != len(names):
        raise InputError(f"{path} has scores of {len(values)} networks, and {benchmark} has {len(names)}")
    scores = {name: value for name, value in zip(sorted(names), values, strict=True) if not math.isnan(value)}
    return ScoreTable(scores=scores, **facts)
