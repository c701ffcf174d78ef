"""A network value as the list of layers that a device runs, one after the other.

Libraries such as TensorRT fold batch normalisation and activations into the convolution before them and let the last
convolution of a residual body add the shortcut; eager torch runs each as a kernel of its own. Both listings are here. A
block of a user's that is made of known primitives needs nothing; a new primitive registers a rule:

    @layers_of.register
    def _(block: MyPrimitive, listing: Listing, channels: int, size: int) -> tuple[int, int]:
        listing.add("Regular", channels, size, block.out_channels, block.kernel_size, block.stride)
        return block.out_channels, block.output_size(size)
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch

from gsnet.latency.errors import LatencyError
from gsnet.latency.layer import ADD, ADDS_LINK, DEPTHWISE, LINEAR, REGULAR, WRITTEN_ANEW, Layer
from PlainNet import Block, Network, Style, SuperBlock
from PlainNet.basic_blocks import BN, HS, RELU, SE, AdaptiveAvgPool, Flatten, Linear, MaxPool, Swish
from PlainNet.branch_blocks import MultiCatBlock, MultiSumBlock
from PlainNet.composite_blocks import ResBlock, Sequential
from PlainNet.convolutions import ConvDW, ConvKX, GhostConv
from PlainNet.ghost_shuffle_block import GhostShuffleBlock
from PlainNet.style import PLAIN

_ACTIVATIONS = {RELU: "ReLU", HS: "HardSwish", Swish: "SiLU"}
# As `Style` names them.
_OF_STYLES = {"relu": "ReLU", "hard_swish": "HardSwish"}


class Listing:
    """Collects layers. fuses: the device's library folds normalisation, activations and residual sums.

    rewrites: what is exported for it has units that split, join and shuffle channels written anew (`gsnet.runtimes.fusing`):
    their convolutions are wider, or several, and take another time than equal ones elsewhere.
    """

    def __init__(self, batch: int, style: Style, fuses: bool, rewrites: bool = False) -> None:
        self.batch = batch
        self.style = style
        self.fuses = fuses
        self.rewrites = rewrites
        self.layers: list[Layer] = []
        # Convolutions before this place are read by others, too.
        self._shared = 0

    def add(
        self, kind: str, channels: int, size: int, out: int | None = None, kernel: int = 1, stride: int = 1
    ) -> None:
        """One more layer on a map of `size` x `size`."""
        out = channels if out is None else out
        self.layers.append(Layer(kind, self.batch, channels, size, size, out, kernel, stride, 0))

    def add_folded(self, kind: str, channels: int, size: int) -> None:
        """A layer that exists only where nothing is folded into the convolution before it."""
        if not (self.fuses and len(self.layers) > self._shared and self.layers[-1].is_convolution):
            self.add(kind, channels, size)

    def begin_branch(self) -> None:
        """What comes next reads a map that others read, too: the convolution that wrote it takes nothing in."""
        self._shared = len(self.layers)

    def add_sum(self, channels: int, size: int, last: int) -> None:
        """The sum of a residual link, after a body whose last layer stands at index `last`."""
        if self.fuses and last >= 0 and self.layers[last].is_convolution:
            self.layers[last] = self.layers[last]._replace(fused=ADDS_LINK)
        else:
            self.add(ADD, channels, size)

    def mark_rewritten(self, start: int) -> None:
        """The layers from index `start` on are those of a unit that is written anew, if any is."""
        if self.rewrites:
            made = self.layers[start:]
            self.layers[start:] = [
                one._replace(fused=WRITTEN_ANEW) if one.is_convolution and not one.fused else one for one in made
            ]

    def chain(self, blocks: Iterable[Block], channels: int, size: int) -> tuple[int, int]:
        """List blocks one after the other; returns channels and size of the last map."""
        for block in blocks:
            channels, size = layers_of(block, self, channels, size)
        return channels, size


def list_layers(
    network: Network,
    *,
    batch: int,
    resolution: int,
    num_classes: int | None,
    style: Style = PLAIN,
    fuses: bool = False,
    rewrites: bool = False,
) -> list[Layer]:
    """The layers of a network in order, with pooling and classifier unless num_classes is None.

    Raises LatencyError for a block without a rule.
    """
    listing = Listing(batch, style, fuses, rewrites)
    channels, size = listing.chain(network.blocks, network.in_channels, resolution)
    if num_classes is not None:
        listing.layers += classifier_layers(channels, size, batch, num_classes)
    return listing.layers


def classifier_layers(channels: int, size: int, batch: int, num_classes: int) -> list[Layer]:
    """Global average pooling and the linear layer."""
    return [
        Layer("Pool", batch, channels, size, size, channels, 1, 1, 0),
        Layer(LINEAR, batch, channels, 1, 1, num_classes, 1, 1, 0),
    ]


@singledispatch
def layers_of(block: Block, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    """Add a block's layers for a map of `channels` x `size` x `size`; returns channels and size of its output."""
    raise LatencyError(f"{type(block).__name__} has no latency rule: register one with gsnet.latency.layers.layers_of")


