"""How much the gradient grows on its way from the last map back to the first, in closed form (docs/gradient_growth.md)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from PlainNet import Network, StructureError, Style
from PlainNet.compiling import prepare
from PlainNet.step_table import CALL_WIDTH, ROW_WIDTH, StepTable
from PlainNet.style import PLAIN
from ZeroShotProxy.gradient_layout import GATED, LONGEST_RECORD, TOO_LONG
from ZeroShotProxy.gradient_machine import run
from ZeroShotProxy.gradient_map import gradient_room
from ZeroShotProxy.mean_field_machine import FAILURES, first_map, room
from ZeroShotProxy.mean_field_map import STACK
from ZeroShotProxy.registry import ProxyFailure

# The gradient does not depend on the perturbation: one run is followed.
GAMMA = 0.0
# Numbers: of a hundred layers.
_FIRST_RECORDS = 32_768
_FAILURES = FAILURES | {GATED: "with squeeze-and-excitation there is no closed form of gradients of weights"}


class GradientGrowth:
    """Expected gradient norms of random networks, for one resolution and style.

    Weights and images are standard normal, BN is in training mode and sees many values per channel; the gradient is that of a
    random linear function of the pooled map. One object serves one thread. Raises ValueError where the style has no BN, without
    which norms depend on how weights are scaled.
    """

    def __init__(self, resolution: int = 32, style: Style = PLAIN) -> None:
        if style.no_BN:
            raise ValueError("gradient growth is that of networks with batch normalisation")
        self.style = style
        self.resolution = resolution
        self._table = StepTable(style)
        self._stack = room(resolution)
        self._gradients = gradient_room(STACK, resolution)
        self._records = np.zeros(_FIRST_RECORDS)
        self._images: dict[int, np.ndarray] = {}
        self.prepare()

    def prepare(self) -> None:
        """Have the machine ready: read it, or compile it where no run has done so before, which is said in the log."""
        prepare("the closed form of gradients (about 20 seconds)", [(run, examples())])

    def growth(self, network: Network) -> float:
        """log of the gradient's norm at the first block's map over that at the last block's. Raises ProxyFailure."""
        norms = self.log_norms(network)
        return float(norms[0] - norms[-1])

    def log_norms(self, network: Network) -> np.ndarray:
        """Logarithm of the gradient's norm behind each block, up to a constant: (blocks,). Raises ProxyFailure."""
        norms = np.empty(len(network.blocks))
        self.follow(network, run, norms)
        return norms

    def follow(self, network: Network, machine: Callable[..., int], *more: object) -> None:
        """Call a machine that takes the arguments of `gradient_machine.run` up to records, then `more`. Raises ProxyFailure."""
        if self._table.is_full:
            self._table = StepTable(self.style)
        known, call = self._table.calls, self._table.call
        try:
            # Of a bytearray, which may be written to: for a read-only array the machine would be compiled a second time.
            calls = np.frombuffer(bytearray().join([known.get(b.key) or call(b) for b in network.blocks]))
        except StructureError as error:
            raise ProxyFailure(str(error)) from None
        channels = network.in_channels
        image = self._images.get(channels)
        if image is None:
            image = self._images[channels] = first_map(self.resolution, GAMMA, channels)
        while True:
            failure = machine(calls, self._table.rows, image, self._stack, self._gradients, self._records, *more)
            if failure != TOO_LONG:
                break
            self._records = np.zeros(2 * len(self._records))
        if failure:
            raise ProxyFailure(_FAILURES[failure])


def examples() -> tuple:
    """Arguments of `gradient_machine.run` with the types of every call: numba compiles for types."""
    gradients, records = gradient_room(STACK, 1), np.zeros(3 * LONGEST_RECORD)
    return (
        np.zeros(CALL_WIDTH),
        np.zeros((1, ROW_WIDTH)),
        first_map(1, GAMMA, 3),
        room(1),
        gradients,
        records,
        np.empty(1),
    )
