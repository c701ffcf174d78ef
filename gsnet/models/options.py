"""The command-line options that name a network and its weights, for every script that takes --arch."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from gsnet.interface.options import InputError, positive_int
from gsnet.models import expected_input, load_model
from PlainNet import UNITS

if TYPE_CHECKING:
    from torch import nn

_ARCH = "networks by name, list (A,B) or pattern ('zennet_*'), FILE.py:Class, or a structure file (.txt)"


def add_network_options(parser: argparse.ArgumentParser, required: bool = True) -> None:
    """Add --arch and what belongs to it, as a group; `required`: --arch cannot be left out."""
    group = parser.add_argument_group("network")
    group.add_argument("--arch", required=required, metavar="NAME", help=_ARCH)
    group.add_argument("--weights", metavar="FILE", help="checkpoint, instead of the published weights")
    group.add_argument("--weights_url", metavar="URL", help="base address of a mirror of ZenNet's weights")
    group.add_argument("--untrained", action="store_true", help="with random weights, for a dry run")
    group.add_argument("--plainnet_struct", metavar="TEXT", help="structure string for --arch PlainNet")
    group.add_argument("--use_se", action="store_true", help="structures with squeeze-and-excitation")
    group.add_argument("--unit", choices=tuple(UNITS), default="searched", help="GhostShuffle units of structures")
    group.add_argument("--num_classes", type=positive_int, metavar="N", help="width of the logits")


def network_of(options: argparse.Namespace, arch: str, num_classes: int | None) -> nn.Module:
    """The network that the options describe, under one of the names that --arch may stand for; see `load_model`.

    Raises InputError, also where published weights have another number of classes: the classifier would be random.
    """
    if options.untrained and options.weights is not None:
        raise InputError("--untrained and --weights contradict each other: use one of them")
    takes_published_weights = not options.untrained and options.weights is None
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
    published = expected_input(arch).classes
    if takes_published_weights and num_classes not in (None, published):
        raise InputError(
            f"The published weights of {arch} have {published} classes, not {num_classes}: "
            "give a checkpoint with --weights FILE, or --untrained"
        )
    return network
