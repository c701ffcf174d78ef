"""Curves of a running search for TensorBoard."""

from __future__ import annotations

import time
from pathlib import Path

from gsnet.evolution.search import Search


class Curves:
    """Writes scalars of a search into the folder `curves` of its results."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / "curves"))
        self._iteration, self._time = 0, time.monotonic()

    def add(self, search: Search) -> None:
        """The present state: scores, speed, and what becomes of proposals."""
        progress, iteration, now = search.progress, search.progress.next_iteration, time.monotonic()
        best = search.best
        if best is None or iteration == self._iteration:
            return
        scores = [member.score for member in search.population.members]
        scalars = {
            "score/best": best.score,
            "score/population mean": sum(scores) / len(scores),
            "score/population worst": min(scores),
            "speed/iterations a second": (iteration - self._iteration) / max(now - self._time, 1e-9),
        }
        scalars |= {f"outcomes/{name}": count / iteration for name, count in progress.outcomes.items()}
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, iteration)
        self._iteration, self._time = iteration, now

    def close(self) -> None:
        """Flush to disk."""
        self._writer.close()
