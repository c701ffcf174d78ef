"""The mean-field steps of many blocks in one table of numbers, which compiled code walks through.

Most of what a search proposes are super-blocks that were never seen before, but of a kind that was: the same layers with other
widths. The numbers of their steps are then linear functions of the widths, and one template serves all of them, so that a new
block costs no more than the making of one row of numbers. Any other block has its steps written into the table as they are.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from PlainNet.block import Block, Style
from PlainNet.compiling import compiled
from PlainNet.errors import StructureError
from PlainNet.lazy import remembered
from PlainNet.mean_field import STEP_WIDTH
from PlainNet.super_blocks import SuperBlock, layer_mean_field

NUMBERS = STEP_WIDTH - 1
# A row of the table: the step's kind, its numbers' constants, what a channel of input, bottleneck and output adds to each, and
# whether that is anything.
LINEAR = 1 + 4 * NUMBERS
ROW_WIDTH = LINEAR + 1
# A call of the table: rows [begin, end) of the first layer, [begin, end) of the later ones, how many of these, the widths.
CALL_WIDTH = 8
_CALL = struct.Struct(f"{CALL_WIDTH}d")
WIDTH_UNIT = 8
_LARGEST_ROWS = 200_000
_PROBES = 4
_LARGEST_PROBE = 512

Widths = tuple[int, int, int]
# Of the rows of a super-block's first layer, and of its later ones.
Bounds = tuple[int, int, int, int]
# Rows of a pattern of widths, and which of the three have to be multiples of 8.
Pattern = tuple[Bounds, tuple[bool, bool, bool]]


class Span(NamedTuple):
    """Rows [begin, end) of the table; which of the three widths their numbers depend on."""

    begin: int
    end: int
    depends: tuple[bool, bool, bool] = (False, False, False)


_UNKNOWN = Span(-1, -1)


class StepTable:
    """Steps of blocks of one style. `rows` is what compiled code reads; it is renewed when it grows."""

    def __init__(self, style: Style) -> None:
        self.style = style
        self.rows = np.zeros((256, ROW_WIDTH))
        self._used = 0
        self.calls: dict[str, bytes] = {}
        self._templates: dict[tuple, Span | None] = {}
        self._bounds: dict[tuple, Bounds] = {}

    def call(self, block: Block) -> bytes:
        """The numbers by which the block's steps are found in the table; CALL_WIDTH of them.

        Raises StructureError where the block has no mean-field rule.
        """
        call = self.calls[block.key] = self.template_call(block) or self._literal_call(block)
        return call

    @property
    def is_full(self) -> bool:
        """Whether it is time to begin a new table."""
        return self._used > _LARGEST_ROWS or len(self.calls) > _LARGEST_ROWS

    def template_call(self, block: Block) -> bytes | None:
        """The call of a super-block whose layers have templates, otherwise None."""
        if not isinstance(block, SuperBlock) or not _is_linear(type(block)):
            return None
        kind = type(block)
        into, out, stride, repeats = block.in_channels, block.out_channels, block.stride, block.sub_layers - 1
        bottleneck = getattr(block, "bottleneck_channels", 0)
        if (into | bottleneck | out) & (WIDTH_UNIT - 1):
            bounds = self._templates_of(kind, stride, repeats, (into, bottleneck, out))
        else:
            key = kind, stride, repeats > 0, into == bottleneck, bottleneck == out, into == out
            bounds = self._bounds.get(key) or self._templates_of(kind, stride, repeats, (into, bottleneck, out))
            if bounds:
                self._bounds[key] = bounds
        return _CALL.pack(*bounds, repeats, into, bottleneck, out) if bounds else None

    def template_bounds(self, kind: type[SuperBlock], stride: int, repeats: bool, widths: Widths) -> Pattern | None:
        """Where the steps are of all blocks of a kind whose widths are equal where these are; None without templates."""
        _, bottleneck, out = widths
        if not _is_linear(kind):
            return None
        first = self._template(kind, True, stride, widths)
        later = self._template(kind, False, 1, (out, bottleneck, out)) if repeats else first
        if not first or not later:
            return None
        bounds = (*first[:2], *later[:2])
        if not repeats:
            return bounds, first.depends
        # Later layers read what the first gives.
        into, mid, behind = later.depends
        return bounds, (first.depends[0], first.depends[1] or mid, first.depends[2] or into or behind)

    def _templates_of(self, kind: type[SuperBlock], stride: int, repeats: int, widths: Widths) -> Bounds | None:
        """Rows of the first layer and of the later ones; None where one of them has no template."""
        _, bottleneck, out = widths
        first = self._template(kind, True, stride, widths)
        later = self._template(kind, False, 1, (out, bottleneck, out)) if repeats else first
        return (*first[:2], *later[:2]) if first and later else None

    def _literal_call(self, block: Block) -> bytes:
        steps = np.frombuffer(block.mean_field(self.style)).reshape(-1, STEP_WIDTH)
        rows = np.zeros((len(steps), ROW_WIDTH))
        rows[:, :STEP_WIDTH] = steps
        span = self._add(rows)
        return _CALL.pack(span.begin, span.end, 0, 0, 0, 0, 0, 0)

    def _template(self, kind: type[SuperBlock], first: bool, stride: int, widths: Widths) -> Span | None:
        """The layer's template, where its widths are such as the template holds for."""
        into, bottleneck, out = widths
        # A shortcut is a projection or not by which widths are equal.
        key = kind, first, stride, into == bottleneck, bottleneck == out, into == out
        span = self._templates.get(key, _UNKNOWN)
        if span is _UNKNOWN:
            try:
                span = self._new_template(kind, first, stride, widths)
            except StructureError:
                # A layer without a mean-field rule, or one that takes no other widths.
                span = None
            self._templates[key] = span
        if span is None or not (into | bottleneck | out) & (WIDTH_UNIT - 1):
            return span
        for width, matters in zip(widths, span.depends, strict=True):
            if matters and width % WIDTH_UNIT:
                return None
        return span

    def _new_template(self, kind: type[SuperBlock], first: bool, stride: int, widths: Widths) -> Span | None:
        """Found by varying one width at a time, and tried on other widths; None where the numbers are not linear."""

        def steps(some: Widths) -> np.ndarray:
            values = dict(zip(("in_channels", "bottleneck_channels", "out_channels"), some, strict=True))
            values["stride"] = stride
            arguments = tuple(values[name] for name in kind.argument_names()[:-1])
            return np.frombuffer(layer_mean_field(kind, arguments, first, self.style)).reshape(-1, STEP_WIDTH)

        places = _free_places(widths)
        base = steps(_spread(places, [0, 0, 0]))
        rows = np.zeros((len(base), ROW_WIDTH))
        rows[:, 0] = base[:, 0]
        terms = np.zeros((len(base), 4, NUMBERS))
        terms[:, 0] = base[:, 1:]
        for place in sorted(set(places)):
            more = steps(_spread(places, [int(place == other) for other in range(3)]))
            if more.shape != base.shape:
                return None
            terms[:, 1 + place] = (more - base)[:, 1:] / WIDTH_UNIT
            terms[:, 0] -= terms[:, 1 + place] * _spread(places, [0, 0, 0])[place]
        for probe in _probes(places):
            expected = steps(probe)
            found = terms[:, 0] + sum(terms[:, 1 + place] * probe[place] for place in range(3))
            if expected.shape != base.shape or (expected[:, 0] != base[:, 0]).any() or (expected[:, 1:] != found).any():
                return None
        rows[:, 1:LINEAR] = terms.reshape(len(base), -1)
        rows[:, LINEAR] = (terms[:, 1:] != 0).any(axis=(1, 2))
        into, bottleneck, out = (bool((terms[:, 1 + place] != 0).any()) for place in range(3))
        return self._add(rows)._replace(depends=(into, bottleneck, out))

    def _add(self, rows: np.ndarray) -> Span:
        begin, end = self._used, self._used + len(rows)
        if end > len(self.rows):
            grown = np.zeros((2 * end, ROW_WIDTH))
            grown[:begin] = self.rows[:begin]
            self.rows = grown
        self.rows[begin:end] = rows
        self._used = end
        return Span(begin, end)


