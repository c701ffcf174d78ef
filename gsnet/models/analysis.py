"""What a network costs, block by block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gsnet.models.expected import classes_text, size_text, style_text
from gsnet.models.growth import Growth, growth_of_structure
from PlainNet import PLAIN, BlockReport, Cost, Network, StructureError, Style
from PlainNet.memory import PRECISIONS, Memory, memory_of


@dataclass(frozen=True)
class Analysis:
    """Costs of a network for one image: `str()` gives the table, `to_dict()` plain figures.

    blocks: a row each, the classifier last. total: their sum. layers: depth as budgets count it. output_shape: of the map that
    is pooled, (channels, height, width), and where there is no structure of the last output. resolution, num_classes: what was
    counted. network and layers are None for a module without a structure, which `arch` names. memory: of the deployed network;
    None where there is no structure, or where it has a block of a user's own that does not say. style: of the structure.
    measured_growth: of a module, by a backward pass. not_counted: operations of a module whose products are in no figure.
    """

    network: Network | None
    blocks: tuple[BlockReport, ...]
    total: Cost
    layers: int | None
    resolution: int
    num_classes: int
    arch: str | None = None
    memory: Memory | None = None
    style: Style = PLAIN
    measured_growth: Growth | None = None
    not_counted: tuple[str, ...] = ()

    @cached_property
    def found_growth(self) -> Growth:
        """How much the gradient grows from the last map back to the first, or why that is not known.

        In closed form, worked out when it is first asked for, where it was not measured (docs/gradient_growth.md).
        """
        if self.measured_growth is not None:
            return self.measured_growth
        if self.network is None:
            return Growth(None, "it was not measured")
        return growth_of_structure(self.network, self.resolution, self.style)

    @property
    def growth(self) -> float | None:
        """Logarithm of how much the gradient grows; None where it is not known."""
        return self.found_growth.value

    @property
    def parameters(self) -> int:
        """Trainable numbers, the classifier's included."""
        return self.total.parameters

    @property
    def flops(self) -> int:
        """Multiply-accumulates of convolutions and linear layers; of a module those of attention's products, too."""
        return self.total.flops

    @property
    def memory_access(self) -> int:
        """Elements that these layers read and write, plus their weights."""
        return self.total.memory_access

    @property
    def peak_feature_map(self) -> int:
        """Elements of the largest output of a convolution or linear layer; `memory` knows of joined maps, too."""
        return self.total.peak_feature_map

    @property
    def output_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the map before pooling."""
        return self.blocks[-1 if self.network is None else -2].output_shape

    def to_dict(self) -> dict[str, Any]:
        """Plain figures, as `analyze_model.py --json` prints them."""
        blocks = [{"structure": r.structure, **_figures(r.cost), "output_shape": r.output_shape} for r in self.blocks]
        named = {"arch": self.arch} if self.network is None else {"structure": str(self.network)}
        grown = {} if self.growth is None else {"growth": self.growth}
        missed = {"not_counted": self.not_counted} if self.not_counted else {}
        head = {**named, **_figures(self.total), "layers": self.layers, **grown, **missed, **self._bytes()}
        seen = {"resolution": self.resolution, "classes": self.num_classes} | self._style()
        return head | {"output_shape": self.output_shape, **seen, "blocks": blocks}

    def __str__(self) -> str:
        width = max(len(row.structure) for row in self.blocks)
        line = "{:<" + str(width) + "}  {:>12}  {:>15}  {:>13}  {}"
        lines = [line.format("block", "parameters", "FLOPs", "MAC", "output (C, H, W)")]
        lines += [_table_row(line, row.structure, row.cost, row.output_shape) for row in self.blocks]
        lines.append(_table_row(line, "total", self.total, self.blocks[-1].output_shape))
        layers = "" if self.layers is None else f"{self.layers} layers, "
        sizes = f"at {size_text(self.resolution)} (however normalised), {classes_text(self.num_classes)}"
        sizes += style_text(self.style)
        lines.append(
            f"{layers}largest output of a convolution or linear layer {self.peak_feature_map:,} elements; {sizes}"
        )
        if self.not_counted:
            lines.append(f"FLOPs and MAC leave these operations out: {', '.join(self.not_counted)}")
        grown = f"unknown, as {self.found_growth.reason}" if self.growth is None else f"{self.growth:.2f}"
        lines.append(f"growth of the gradient on its way back: {grown} (docs/gradient_growth.md)")
        if self.memory is not None:
            lines += [f"{name}: {values}" for name, values in self.memory.in_words().items()]
        return "\n".join(lines)

    def _style(self) -> dict[str, bool]:
        """What a structure is built with beside its string."""
        if self.network is None:
            return {}
        return {name: getattr(self.style, name) for name in ("use_se", "no_BN", "no_reslink")}

    def _bytes(self) -> dict[str, dict[str, int]]:
        """Maps that live at once, and weights, by precision."""
        if (memory := self.memory) is None:
            return {}
        figures = {"peak_memory": memory.peak_bytes, "weights": memory.weight_bytes}
        return {name: {precision: of(precision) for precision in PRECISIONS} for name, of in figures.items()}


def analyze_network(network: Network, resolution: int, num_classes: int, style: Style = PLAIN) -> Analysis:
    """The costs of a network with its classifier, at images of resolution x resolution pixels."""
    classifier = network.classifier(num_classes)
    last = BlockReport(str(classifier), classifier.cost(1, style), (num_classes, 1, 1))
    rows = (*network.report(resolution, style), last)
    total = network.cost(resolution, num_classes, style)
    try:
        memory = memory_of(network, resolution, num_classes, style)
    except StructureError:
        memory = None
    return Analysis(network, rows, total, network.layers, resolution, num_classes, memory=memory, style=style)


def summary(names: Sequence[str], rows: Sequence[Analysis | str]) -> str:
    """A table of several networks, a row each: its costs, or why there are none."""
    width = max(len(name) for name in names)
    line = "{:<" + str(width) + "}  {:>12}  {:>15}  {:>13}  {:>6}  {:>6}  {:>10}  {:>7}"
    lines = [line.format("network", "parameters", "FLOPs", "MAC", "layers", "growth", "pixels", "classes")]
    for name, row in zip(names, rows, strict=True):
        if isinstance(row, str):
            lines.append(f"{name:<{width}}  error: {row}")
            continue
        counts = (
            f"{row.parameters:,}",
            f"{row.flops:,}",
            f"{row.memory_access:,}",
            "-" if row.layers is None else row.layers,
            "-" if row.growth is None else f"{row.growth:.2f}",
        )
        lines.append(line.format(name, *counts, f"{row.resolution} x {row.resolution}", row.num_classes))
    return "\n".join([*lines, "counts do not depend on how images are normalised"])


def _table_row(line: str, name: str, cost: Cost, shape: tuple[int, int, int]) -> str:
    return line.format(name, f"{cost.parameters:,}", f"{cost.flops:,}", f"{cost.memory_access:,}", shape)


def _figures(cost: Cost) -> dict[str, int]:
    return {"params": cost.parameters, "flops": cost.flops, "mac": cost.memory_access}
