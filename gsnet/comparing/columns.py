"""The columns of a comparison: what they are called and measured in, and which way is better."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gsnet.interface.options import InputError

COST, LATENCY, SCORE, RESULT, OTHER = "cost", "latency", "score", "result", "other"


@dataclass(frozen=True)
class Column:
    """A column of figures.

    key: in tables for programs. label and unit: for people, who see the figure divided by `scale`. better: 1 where more is
    better, -1 where less is, 0 where neither. kind: cost, latency, score, result of a training, or other.
    """

    key: str
    label: str
    unit: str = ""
    scale: float = 1.0
    better: int = 0
    kind: str = OTHER


COSTS = (
    Column("parameters", "parameters", "M", 1e6, -1, COST),
    Column("flops", "FLOPs", "M", 1e6, -1, COST),
    Column("memory_access", "memory access", "M", 1e6, -1, COST),
    Column("peak_feature_map", "largest layer output", "k", 1e3, -1, COST),
    Column("layers", "layers", "", 1.0, -1, COST),
)
# Known of structures alone.
MEMORY = (Column("peak_memory", "peak memory, fp32", "KiB", 1024.0, -1, COST),)
SEEN = (Column("resolution", "pixels"), Column("classes", "classes"))
RESULTS = (
    Column("top1", "top-1", "%", 1.0, 1, RESULT),
    Column("AP", "AP", "", 1.0, 1, RESULT),
    Column("epochs", "epochs"),
)
SEARCHED = (Column("search_proxy", "searched by"), Column("search_score", "search's score"))
# What a table says beside its columns of figures.
BESIDE = ("arch", "structure", "error")
_TAKEN = (*BESIDE, *(column.key for column in (*COSTS, *MEMORY, *SEEN, *RESULTS, *SEARCHED)))


def latency(key: str) -> Column:
    """The column of a latency, in seconds an image; people see milliseconds."""
    return Column(key, f"latency, {key.removeprefix('latency_')}", "ms", 1e-3, -1, LATENCY)


def columns_of(latencies: Iterable[str], proxies: Iterable[tuple[str, bool]], known: Iterable[str]) -> list[Column]:
    """The columns in order: costs, latencies, scores, results. proxies: names, and whether more is better.

    known: keys of which some network has a figure; only those are there, and what was asked for.
    """
    found = set(known)
    asked = [latency(key) for key in latencies]
    scores = [Column(name, name, "", 1.0, 1 if more else -1, SCORE) for name, more in proxies]
    memory = [column for column in MEMORY if column.key in found]
    trained = [column for column in (*SEARCHED, *RESULTS) if column.key in found]
    return [*COSTS, *memory, *SEEN, *asked, *scores, *trained]


def check_proxies(names: Sequence[str]) -> None:
    """Refuse proxies of which one column would hold two figures. Raises InputError."""
    for name, count in Counter(names).items():
        if count > 1:
            raise InputError(f"{count} proxies are called {name}: give each function a name of its own")
        if name in _TAKEN or name.startswith("latency_"):
            raise InputError(
                f"A proxy cannot be called {name} here, which is another column: give it a name of its own"
            )
