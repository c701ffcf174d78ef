"""What every block is: an immutable value that knows its widths, its text and its costs.

Nothing here imports torch; a module is built by `Block.module`, which imports it when called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Self, TypeVar

from PlainNet.errors import NoMeanFieldRuleError, StructureError
from PlainNet.lazy import lazy, remembered

if TYPE_CHECKING:
    from torch import nn

    from PlainNet.mean_field import Steps
    from PlainNet.parser import Reader

BlockT = TypeVar("BlockT", bound="Block")
SE_ACTIVATIONS = PROJECTION_ACTIVATIONS = ("hard_swish", "relu")
LARGEST_INTEGER = 10**9


class Cost(NamedTuple):
    """What a block or a network costs for one image, counted without building it.

    parameters: elements of all trainable tensors.
    flops: multiply-accumulates of convolutions and linear layers (bias, BN and activations left out).
    memory_access: elements that convolutions and linear layers read and write plus their weights
        (Ma et al. 2018, ShuffleNet V2, section 3, G1; for a 1 x 1 layer hw(c1 + c2) + c1 c2).
    peak_feature_map: elements of the largest output of a convolution or linear layer.
    """

    parameters: int = 0
    flops: int = 0
    memory_access: int = 0
    peak_feature_map: int = 0

    def plus(self, other: Cost) -> Cost:
        """The cost of both: sums, and the larger peak."""
        return Cost(
            self.parameters + other.parameters,
            self.flops + other.flops,
            self.memory_access + other.memory_access,
            max(self.peak_feature_map, other.peak_feature_map),
        )

    def times(self, count: int) -> Cost:
        """The cost of `count` copies."""
        if count == 0:
            return NO_COST
        return Cost(self.parameters * count, self.flops * count, self.memory_access * count, self.peak_feature_map)


NO_COST = Cost()
# Parameters, flops, memory access, peak feature map; then the height of the output map.
Figures = tuple[int, int, int, int, int]


@dataclass(frozen=True)
class Style:
    """Choices that hold for a whole network and are not part of its structure string.

    use_se: squeeze-and-excitation inside super-blocks. no_reslink: residual links (and their projections) are left out.
    no_BN: no batch normalisation anywhere, projections and squeeze-and-excitation included. se_activation: the inner
    activation of squeeze-and-excitation, "relu" in ZenNet's checkpoints, "hard_swish" in GSNet's. projection_activation:
    what closes the projection of a GhostShuffle unit. shuffle_always: GhostShuffle units of stride 2 shuffle their channels
    as those of stride 1 do. bn_eps: added to the variance in batch normalisation.
    """

    use_se: bool = False
    no_reslink: bool = False
    no_BN: bool = False
    se_activation: str = "hard_swish"
    projection_activation: str = "relu"
    shuffle_always: bool = False
    bn_eps: float = 1e-3

    def __post_init__(self) -> None:
        if self.se_activation not in SE_ACTIVATIONS:
            raise ValueError(f"se_activation is {self.se_activation!r}; it must be one of {', '.join(SE_ACTIVATIONS)}")
        if self.projection_activation not in PROJECTION_ACTIVATIONS:
            raise ValueError(
                f"projection_activation is {self.projection_activation!r}; "
                f"it must be one of {', '.join(PROJECTION_ACTIVATIONS)}"
            )
        if not self.bn_eps > 0:
            raise ValueError(f"bn_eps is {self.bn_eps}; it must be above 0")

    def __hash__(self) -> int:
        return self._hash

    @lazy
    def _hash(self) -> int:
        choices = (self.use_se, self.no_reslink, self.no_BN, self.se_activation)
        return hash((*choices, self.projection_activation, self.shuffle_always, self.bn_eps))


PLAIN = Style()
# GSNet's detector runs the searched structure with another unit, which differs in these four choices.
DEPLOYED = Style(use_se=True, projection_activation="hard_swish", shuffle_always=True, bn_eps=1e-5)
UNITS = {"searched": PLAIN, "deployed": DEPLOYED}


class Block:
    """Base of every block: a frozen dataclass whose integer fields, in order, are the structure string's arguments.

    A primitive defines `parameters`/`cost` and `module`; a super-block (`PlainNet.super_blocks.SuperBlock`) only says
    which primitives it expands to.
    """

    # Only annotated, never assigned here: a value would become the default of the dataclass field of that name.
    in_channels: int
    out_channels: int
    # Activations act on whatever width arrives: the number in their string is a note, and is not checked.
    any_width: ClassVar[bool] = False

    if TYPE_CHECKING:
        # Read-only, because a field of some blocks and the same for all objects of others.
        @property
        def stride(self) -> int:
            """How many pixels the window moves."""

    @lazy
    def depth(self) -> int:
        """Layers as budgets count them: `sub_layers`, 0 for a block that has none."""
        return getattr(self, "sub_layers", 0)

    @classmethod
    def argument_names(cls) -> tuple[str, ...]:
        """The names of the arguments in the structure string, in order."""
        return _argument_names(cls)

    @classmethod
    def lower_limit(cls, argument: str) -> int:
        """The smallest value that makes sense for an argument."""
        del argument
        return 1

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Parse the arguments; the reader stands behind the opening bracket and is left before the closing one."""
        return cls(*reader.integers(cls))

    @lazy
    def text(self) -> str:
        """The canonical structure string."""
        return f"{type(self).__name__}({','.join(map(str, self.arguments))})"

    @lazy
    def arguments(self) -> tuple[int, ...]:
        """The integers of the structure string, in order."""
        values = self.__dict__
        return tuple([values[name] for name in _argument_names(type(self))])

    def __str__(self) -> str:
        return self.text

    def validate(self) -> None:
        """Raise StructureError when the arguments describe nothing that can run."""
        for name in self.argument_names():
            value = getattr(self, name)
            lower = self.lower_limit(name)
            if not isinstance(value, int) or not lower <= value <= LARGEST_INTEGER:
                raise StructureError(f"{self.text}: {name} must be a whole number from {lower} to {LARGEST_INTEGER}")

    def with_in_channels(self, channels: int) -> Self:
        """The same block reading `channels` channels."""
        if channels == self.in_channels:
            return self
        arguments = list(self.arguments)
        arguments[_place_of_in_channels(type(self))] = channels
        return interned(type(self), *arguments)

    def accepts(self, channels: int) -> bool:
        """Whether the block can read a map of `channels` channels."""
        return channels == self.in_channels

    def split(self, threshold: int) -> tuple[Block, ...]:
        """Two shallower blocks when this one has `threshold` sub-layers or more, otherwise itself."""
        del threshold
        return (self,)

    def output_size(self, size: int) -> int:
        """Height (= width) of the output map for an input map of height `size`."""
        return size

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        """What the block costs on an input map of `size` x `size`."""
        raise NotImplementedError(f"{type(self).__name__} does not define cost()")

    def figures(self, size: int, style: Style = PLAIN) -> Figures:
        """`cost` and `output_size` in one plain tuple: what a chain of blocks adds up."""
        return (*self.cost(size, style), self.output_size(size))

    def mean_field(self, style: Style = PLAIN) -> Steps:
        """What the block does to a map, for the closed-form scores; see `PlainNet.mean_field`."""
        raise NoMeanFieldRuleError(f"{type(self).__name__} has no mean-field rule")

    def module(self, style: Style = PLAIN) -> nn.Module:
        """The block as a torch module, with PyTorch's default initialisation."""
        raise NotImplementedError(f"{type(self).__name__} does not define module()")


