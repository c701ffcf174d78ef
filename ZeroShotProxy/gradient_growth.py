"""How much the gradient grows on its way from the last map back to the first, in closed form (docs/gradient_growth.md)."""

from __future__ import annotations

import numpy as np

from PlainNet import Network, StructureError, Style
from PlainNet.compiling import prepare
from PlainNet.step_table import CALL_WIDTH, ROW_WIDTH, StepTable
from PlainNet.style import PLAIN
from ZeroShotProxy.gradient_machine import run
from ZeroShotProxy.gradient_map import gradient_room
from ZeroShotProxy.gradient_records import RECORD, TOO_LONG
from ZeroShotProxy.mean_field_machine import FAILURES, first_map, room
from ZeroShotProxy.mean_field_map import STACK
from ZeroShotProxy.registry import ProxyFailure

# The gradient does not depend on the perturbation, which a first map needs.
_GAMMA = 1e-2
_FIRST_RECORDS = 500


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
        self._records = np.zeros((_FIRST_RECORDS, RECORD))
        self._images: dict[int, np.ndarray] = {}
        _prepare()

    def growth(self, network: Network) -> float:
        """log of the gradient's norm at the first block's map over that at the last block's. Raises ProxyFailure."""
        norms = self.log_norms(network)
        return float(norms[0] - norms[-1])

    def log_norms(self, network: Network) -> np.ndarray:
        """Logarithm of the gradient's norm behind each block, up to a constant: (blocks,). Raises ProxyFailure."""
        if self._table.is_full:
            self._table = StepTable(self.style)
        known, call = self._table.calls, self._table.call
        try:
            calls = b"".join([known.get(block.text) or call(block) for block in network.blocks])
        except StructureError as error:
            raise ProxyFailure(str(error)) from None
        channels = network.blocks[0].in_channels
        image = self._images.get(channels)
        if image is None:
            image = self._images[channels] = first_map(self.resolution, _GAMMA, channels)
        norms = np.empty(len(network.blocks))
        while True:
            failure = run(calls, self._table.rows, image, self._stack, self._gradients, self._records, norms)
            if failure != TOO_LONG:
                break
            self._records = np.zeros((2 * len(self._records), RECORD))
        if failure:
            raise ProxyFailure(f"{network}: {FAILURES[failure]}")
        return norms


def _prepare() -> None:
    """Have the machine ready: read it, or compile it where no run has done so before, which is said in the log."""
    # With the types of every later call: numba compiles for types.
    nothing, image = np.zeros((1, RECORD)), first_map(1, _GAMMA, 3)
    gradients = gradient_room(STACK, 1)
    some = bytes(8 * CALL_WIDTH), np.zeros((1, ROW_WIDTH)), image, room(1), gradients, nothing, np.empty(1)
    prepare("the closed form of gradients (about 20 seconds)", [(run, some)])