@layers_of.register
def _(block: SuperBlock, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    return listing.chain(block.expand(listing.style), channels, size)


@layers_of.register
def _(block: ConvKX, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    kind = REGULAR if block.groups == 1 else f"Grouped{block.groups}"
    listing.add(kind, channels, size, block.out_channels, block.kernel_size, block.stride)
    return block.out_channels, block.output_size(size)


@layers_of.register
def _(block: ConvDW, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    listing.add(DEPTHWISE, channels, size, channels, block.kernel_size, block.stride)
    return channels, block.output_size(size)


@layers_of.register
def _(block: GhostConv, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    out, half = block.output_size(size), block.primary_channels
    listing.add(REGULAR, channels, size, half, block.kernel_size, block.stride)
    listing.add(DEPTHWISE, half, out, half, block.cheap_kernel_size, 1)
    listing.add("Concatenate", 2 * half, out)
    return block.out_channels, out


@layers_of.register
def _(block: BN, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    listing.add_folded("BN", channels, size)
    return channels, size


@layers_of.register(RELU)
@layers_of.register(HS)
@layers_of.register(Swish)
def _(block: RELU | HS | Swish, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    listing.add_folded(_ACTIVATIONS[type(block)], channels, size)
    return channels, size


@layers_of.register
def _(block: SE, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    squeezed, style = block.squeezed_channels, listing.style
    listing.add("Pool", channels, size)
    for before, after, activation in (
        (channels, squeezed, _OF_STYLES[style.se_activation]),
        (squeezed, channels, "Sigmoid"),
    ):
        listing.add(REGULAR, before, 1, after)
        if not style.no_BN:
            listing.add_folded("BN", after, 1)
        listing.add_folded(activation, after, 1)
    listing.add("Scale", channels, size)
    return channels, size


@layers_of.register
def _(block: MaxPool, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    listing.add("MaxPool", channels, size, channels, block.kernel_size, block.stride)
    return channels, block.output_size(size)


@layers_of.register
def _(block: AdaptiveAvgPool, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    listing.add("Pool", channels, size)
    return channels, block.output_height


@layers_of.register
def _(block: Flatten, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    return channels * size * size, 1


@layers_of.register
def _(block: Linear, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    listing.add("Linear", block.in_channels, 1, block.out_channels)
    return block.out_channels, 1


@layers_of.register
def _(block: Sequential, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    return listing.chain(block.body, channels, size)


@layers_of.register
def _(block: ResBlock, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    before = len(listing.layers)
    listing.begin_branch()
    out, out_size = listing.chain(block.body, channels, size)
    # A body without a layer of its own has none that could add the link.
    last = len(listing.layers) - 1 if len(listing.layers) > before else -1
    if block.has_projection:
        listing.add(REGULAR, channels, size, out, 1, block.stride)
        if not listing.style.no_BN:
            listing.add_folded("BN", out, out_size)
    listing.add_sum(out, out_size, last)
    return out, out_size


@layers_of.register
def _(block: GhostShuffleBlock, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    branch, start = channels, len(listing.layers)
    if block.stride == 1:
        branch = channels // 2
        listing.add("Split", channels, size, branch)
        listing.add("Split", channels, size, branch)
    half, out_size = listing.chain(block.projection(listing.style), branch, size)
    listing.add_folded(_OF_STYLES[listing.style.projection_activation], half, out_size)
    listing.chain(block.body, branch, size)
    listing.mark_rewritten(start)
    listing.add("Concatenate", 2 * half, out_size)
    if block.shuffles(listing.style):
        listing.add("Shuffle", 2 * half, out_size)
    return 2 * half, out_size


@layers_of.register(MultiSumBlock)
@layers_of.register(MultiCatBlock)
def _(block: MultiSumBlock | MultiCatBlock, listing: Listing, channels: int, size: int) -> tuple[int, int]:
    outputs = []
    for branch in block.branches:
        listing.begin_branch()
        outputs.append(layers_of(branch, listing, channels, size))
    if isinstance(block, MultiCatBlock):
        total = sum(out for out, _ in outputs)
        listing.add("Concatenate", total, outputs[0][1])
        return total, outputs[0][1]
    for out, out_size in outputs[1:]:
        listing.add(ADD, out, out_size)
    return outputs[0]
