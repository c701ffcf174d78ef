"""What other programs' operation counters print for a network, worked out from the structure.

Every counter adds the multiply-accumulates of convolutions and linear layers; they differ in what else they count, and in
whether a multiply-accumulate is one operation or two. Each rule here is the counter's behaviour as measured on single layers in
evaluation mode, in the version that it names; `docs/counters.csv` holds the figures of the counters themselves
(`python -m benchmarks.counters`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from PlainNet.operations import Operation

Rule = Callable[[Operation], int]


def _twice(operation: Operation) -> int:
    return 2 * operation.inputs


def _four_times(operation: Operation) -> int:
    return 4 * operation.inputs


def _inputs(operation: Operation) -> int:
    return operation.inputs


def _outputs(operation: Operation) -> int:
    return operation.outputs


def _both(operation: Operation) -> int:
    return operation.inputs + operation.outputs


def _parameters(operation: Operation) -> int:
    return 2 * operation.weights


def _bias(operation: Operation) -> int:
    return operation.outputs if operation.bias else 0


@dataclass(frozen=True)
class Counter:
    """A counter's rules: name and version, what it adds by kind of operation, and operations a multiply-accumulate."""

    name: str
    version: str
    added: Mapping[str, Rule]
    per_mac: int = 1
    # Ultralytics doubles everything, not multiply-accumulates alone.
    scale: int = 1

    def additions(self, network: Iterable[Operation]) -> dict[str, int]:
        """What is counted beside multiply-accumulates, by kind, where it is anything."""
        counts: dict[str, int] = {}
        for operation in network:
            if rule := self.added.get(operation.kind):
                counts[operation.kind] = counts.get(operation.kind, 0) + self.scale * rule(operation)
        return {kind: count for kind, count in counts.items() if count}

    def total(self, network: Iterable[Operation]) -> int:
        """The figure that the counter prints."""
        network = tuple(network)
        macs = sum(operation.macs for operation in network)
        return self.scale * self.per_mac * macs + sum(self.additions(network).values())


_BIASES: dict[str, Rule] = {"convolution": _bias, "linear": _bias}
_THOP: dict[str, Rule] = {"norm": _four_times, "average_pool": _both}
COUNTERS = (
    Counter("torch's FlopCounterMode, halved", "2.14.1", {}),
    Counter("calflops, MACs", "0.3.2", {}),
    Counter("ptflops, backend aten", "0.7.5", _BIASES),
    Counter("torchinfo, mult-adds", "1.8.0", {**_BIASES, "norm": _parameters}),
    Counter(
        "torchprofile",
        "0.1.0",
        {"norm": _inputs, "average_pool": _outputs, "global_pool": _outputs, "gate": _outputs},
    ),
    Counter("fvcore", "0.1.5.post20221221", {"norm": _twice, "average_pool": _inputs, "global_pool": _inputs}),
    Counter(
        "ptflops, default backend",
        "0.7.5",
        {
            **_BIASES,
            "norm": _twice,
            # A module's call of a function that ptflops counts as well is counted by both.
            "relu": _twice,
            "average_pool": _twice,
            "max_pool": _twice,
            "swish": _inputs,
            "global_pool": _inputs,
        },
    ),
    Counter("thop", "0.1.1.post2209072238", _THOP),
    Counter(
        "calflops, FLOPs",
        "0.3.2",
        {
            "convolution": _bias,
            "norm": _twice,
            **dict.fromkeys(("relu", "swish", "average_pool", "max_pool", "global_pool"), _inputs),
        },
        per_mac=2,
    ),
    Counter("Ultralytics' get_flops", "8.4.190", _THOP, scale=2),
)


def explain(network: Iterable[Operation]) -> str:
    """A table: what each counter prints for the network, how far that is from its multiply-accumulates, and why."""
    network = tuple(network)
    macs = sum(operation.macs for operation in network)
    line = "{:<32}{:>18}{:>9}  {}"
    rows = [line.format("a paper that counted by", "would print", "", "beside multiply-accumulates it counts")]
    for counter in COUNTERS:
        total = counter.total(network)
        share = f"{total / macs - 1:+.1%}" if counter.per_mac * counter.scale == 1 else f"x {total / macs:.2f}"
        rows.append(line.format(counter.name, f"{total:,}", share, _reasons(counter, network)))
    return "\n".join(rows)


def _reasons(counter: Counter, network: tuple[Operation, ...]) -> str:
    words = {"convolution": "biases of convolutions", "linear": "biases of the classifier", "norm": "BN"}
    parts = [
        f"{count:,} in {words.get(kind, kind.replace('_', ' '))}" for kind, count in counter.additions(network).items()
    ]
    doubled = ["each twice"] if counter.per_mac * counter.scale == 2 else []
    return ", ".join(doubled + parts) or "nothing"
