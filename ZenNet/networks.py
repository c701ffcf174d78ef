"""A published network by its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from gsnet.interface.options import InputError
from PlainNet import DEPLOYED, UNITS, Style
from ZenNet.catalogue import published
from ZenNet.files import find_weights

if TYPE_CHECKING:
    from Masternet import MasterNet


def get_ZenNet(
    name: str,
    pretrained: bool = False,
    *,
    num_classes: int | None = None,
    weights: str | Path | None = None,
    weights_url: str | None = None,
    use_se: bool | None = None,
    se_activation: str = "relu",
    unit: str = "searched",
) -> MasterNet:
    """The network of that name, on the CPU in evaluation mode.

    pretrained: with its weights, from the file `weights`, the cache or the network, in that order (`find_weights`);
    weights_url is a base address that replaces the published one. Without, weights are random. num_classes: width of the
    logits; where the checkpoint has another, its classifier is left out and stays random. use_se replaces the table's
    choice; the published checkpoints were trained with se_activation "relu", GSNet's own networks use "hard_swish".
    unit: "deployed" builds GhostShuffle units as GSNet's detector has them (`PlainNet.DEPLOYED`); it then decides over both.

    Raises UnknownNetworkError, WeightsError, and InputError where a network has no such unit.
    """
    from Masternet import MasterNet
    from ZenNet.state import load_into, read_state

    entry = published(name)
    style = Style(use_se=entry.se if use_se is None else use_se, se_activation=se_activation)
    if unit == "deployed":
        if "GhostShuffle" not in entry.structure:
            raise InputError(f"{name} has no GhostShuffle units that --unit deployed could change")
        style = DEPLOYED
    elif unit not in UNITS:
        raise InputError(f"There is no --unit {unit!r}: use one of {', '.join(UNITS)}")
    wanted = weights is not None or pretrained
    if weights_url is not None and not pretrained:
        raise InputError(f"weights_url says where published weights of {name} come from: it goes with pretrained=True")
    other_classes = None if num_classes == entry.classes else num_classes
    # Searching and downloading come first: they fail in a moment, building a large network takes seconds.
    file = find_weights(entry, weights, weights_url) if wanted else None
    build = MasterNet.uninitialised if wanted and other_classes is None else MasterNet
    network = build(
        num_classes=num_classes or entry.classes,
        plainnet_struct=entry.structure,
        style=style,
    )
    if file is not None:
        load_into(network, read_state(file, network.state_dict()), f"{file} as {name}", new_classes=other_classes)
    return network.eval()
