"""One layer as a value: its kind, the map that it reads and the one that it makes."""

from __future__ import annotations

from typing import NamedTuple

REGULAR, DEPTHWISE = "Regular", "Depthwise"
ADD, LINEAR = "Add", "Linear"
# What channels go through unchanged, to lie elsewhere.
MOVING = ("Concatenate", "Split", "Shuffle")
# What `Layer.fused` says of a convolution.
ADDS_LINK, WRITTEN_ANEW = 1, 2


class Layer(NamedTuple):
    """One layer on one map. fused: 1 where the convolution also adds a residual link, 2 where an export writes it anew.

    kind: "Regular" or "Depthwise" convolutions and "Grouped2" to "Grouped32"; "BN", "ReLU", "HardSwish", "SiLU",
    "Sigmoid", "Add", "Scale" (squeeze-and-excitation's product), "Concatenate", "Split", "Shuffle", "Pool" (global average),
    "MaxPool", "Linear". height and width are the input map's; kernel_size and stride are 1 where they mean nothing.
    """

    kind: str
    batch: int
    in_channels: int
    height: int
    width: int
    out_channels: int
    kernel_size: int
    stride: int
    fused: int

    @property
    def is_convolution(self) -> bool:
        """Whether the layer is a convolution of any kind."""
        return self.kind in (REGULAR, DEPTHWISE) or self.kind.startswith("Grouped")

    @property
    def groups(self) -> int:
        """Groups of the convolution; 1 for other layers."""
        if self.kind == DEPTHWISE:
            return self.in_channels
        return int(self.kind.removeprefix("Grouped")) if self.kind.startswith("Grouped") else 1

    @property
    def out_height(self) -> int:
        """Height of the output map: half the input's, rounded up, under stride 2."""
        if self.kind in ("Pool", "Linear"):
            return 1
        return -(-self.height // self.stride)

    def __str__(self) -> str:
        shape = f"{self.in_channels} x {self.height} x {self.width} to {self.out_channels} channels"
        window = f", kernel {self.kernel_size}, stride {self.stride}" if self.is_convolution else ""
        return f"{self.kind} of {shape}{window}, batch {self.batch}"
