"""Super-blocks: what a structure string is made of and what a search mutates.

A super-block is `sub_layers` repetitions of one layer, of which the first may change width and resolution. It says
which primitives one layer is made of; costs, module, closed-form score and latency follow from those.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Self

from PlainNet.basic_blocks import BN, RELU, SE
from PlainNet.block import Block, interned, made, smart_round
from PlainNet.chain import chain_figures, chain_mean_field, chain_output_size
from PlainNet.composite_blocks import ResBlock, ResBlockProj
from PlainNet.convolutions import ConvDW, ConvKX, GhostConv
from PlainNet.costs import Cost, Figures
from PlainNet.layer_checks import checked_layer, is_of_the_package
from PlainNet.lazy import remembered
from PlainNet.style import PLAIN, Style

if TYPE_CHECKING:
    from torch import nn

    from PlainNet.mean_field import Steps

Blocks = tuple[Block, ...]


class SuperBlock(Block):
    """Base of super-blocks: frozen dataclasses whose fields are the arguments, `sub_layers` last."""

    sub_layers: int
    # Whether the numbers of a layer's mean-field steps are linear in its widths where these are multiples of 8: then
    # `PlainNet.step_table` needs not expand layers that differ in widths from others.
    linear_in_widths: ClassVar[bool] = False

    def layer(self, in_channels: int, stride: int, first: bool, style: Style) -> Blocks:
        """The blocks of one layer. The first layer reads `in_channels` at `stride`, later ones `out_channels` at 1."""
        raise NotImplementedError(f"{type(self).__name__} does not define layer()")

    def distinct_layers(self, style: Style = PLAIN) -> tuple[Blocks, Blocks]:
        """The first layer, and the one that all later layers repeat (empty when there is none)."""
        return _distinct_layers(self, style)

    def expand(self, style: Style = PLAIN) -> Blocks:
        """All blocks that the super-block stands for, in order."""
        first, later = self.distinct_layers(style)
        return first + later * (self.sub_layers - 1)

    def output_size(self, size: int) -> int:
        return chain_output_size(self.distinct_layers()[0], size)

    def cost(self, size: int, style: Style = PLAIN) -> Cost:
        return Cost(*self.figures(size, style)[:4])

    def figures(self, size: int, style: Style = PLAIN) -> Figures:
        # Neighbours in a search differ in depth more often than in the layers themselves: layers are what is remembered.
        first = _layer_figures(type(self), self.arguments[:-1], True, size, style)
        repeats = self.sub_layers - 1
        if not repeats:
            return first
        parameters, flops, memory_access, peak, out = _layer_figures(
            type(self), self.later_layer(), False, first[4], style
        )
        return (
            first[0] + parameters * repeats,
            first[1] + flops * repeats,
            first[2] + memory_access * repeats,
            max(first[3], peak),
            out,
        )

    def mean_field(self, style: Style = PLAIN) -> Steps:
        first = layer_mean_field(type(self), self.arguments[:-1], True, style)
        repeats = self.sub_layers - 1
        if not repeats:
            return first
        return first + layer_mean_field(type(self), self.later_layer(), False, style) * repeats

    def later_layer(self) -> tuple[int, ...]:
        """All arguments but `sub_layers`, as a layer after the first has them: as wide as its output, with stride 1."""
        in_place, out_place, stride_place = _places(type(self))
        later = list(self.arguments[:-1])
        later[in_place], later[stride_place] = later[out_place], 1
        return tuple(later)

    def module_parts(self, style: Style = PLAIN) -> Blocks:
        return self.expand(style)

    def module_of_parts(self, parts: list[nn.Module], style: Style = PLAIN) -> nn.Module:
        from PlainNet import modules

        return modules.Chain(parts)

    def split(self, threshold: int) -> tuple[Block, ...]:
        if self.sub_layers < threshold:
            return (self,)
        head = threshold // 2
        tail = self._changed(in_channels=self.out_channels, stride=1, sub_layers=self.sub_layers - head)
        return self._changed(sub_layers=head), tail

    def _changed(self, **changes: int) -> Self:
        arguments = [changes[n] if n in changes else getattr(self, n) for n in self.argument_names()]
        return interned(type(self), *arguments)

    def structure_scale(
        self, scale: float = 1.0, channel_scale: float | None = None, sub_layer_scale: float | None = None
    ) -> Self:
        """The same block with widths and depth multiplied by `scale`, or each by its own factor."""
        wider, deeper = channel_scale or scale, sub_layer_scale or scale
        widths = [name for name in ("out_channels", "bottleneck_channels") if name in self.argument_names()]
        changes = {name: smart_round(getattr(self, name) * wider) for name in widths}
        return self._changed(sub_layers=max(1, round(self.sub_layers * deeper)), **changes)


def layer_of(block: SuperBlock, in_channels: int, stride: int, first: bool, style: Style) -> Blocks:
    """`block.layer(...)`. Raises StructureError where a class of a user's fails in it, or gives another layer than it names."""
    if is_of_the_package(type(block)):
        return block.layer(in_channels, stride, first, style)
    return checked_layer(block, lambda: block.layer(in_channels, stride, first, style), in_channels, stride)


@lru_cache(maxsize=4_000)
def _distinct_layers(block: SuperBlock, style: Style) -> tuple[Blocks, Blocks]:
    first = layer_of(block, block.in_channels, block.stride, True, style)
    later = layer_of(block, block.out_channels, 1, False, style) if block.sub_layers > 1 else ()
    return first, later