@compiled
def numbers_of(rows: np.ndarray, row: int, into: float, calls: np.ndarray, call: int, numbers: np.ndarray) -> None:
    """Put the numbers of the step in a row of the table into `numbers`.

    They are for the widths of the call that begins at `calls[call]`, of a layer that reads `into` channels.
    """
    for number in range(NUMBERS):
        numbers[number] = rows[row, 1 + number]
    if rows[row, LINEAR]:
        for number in range(NUMBERS):
            numbers[number] += (
                rows[row, 1 + NUMBERS + number] * into
                + rows[row, 1 + 2 * NUMBERS + number] * calls[call + 6]
                + rows[row, 1 + 3 * NUMBERS + number] * calls[call + 7]
            )


@remembered(None)
def _is_linear(kind: type[SuperBlock]) -> bool:
    """What the class says that defines the layer: a class that inherits from it and changes the layer says it anew."""
    defining = next(base for base in kind.__mro__ if "layer" in base.__dict__)
    return defining.__dict__.get("linear_in_widths", False)


def _free_places(widths: Widths) -> tuple[int, int, int]:
    """For each width, the place of the first one that is as large."""
    into, bottleneck, _ = widths
    return 0, (0 if into == bottleneck else 1), widths.index(widths[2])


def _spread(places: tuple[int, int, int], steps: list[int]) -> Widths:
    """Widths that are equal where `places` says so, so many units above three that are far apart."""
    far = [WIDTH_UNIT * (start + step) for start, step in zip((20, 30, 40), steps, strict=True)]
    into, bottleneck, out = (far[place] for place in places)
    return into, bottleneck, out


def _probes(places: tuple[int, int, int]) -> Iterator[Widths]:
    """Widths that are equal where `places` says so and nowhere else; the same in every run."""
    generator = random.Random(0)
    for _ in range(_PROBES):
        drawn = [WIDTH_UNIT * unit for unit in generator.sample(range(1, _LARGEST_PROBE), 3)]
        into, bottleneck, out = (drawn[place] for place in places)
        yield into, bottleneck, out
