"""Where a network can be trained with the channels of its maps innermost in memory."""

from __future__ import annotations

from torch import nn

from gsnet.interface.options import InputError

_FEWEST_CHANNELS = 16


def check_layout(network: nn.Module, device: str) -> None:
    """Raise InputError for channels last on a CPU where a 1 x 1 convolution with a stride has less than 16 channels.

    torch 2.14 does not train such layers reliably in that layout there. Other devices, and maps as torch lays them out by
    itself, are not concerned.
    """
    if not device.startswith("cpu"):
        return
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d) or not any(weight.requires_grad for weight in layer.parameters()):
            continue
        if layer.kernel_size == (1, 1) and max(layer.stride) > 1 and layer.in_channels < _FEWEST_CHANNELS:
            raise InputError(
                f"--channels-last cannot be had on a CPU for this network: {name} is a 1 x 1 convolution with stride "
                f"{max(layer.stride)} and {layer.in_channels} channels, which torch does not train reliably in that layout "
                f"({_FEWEST_CHANNELS} are needed): leave it out"
            )
