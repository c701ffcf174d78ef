"""What a network costs, block by block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from PlainNet import PLAIN, BlockReport, Cost, Network, Style


@dataclass(frozen=True)
class Analysis:
    """Costs of a network for one image: `str()` gives the table, `to_dict()` plain figures.

    blocks: a row each, the classifier last. total: their sum. layers: depth as budgets count it. output_shape: of the map that
    is pooled, (channels, height, width).
    """

    network: Network
    blocks: tuple[BlockReport, ...]
    total: Cost
    layers: int

    @property
    def parameters(self) -> int:
        """Trainable numbers, the classifier's included."""
        return self.total.parameters

    @property
    def flops(self) -> int:
        """Multiply-accumulates of convolutions and linear layers."""
        return self.total.flops

    @property
    def memory_access(self) -> int:
        """Elements that these layers read and write, plus their weights."""
        return self.total.memory_access

    @property
    def peak_feature_map(self) -> int:
        """Elements of the largest map."""
        return self.total.peak_feature_map

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the map before pooling."""
        return self.blocks[-2].output_shape

    def to_dict(self) -> dict[str, Any]:
        """Plain figures, as `analyze_model.py --json` prints them."""
        blocks = [{"structure": r.structure, **_figures(r.cost), "output_shape": r.output_shape} for r in self.blocks]
        head = {"structure": str(self.network), **_figures(self.total), "layers": self.layers}
        return head | {"output_shape": self.output_shape, "blocks": blocks}

    def __str__(self) -> str:
        width = max(len(row.structure) for row in self.blocks)
        line = "{:<" + str(width) + "}  {:>12}  {:>15}  {:>13}  {}"
        lines = [line.format("block", "parameters", "FLOPs", "MAC", "output (C, H, W)")]
        lines += [_table_row(line, row.structure, row.cost, row.output_shape) for row in self.blocks]
        lines.append(_table_row(line, "total", self.total, self.blocks[-1].output_shape))
        lines.append(f"{self.layers} layers, largest feature map {self.peak_feature_map:,} elements")
        return "\n".join(lines)


def analyze_network(network: Network, resolution: int, num_classes: int, style: Style = PLAIN) -> Analysis:
    """The costs of a network with its classifier, at images of resolution x resolution pixels."""
    classifier = network.classifier(num_classes)
    last = BlockReport(str(classifier), classifier.cost(1, style), (num_classes, 1, 1))
    rows = (*network.report(resolution, style), last)
    return Analysis(network, rows, network.cost(resolution, num_classes, style), network.layers)


def _table_row(line: str, name: str, cost: Cost, shape: tuple[int, int, int]) -> str:
    return line.format(name, f"{cost.parameters:,}", f"{cost.flops:,}", f"{cost.memory_access:,}", shape)


def _figures(cost: Cost) -> dict[str, int]:
    return {"params": cost.parameters, "flops": cost.flops, "mac": cost.memory_access}
