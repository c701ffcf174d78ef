"""Published networks by name, and their weights.

    ZenNet.get_ZenNet("zennet_imagenet1k_latency01ms_res224")                     # built, with random weights
    ZenNet.get_ZenNet("zennet_imagenet1k_latency01ms_res224", pretrained=True)    # found or downloaded, loaded strictly
    ZenNet.list_models("zennet_imagenet*")

Source: Lin et al. 2021, "Zen-NAS"; `gsmodel_l` is GSNet's backbone. Importing this room needs no torch.
"""

from __future__ import annotations

from ZenNet.catalogue import Published, UnknownNetworkError, base_url, list_models, published, register_network
from ZenNet.files import WeightsError, find_weights
from ZenNet.networks import get_ZenNet
from ZenNet.timm_models import UnknownOptionError, register_with_timm

__all__ = [
    "Published",
    "UnknownNetworkError",
    "UnknownOptionError",
    "WeightsError",
    "base_url",
    "find_weights",
    "get_ZenNet",
    "list_models",
    "published",
    "register_network",
    "register_with_timm",
]