@remembered(200_000)
def interned(block_class: type[BlockT], *arguments: int) -> BlockT:
    """The block with these arguments, the same object each time, so that what it has worked out is found again."""
    return made(block_class, arguments)


def made(block_class: type[BlockT], arguments: tuple[int, ...]) -> BlockT:
    """The block with these arguments: what its constructor gives, in half the time that a frozen dataclass takes."""
    names = _plain_fields(block_class)
    if len(names) != len(arguments):
        return block_class(*arguments)
    block = object.__new__(block_class)
    values = block.__dict__
    values.update(zip(names, arguments))  # noqa: B905 - as many as each other, see above
    values["arguments"] = arguments
    return block


@remembered(None)
def _plain_fields(block_class: type[Block]) -> tuple[str, ...]:
    """The fields of a class whose constructor only sets them; of any other class none."""
    return () if hasattr(block_class, "__post_init__") else _argument_names(block_class)


@remembered(None)
def _place_of_in_channels(block_class: type[Block]) -> int:
    return _argument_names(block_class).index("in_channels")


@remembered(None)
def _argument_names(block_class: type[Block]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(block_class))  # type: ignore[arg-type]


def smart_round(x: float, base: int | None = None) -> int:
    """Round a width to a multiple of `base` (32 above 256, 16 above 128, else 8), half to even, at least `base`."""
    if base is None:
        base = 32 if x > 256 else 16 if x > 128 else 8
    return max(base, round(x / base) * base)


