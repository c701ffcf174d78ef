"""What networks are timed as."""

from __future__ import annotations

from dataclasses import dataclass, replace

from gsnet.latency.device import TORCH
from gsnet.latency.layer import Layer
from gsnet.latency.layers import list_layers
from gsnet.latency.records import Conditions, TimedNetwork
from gsnet.runtimes import runtimes_named
from PlainNet import Network, Style
from PlainNet.style import PLAIN


@dataclass(frozen=True)
class Setting:
    """Batch, resolution and precision, classes and style, on which torch device, by which runtime.

    threads: of the processor, for runtimes other than torch.
    """

    conditions: Conditions
    num_classes: int
    style: Style = PLAIN
    device: str = "cpu"
    backend: str = TORCH
    threads: int = 1

    def of(self, timed: TimedNetwork) -> Setting:
        """This setting with the classes and the style that a network was timed with."""
        return replace(self, num_classes=timed.num_classes, style=replace(self.style, use_se=timed.use_se))

    def layers(self, network: Network, fuses: bool = False, rewrites: bool = False) -> list[Layer]:
        """A network's layers; see `Listing`."""
        return list_layers(
            network,
            batch=self.conditions.batch,
            resolution=self.conditions.resolution,
            num_classes=self.num_classes,
            style=self.style,
            fuses=fuses,
            rewrites=rewrites,
        )


def runtime_named(name: str | None) -> str | None:
    """The name of a runtime that there is, or none. Raises RuntimesError, which names the nearest."""
    return None if name is None else runtimes_named((name,))[0]
