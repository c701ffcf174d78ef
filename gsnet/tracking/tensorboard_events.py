"""The figures of a run for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gsnet.interface.result_files import CURVES_FOLDER
from gsnet.tracking.contract import Outcome, TrackedRun


class TensorboardEvents:
    """The folder `curves` of the results, without what was written of later steps before an interruption or by another run."""

    def __init__(self, run: TrackedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.last_step = 0
        self._writer = SummaryWriter(str(run.folder / CURVES_FOLDER), purge_step=run.done + 1)

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """A point of each curve."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self, outcome: Outcome, summary: Mapping[str, Any]) -> None:
        """Flush to disk."""
        self._writer.close()
