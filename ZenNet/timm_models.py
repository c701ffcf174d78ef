"""Networks, published ones and any other, as models of `timm.create_model`. timm is imported when they are registered."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import PlainNet
from gsnet.data.settings import CIFAR_MEAN, CIFAR_STD, IMAGENET_MEAN, IMAGENET_STD
from gsnet.interface.options import InputError
from PlainNet import PLAIN, UNITS, Network, Style
from PlainNet.stages import stage_ends
from ZenNet.catalogue import Published, base_url, list_models, published
from ZenNet.networks import get_ZenNet

if TYPE_CHECKING:
    from torch import nn

    from Masternet import MasterNet

ANY = "gsnet"
CLASSIFIER = "fc_linear.netblock"
# What timm's tools may ask of any network, and what its builder does with a network.
_NETWORK = ("num_classes", "in_chans", "global_pool", "drop_rate", "drop_path_rate")
_BUILDER = (
    *("features_only", "out_indices", "feature_cls", "pretrained_cfg", "pretrained_cfg_overlay"),
    *("pretrained_strict", "pretrained_model_args", "cache_dir"),
)
_PUBLISHED = ("weights", "weights_url", "use_se", "se_activation", "unit")
_STYLE = tuple(field.name for field in fields(Style))
# Values of other options of timm that ask for what our networks are anyway.
_AS_THEY_ARE: dict[str, tuple[Any, ...]] = {"drop_block_rate": (0.0,), "output_stride": (32,)}
# Where timm may be told to take weights from, in place of the published ones.
_SOURCES = ("file", "url", "state_dict", "hf_hub_id")
_CROP_FRACTION = 0.875

# timm reads the configurations of a module's models under this name when they are registered.
default_cfgs: dict[str, dict[str, Any]] = {}


class UnknownOptionError(InputError, TypeError):
    """An option of `timm.create_model` that our networks do not have."""


Build = Callable[[str, bool, dict[str, Any]], "nn.Module"]


def register_with_timm(**structures: str) -> list[str]:
    """Make our networks models of `timm.create_model`; returns their names.

    These are the names of `list_models`, with the options of `ZenNet.get_ZenNet`; "gsnet" for any network, with structure="…"
    and the fields of `PlainNet.Style` (use_se=True, …) or unit="deployed"; and names of one's own, for libraries that take a
    name and nothing else: register_with_timm(mine="SuperConvK3BNRELU(3,16,2,1)…").

    What timm's own models take goes with all of them: num_classes, in_chans, features_only, out_indices, drop_rate,
    drop_path_rate, global_pool ("avg" or ""), pretrained_cfg. For others UnknownOptionError is raised: an option that is taken
    and not obeyed would give another network than asked for.

    Raises ImportError without timm, StructureError, and InputError for a name that timm has.
    """
    from timm.models import is_model, model_entrypoint

    own = {name: _own(PlainNet.parse(structure)) for name, structure in structures.items()}
    for name in own:
        if is_model(name) and (name in (*list_models(), ANY) or model_entrypoint(name).__module__ != __name__):
            raise InputError(f"timm has a model {name} already: give yours another name")
    for name in list_models():
        if not is_model(name):
            default_cfgs[name] = _published_cfg(published(name))
            _register(name, _published)
    if not is_model(ANY):
        _register(ANY, _any)
    for name, build in own.items():
        _register(name, build)
    return [*list_models(), ANY, *structures]


def _register(name: str, build: Build) -> None:
    from timm.models import register_model

    def entry(pretrained: bool = False, **options: Any) -> nn.Module:
        return build(name, pretrained, options)

    # timm files a model under the function's own name and module.
    entry.__name__ = entry.__qualname__ = name
    entry.__module__ = __name__
    register_model(entry)


def _published(name: str, pretrained: bool, options: dict[str, Any]) -> nn.Module:
    mine, options = _sorted(name, options, _PUBLISHED)
    elsewhere = any(cfg.get(source) for cfg in _configurations(options) for source in _SOURCES)
    found_here = "weights" in mine or (pretrained and not elsewhere)
    if found_here and options.get("cache_dir") is not None:
        raise UnknownOptionError(f"Weights of {name} are kept in the folder ZENNET_HOME: leave cache_dir out")

    if (given := options.get("pretrained_cfg")) and not isinstance(given, str):
        options["pretrained_cfg"] = _published_cfg(published(name)) | _said(given)

    def network(**shape: Any) -> MasterNet:
        return get_ZenNet(name, found_here, **mine, **shape).train()

    return _built(name, pretrained and not found_here, network, PlainNet.parse(published(name).structure), options)


def _any(name: str, pretrained: bool, options: dict[str, Any]) -> nn.Module:
    if "structure" not in options:
        raise UnknownOptionError(f'{name} is any network: give structure="SuperConvK3BNRELU(3,…", or a published name')
    structure = PlainNet.parse(options.pop("structure"))
    return _of_structure(name, pretrained, structure, options, ("structure", "unit", *_STYLE))


def _own(structure: Network) -> Build:
    def build(name: str, pretrained: bool, options: dict[str, Any]) -> nn.Module:
        return _of_structure(name, pretrained, structure, options, ("unit", *_STYLE))

    return build


def _of_structure(
    name: str, pretrained: bool, structure: Network, options: dict[str, Any], known: Iterable[str]
) -> nn.Module:
    mine, options = _sorted(name, options, known)
    unit = mine.pop("unit", "searched")
    if unit not in UNITS:
        raise InputError(f"There is no unit {unit!r}: use one of {', '.join(UNITS)}")
    style = replace(UNITS[unit], **mine)
    # The structure says what images it reads, unless one asks for others.
    options.setdefault("in_chans", structure.in_channels)
    if not isinstance(options.get("pretrained_cfg"), str):
        options["pretrained_cfg"] = _structure_cfg(structure, style, _said(options.get("pretrained_cfg") or {}))

    def network(**shape: Any) -> MasterNet:
        from Masternet import MasterNet

        built = MasterNet(plainnet_struct=structure, style=style, **shape)
        built.init_parameters()
        return built

    return _built(name, pretrained, network, structure, options)


def _built(
    name: str, pretrained: bool, network: Callable[..., MasterNet], structure: Network, options: dict[str, Any]
) -> nn.Module:
    from timm.models import build_model_with_cfg

    stages = tuple(range(len(stage_ends(structure, PLAIN))))
    features = {"out_indices": stages, "feature_cls": "getter"}
    return build_model_with_cfg(network, name, pretrained, feature_cfg=features, **options)


def _sorted(name: str, options: dict[str, Any], known: Iterable[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of ours, and those that go on to timm's builder. Raises UnknownOptionError for any that would be swallowed."""
    given = {k: v for k, v in options.items() if v not in _AS_THEY_ARE.get(k, ())}
    unknown = [f"{k}={v!r}" for k, v in given.items() if k not in (*known, *_NETWORK, *_BUILDER)]
    if unknown:
        listed = ", ".join(sorted((*known, *_NETWORK)))
        raise UnknownOptionError(f"{name} cannot be made with {', '.join(unknown)}: its options are {listed}")
    mine = {k: v for k, v in given.items() if k in known and v is not None}
    return mine, {k: v for k, v in given.items() if k not in known}


