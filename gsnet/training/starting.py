"""Which weights a training begins with, and what it says of them."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from torch import nn

from gsnet.interface.description import other_names
from gsnet.interface.options import InputError
from gsnet.models import described, expected_input
from gsnet.models.described import checkpoint_of
from ZenNet.state import load_into, read_state

_LOG = logging.getLogger(__name__)


def starting_file(options: Namespace) -> Path | None:
    """The checkpoint that --start_from means; None without the option, and where it names a published network.

    Raises InputError for a folder without weights and for a file that is not there.
    """
    if options.start_from is None:
        return None
    path = Path(options.start_from).expanduser()
    if path.exists():
        return checkpoint_of(path)
    if path.suffix in (".pth", ".pt", ".safetensors", ".tar") or len(path.parts) > 1:
        raise InputError(f"There is no file {path}: --start_from takes a training's folder, a checkpoint, or a name")
    return None


def name_network(options: Namespace) -> None:
    """Take the network from --start_from where --arch names none. Raises InputError where the options contradict each other."""
    if options.start_from is None:
        return
    for name in ("pretrained", "load_parameters_from"):
        if getattr(options, name):
            raise InputError(
                f"--start_from and --{name} both say which weights a training begins with: use one of them"
            )
    if options.weight_init != "None":
        raise InputError("--weight_init would overwrite the weights of --start_from: use one of them")
    file = starting_file(options)
    if file is None:
        if options.arch not in (None, options.start_from):
            raise InputError(
                f"--start_from {options.start_from} begins with that network's weights: leave --arch {options.arch} out"
            )
    elif options.arch is None and described(file) is None:
        raise InputError(f"{file} does not say what it is of: name its network with --arch")
    options.arch = options.arch or options.start_from


def load_start(network: nn.Module, file: Path, arch: str, classes: int) -> None:
    """The weights of a checkpoint; a classifier of another number of classes starts anew, which is said. Raises InputError."""
    file = file.expanduser()
    state = read_state(file, network.state_dict())
    fresh = load_into(network, state, f"{file} as {arch}", new_classes=classes)
    if fresh:
        before = state[fresh[0]].shape[0] if fresh[0] in state else None
        _LOG.info("%s: %s", file, anew(classes, before))
    else:
        _LOG.info("Begins with the weights of %s", file)


def say_published(arch: str, classes: int) -> None:
    """Say it where published weights have another number of classes."""
    trained = expected_input(arch).classes
    if trained != classes:
        _LOG.info("%s: %s", arch, anew(classes, trained))


def say_other_names(options: Namespace, names: tuple[str, ...]) -> None:
    """Say it where the classifier that a training begins with is kept, and its classes had other names or another order."""
    file = starting_file(options) or options.load_parameters_from or (options.arch if options.pretrained else None)
    found = None if file is None else described(file)
    say_kept_classes(file, found.description.class_names if found else (), names)


def say_kept_classes(file: Path | str | None, before: Sequence[str], names: Sequence[str]) -> None:
    """Say it where the outputs of the same number of classes are kept that were called otherwise in a file."""
    if len(before) != len(names):
        return
    if others := other_names(before, names):
        _LOG.warning(
            "%s: the classifier is kept, and %d of its %d classes have other names: class %d was %s and is now %s",
            *(file, len(others), len(names), *others[0]),
        )


def anew(classes: int, before: int | None) -> str:
    """What becomes of a classifier whose classes are others, or that the weights lack (before None)."""
    instead = ", for these weights have none" if before is None else f" instead of {before}"
    return f"the classifier starts anew, with {classes} classes{instead}"
