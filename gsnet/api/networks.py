"""One network: read, analysed, scored."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import PlainNet
from gsnet.api.callables import ProxyLike, proxy_of
from gsnet.api.naming import Named, is_module, source_of
from gsnet.evolution.recorded import Row
from gsnet.interface.options import InputError, device_name
from gsnet.interface.values import check_counts, check_scoring, plain
from gsnet.interface.words import shown
from gsnet.models.analysis import Analysis, analyze_network
from gsnet.models.described import Described, described
from gsnet.models.options import CLASSES, RESOLUTION
from PlainNet import Network, Style
from ZeroShotProxy import ScoringSettings, get_proxy
from ZeroShotProxy import score as score_by

if TYPE_CHECKING:
    from torch import nn

# What a network is called, and no structure.
_NAME = re.compile(r"[\w.\-]+(?<!\.txt)")


def parse(structure: Named) -> Network:
    """The network of a structure string, or of a path: a structure file (.txt), results folder, checkpoint or exported file.

    A candidate of a search, such as `result.best`, is its network, and so are a search's result, whose best it is, a training's
    and what `gsnet.load` gave. Raises StructureError, InputError or OSError.
    """
    source = source_of(structure)
    if isinstance(source, Network):
        return source
    if isinstance(source, Row):
        return source.network
    if isinstance(source, type):
        raise InputError(f"{source.__name__} is a class: give a network that it makes, {source.__name__}(...)")
    if not isinstance(source, str | Path):
        raise InputError(
            f"{shown(source)} is no network: give a structure, a Path, a network or a candidate of a search"
        )
    if found := _told(source):
        if found.description.structure is None:
            raise InputError(f"{found.file} is of {found.description.arch}, which has no structure")
        return PlainNet.parse(found.description.structure)
    if isinstance(source, str) and _NAME.fullmatch(source):
        raise InputError(
            f"{source} is no structure, and no file or folder is called so: gsnet.compare takes names of networks, "
            "gsnet.analyze and gsnet.score their modules"
        )
    if isinstance(source, Path) or source.endswith(".txt"):
        return PlainNet.read_structure_file(Path(source).expanduser())
    return PlainNet.parse(source)


def analyze(
    network: Named | nn.Module,
    *,
    resolution: int | None = None,
    num_classes: int | None = None,
    use_se: bool = False,
    no_BN: bool = False,
    no_reslink: bool = False,
) -> Analysis:
    """Parameters, FLOPs, memory access and shapes, block by block, as `gsnet analyze_model` counts them.

    resolution, num_classes: by default what a results folder or file says of itself, else 224 pixels and 1000 classes. use_se:
    with squeeze-and-excitation in super-blocks. no_BN: without batch normalisation. no_reslink: without residual links. A torch
    module is counted part by part for an image of that resolution, and stays as it is; the other options are for structures.
    Raises StructureError, InputError.
    """
    if is_module(network):
        structural = {"num_classes": num_classes, "use_se": use_se, "no_BN": no_BN, "no_reslink": no_reslink}
        ignored = [name for name, value in structural.items() if value]
        return _module_analysis(cast("nn.Module", network), resolution, ignored)
    network = cast(Named, network)
    style = _style(network, use_se, no_BN, no_reslink)
    return analyze_network(parse(network), *_size_and_classes(network, resolution, num_classes), style)


def score(
    network: Named | nn.Module,
    proxy: ProxyLike = "Zen",
    *,
    resolution: int | None = None,
    num_classes: int | None = None,
    batch_size: int = 16,
    gamma: float = 1e-2,
    seed: int = 0,
    device: str | None = None,
    keep_links: bool | None = None,
    use_se: bool = False,
    no_BN: bool = False,
) -> float:
    """The zero-shot score of a structure or of any torch classifier, as `gsnet compute_score` gives it.

    Larger is better, but of proxies whose `larger_is_better` is false (GradientGrowth, GradientSpread, their closed forms).
    proxy: a name of `ZeroShotProxy.list_proxies()`, or a function of a network or module. batch_size, resolution: of its
    images. gamma: size of Zen's perturbation. seed: of weights and images; a module is given back with the weights that it
    came with. device: name of torch's, the CPU by default. keep_links: with or without residual links; None leaves it to the
    proxy. num_classes, use_se, no_BN: of a structure's module. What is not given follows as in `analyze`.

    Raises ProxyFailure where the network cannot be scored, UnknownProxyError, StructureError, InputError.
    """
    resolution, num_classes = _size_and_classes(network, resolution, num_classes)
    batch_size, gamma, seed = plain(batch_size), plain(gamma), plain(seed)
    check_counts(batch_size=batch_size)
    check_scoring(gamma, seed)
    if isinstance(proxy, str):
        proxy = get_proxy(proxy, aggregates=())
    settings = ScoringSettings(
        resolution=resolution,
        batch_size=batch_size,
        num_classes=num_classes,
        gamma=gamma,
        device=device_name(None, device),
        keep_links=keep_links,
        style=_style(network, use_se, no_BN),
    )
    # A module has these; torch need not be there to tell.
    value: Network | nn.Module = network if is_module(network) else parse(network)  # type: ignore[assignment, arg-type]
    return score_by(value, proxy_of(proxy, gets_module=not isinstance(value, Network)), settings, seed)


def _module_analysis(module: nn.Module, resolution: int | None, ignored: list[str]) -> Analysis:
    from gsnet.models.growth import growth_of_module
    from gsnet.models.module_costs import analyze_module

    if ignored:
        raise InputError(f"{ignored[0]} is for structures, and a module is what it is: leave it out")
    side, _ = _size_and_classes(None, resolution, None)
    copied = copy.deepcopy(module).cpu().float()
    found = analyze_module(copied, type(module).__name__, side)
    return replace(found, measured_growth=growth_of_module(copied, side))


def _told(network: object) -> Described | None:
    """What a path says of its network; structures are strings that are no paths."""
    network = source_of(network)
    return (
        described(network) if isinstance(network, Path) or (isinstance(network, str) and "(" not in network) else None
    )


def _style(network: object, use_se: bool, no_BN: bool, no_reslink: bool = False) -> Style:
    found = _told(network)
    own = found.description.style if found else Style()
    return replace(own, use_se=use_se or own.use_se, no_BN=no_BN or own.no_BN, no_reslink=no_reslink or own.no_reslink)


def _size_and_classes(network: object, resolution: int | None, classes: int | None) -> tuple[int, int]:
    found, resolution, classes = _told(network), plain(resolution), plain(classes)
    own = (found.description.resolution, found.description.classes) if found else (RESOLUTION, CLASSES)
    resolution, classes = own[0] if resolution is None else resolution, own[1] if classes is None else classes
    check_counts(resolution=resolution, num_classes=classes)
    return resolution, classes
