"""Memory that a process frees and asks for again, kept away from the clock.

glibc hands large blocks back to the system when they are freed, and gets them anew, page by page, a moment later: a network
with large maps spends up to two thirds of its time on page faults, and how much depends on the order in which its maps come
and go. Other allocators (jemalloc, tcmalloc, ONNX Runtime's arena) keep what is freed, and so does a process after
`keep_freed_memory`. The same for any program: MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=17179869184.
"""

from __future__ import annotations

import ctypes
import logging
import sys
from functools import cache

log = logging.getLogger(__name__)

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


@cache
def keep_freed_memory() -> None:
    """From now on this process keeps freed memory for its next allocations; does nothing where the C library is not glibc.

    The first few calls of a network may still get new memory, until pieces of fitting size have been freed.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None or not (mallopt(_MMAP_MAX, 0) and mallopt(_TRIM_THRESHOLD, -1)):
        log.info(
            "this C library cannot be told to keep freed memory: times of networks with large maps include page faults"
        )