def window_output(size: int, kernel_size: int, stride: int, padding: int) -> int:
    """Output height of a sliding window over a map of height `size`."""
    return (size + 2 * padding - kernel_size) // stride + 1


def convolution_cost(
    in_channels: int, out_channels: int, kernel_size: int, in_size: int, out_size: int, groups: int = 1
) -> Cost:
    """Cost of a bias-free convolution from a map of `in_size` to one of `out_size` (heights of square maps)."""
    weights = in_channels // groups * out_channels * kernel_size * kernel_size
    positions = out_size * out_size
    output = out_channels * positions
    return Cost(weights, weights * positions, in_channels * in_size * in_size + output + weights, output)


def chain_cost(blocks: Iterable[Block], size: int, style: Style) -> tuple[Cost, int]:
    """Cost of blocks one after the other, and the height of the last output."""
    *cost, out = chain_figures(blocks, size, style)
    return Cost(*cost), out


def chain_figures(blocks: Iterable[Block], size: int, style: Style) -> Figures:
    """`chain_cost` in one plain tuple."""
    parameters = flops = memory_access = peak = 0
    for block in blocks:
        p, f, m, largest, size = block.figures(size, style)
        parameters += p
        flops += f
        memory_access += m
        if largest > peak:
            peak = largest
    return parameters, flops, memory_access, peak, size


def joined_figures(one: Figures, other: Figures) -> Figures:
    """Of two branches of a map: sums, the larger peak, and the output height of the first."""
    return one[0] + other[0], one[1] + other[1], one[2] + other[2], max(one[3], other[3]), one[4]


def chain_mean_field(blocks: Iterable[Block], style: Style) -> Steps:
    """Mean-field steps of blocks one after the other."""
    return b"".join([block.mean_field(style) for block in blocks])


def chain_output_size(blocks: Iterable[Block], size: int) -> int:
    """Height of the last block's output."""
    for block in blocks:
        size = block.output_size(size)
    return size


def chain_widths(blocks: Sequence[Block]) -> tuple[int, int]:
    """Channels that enter and leave blocks one after the other; activations pass on what they get."""
    for first in blocks:
        if not first.any_width:
            break
    else:
        return blocks[0].in_channels, blocks[0].in_channels
    for last in reversed(blocks):
        if not last.any_width:
            break
    return first.in_channels, last.out_channels


def first_mismatch(blocks: Sequence[Block]) -> tuple[int, int] | None:
    """Indices of the first two successive blocks whose widths disagree, or None."""
    before = None
    for index, block in enumerate(blocks):
        if block.any_width:
            continue
        if before is not None and not block.accepts(blocks[before].out_channels):
            return before, index
        before = index
    return None


def mismatch_reason(before: Block, after: Block) -> str:
    """The sentence that names both blocks of a width mismatch."""
    return f"{after} expects {after.in_channels} channels, but {before} before it gives {before.out_channels}"
