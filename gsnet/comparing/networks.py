"""What is compared: the networks that folders, names, patterns, files, strings and objects of a program stand for."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import PlainNet
from gsnet.evolution.recorded import Row
from gsnet.interface.network_names import is_structure
from gsnet.interface.options import InputError
from gsnet.interface.words import shown
from gsnet.models import described, expected_input, load_model, names_of, structure_of
from gsnet.models.named import read_structures
from gsnet.models.options import CLASSES, RESOLUTION, size_and_classes
from PlainNet import Network, StructureError, Style
from PlainNet.style import PLAIN

if TYPE_CHECKING:
    from torch import nn

# A string, a Path, a network, a candidate of a search, or a torch module.
Source = Any


@dataclass(frozen=True)
class View:
    """How networks are looked at: what is None is the network's own, or that of a string, 224 pixels and 1000 classes."""

    resolution: int | None = None
    num_classes: int | None = None
    use_se: bool = False
    unit: str | None = None


@dataclass(frozen=True)
class Found:
    """A network: its value and style, where it has a structure, and what builds its module."""

    value: Network | None
    style: Style
    resolution: int
    classes: int | None
    make: Callable[[], nn.Module]


@dataclass(frozen=True)
class Contender:
    """A row of the comparison. find: raises InputError or StructureError where there is no such network; folder: of results."""

    name: str
    find: Callable[[], Found]
    folder: Path | None = None


def contenders(sources: Iterable[Source], view: View) -> list[Contender]:
    """The networks of all sources in order, each name once; what stands for no network becomes one that cannot be found."""
    found: dict[str, Contender] = {}
    of_candidates: dict[str, str] = {}
    for number, source in enumerate(sources, start=1):
        if isinstance(source, Row):
            name = _of_candidate(source, of_candidates)
            found.setdefault(name, Contender(name, partial(_of_text, source.structure, view)))
            continue
        for contender in _of(source, number, view):
            found.setdefault(contender.name, contender)
    return list(found.values())


def _of_candidate(row: Row, known: dict[str, str]) -> str:
    """What a candidate is called; of another search than one of the same iteration, with a number behind it."""
    name = f"candidate {row.iteration}"
    number = 1
    while known.setdefault(name, row.structure) != row.structure:
        number += 1
        name = f"candidate {row.iteration} ({number})"
    return name


def _of(source: Source, number: int, view: View) -> Iterator[Contender]:
    if isinstance(source, Network):
        yield Contender(str(source), partial(_of_value, source, view))
    elif not isinstance(source, str | Path):
        yield Contender(f"{type(source).__name__} {number}", partial(_of_module, source, view))
    elif isinstance(source, str) and is_structure(source):
        yield Contender(source.strip(), partial(_of_text, source, view))
    else:
        try:
            names = names_of(str(source))
        except InputError as error:
            yield Contender(str(source), partial(_raise, error))
            return
        for name in names:
            yield from _of_name(name, view)


def _of_name(name: str, view: View) -> Iterator[Contender]:
    path = Path(name).expanduser()
    if path.suffix == ".txt" and path.is_file():
        yield from _of_structure_file(name, path, view)
        return
    yield Contender(name, partial(_named, name, view), path if path.is_dir() else None)


def _of_structure_file(name: str, path: Path, view: View) -> Iterator[Contender]:
    """One network as itself, several by their number in the file."""
    try:
        networks = [] if described(path) else read_structures(path)
    except (InputError, StructureError) as error:
        yield Contender(name, partial(_raise, error))
        return
    if len(networks) < 2:
        yield Contender(name, partial(_named, name, view))
        return
    for i, network in enumerate(networks, start=1):
        yield Contender(f"{name}, {i}", partial(_of_value, network, view))


def _named(name: str, view: View) -> Found:
    path = Path(name).expanduser()
    if path.is_dir() and not described(path):
        raise InputError(f"{path} holds no results of a search or of a training")
    structure = structure_of(name, use_se=view.use_se, unit=view.unit)
    how = {"num_classes": view.num_classes, "use_se": view.use_se, "unit": view.unit}
    if structure is None:
        own = expected_input(name)
        return Found(None, PLAIN, view.resolution or own.resolution, view.num_classes, partial(load_model, name, **how))  # type: ignore[arg-type]
    network, style = structure
    size, classes = size_and_classes(name, view.resolution, view.num_classes)
    return Found(network, style, size, classes, partial(_built, network, style, classes))


def _of_text(text: str, view: View) -> Found:
    return _of_value(PlainNet.parse(text), view)


def _of_value(network: Network, view: View) -> Found:
    style = Style(use_se=view.use_se) if view.unit is None else PlainNet.UNITS[view.unit]
    classes = view.num_classes or CLASSES
    return Found(network, style, view.resolution or RESOLUTION, classes, partial(_built, network, style, classes))


def _of_module(module: object, view: View) -> Found:
    from torch import nn

    if not isinstance(module, nn.Module):
        raise InputError(f"{shown(module)} is no network: give a name, a file, a folder, a structure or a torch module")
    # A copy, since what is measured is put into evaluation mode.
    return Found(None, PLAIN, view.resolution or RESOLUTION, view.num_classes, lambda: copy.deepcopy(module))


def _built(network: Network, style: Style, classes: int) -> nn.Module:
    from Masternet import MasterNet

    return MasterNet(num_classes=classes, plainnet_struct=network, style=style)


def _raise(error: Exception) -> Found:
    raise error
