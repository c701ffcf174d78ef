"""Structure strings of networks in arrays, written and read by compiled code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from PlainNet.compiling import Examples, compiled, kept_on_disk, source_version

OPENING, COMMA, CLOSING, NOUGHT = (ord(sign) for sign in "(,)0")
# Of a block: a name, brackets, five numbers of at most five digits with a sign between them. Names are shorter than the rest.
LONGEST_NAME = 60
LONGEST_BLOCK = LONGEST_NAME + 40
# Fields of a block: its type, input channels, output channels, stride, bottleneck, depth.
TYPE, FIRST_NUMBER, BOTTLENECK, FIELDS = 0, 1, 4, 6
LARGEST = (1 << 16) - 1


class BlockType(NamedTuple):
    """A type of blocks: its name in a structure string, and whether a bottleneck is among its numbers."""

    name: str
    has_bottleneck: bool


def table_of(types: Sequence[BlockType]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Types as compiled code reads them: all names as bytes, where each ends, whether it has a bottleneck."""
    names = [kind.name.encode() for kind in types]
    ends = np.cumsum([0, *map(len, names)])
    return np.array(list(b"".join(names)), dtype=np.uint8), ends, np.array([kind.has_bottleneck for kind in types])


@compiled
def write_number(number: int, text: np.ndarray, end: int) -> int:
    """Write a number that is not negative in decimal digits; returns the place behind it."""
    digits, rest = 1, number // 10
    while rest:
        digits += 1
        rest //= 10
    for place in range(end + digits - 1, end - 1, -1):
        text[place] = NOUGHT + number % 10
        number //= 10
    return end + digits


def _kept_on_disk(version: int):  # type: ignore[no-untyped-def]
    """The functions that Python calls; see `source_version`."""

    def write_texts(
        names: np.ndarray,
        name_ends: np.ndarray,
        have_bottleneck: np.ndarray,
        blocks: np.ndarray,
        ends: np.ndarray,
        text: np.ndarray,
        text_ends: np.ndarray,
    ) -> None:
        """Write the texts of networks one behind the other, and where each ends.

        names, name_ends: of all types, as bytes. blocks: (blocks, 6) of all networks. ends: of each network's blocks.
        """
        end, first = 0, (0 if version else 1)
        for network in range(ends.size):
            for index in range(first, ends[network]):
                kind = blocks[index, TYPE]
                for place in range(name_ends[kind], name_ends[kind + 1]):
                    text[end] = names[place]
                    end += 1
                text[end] = OPENING
                end += 1
                for field in range(FIRST_NUMBER, FIELDS):
                    if field == BOTTLENECK and not have_bottleneck[kind]:
                        continue
                    end = write_number(int(blocks[index, field]), text, end)
                    text[end] = COMMA
                    end += 1
                text[end - 1] = CLOSING
            first = ends[network]
            text_ends[network] = end

    def read_texts(
        names: np.ndarray,
        name_ends: np.ndarray,
        have_bottleneck: np.ndarray,
        text: np.ndarray,
        text_ends: np.ndarray,
        blocks: np.ndarray,
        ends: np.ndarray,
    ) -> int:
        """The blocks of canonical texts, as `write_texts` has them; how many texts are known up to the first that is not."""
        block, at = 0, (0 if version else 1)
        for network in range(text_ends.size):
            while at < text_ends[network]:
                kind = 0
                while kind < have_bottleneck.size:
                    length = name_ends[kind + 1] - name_ends[kind]
                    place = 0
                    if at + length < text_ends[network] and text[at + length] == OPENING:
                        while place < length and text[at + place] == names[name_ends[kind] + place]:
                            place += 1
                        if place == length:
                            break
                    kind += 1
                if kind == have_bottleneck.size:
                    return network
                at += name_ends[kind + 1] - name_ends[kind]
                blocks[block, TYPE] = kind
                for field in range(FIRST_NUMBER, FIELDS):
                    blocks[block, field] = 0
                    if field == BOTTLENECK and not have_bottleneck[kind]:
                        continue
                    # A bracket or a comma, then digits.
                    at += 1
                    number = 0
                    while at < text_ends[network] and NOUGHT <= text[at] < NOUGHT + 10:
                        number = 10 * number + text[at] - NOUGHT
                        at += 1
                    if number > LARGEST or at >= text_ends[network]:
                        return network
                    blocks[block, field] = number
                if text[at] != CLOSING:
                    return network
                at += 1
                block += 1
            ends[network] = block
        return text_ends.size

    return kept_on_disk(write_texts), kept_on_disk(read_texts)


write_texts, read_texts = _kept_on_disk(source_version(Path(__file__)))


def examples() -> Examples:
    """Both functions with arguments as they are called with, for who has them compiled in time."""
    table = table_of([BlockType("SuperResK3K3", True)])
    blocks, ends = np.zeros((1, FIELDS), dtype=np.uint16), np.zeros(1, dtype=np.int64)
    # A text that is read is a view of bytes, which nobody may write.
    written, read = np.zeros(1, dtype=np.uint8), np.frombuffer(b"\0", dtype=np.uint8)
    return [(write_texts, (*table, blocks, ends, written, ends)), (read_texts, (*table, read, ends, blocks, ends))]
