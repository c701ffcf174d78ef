"""What a program calls networks and options, in the terms of the command line and back."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_type_hints

from gsnet.api.loading import LoadedNetwork
from gsnet.api.trained import TrainingResult
from gsnet.evolution.recorded import Row
from gsnet.evolution.result import SearchResult
from gsnet.interface.options import InputError
from gsnet.interface.result_files import BEST_JSON
from gsnet.interface.suggestions import option_meant
from gsnet.interface.words import shown
from gsnet.models.described import UnnamedClassError
from gsnet.models.named import is_several
from PlainNet import Network

# What stands for one network: a structure, a path or a published name, a value, a candidate, a search, what was loaded, a
# training.
Named = str | Path | Network | Row | SearchResult | LoadedNetwork | TrainingResult
# A command within a sentence, which stays one, or an option.
_COMMAND_OR_FLAG = re.compile(r"((?:gsnet [\w-]+|\w+\.py)(?: --[\w-]+(?: [A-Z][A-Z_.]*\b)?)+)|--(\w+(?:-\w+)*)")


def in_words_of_python(text: str, keywords: Mapping[str, str]) -> str:
    """A sentence about flags with keywords in their place; by flag, where they are not called like it."""

    def said(found: re.Match[str]) -> str:
        return found[1] or keywords.get(name := found[2].replace("-", "_"), name)

    return _COMMAND_OR_FLAG.sub(said, text)


@contextmanager
def said_in_python(keywords: Mapping[str, str]) -> Iterator[None]:
    """Within it, errors of input name the keywords of a function in place of a script's options."""
    try:
        yield
    except UnnamedClassError as error:
        raise InputError(error.told_in_python()) from error
    except InputError as error:
        raise InputError(in_words_of_python(str(error), keywords)) from error


def keywords_of(options: type, renamed: Mapping[str, str]) -> dict[str, str]:
    """What flags are called in Python, as far as not alike: those of a TypedDict that are switches, and these."""
    switches = {name: f"{name}=True" for name, kind in get_type_hints(options).items() if kind is bool}
    return switches | dict(renamed)


def check_names(what: str, given: Iterable[str], known: Iterable[str], more: Iterable[str] = ()) -> None:
    """Raises TypeError, as Python does, for a keyword that is none of those known. what: has them; more: names besides."""
    names = list(known)
    for name in given:
        if name not in names:
            meant = option_meant(name, [*names, *more])
            raise TypeError(f"{what} has no option {name!r}{f'; did you mean {meant}?' if meant else ''}")


def check_switches(given: Mapping[str, Any], options: type) -> None:
    """Raises InputError for a value of a switch of a TypedDict that is neither True nor False."""
    kinds = get_type_hints(options)
    for name, value in given.items():
        if kinds.get(name) is bool and not isinstance(value, bool):
            raise InputError(f"{name} is {value!r}: it must be True or False")


def path_of(given: object) -> object:
    """The path of what a training or `gsnet.load` gave; whatever else it is stays."""
    if isinstance(given, TrainingResult):
        if given.folder is None:
            raise InputError("This training wrote nothing: name a network, or what a training left in a folder")
        return given.folder
    return given.file if isinstance(given, LoadedNetwork) else given


def source_of(given: Any) -> Any:
    """Where the network of a training, of a search or of `gsnet.load` is read; whatever else it is stays. Raises InputError."""
    return _of_search(given) if isinstance(given, SearchResult) else path_of(given)


def is_module(network: object) -> bool:
    """Whether something is a torch module, and no class of them; torch need not be there to tell."""
    return hasattr(network, "modules") and not isinstance(network, type)


def arch_of(network: Named | type) -> str:
    """What --arch calls a network of a program: a search is its results folder, where it has one, a class FILE.py:Class.

    Raises InputError.
    """
    if isinstance(network, type) and hasattr(network, "modules"):
        return _class_in_file(network)
    if isinstance(network, SearchResult | TrainingResult | LoadedNetwork):
        return str(source_of(network))
    if isinstance(network, Row):
        return network.structure
    if not isinstance(network, str | Path | Network) or not str(network).strip():
        raise InputError(
            f"{shown(network)} is no network: give a structure, a path, a name, a network or a candidate of a search"
        )
    named = str(network)
    if is_several(named):
        raise InputError(f"{named} names several networks: give one after the other")
    return named


def _class_in_file(module: type) -> str:
    """FILE.py:Class of a class of the user's, whose file is run anew. Raises InputError where it has none of its own."""
    name, home = module.__name__, sys.modules.get(module.__module__)
    file = getattr(home, "__file__", None)
    if module.__module__ == "__main__" or file is None or getattr(home, name, None) is not module:
        raise InputError(
            f"{name} stands in no file of its own, which could be run anew: write it into one, and import it from there"
        )
    if "." in module.__module__:
        raise InputError(
            f"{name} is of the package {module.__module__.partition('.')[0]}: give the name that it has there, or a class in a "
            "file of your own that makes it"
        )
    return f"{Path(file).resolve()}:{name}"


def _of_search(result: SearchResult) -> str | Path:
    if result.folder is not None and (result.folder / BEST_JSON).is_file():
        return result.folder
    if result.best is None:
        raise InputError("The search has found no network yet")
    return result.best.structure
