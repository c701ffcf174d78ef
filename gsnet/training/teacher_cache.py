"""A teacher's logits on disk, so that several students of the same teacher and images ask it once."""

from __future__ import annotations

import hashlib
import json
import logging
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gsnet.interface.files import write_text
from gsnet.training.tasks import Place

_LOG = logging.getLogger(__name__)


class TeacherCache:
    """Logits by epoch, step and place in the batch, in half precision.

    settings: plain values that decide which images a step sees and what the teacher says of them; each set of values
    has a folder of its own. steps and batch_size: of an epoch of this process, whose number is rank. A row is trusted
    only where its check sum agrees, so that a kill, or two trainings at once, cannot spoil it.
    """

    def __init__(
        self, folder: Path, settings: dict[str, Any], steps: int, batch_size: int, classes: int, rank: int = 0
    ) -> None:
        text = json.dumps(settings, indent=1, sort_keys=True)
        self.folder = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / "settings.json", text + "\n")
        self.batch_size, self.rows, self.rank = batch_size, steps * batch_size, rank
        self.kind = np.dtype([("logits", "<f2", (classes,)), ("check", "<u4")])
        self._epoch, self._table = -1, np.zeros(0, self.kind)
        megabytes = self.rows * self.kind.itemsize / 1e6
        _LOG.info("Teacher's logits are kept in %s, %.1f MB an epoch", self.folder, megabytes)

    def logits(self, place: Place, images: Tensor, compute: Callable[[], Tensor]) -> Tensor:
        """Logits (N, classes) of a part of a batch, computed and kept where they are not known; rounded either way."""
        epoch, step, first = place
        begin = step * self.batch_size + first
        rows = self._rows_of(epoch)[begin : begin + len(images)]
        if not all(row["check"] == zlib.crc32(row["logits"].tobytes()) for row in rows):
            rows["logits"] = compute().float().cpu().numpy()
            rows["check"] = [zlib.crc32(row.tobytes()) for row in rows["logits"]]
        return torch.from_numpy(np.array(rows["logits"], dtype=np.float32)).to(images.device)

    def _rows_of(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            file = self.folder / f"epoch_{epoch:04d}_rank{self.rank}.bin"
            with file.open("ab") as stream:
                if stream.tell() < self.rows * self.kind.itemsize:
                    stream.truncate(self.rows * self.kind.itemsize)
            self._epoch, self._table = epoch, np.memmap(file, self.kind, "r+", shape=(self.rows,))
        return self._table
