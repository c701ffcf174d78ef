"""The command-line options that name a network and its weights, for every script that takes --arch."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from gsnet.interface.network_names import existing_path, holds_structure
from gsnet.interface.options import InputError, OptionParser, positive_int
from gsnet.interface.path_options import structure
from gsnet.models import described, expected_input, known_input, load_model
from gsnet.models.expected import classes_text, size_text
from gsnet.models.named import BUILT_AS, PLAIN_NET, fault_of_path
from PlainNet import UNITS

if TYPE_CHECKING:
    from torch import nn

_LOG = logging.getLogger(__name__)
# Of a structure that nothing more is known of.
RESOLUTION, CLASSES = 224, 1000
ARCH_HELP = (
    "networks by name, list (A,B) or pattern ('zennet_*', 'save_dir/*'): results folder of a search or training, checkpoint, "
    "exported file, structure file (.txt) or string, FILE.py:Class, published name"
)


def add_network_options(parser: argparse.ArgumentParser, other_classes: str = "") -> None:
    """Add --arch and what belongs to it, as a group.

    other_classes: for the help of --num_classes, where another default counts, and which.
    """
    group = parser.add_argument_group(
        "network (what a folder or file says of itself need not be given; what is given wins)"
    )
    group.add_argument("--arch", metavar="NAME", help=ARCH_HELP)
    group.add_argument(
        "--weights", metavar="FILE", help="checkpoint or training's folder, instead of the network's weights"
    )
    group.add_argument("--weights_url", metavar="URL", help="base address of a mirror of ZenNet's weights")
    group.add_argument("--untrained", action="store_true", help="with random weights, for a dry run")
    group.add_argument(
        "--plainnet_struct", type=structure, metavar="TEXT", help="structure string, which --arch takes, too"
    )
    group.add_argument("--use_se", action="store_true", help="structures with squeeze-and-excitation")
    group.add_argument("--unit", choices=tuple(UNITS), help="GhostShuffle units of structures (default: searched)")
    group.add_argument(
        "--num_classes",
        type=positive_int,
        metavar="N",
        help=f"classes (default: the network's own or its data set's, else {CLASSES}{other_classes})",
    )


def network_named(options: argparse.Namespace) -> str:
    """What --arch names or, without it, what --weights says of itself. Raises InputError where there is neither.

    A structure alone is built as PlainNet.
    """
    if options.arch is None and options.plainnet_struct is not None:
        return PLAIN_NET
    if options.arch is not None:
        refuse_wrong_path(options.arch)
        return options.arch
    if options.weights is None:
        raise InputError("Name a network: by --arch, or by --weights with a checkpoint that says what it is of")
    if not Path(options.weights).expanduser().exists():
        raise InputError(f"There is no file {options.weights}: --weights takes a checkpoint")
    if described(options.weights) is None:
        raise InputError(f"{options.weights} does not say what it is of: name its network with --arch")
    return options.weights


def refuse_wrong_path(arch: str) -> None:
    """Raise InputError for --arch with a path that names no network."""
    # A folder without a slash may be called as a network is.
    path = existing_path(arch)
    may_be_name = "/" not in arch and path is not None and path.is_dir()
    if not may_be_name and (fault := fault_of_path(arch)):
        raise InputError(fault)


def resolution_of(arch: str, given: int | None, weights: str | None = None) -> int | None:
    """The side of the images: as given, which wins, else the network's own; None where it is not known without torch.

    That the two differ is said. Raises InputError.
    """
    known = known_input(arch, weights)
    if given is None:
        return known.resolution if known else None
    found = described(weights or arch)
    if known and found and given != known.resolution:
        told = "%s is taken at %s, as asked for: it says itself that its images are %s"
        _LOG.warning(told, found.file, size_text(given), size_text(known.resolution))
    return given


def size_and_classes(arch: str, size: int | None, classes: int | None) -> tuple[int, int]:
    """Resolution and classes of a structure: as given, else its own, else 224 pixels and 1000 classes. Raises InputError."""
    known = known_input(arch)
    side = resolution_of(arch, size) or RESOLUTION
    return side, classes or (known.classes if known else CLASSES)


def assumed(arch: str, size: int | None, classes: int | None) -> str | None:
    """What is taken of a network that does not say its images and classes, as far as the options do not say them, in words.

    None where nothing is. size in pixels.
    """
    if known_input(arch) is not None:
        return None
    # Of structures that needs no torch.
    if arch not in BUILT_AS and not holds_structure(arch) and not expected_input(arch).assumed:
        return None
    taken = [] if size else [f"{size_text(RESOLUTION)} (--input_image_size)"]
    # A class of one's own has a number of its own.
    own = ".py:" in arch and arch not in BUILT_AS
    taken += [] if classes or own else [f"{classes_text(CLASSES)} (--num_classes)"]
    return f"nothing says otherwise: {' and '.join(taken)} by default" if taken else None


def refuse_ignored_mirror(parser: OptionParser, options: argparse.Namespace) -> None:
    """A mirror of published weights, where none of them is read. Raises InputError."""
    for source in ("weights", "untrained"):
        if getattr(options, source):
            parser.refuse_ignored(options, f"beside --{source}", ("weights_url",))


def network_of(options: argparse.Namespace, arch: str, num_classes: int | None) -> nn.Module:
    """The network that the options describe, under one of the names that --arch may stand for; see `load_model`.

    Raises InputError, also where published weights have another number of classes: the classifier would be random.
    """
    if options.untrained and options.weights is not None:
        raise InputError("--untrained and --weights contradict each other: use one of them")
    takes_published_weights = not options.untrained and options.weights is None
    if takes_published_weights and (found := described(arch)) and found.weights:
        # Before it is loaded, which would say that the classifier starts anew.
        _check_classes(arch, num_classes, "weights")
    network = load_model(
        arch,
        num_classes=num_classes,
        pretrained=takes_published_weights,
        weights=options.weights,
        weights_url=options.weights_url,
        plainnet_struct=options.plainnet_struct,
        use_se=options.use_se,
        unit=options.unit,
    )
    if takes_published_weights:
        _check_classes(arch, num_classes, "published weights")
    return network


def _check_classes(arch: str, num_classes: int | None, kind: str) -> None:
    own = expected_input(arch).classes
    if num_classes not in (None, own):
        raise InputError(
            f"The {kind} of {arch} have {own} classes, not {num_classes}: "
            "give a checkpoint with --weights FILE, or --untrained"
        )