def _configurations(options: dict[str, Any]) -> list[dict[str, Any]]:
    names = ("pretrained_cfg", "pretrained_cfg_overlay")
    return [_said(options[name]) for name in names if options.get(name) and not isinstance(options[name], str)]


def _said(configuration: Any) -> dict[str, Any]:
    """What a configuration of timm says, in either of its forms."""
    said = asdict(configuration) if is_dataclass(configuration) else configuration  # type: ignore[arg-type]
    return {key: value for key, value in said.items() if value is not None}


def _published_cfg(entry: Published) -> dict[str, Any]:
    """What timm's data loaders and tools need to know of a published network.

    A test image of ImageNet is cut to `entry.crop` and interpolated to `entry.resolution`; timm interpolates once, and the same
    part of the image arrives at the same size.
    """
    structure, style = PlainNet.parse(entry.structure), Style(use_se=entry.se, se_activation="relu")
    return _structure_cfg(
        structure,
        style,
        {
            "url": base_url() + entry.path if entry.path else "",
            "num_classes": entry.classes,
            "input_size": (structure.in_channels, entry.resolution, entry.resolution),
            "crop_pct": 1.0 if entry.cifar else _CROP_FRACTION,
            "mean": CIFAR_MEAN if entry.cifar else IMAGENET_MEAN,
            "std": CIFAR_STD if entry.cifar else IMAGENET_STD,
            "paper_name": "Zen-NAS: A Zero-Shot NAS for High-Performance Deep Image Recognition",
            "paper_ids": "arXiv:2102.01063",
        },
    )


def _structure_cfg(structure: Network, style: Style, given: dict[str, Any]) -> dict[str, Any]:
    """A configuration that names the layers which timm adapts; 224 pixels and ImageNet's figures unless told otherwise."""
    size = given.get("input_size") or (structure.in_channels, 224, 224)
    known = {
        "input_size": tuple(size),
        "pool_size": (structure.output_size(size[1]), structure.output_size(size[2])),
        "crop_pct": _CROP_FRACTION,
        "interpolation": "bicubic",
        "mean": IMAGENET_MEAN,
        "std": IMAGENET_STD,
        "first_conv": _first_convolutions(structure, style),
        "classifier": CLASSIFIER,
    }
    return known | given


def _first_convolutions(structure: Network, style: Style) -> str | tuple[str, ...] | None:
    """Names of the convolutions that read the image: those whose weights change their shape with its channels."""
    import torch

    wider = structure.with_in_channels(2 * structure.in_channels)
    found: list[str] = []
    with torch.device("meta"):
        for place, (block, wide) in enumerate(zip(structure.blocks, wider.blocks, strict=True)):
            if block == wide:
                break
            state, changed = block.module(style).state_dict(), wide.module(style).state_dict()
            names = [k for k, v in state.items() if v.dim() == 4 and v.shape != changed[k].shape]
            found += [f"module_list.{place}.{key.removesuffix('.weight')}" for key in names]
    return found[0] if len(found) == 1 else tuple(found) or None
