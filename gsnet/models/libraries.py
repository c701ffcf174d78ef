"""Networks of torchvision and timm, by their names there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torchvision
from torch import nn

from gsnet.interface.options import InputError
from gsnet.interface.words import first_line
from gsnet.models.expected import ExpectedInput, centre_crop
from gsnet.models.own import batch_norm_of, set_batch_norm
from ZenNet.files import NoWeightsError
from ZenNet.state import load_into

GEFFNET = "geffnet_"
_MYRESNET = re.compile(r"my(resnet(?:18|34|50|101|152))")
# Weights that gen-efficientnet's plain TensorFlow names stood for: AutoAugment, and RandAugment for the two largest.
_TF_EFFICIENTNET = re.compile(r"tf_efficientnet_b(\d)")
_SUFFIXES = {"_ns_475": "ns_jft_in1k_475", "_ns": "ns_jft_in1k", "_ap": "ap_in1k"}
_ALIASES = {"mnasnet_a1": "semnasnet_100", "mnasnet_b1": "mnasnet_100"}


def torchvision_names() -> list[str]:
    """torchvision's classifiers."""
    return torchvision.models.list_models(module=torchvision.models)


def myresnet_names() -> list[str]:
    """torchvision's residual networks whose bodies start as zero."""
    return [f"myresnet{depth}" for depth in (18, 34, 50, 101, 152)]


def myresnet(name: str, num_classes: int) -> nn.Module:
    """ResNet with the last BN weight of every residual body zero at the start (Goyal et al. 2017, section 5.1)."""
    match = _MYRESNET.fullmatch(name)
    if match is None:
        raise InputError(f"There is no {name}: use one of {', '.join(myresnet_names())}")
    return torchvision.models.get_model(match[1], weights=None, num_classes=num_classes, zero_init_residual=True)


def torchvision_network(name: str, num_classes: int | None, pretrained: bool) -> nn.Module:
    """A torchvision classifier; with weights and other classes, the classifier layer stays random."""
    options = {} if num_classes is None else {"num_classes": num_classes}
    if not pretrained:
        return torchvision.models.get_model(name, weights=None, **options)
    weights = torchvision.models.get_model_weights(name).DEFAULT
    network = torchvision.models.get_model(name, weights=None, **options)
    try:
        state = weights.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise NoWeightsError(f"{weights.url} cannot be had ({error}):") from error
    if hasattr(network, "transform_input"):
        # GoogLeNet's and Inception's weights are TensorFlow's, which normalised images otherwise.
        network.transform_input = True
    trained = len(weights.meta["categories"])
    load_into(network, state, weights.url, None if num_classes == trained else num_classes)
    return network


def torchvision_input(name: str) -> ExpectedInput:
    """What torchvision's weights of that name were tested with."""
    weights = torchvision.models.get_model_weights(name).DEFAULT
    preset = weights.transforms()
    crop, resize = preset.crop_size[0], preset.resize_size[0]
    classes = len(weights.meta["categories"])
    return ExpectedInput(crop, crop, resize, tuple(preset.mean), tuple(preset.std), preset.interpolation.value, classes)


def network_by_name(name: str, num_classes: int | None, pretrained: bool) -> nn.Module | None:
    """A network of torchvision or timm, by myresnet and geffnet names too; None where none has it. Raises InputError."""
    if name in myresnet_names() and not pretrained:
        return myresnet(name, num_classes or 1000)
    if name.startswith(GEFFNET):
        return timm_network(geffnet_to_timm(name.removeprefix(GEFFNET)), num_classes, pretrained)
    if name in torchvision_names():
        return torchvision_network(name, num_classes, pretrained)
    return timm_network(name, num_classes, pretrained) if is_timm(name) else None


def timm_installed() -> bool:
    """Whether timm can be imported."""
    import importlib.util

    return importlib.util.find_spec("timm") is not None


def _timm(name: str) -> ModuleType:
    if not timm_installed():
        raise InputError(f"{name} is a network of timm, which is not installed: pip install timm")
    import timm

    return timm


def geffnet_to_timm(name: str) -> str:
    """timm's name, with the tag of its weights, of a gen-efficientnet network ("tf_efficientnet_b3_ns")."""
    name = _ALIASES.get(name, name)
    if not name.startswith("tf_"):
        return name
    for suffix, tag in _SUFFIXES.items():
        if name.endswith(suffix):
            return f"{name.removesuffix(suffix)}.{tag}"
    plain = _TF_EFFICIENTNET.fullmatch(name)
    if plain is None:
        return f"{name}.in1k"
    return f"{name}.{'ra' if int(plain[1]) >= 7 else 'aa'}_in1k"


def is_timm(name: str) -> bool:
    """Whether timm is installed and knows the name."""
    return timm_installed() and _timm(name).is_model(name)


def timm_names() -> list[str]:
    """timm's networks; none where timm is not installed."""
    return _timm("").list_models() if timm_installed() else []


def timm_network(name: str, num_classes: int | None, pretrained: bool) -> nn.Module:
    """A network of timm. Raises InputError."""
    timm = _timm(name)
    if not timm.is_model(name):
        raise InputError(f"timm {timm.__version__} has no network {name}")
    options = {} if num_classes is None else {"num_classes": num_classes}
    try:
        return timm.create_model(name, pretrained=pretrained, **options)
    except (OSError, RuntimeError) as error:
        raise NoWeightsError(f"timm cannot make {name} ({first_line(error)}):") from error


def is_of_timm(network: nn.Module) -> bool:
    """Whether timm made the network from code of its own."""
    return type(network).__module__.startswith("timm.")


def timm_with_drop_path(network: nn.Module, rate: float) -> nn.Module:
    """The same network of timm with the same weights, made anew: timm takes drop_path_rate only then. Raises InputError."""
    import timm

    configuration: Mapping[str, Any] = network.pretrained_cfg  # type: ignore[assignment]
    name = configuration["architecture"]
    try:
        made = timm.create_model(name, num_classes=network.num_classes, drop_path_rate=rate)
    except TypeError as error:
        raise InputError(f"--drop_path {rate}: timm's {name} leaves nothing out: use --drop_path 0") from error
    made.load_state_dict(network.state_dict())
    set_batch_norm(made, *batch_norm_of(network))
    return made


def timm_input(name: str) -> ExpectedInput:
    """What timm's weights of that name were tested with."""
    configuration = _timm(name).get_pretrained_cfg(name)
    if configuration is None:
        return centre_crop(224)
    # Where a network was tested at a larger size than it was trained at, timm's own validation takes the larger.
    side = (configuration.test_input_size or configuration.input_size)[1]
    fraction = configuration.test_crop_pct or configuration.crop_pct
    return ExpectedInput(
        side,
        side,
        int(side / fraction),
        tuple(configuration.mean),
        tuple(configuration.std),
        configuration.interpolation,
        configuration.num_classes,
    )
