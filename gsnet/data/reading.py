"""Many images read once, by threads, before anything is done with them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

# A task of its own for each would cost as much as reading a small image.
_CHUNK = 64
# Chunks for each thread that are read ahead: an error, or a reader that wants no more, ends it soon.
_AHEAD = 4
T = TypeVar("T")


def read_by_threads(
    indices: Sequence[int], read: Callable[[int], T], threads: int, name: str
) -> Iterator[list[tuple[int, T]]]:
    """Indices and what `read` makes of them, in order and a chunk at a time; a progress bar on a terminal.

    threads: at least one is used. name: of what is read, for the bar. Raises what `read` raises.
    """
    from tqdm import tqdm

    def chunk(part: Sequence[int]) -> list[tuple[int, T]]:
        return [(index, read(index)) for index in part]

    threads = max(1, threads)
    chunks = [indices[i : i + _CHUNK] for i in range(0, len(indices), _CHUNK)]
    with (
        ThreadPoolExecutor(threads) as pool,
        tqdm(total=len(indices), disable=not sys.stderr.isatty(), desc=name, leave=False) as bar,
    ):
        for first in range(0, len(chunks), _AHEAD * threads):
            for found in pool.map(chunk, chunks[first : first + _AHEAD * threads]):
                yield found
                bar.update(len(found))
