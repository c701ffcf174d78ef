"""NAS-Bench-201 (Dong and Yang 2020): its table of trained accuracies, and its networks from their cell strings.

A cell has four nodes; `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|` names the operation on each edge. The network is a 3 x 3 stem of 16
channels, three stages of five cells with 16, 32 and 64 channels, a residual block of stride 2 between stages, and BN, ReLU,
global average and a linear layer at the end (section 2.1 of the paper).
"""

from __future__ import annotations

import csv
import gzip
import itertools
import random
import re
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

FILE = "nasbench201_200ep.csv.gz"
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
# Edges in the order of the cell string: (from, to).
EDGES = ((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
STAGES = ((16, 32), (32, 16), (64, 8))  # channels and height of the maps for a 32 x 32 image
CELLS_PER_STAGE = 5
# The 9,445 cells in which something flows through every operation that is not `none`.
LIVE = "without dead operations"
DATA_SETS = {"CIFAR-10": "cifar10_test", "CIFAR-100": "cifar100_test", "ImageNet16-120": "in16_120_test"}

Operations = tuple[str, ...]


@dataclass(frozen=True)
class Row:
    """One cell of the table: parameters in millions (10 classes), and test accuracies in percent by data set."""

    cell: str
    params_m: float
    accuracies: dict[str, float]


def read_table(path: Path) -> list[Row]:
    """All rows of the table."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return [
            Row(r["arch"], float(r["params_m"]), {name: float(r[column]) for name, column in DATA_SETS.items()})
            for r in csv.DictReader(file)
        ]


def parse_cell(cell: str) -> Operations:
    """The operations of the six edges in the order of EDGES. Raises ValueError."""
    found = re.findall(r"(\w+)~(\d)", cell)
    if [int(source) for _, source in found] != [source for source, _ in EDGES]:
        raise ValueError(f"{cell!r} does not name one operation for each of the six edges of a cell")
    operations = tuple(operation for operation, _ in found)
    for operation in operations:
        if operation not in OPERATIONS:
            raise ValueError(f"{cell!r}: no operation is called {operation}; there are {', '.join(OPERATIONS)}")
    return operations


def cell_text(operations: Operations) -> str:
    """The cell string of six operations."""
    a, b, c, d, e, f = operations
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def is_connected(operations: Operations) -> bool:
    """Whether anything flows from the cell's input to its output; otherwise the logits do not depend on the image."""
    reached = {0}
    for (source, target), operation in sorted(zip(EDGES, operations, strict=True), key=lambda e: e[0][1]):
        if operation != "none" and source in reached:
            reached.add(target)
    return 3 in reached


def all_operations_count(operations: Operations) -> bool:
    """Whether every operation but `none` lies on a path from the cell's input to its output.

    The cells of which this is true are those of Kadlecová et al. 2024 (GRAF), and of the figures in table 1 of VKDNW's paper.
    """
    used = [edge for edge, operation in sorted(zip(EDGES, operations, strict=True)) if operation != "none"]
    before, behind = {0}, {3}
    for source, target in sorted(used, key=lambda edge: edge[1]):
        if source in before:
            before.add(target)
    for source, target in sorted(used, reverse=True):
        if target in behind:
            behind.add(source)
    return all(source in before and target in behind for source, target in used)


def mutate(operations: Operations, generator: random.Random) -> Operations:
    """The same cell with another operation on one edge."""
    edge = generator.randrange(len(EDGES))
    others = [operation for operation in OPERATIONS if operation != operations[edge]]
    return (*operations[:edge], generator.choice(others), *operations[edge + 1 :])


def random_cell(generator: random.Random) -> Operations:
    """A cell drawn uniformly."""
    return tuple(generator.choice(OPERATIONS) for _ in EDGES)


def parameters(operations: Operations, num_classes: int = 10) -> int:
    """Trainable parameters of the whole network."""
    cells = sum(
        CELLS_PER_STAGE
        * sum(_kernel(operation) * channels**2 + 2 * channels for operation in _convolutions(operations))
        for channels, _ in STAGES
    )
    reductions = sum((9 * b * a + 2 * b) + (9 * b * b + 2 * b) + a * b for (a, _), (b, _) in itertools.pairwise(STAGES))
    return cells + reductions + 3 * 16 * 9 + 2 * 16 + 2 * 64 + 64 * num_classes + num_classes


def flops(operations: Operations, num_classes: int = 10) -> int:
    """Multiply-accumulates of convolutions and the linear layer for one 32 x 32 image."""
    kernels = sum(_kernel(operation) for operation in _convolutions(operations))
    cells = sum(CELLS_PER_STAGE * kernels * channels**2 * height**2 for channels, height in STAGES)
    reductions = sum((9 * a * b + 9 * b * b + a * b) * height**2 for (a, _), (b, height) in itertools.pairwise(STAGES))
    return cells + reductions + 3 * 16 * 9 * 32**2 + 64 * num_classes


def _convolutions(operations: Operations) -> list[str]:
    return [operation for operation in operations if operation.startswith("nor_conv")]


def _kernel(operation: str) -> int:
    return 9 if operation == "nor_conv_3x3" else 1


class Zero(nn.Module):
    """The operation `none`."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mul(0.0)


def relu_conv_bn(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
    """ReLU, bias-free convolution, BN."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(out_channels))


def operation_module(operation: str, channels: int) -> nn.Module:
    """The module of one edge."""
    if operation == "none":
        return Zero()
    if operation == "skip_connect":
        return nn.Identity()
    if operation == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    return relu_conv_bn(channels, channels, 3 if operation == "nor_conv_3x3" else 1)


class Cell(nn.Module):
    """Each node is the sum of its edges; the last one is the output."""

    def __init__(self, operations: Operations, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(operation_module(operation, channels) for operation in operations)

    def forward(self, x: Tensor) -> Tensor:
        nodes = {0: x}
        for (source, target), edge in zip(EDGES, self.edges, strict=True):
            message = edge(nodes[source])
            nodes[target] = nodes[target] + message if target in nodes else message
        return nodes[3]


class Reduction(nn.Module):
    """Residual block of stride 2 that doubles the channels; its shortcut averages before it projects."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            relu_conv_bn(in_channels, out_channels, 3, 2), relu_conv_bn(out_channels, out_channels, 3)
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(in_channels, out_channels, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.shortcut(x)


class CellNetwork(nn.Module):
    """The network of a cell. Images are (N, 3, 32, 32), logits (N, num_classes)."""

    def __init__(self, operations: Operations, num_classes: int = 10) -> None:
        super().__init__()
        widths = [channels for channels, _ in STAGES]
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]))
        stages: list[nn.Module] = []
        for before, channels in zip((None, *widths), widths, strict=False):
            if before:
                stages.append(Reduction(before, channels))
            stages += [Cell(operations, channels) for _ in range(CELLS_PER_STAGE)]
        self.stages = nn.Sequential(*stages)
        self.last = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU())
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward_pre_GAP(self, x: Tensor) -> Tensor:
        """The last map, (N, 64, 8, 8), before pooling."""
        return self.last(self.stages(self.stem(x)))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.forward_pre_GAP(x).mean(dim=(2, 3)))
