"""What each thread has for itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

from PlainNet.lazy import remembered

Value = TypeVar("Value")
Parameters = ParamSpec("Parameters")
_KEPT = 8


class PerThread(threading.local, Generic[Parameters, Value]):
    """The last few values that were made in this thread: what one of them remembers is for one caller at a time."""

    def __init__(self, make: Callable[Parameters, Value]) -> None:
        self.get = remembered(_KEPT)(make)
