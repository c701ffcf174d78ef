"""NAS-Bench-Macro (Su et al. 2021): its table of trained accuracies, and its networks as structure strings.

Eight places in stages of 2, 3 and 3, the first of each doubling the channels with stride 2. One digit a place: 0 is the
identity (a 1 x 1 convolution and BN where shapes change), 1 an inverted residual of expansion 3 and kernel 3, 2 one of
expansion 6 and kernel 5. A stem of 32 channels before, a 1 x 1 head of 1,280 channels and the classifier behind.

The inverted residual without a closing activation is no block of PlainNet's, so this file brings it, as any block of one's own
is added: a class, and `register_netblocks_dict`.
"""

from __future__ import annotations

import gzip
import itertools
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import PlainNet
from PlainNet import Block, Network, Style, SuperBlock
from PlainNet.basic_blocks import RELU
from PlainNet.block import interned
from PlainNet.parser import Reader
from PlainNet.super_blocks import Blocks, conv_bn, conv_bn_relu, depthwise_bn, residual

FILE = "nas-bench-macro_cifar10.json.gz"
CHOICES = "012"
STAGES = (2, 3, 3)
PLACES = sum(STAGES)
STEM_CHANNELS, HEAD_CHANNELS = 32, 1280
RESOLUTION, NUM_CLASSES = 32, 10


@dataclass(frozen=True)
class SuperMBEXKX(SuperBlock):
    """MobileNetV2's inverted residual (Sandler et al. 2018, figure 3b), `sub_layers` times, linear at its end.

    Structure string: SuperMBE3K3(in, out, stride, sub_layers). The shortcut is there only where shapes are kept.
    """

    in_channels: int
    out_channels: int
    stride: int
    sub_layers: int

    expansion: ClassVar[int]
    kernel_size: ClassVar[int]

    def layer(self, in_channels: int, stride: int, first: bool, style: Style) -> Blocks:
        wide = in_channels * self.expansion
        body = (
            *conv_bn_relu(in_channels, wide, 1, 1, style),
            *depthwise_bn(wide, self.kernel_size, stride, style),
            interned(RELU, wide),
            *conv_bn(wide, self.out_channels, 1, 1, style),
        )
        keeps_shape = stride == 1 and in_channels == self.out_channels
        return residual(body, style) if keeps_shape else body


class SuperMBE3K3(SuperMBEXKX):
    """Expansion 3, 3 x 3 kernel. Structure string: SuperMBE3K3(in, out, stride, sub_layers)."""

    expansion = 3
    kernel_size = 3


class SuperMBE6K5(SuperMBEXKX):
    """Expansion 6, 5 x 5 kernel. Structure string: SuperMBE6K5(in, out, stride, sub_layers)."""

    expansion = 6
    kernel_size = 5


def register_netblocks_dict(netblocks_dict: dict[str, type[Block]]) -> dict[str, type[Block]]:
    """Add these blocks to a registry of blocks."""
    return netblocks_dict | {c.__name__: c for c in (SuperMBE3K3, SuperMBE6K5)}


_REGISTRY = register_netblocks_dict(PlainNet.registered_blocks())


@dataclass(frozen=True)
class Row:
    """One network of the table: CIFAR-10 test accuracies of three trainings in percent, their mean, parameters, FLOPs."""

    digits: str
    accuracies: tuple[float, ...]
    mean_accuracy: float
    parameters: int
    flops: int


def read_table(path: Path) -> list[Row]:
    """All rows of the table."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        table = json.load(file)
    return [Row(k, tuple(v["test_acc"]), v["mean_acc"], v["params"], v["flops"]) for k, v in sorted(table.items())]


def all_digits() -> list[str]:
    """The names of all 6,561 networks."""
    return ["".join(choices) for choices in itertools.product(CHOICES, repeat=PLACES)]


def structure(digits: str) -> str:
    """The structure string of eight digits; an identity that keeps the shape leaves nothing in it. Raises ValueError."""
    if len(digits) != PLACES or set(digits) - set(CHOICES):
        raise ValueError(f"{digits!r} is no network of NAS-Bench-Macro: it takes {PLACES} digits of {CHOICES}")
    blocks = [f"SuperConvK3BNRELU(3,{STEM_CHANNELS},1,1)"]
    channels, choices = STEM_CHANNELS, iter(digits)
    for places in STAGES:
        blocks.append(_place(next(choices), channels, 2 * channels, 2))
        channels *= 2
        blocks += [_place(next(choices), channels, channels, 1) for _ in range(places - 1)]
    blocks.append(f"SuperConvK1BNRELU({channels},{HEAD_CHANNELS},1,1)")
    return "".join(blocks)


def _place(choice: str, in_channels: int, out_channels: int, stride: int) -> str:
    if choice == "0":
        return "" if stride == 1 else f"ConvKX({in_channels},{out_channels},1,{stride})BN({out_channels})"
    name = "SuperMBE3K3" if choice == "1" else "SuperMBE6K5"
    return f"{name}({in_channels},{out_channels},{stride},1)"


def network(digits: str) -> Network:
    """The network of eight digits."""
    return Network(Reader(structure(digits), _REGISTRY).network())


def mutate(digits: str, generator: random.Random) -> str:
    """The same network with another choice at one place."""
    place = generator.randrange(PLACES)
    choice = generator.choice([c for c in CHOICES if c != digits[place]])
    return digits[:place] + choice + digits[place + 1 :]


def random_digits(generator: random.Random) -> str:
    """A network drawn uniformly."""
    return "".join(generator.choice(CHOICES) for _ in range(PLACES))
