"""Structure strings of networks in arrays, written by compiled code."""

from __future__ import annotations

import numpy as np

from gsnet.evolution.array_layout import ARGUMENTS, BOTTLENECK, HAS_BOTTLENECK, INTO, KIND, Space
from PlainNet.compiling import compiled

OPENING, COMMA, CLOSING, NOUGHT = (ord(sign) for sign in "(,)0")
# Of a block: a name, brackets, five numbers of at most five digits with a sign between them. Names are shorter than the rest.
LONGEST_NAME = 60
LONGEST_BLOCK = LONGEST_NAME + 40


@compiled
def write_text(space: Space, blocks: np.ndarray, count: int, text: np.ndarray, end: int) -> int:
    """Write a network's text from a place on; returns the place behind it."""
    for index in range(count):
        kind = blocks[index, KIND]
        for place in range(space.ends[kind], space.ends[kind + 1]):
            text[end] = space.names[place]
            end += 1
        text[end] = OPENING
        end += 1
        for field in range(INTO, ARGUMENTS):
            if field == BOTTLENECK and not space.traits[kind, HAS_BOTTLENECK]:
                continue
            end = write_number(blocks[index, field], text, end)
            text[end] = COMMA
            end += 1
        text[end - 1] = CLOSING
    return end


@compiled
def write_number(number: int, text: np.ndarray, end: int) -> int:
    """Write a positive number in decimal digits; returns the place behind it."""
    digits, rest = 1, number // 10
    while rest:
        digits += 1
        rest //= 10
    for place in range(end + digits - 1, end - 1, -1):
        text[place] = NOUGHT + number % 10
        number //= 10
    return end + digits
