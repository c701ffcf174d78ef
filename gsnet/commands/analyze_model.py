"""Print parameters, FLOPs, memory access cost and output shape of a network, block by block.

    python analyze_model.py --plainnet_struct_txt best_structure.txt --input_image_size 32 --num_classes 10

FLOPs are multiply-accumulates of convolutions and linear layers; MAC is memory access cost: the elements that those layers
read and write plus their weights. The figures are counted on the structure and compared with ptflops on the built module.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import PlainNet
from gsnet.interface.running import run
from gsnet.interface.options import InputError, OptionParser, positive_int
from gsnet.models.analysis import analyze_network
from gsnet.models.counters import explain
from PlainNet import UNITS, Network, Style
from PlainNet.operations import operations
from ZenNet.catalogue import list_models, published

_MASTERNET, _DETECTOR = "Masternet.py:MasterNet", "gsnet_detector"


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = OptionParser(__doc__ or "")
    network = parser.add_argument_group("network")
    network.add_argument("--plainnet_struct", metavar="TEXT", help="structure string")
    network.add_argument("--plainnet_struct_txt", type=Path, metavar="FILE", help="file with a structure string")
    network.add_argument(
        "--arch",
        default=_MASTERNET,
        metavar="NAME",
        help=f"a published network, a structure file, or what a structure is built as; {_DETECTOR}: GSNet's detector",
    )
    network.add_argument(
        "--unit", choices=tuple(UNITS), help="GhostShuffle unit (default: searched; detector: deployed)"
    )
    network.add_argument(
        "--input_image_size", type=positive_int, default=224, metavar="PIXELS", help="height and width"
    )
    network.add_argument("--num_classes", type=positive_int, default=1000, metavar="N", help="classes")
    network.add_argument("--use_se", action="store_true", help="with squeeze-and-excitation in super-blocks")
    network.add_argument("--no_BN", action="store_true", help="without batch normalisation")
    network.add_argument("--no_reslink", action="store_true", help="without residual links")
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object on standard output, no cross-check")
    output.add_argument("--no_ptflops", action="store_true", help="leave the comparison with ptflops out")
    output.add_argument(
        "--explain",
        action="store_true",
        help="say what other operation counters would print for the network, so that papers can be compared",
    )
    return parser.parse_args(argv)


def load_network(options: Namespace) -> Network:
    """The network that the options name."""
    if options.arch == _MASTERNET:
        return structure_of(options)
    if options.plainnet_struct or options.plainnet_struct_txt:
        raise InputError(f"--arch {options.arch} has a structure of its own: leave --plainnet_struct out")
    if options.arch.endswith(".txt"):
        return PlainNet.read_structure_file(options.arch)
    return PlainNet.parse(published(options.arch).structure)


def style_of(options: Namespace) -> Style:
    """What the structure does not say: the unit, squeeze-and-excitation, normalisation, residual links."""
    unit = UNITS[options.unit or "searched"]
    published_with_se = options.arch in list_models() and published(options.arch).se
    use_se = options.use_se or unit.use_se or published_with_se
    # The checkpoints of published networks were trained with ReLU inside: counters tell it from hard-swish.
    inner = "relu" if published_with_se else unit.se_activation
    kept = {"no_reslink": options.no_reslink, "no_BN": options.no_BN}
    return replace(unit, use_se=use_se, se_activation=inner, **kept)


def structure_of(options: Namespace) -> Network:
    """The structure that the options name."""
    if bool(options.plainnet_struct) == bool(options.plainnet_struct_txt):
        raise InputError("Give one of --plainnet_struct and --plainnet_struct_txt")
    if options.plainnet_struct:
        return PlainNet.parse(options.plainnet_struct)
    return PlainNet.read_structure_file(options.plainnet_struct_txt)


def detector_report(options: Namespace) -> str:
    """The counts of the published detector, or of the same one on another structure."""
    from gsnet.detection.catalogue import published_settings
    from gsnet.detection.counts import report

    settings = published_settings(tuple(f"class {i + 1}" for i in range(options.num_classes)))
    if options.plainnet_struct or options.plainnet_struct_txt:
        settings = replace(settings, structure=str(structure_of(options)))
    settings = replace(settings, unit=options.unit or settings.unit, use_se=options.use_se)
    return report(settings, options.arch, options.input_image_size, options.json)


def main(argv: Sequence[str] | None = None) -> int:
    """Analyse one network; returns the exit status."""
    options = parse_options(argv)
    if options.explain and (options.json or options.arch == _DETECTOR):
        raise InputError("--explain prints a table for a classifier: leave --json and gsnet_detector out")
    if options.arch == _DETECTOR:
        print(detector_report(options))
        return 0
    network = load_network(options)
    style = style_of(options)
    analysis = analyze_network(network, options.input_image_size, options.num_classes, style)
    if options.json:
        print(json.dumps(analysis.to_dict()))
        return 0
    print(analysis)
    if options.explain:
        print(explain(operations(network, options.input_image_size, options.num_classes, style)))
        return 0
    if not options.no_ptflops:
        from gsnet.models.complexity import compare_with_ptflops, describe

        counted = compare_with_ptflops(network, options.num_classes, options.input_image_size, style)
        print(describe(counted, analysis.total))
    return 0


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main)
