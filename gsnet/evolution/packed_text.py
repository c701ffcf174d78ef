"""Structure strings of networks in arrays, written by compiled code."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from PlainNet.compiling import compiled, source_version

OPENING, COMMA, CLOSING, NOUGHT = (ord(sign) for sign in "(,)0")
# Of a block: a name, brackets, five numbers of at most five digits with a sign between them. Names are shorter than the rest.
LONGEST_NAME = 60
LONGEST_BLOCK = LONGEST_NAME + 40
# Fields of a block: its type, input channels, output channels, stride, bottleneck, depth.
TYPE, FIRST_NUMBER, BOTTLENECK, FIELDS = 0, 1, 4, 6


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
    """The function that Python calls; see `source_version`."""

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

    return compiled(write_texts, cache=True)


write_texts = _kept_on_disk(source_version(Path(__file__)))
