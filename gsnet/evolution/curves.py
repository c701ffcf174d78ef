"""Curves of a running search, for TensorBoard and wherever else --log sends them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from gsnet.evolution.island_search import AnySearch
from gsnet.tracking import TrackedRun, Tracking

_COSTS = ("params", "flops", "mac", "layers")


def tracking_of(search: AnySearch, folder: Path | None, log: tuple[str, ...]) -> Tracking:
    """The trackers of a search with a results folder. log: their names."""
    if folder is None:
        return Tracking()
    settings = json.loads(search.settings.to_json())
    return Tracking(TrackedRun(folder, "iteration", settings, search.progress.next_iteration), log)


class Curves:
    """Tells trackers how far a search is."""

    def __init__(self, search: AnySearch, tracking: Tracking) -> None:
        self._search, self._tracking = search, tracking
        self._iteration, self._time = search.progress.next_iteration, time.monotonic()

    def add(self) -> None:
        """The present state: scores, speed, and what becomes of proposals."""
        progress, iteration, now = self._search.progress, self._search.progress.next_iteration, time.monotonic()
        best = self._search.best
        if best is None or iteration == self._iteration:
            return
        scores = self._search.population.scores
        scalars = {
            "score/best": best.score,
            "score/population mean": sum(scores) / len(scores),
            "score/population worst": min(scores),
            "speed/iterations a second": (iteration - self._iteration) / max(now - self._time, 1e-9),
        }
        scalars |= {f"outcomes/{name}": count / iteration for name, count in progress.outcomes.items()}
        self._tracking.add(iteration, scalars)
        self._iteration, self._time = iteration, now

    def finish(self) -> None:
        """The last state, and of a finished search its winner."""
        self.add()
        best = self._search.best
        if best is not None and self._search.finished:
            found: dict[str, Any] = {"structure": best.network.text, "score": best.score, "iteration": best.iteration}
            self._tracking.finish(found | dict(zip(_COSTS, best.costs, strict=False)))