@remembered(None)
def _places(block_class: type[SuperBlock]) -> tuple[int, int, int]:
    names = block_class.argument_names()
    return names.index("in_channels"), names.index("out_channels"), names.index("stride")


@remembered(100_000)
def _layer_figures(
    block_class: type[SuperBlock], arguments: tuple[int, ...], first: bool, size: int, style: Style
) -> Figures:
    """Costs of the one layer of a super-block with these arguments, taken as a first or as a later one."""
    block = made(block_class, (*arguments, 1))
    return chain_figures(layer_of(block, block.in_channels, block.stride, first, style), size, style)


@remembered(20_000)
def layer_mean_field(block_class: type[SuperBlock], arguments: tuple[int, ...], first: bool, style: Style) -> Steps:
    """Mean-field steps of the one layer of a super-block with these arguments, taken as a first or as a later one."""
    block = made(block_class, (*arguments, 1))
    return chain_mean_field(layer_of(block, block.in_channels, block.stride, first, style), style)


# A search meets the same pieces again and again: each is made once, and remembers what it costs.
@lru_cache(maxsize=50_000)
def _conv_bn(in_channels: int, out_channels: int, kernel_size: int, stride: int, no_BN: bool) -> Blocks:
    convolution = made(ConvKX, (in_channels, out_channels, kernel_size, stride))
    return (convolution,) if no_BN else (convolution, interned(BN, out_channels))


@lru_cache(maxsize=50_000)
def _conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int, stride: int, no_BN: bool) -> Blocks:
    return (*_conv_bn(in_channels, out_channels, kernel_size, stride, no_BN), interned(RELU, out_channels))


@lru_cache(maxsize=50_000)
def _depthwise_bn(channels: int, kernel_size: int, stride: int, no_BN: bool) -> Blocks:
    convolution = made(ConvDW, (channels, kernel_size, stride))
    return (convolution,) if no_BN else (convolution, interned(BN, channels))


@lru_cache(maxsize=50_000)
def _ghost_bn(in_channels: int, out_channels: int, no_BN: bool) -> Blocks:
    convolution = made(GhostConv, (in_channels, out_channels, 1, 1))
    return (convolution,) if no_BN else (convolution, interned(BN, out_channels))


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, stride: int, style: Style) -> Blocks:
    """Convolution and BN."""
    return _conv_bn(in_channels, out_channels, kernel_size, stride, style.no_BN)


def conv_bn_relu(in_channels: int, out_channels: int, kernel_size: int, stride: int, style: Style) -> Blocks:
    """Convolution, BN and ReLU."""
    return _conv_bn_relu(in_channels, out_channels, kernel_size, stride, style.no_BN)


def depthwise_bn(channels: int, kernel_size: int, stride: int, style: Style) -> Blocks:
    """Depth-wise convolution and BN."""
    return _depthwise_bn(channels, kernel_size, stride, style.no_BN)


def ghost_bn(in_channels: int, out_channels: int, style: Style) -> Blocks:
    """GhostConv 1 x 1 and BN."""
    return _ghost_bn(in_channels, out_channels, style.no_BN)


def squeeze_excite(channels: int, style: Style) -> Blocks:
    """Squeeze-and-excitation where the style wants it."""
    return (interned(SE, channels),) if style.use_se else ()


def residual(body: Blocks, style: Style, project: bool = False) -> Blocks:
    """The body with a shortcut around it, a projection where `project` says so or shapes demand it."""
    if style.no_reslink:
        return body
    return (ResBlockProj(body) if project else ResBlock(body),)


@dataclass(frozen=True)
class SuperConvKXBNRELU(SuperBlock):
    """Convolution, BN, ReLU, `sub_layers` times: stems and heads, never split, without SE.

    Structure string: SuperConvK3BNRELU(in, out, stride, sub_layers).
    """

    in_channels: int
    out_channels: int
    stride: int
    sub_layers: int

    linear_in_widths = True
    kernel_size: ClassVar[int]

    def layer(self, in_channels: int, stride: int, first: bool, style: Style) -> Blocks:
        return conv_bn_relu(in_channels, self.out_channels, self.kernel_size, stride, style)

    def split(self, threshold: int) -> tuple[Block, ...]:
        return (self,)


class SuperConvK1BNRELU(SuperConvKXBNRELU):
    """1 x 1 convolution, BN, ReLU. Structure string: SuperConvK1BNRELU(in, out, stride, sub_layers)."""

    kernel_size = 1


class SuperConvK3BNRELU(SuperConvKXBNRELU):
    """3 x 3 convolution, BN, ReLU. Structure string: SuperConvK3BNRELU(in, out, stride, sub_layers)."""

    kernel_size = 3


class SuperConvK5BNRELU(SuperConvKXBNRELU):
    """5 x 5 convolution, BN, ReLU. Structure string: SuperConvK5BNRELU(in, out, stride, sub_layers)."""

    kernel_size = 5


class SuperConvK7BNRELU(SuperConvKXBNRELU):
    """7 x 7 convolution, BN, ReLU. Structure string: SuperConvK7BNRELU(in, out, stride, sub_layers)."""

    kernel_size = 7


def register_netblocks_dict(netblocks_dict: dict[str, type[Block]]) -> dict[str, type[Block]]:
    """Add the convolutional stems and heads to a registry of blocks."""
    classes = (SuperConvK1BNRELU, SuperConvK3BNRELU, SuperConvK5BNRELU, SuperConvK7BNRELU)
    return netblocks_dict | {c.__name__: c for c in classes}
