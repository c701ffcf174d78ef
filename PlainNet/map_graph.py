"""Maps and the operators that read and write them, in the order in which a deployed network runs.

What of them lives at the same time is what the network needs in memory beside its weights.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

CONVOLUTION, NORM, COPY, OTHER = "convolution", "norm", "copy", "other"
# Of batch normalisation, one number a channel each: scale, shift, mean and variance.
NORM_VECTORS = 4


class Map(NamedTuple):
    """One map: its number in its graph, its channels, and the height (= width) of each."""

    number: int
    channels: int
    size: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return self.channels * self.size * self.size


class Operator(NamedTuple):
    """One operator: the maps that it reads and writes, and its weights.

    weights: elements of kernels and matrices. vectors: elements of what has one number a channel: biases, and the vectors of a
    batch normalisation that stays.
    """

    kind: str
    reads: tuple[int, ...]
    writes: tuple[int, ...]
    weights: int = 0
    vectors: int = 0


class MapGraph:
    """Operators in order. The first map, `image`, is what the network, or the part of it, reads."""

    def __init__(self, channels: int, size: int) -> None:
        self._elements: list[int] = []
        # Operators without weights by what they compute of which maps.
        self._known: dict[tuple[str, tuple[int, ...]], list[Map]] = {}
        self.operators: list[Operator] = []
        self.image = self._new(channels, size)

    def add(
        self,
        kind: str,
        reads: Sequence[Map],
        channels: int,
        size: int,
        weights: int = 0,
        vectors: int = 0,
        what: str = "",
    ) -> Map:
        """An operator that writes one map, which is returned.

        what: the name of the computation with its settings, where weights have no part in it. Of equal ones of the same maps,
        as branches may have, exporters write one.
        """
        numbers = tuple(read.number for read in reads)
        if what and (known := self._known.get((what, numbers))):
            return known[0]
        written = self._new(channels, size)
        self.operators.append(Operator(kind, numbers, (written.number,), weights, vectors))
        if what:
            self._known[what, numbers] = [written]
        return written

    def split(self, whole: Map, channels: Sequence[int]) -> list[Map]:
        """An operator that writes several maps, one for each part of the channels."""
        key = f"split {' '.join(map(str, channels))}", (whole.number,)
        if (known := self._known.get(key)) is not None:
            return known
        parts = self._known[key] = [self._new(count, whole.size) for count in channels]
        self.operators.append(Operator(OTHER, (whole.number,), tuple(part.number for part in parts)))
        return parts

    def folded(self) -> MapGraph:
        """The same with each batch normalisation moved into the convolution before it, where nothing else reads that one's map.

        Exporters do so: what is left of it is a bias.
        """
        readers = Counter(number for operator in self.operators for number in operator.reads)
        made = MapGraph(0, 0)
        made._elements, made.image = self._elements, self.image
        # Map -> place of the convolution that writes it; map of a normalisation that is gone -> map that stands for it.
        convolutions: dict[int, int] = {}
        instead: dict[int, int] = {}
        for operator in self.operators:
            reads = tuple(instead.get(number, number) for number in operator.reads)
            place = convolutions.get(reads[0])
            if operator.kind == NORM and place is not None and readers[operator.reads[0]] == 1:
                instead[operator.writes[0]] = reads[0]
                made.operators[place] = made.operators[place]._replace(vectors=operator.vectors // NORM_VECTORS)
                continue
            if operator.kind == CONVOLUTION:
                convolutions[operator.writes[0]] = len(made.operators)
            made.operators.append(operator if reads == operator.reads else operator._replace(reads=reads))
        return made

    def peak(self) -> int:
        """The largest number of elements that live at once.

        A map lives from the operator that writes it, the image from the start, to the last one that reads it; what nobody reads
        lives to the end. While an operator runs, all that it reads and writes lives.
        """
        last: dict[int, int] = {}
        for place, operator in enumerate(self.operators):
            last |= dict.fromkeys(operator.reads, place)
        living = largest = self._elements[self.image.number]
        for place, operator in enumerate(self.operators):
            living += sum(self._elements[number] for number in operator.writes)
            largest = max(largest, living)
            living -= sum(self._elements[number] for number in set(operator.reads) if last[number] == place)
        return largest

    def begins_with_norm(self) -> bool:
        """Whether a batch normalisation reads the image: one that a convolution before this part would take in."""
        return any(one.kind == NORM and self.image.number in one.reads for one in self.operators)

    def ends_with_convolution(self, last: Map) -> bool:
        """Whether a convolution writes the last map."""
        return any(one.kind == CONVOLUTION and last.number in one.writes for one in self.operators)

    def _new(self, channels: int, size: int) -> Map:
        made = Map(len(self._elements), channels, size)
        self._elements.append(made.elements)
        return made
