"""torch on one thread while networks are scored: sums come out the same in the last bit whatever else runs."""

from __future__ import annotations

import threading
from types import TracebackType


class OneThread:
    """A context of any depth and in any number of Python threads; the last to leave gives torch its threads back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 1

    def __enter__(self) -> None:
        import torch

        with self._lock:
            if not self._inside:
                self._before = torch.get_num_threads()
            self._inside += 1
        # In every thread: OpenMP counts for each of them.
        torch.set_num_threads(1)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import torch

        with self._lock:
            self._inside -= 1
            if not self._inside:
                torch.set_num_threads(self._before)


one_thread = OneThread()
