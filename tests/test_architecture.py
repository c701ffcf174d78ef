"""The import rules of the rooms: arrows only go up, and values need no torch."""

import ast
import functools
import graphlib
import importlib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

from gsnet.__main__ import COMMANDS
from PlainNet.lazy import lazy

ROOT = Path(__file__).parent.parent
# Room -> rooms that it may import. The language is below all of them.
ALLOWED = {
    "PlainNet": set(),
    "gsnet.interface": {"PlainNet"},
    "SearchSpace": {"PlainNet"},
    "ZeroShotProxy": {"PlainNet", "Masternet"},
    "gsnet.runtimes": {"PlainNet", "Masternet", "gsnet.interface"},
    "gsnet.latency": {"PlainNet", "Masternet", "SearchSpace", "gsnet.interface", "gsnet.runtimes"},
    "gsnet.tracking": {"gsnet.interface"},
    "gsnet.data": {"PlainNet", "gsnet.interface"},
    "ZenNet": {"PlainNet", "Masternet", "gsnet.interface", "gsnet.data"},
    "gsnet.models": {
        "PlainNet",
        "Masternet",
        "ZenNet",
        "ZeroShotProxy",
        *("gsnet.interface", "gsnet.data", "gsnet.runtimes"),
    },
    "gsnet.validation": {"gsnet.interface", "gsnet.data", "gsnet.models", "gsnet.runtimes"},
    "gsnet.training": {
        "PlainNet",
        "Masternet",
        "ZenNet",
        *("gsnet.interface", "gsnet.models", "gsnet.data", "gsnet.validation", "gsnet.tracking"),
    },
    "gsnet.detection": {
        "PlainNet",
        "Masternet",
        "ZenNet",
        *("gsnet.interface", "gsnet.models", "gsnet.data", "gsnet.validation", "gsnet.training", "gsnet.runtimes"),
    },
    "gsnet.evolution": {
        "PlainNet",
        "Masternet",
        "SearchSpace",
        "ZeroShotProxy",
        *("gsnet.latency", "gsnet.interface", "gsnet.tracking"),
    },
}
ALLOWED["gsnet.comparing"] = {
    "PlainNet",
    "Masternet",
    "ZeroShotProxy",
    *("gsnet.interface", "gsnet.runtimes", "gsnet.latency", "gsnet.evolution", "gsnet.models"),
}
# What a program imports, and what a user runs, may import every room.
ALLOWED["gsnet.api"] = {*ALLOWED, "Masternet"}
ALLOWED["gsnet.commands"] = {*ALLOWED, "Masternet"}
OURS = {*ALLOWED, "Masternet"}
SCRIPTS = {path.stem for path in ROOT.glob("*.py")} - {"Masternet"}


def folder_of(room):
    return ROOT / room.replace(".", "/")


def room_of(name):
    """gsnet.evolution.search -> gsnet.evolution; PlainNet.parser -> PlainNet."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "gsnet" else parts[0]


def imported(path):
    """Rooms that a file imports anywhere."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (room_of(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "gsnet":
            yield from (f"gsnet.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield room_of(node.module)


@pytest.mark.parametrize("room", ALLOWED)
def test_rooms_import_only_what_is_below_them(room):
    for path in folder_of(room).glob("*.py"):
        names = set(imported(path))
        assert names & OURS - {room} <= ALLOWED[room], path
        assert not names & SCRIPTS, path


@pytest.mark.parametrize(
    "module",
    [
        *(
            "gsnet",
            "gsnet.api.search",
            "PlainNet",
            "SearchSpace",
            "ZeroShotProxy",
            "ZenNet",
            "gsnet.data",
            "gsnet.models",
            "gsnet.runtimes.registry",
            "gsnet.validation",
            "gsnet.comparing.comparison",
        ),
        *sorted(SCRIPTS),
    ],
)
def test_values_need_no_torch(module):
    script = f"import sys, {module}; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stdout == "False\n"


def test_scripts_are_short():
    for path in ROOT.glob("*.py"):
        assert len(path.read_text().splitlines()) < (200 if path.stem == "Masternet" else 12), path


def test_every_room_has_rules_and_no_two_rooms_need_each_other():
    above = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks", "gsnet"}
    folders = above | {f"gsnet.{path.parent.name}" for path in ROOT.glob("gsnet/*/__init__.py")}
    assert folders == set(ALLOWED)
    # Raises CycleError where arrows go round; the order is the one of docs/architecture.md, from below.
    order = list(
        graphlib.TopologicalSorter({room: below - {"Masternet"} for room, below in ALLOWED.items()}).static_order()
    )
    assert order[0] == "PlainNet" and set(order) == folders


def modules():
    """Our modules by their dotted names."""
    files = [path for room in OURS - {"Masternet"} for path in folder_of(room).glob("*.py")]
    names = {".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}
    return names | {"Masternet": ROOT / "Masternet.py"}


def needed(path, known):
    """Our modules that a file imports, at its top, in a function or for types."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield from (name for name in (inside, node.module) if name in known)


def test_no_two_modules_need_each_other():
    """Neither at their top nor in a function that hides it. What a package offers may come from its own modules."""
    known = modules()
    graph = {name: set(needed(path, known)) - {name} for name, path in known.items()}
    for name in known:
        graph[name] -= {package for package in known if name.startswith(f"{package}.")}
    list(graphlib.TopologicalSorter(graph).static_order())


def test_masternet_needs_structures_alone():
    assert set(imported(ROOT / "Masternet.py")) & OURS <= {"PlainNet"}


def test_every_script_is_a_command():
    assert set(COMMANDS) > SCRIPTS
    assert set(COMMANDS) == {path.stem for path in (ROOT / "gsnet/commands").glob("[a-z]*.py")}


def classes_of(room):
    """The classes that a room defines."""
    for path in sorted(folder_of(room).glob("*.py")):
        module = importlib.import_module(room if path.stem == "__init__" else f"{room}.{path.stem}")
        yield from (v for v in vars(module).values() if isinstance(v, type) and v.__module__ == module.__name__)


@pytest.mark.parametrize("room", ALLOWED)
def test_public_methods_say_what_they_do_or_are_told_by_the_class_above(room):
    """What overrides a method, or stands for one of a protocol of its room, needs no docstring of its own."""
    owners = list(classes_of(room))
    protocols = [owner for owner in owners if Protocol in owner.__bases__]
    silent = []
    for owner in owners:
        above = [*owner.__mro__[1:], *(protocol for protocol in protocols if protocol is not owner)]
        told = {name for base in above for name in (*vars(base), *inspect.get_annotations(base))}
        for name, member in vars(owner).items():
            method = inspect.isroutine(member) or isinstance(member, property | lazy | functools.cached_property)
            if method and not name.startswith("_") and name not in told and not member.__doc__:
                silent.append(f"{owner.__module__}.{owner.__name__}.{name}")
    assert not silent, "\n".join(silent)
