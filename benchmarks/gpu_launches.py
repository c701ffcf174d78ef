"""How many kernels a Monte-Carlo Zen-Score launches and how often it waits for the device, counted without a GPU.

    python -m benchmarks.gpu_launches

Every operator that computes is counted as one kernel, whatever it launches inside, and every number that is read as one wait.
Both ways run on the processor: the published one, and the one that is taken on a GPU. What moving a network that was built on
the processor to a GPU adds is stated beside the first: a copy for each of its tensors.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from gsnet.interface.running import run
from benchmarks.collected_networks import network_of
from benchmarks.gpu_published_ways import plain_zen
from Masternet import MasterNet
from PlainNet import Network
from ZeroShotProxy import ScoringSettings, get_proxy
from ZeroShotProxy.scoring import ScoringContext, build

_NETWORKS = ("zennet_cifar_model_size1M_res32", "mut_XXBL_0", "mut_GS2_8")
# Operators that compute nothing: views, memory, questions.
_FREE = frozenset((
    "alias", "as_strided", "chunk", "detach", "detach_", "device", "empty", "empty_like", "empty_strided", "expand",
    "lift_fresh", "new_empty", "permute", "_reshape_alias", "select", "slice", "split", "split_with_sizes", "t",
    "transpose", "unbind", "_unsafe_view", "unsqueeze", "view",
))  # fmt: skip
_WAIT = "_local_scalar_dense"


class OperatorCounter(TorchDispatchMode):
    """Inside this context the operators that are called are counted by their names."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.calls[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))

    @property
    def kernels(self) -> int:
        """Calls that compute something."""
        return sum(count for name, count in self.calls.items() if name not in _FREE and name != _WAIT)

    @property
    def waits(self) -> int:
        """Single numbers that were read."""
        return self.calls[_WAIT]


@torch.no_grad()
def zen_of_few_launches(network: Network, settings: ScoringSettings, seed: int) -> float:
    """Zen-Score in the way that is taken on a GPU, on any device."""
    zen = get_proxy("Zen")
    context = ScoringContext(settings, settings.style_for(zen), seed, few_launches=True)
    return zen.compute(build(network, zen, context), context)


def counted(compute: Callable[[Network, ScoringSettings, int], float], network: Network) -> OperatorCounter:
    """The operators of one score, after one that made what is remembered."""
    settings = ScoringSettings(batch_size=2)
    compute(network, settings, 0)
    with OperatorCounter() as counter:
        compute(network, settings, 0)
    return counter


def main() -> int:
    """Print one row a network."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    print(f"{'network':<34} {'plain: kernels':>14} {'copies':>7} {'waits':>6} {'here: kernels':>14} {'waits':>6}")
    for name in _NETWORKS:
        network = network_of(name)
        plain, ours = (counted(compute, network) for compute in (plain_zen, zen_of_few_launches))
        copies = len(MasterNet(num_classes=10, plainnet_struct=network, no_reslink=True).state_dict())
        # All logarithms are read as one vector, which on a processor is no operator.
        waits = ours.waits + 1
        print(f"{name:<34} {plain.kernels:>14,} {copies:>7,} {plain.waits:>6,} {ours.kernels:>14,} {waits:>6,}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
