"""The figures of a run for Weights & Biases, by its own library.

The environment variables of that library hold: WANDB_MODE=offline, WANDB_PROJECT, WANDB_NAME, WANDB_DIR and all others.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gsnet.tracking.contract import Outcome, TrackedRun, told
from gsnet.tracking.noted import NotedRun
from gsnet.tracking.wandb_file import last_step_in

_PROJECT = "gsnet"


class WandbRun:
    """A run of W&B's, whose local files lie in the folder `wandb` of the results; a resumed one goes on under its id."""

    def __init__(self, run: TrackedRun) -> None:
        import wandb

        self._noted = NotedRun(run.folder, "wandb")
        before = self._noted.to_go_on_with(run.done > 0)
        directory = Path(os.environ.get("WANDB_DIR", run.folder))
        with told():
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", _PROJECT),
                name=os.environ.get("WANDB_NAME", run.folder.resolve().name),
                dir=str(directory),
                id=before,
                resume="allow" if before else None,
                reinit="create_new",
            )
            self._run.config.update(dict(run.config), allow_val_change=True)
            # A server says itself where it stands; without one the files do, which the last seconds before a kill never reach.
            self.last_step = (
                self._run.step - 1 if self._run.resumed else last_step_in(directory / "wandb", self._run.id)
            )
        self._noted.begin(self._run.id)

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """A step of W&B's history."""
        self._noted.fill()
        with told():
            self._run.log(dict(scalars), step=step)
        self.last_step = step

    def close(self, outcome: Outcome, summary: Mapping[str, Any]) -> None:
        """What the run came to is its summary."""
        with told():
            self._run.summary.update(dict(summary))
            self._run.finish(exit_code=0 if outcome is Outcome.FINISHED else 1)
