"""The best checkpoints of a training that goes on in another folder than it began in."""

from __future__ import annotations

import logging
import pickle
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gsnet.interface.files import written_whole
from gsnet.training import checkpoints

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class BestSoFar:
    """Which checkpoints a training needs of its past.

    history: the rows of its log. epoch: its best one, from 0; names: of the files that hold it. kept: the epochs that
    --keep_best keeps.
    """

    history: Sequence[dict[str, Any]]
    epoch: int
    names: Sequence[str]
    kept: Sequence[int] = ()

    def bring(self, origin: Path, folder: Path) -> bool:
        """Copy them from a training's folder to another. Returns whether this has the best one now. Raises OSError.

        Of a training that has gone on since, or of another one, nothing is taken: it would not be this one's best.
        """
        if origin.resolve() == folder.resolve():
            return (folder / checkpoints.BEST).is_file()
        for epoch in self.kept:
            name = checkpoints.KEPT.format(epoch + 1)
            if self._is_of(origin / name, epoch):
                _copy(origin / name, folder / name)
        best = origin / checkpoints.BEST
        if not self._is_of(best, self.epoch):
            return False
        for name in self.names:
            _copy(best, folder / name)
        _LOG.info("The best epoch so far, %d, comes along from %s", self.epoch + 1, best)
        return True

    def _is_of(self, file: Path, epoch: int) -> bool:
        """Whether a file is the checkpoint of an epoch of this very training."""
        try:
            # Without its weights, which nobody looks at here.
            state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
            # As texts: what is no number equals nothing, not even itself.
            return state["epoch"] == epoch and repr(state["history"]) == repr(list(self.history[: epoch + 1]))
        except (OSError, RuntimeError, EOFError, ValueError, LookupError, TypeError, pickle.UnpicklingError):
            return False


def _copy(file: Path, copy: Path) -> None:
    with file.open("rb") as source, written_whole(copy, "wb") as target:
        shutil.copyfileobj(source, target)
