"""A published network by its name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gsnet.interface.options import InputError
from PlainNet import DEPLOYED, UNITS, Style, parse
from ZenNet.catalogue import published
from ZenNet.files import find_weights

if TYPE_CHECKING:
    from Masternet import MasterNet
    from ZenNet.state import State


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
    in_chans: int | None = None,
    **options: Any,
) -> MasterNet:
    """The network of that name, on the CPU in evaluation mode.

    pretrained: with its weights, from the file `weights`, the cache or the network, in that order (`find_weights`);
    weights_url is a base address that replaces the published one. Without, weights are random. num_classes: width of the
    logits; where the checkpoint has another, its classifier is left out and stays random. use_se replaces the table's
    choice; the published checkpoints were trained with se_activation "relu", GSNet's own networks use "hard_swish".
    unit: "deployed" builds GhostShuffle units as GSNet's detector has them (`PlainNet.DEPLOYED`); it then decides over both.
    in_chans: channels of the image where they are not the structure's; with weights, timm turns the first convolution's into
    weights for so many. options: global_pool, drop_rate and drop_path_rate of `Masternet.MasterNet`; num_classes may be 0.

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
        num_classes=entry.classes if num_classes is None else num_classes,
        plainnet_struct=entry.structure,
        style=style,
        in_chans=in_chans,
        **options,
    )
    if file is not None:
        state = read_state(file, network.state_dict())
        load_into(network, _adapted(state, network, entry.structure), f"{file} as {name}", new_classes=other_classes)
    return network.eval()


def _adapted(state: State, network: MasterNet, structure: str) -> State:
    """The weights as this network needs them: without a classifier where it has none, for the channels that its images have."""
    if not network.num_classes:
        state = {key: value for key, value in state.items() if not key.startswith("fc_linear.")}
    channels = parse(structure).in_channels
    if network.in_chans == channels:
        return state
    from timm.models import adapt_input_conv

    # A residual block at the front has two convolutions that read the image.
    readers = [key for key, value in state.items() if value.dim() == 4 and value.shape[1] == channels]
    wider = network.state_dict()
    return state | {
        key: adapt_input_conv(network.in_chans, state[key])
        for key in readers
        if key in wider and wider[key].shape != state[key].shape
    }
