"""Print parameters, FLOPs, memory access cost and output shape of a network, block by block.

    python analyze_model.py --arch save_dir/my_search
    python analyze_model.py --plainnet_struct_txt best_structure.txt --input_image_size 32 --num_classes 10
    python analyze_model.py --arch 'zennet_cifar10*,resnet18,mine.py:Network'

FLOPs are multiply-accumulates of convolutions and linear layers; MAC is memory access cost: the elements that those layers
read and write plus their weights; growth is that of the gradient on its way back, which --budget_growth of a search limits.
The figures are counted on the structure and compared with ptflops on the built module; those of a network without a structure
(torchvision's, timm's, a class of one's own) are counted while it runs, attention's products among them, growth by one backward
pass of eight images.
"""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import PlainNet
from gsnet.interface.running import run
from gsnet.interface.logs import log_to
from gsnet.interface.network_names import existing_path
from gsnet.interface.options import BAD_INPUT, InputError, positive_int
from gsnet.interface.path_options import path, structure
from gsnet.interface.rows import add_csv_option, say_csv, write_csv
from gsnet.interface.script_options import script_parser
from gsnet.models.analysis import Analysis, analyze_network, summary
from gsnet.models.counters import explain
from gsnet.models.described import checkpoint_in, described
from gsnet.models.growth import Growth
from gsnet.models.named import BUILT_AS, MASTER_NET, names_of, structure_of
from gsnet.models.options import ARCH_HELP, CLASSES, RESOLUTION, assumed, resolution_of, size_and_classes
from PlainNet import UNITS, StructureError
from PlainNet.operations import operations

if TYPE_CHECKING:
    from gsnet.detection.settings import DetectorSettings
    from gsnet.models.complexity import Comparison

_DETECTOR = "gsnet_detector"
_LEFT_OUT = Growth(None, "it was left out (--no_growth)")
_CHECKPOINTS = (".pth", ".pt", ".tar")


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = script_parser(__doc__ or "", argv)
    parser.alternatives.append(("plainnet_struct", "plainnet_struct_txt"))
    network = parser.add_argument_group("network")
    network.add_argument("--plainnet_struct", type=structure, metavar="TEXT", help="structure string")
    network.add_argument("--plainnet_struct_txt", type=path, metavar="FILE", help="file with a structure string")
    network.add_argument(
        "--arch",
        default=MASTER_NET,
        metavar="NAME",
        help=f"{ARCH_HELP}; {_DETECTOR}: GSNet's detector, as a trained one's checkpoint",
    )
    network.add_argument(
        "--unit", choices=tuple(UNITS), help="GhostShuffle unit (default: searched; detector: deployed)"
    )
    network.add_argument(
        "--input_image_size", type=positive_int, metavar="PIXELS", help="side (default: the network's own, else 224)"
    )
    network.add_argument(
        "--num_classes", type=positive_int, metavar="N", help="classes (default: the network's own, else 1000)"
    )
    network.add_argument("--use_se", action="store_true", help="with squeeze-and-excitation in super-blocks")
    network.add_argument("--no_BN", action="store_true", help="without batch normalisation")
    network.add_argument("--no_reslink", action="store_true", help="without residual links")
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object on standard output, no cross-check")
    add_csv_option(output)
    output.add_argument(
        "--no_growth",
        action="store_true",
        help="leave growth out; of a network without a structure, it takes the memory of a backward pass of eight images",
    )
    output.add_argument("--no_ptflops", action="store_true", help="leave the comparison with ptflops out")
    output.add_argument(
        "--explain",
        action="store_true",
        help="say what other operation counters would print for the network, so that papers can be compared",
    )
    return parser.parse_args(argv)


class Analysed(NamedTuple):
    """The costs of one network, what counts it by ptflops, and what says how other counters would."""

    analysis: Analysis
    by_ptflops: Callable[[], Comparison]
    explained: Callable[[], str] | None


def analysis_of(options: Namespace, arch: str) -> Analysed:
    """What is known of one network. Raises InputError, StructureError."""
    from_text = structure_text(options) if arch in BUILT_AS or ".py:" in arch else None
    unit = options.unit
    found = structure_of(arch, from_text, use_se=options.use_se, unit=unit)
    if found is None:
        return module_analysis(options, arch, from_text, unit)
    network, style = found
    style = replace(style, no_reslink=options.no_reslink or style.no_reslink, no_BN=options.no_BN or style.no_BN)
    resolution, classes = size_and_classes(arch, options.input_image_size, options.num_classes)

    def by_ptflops() -> Comparison:
        from gsnet.models.complexity import compare_with_ptflops

        return compare_with_ptflops(network, classes, resolution, style)

    def explained() -> str:
        return explain(operations(network, resolution, classes, style))

    analysis = analyze_network(network, resolution, classes, style)
    return Analysed(
        replace(analysis, measured_growth=_LEFT_OUT) if options.no_growth else analysis, by_ptflops, explained
    )


def module_analysis(options: Namespace, arch: str, structure: str | None, unit: str | None) -> Analysed:
    """The same of a class of the user's, or of a network of torchvision or timm."""
    if options.no_reslink or options.no_BN:
        raise InputError(f"--arch {arch} is fixed: --no_reslink and --no_BN are for structures")
    if options.explain:
        raise InputError(f"--explain counts structures, and {arch} has none")
    from gsnet.models import expected_input, load_model
    from gsnet.models.growth import growth_of_module
    from gsnet.models.module_costs import analyze_module

    classes = options.num_classes
    module = load_model(arch, num_classes=classes, plainnet_struct=structure, use_se=options.use_se, unit=unit)
    resolution = resolution_of(arch, options.input_image_size) or expected_input(arch).resolution
    analysis = analyze_module(module, arch, resolution)
    growth = _LEFT_OUT if options.no_growth else growth_of_module(module, resolution)
    analysis = replace(analysis, measured_growth=growth)

    def by_ptflops() -> Comparison:
        from gsnet.models.complexity import compare_module_with_ptflops

        return compare_module_with_ptflops(module, resolution)

    return Analysed(analysis, by_ptflops, None)


def structure_text(options: Namespace) -> str | None:
    """The structure that the options give, if any, as text. Raises InputError."""
    if options.plainnet_struct and options.plainnet_struct_txt:
        raise InputError("Give one of --plainnet_struct and --plainnet_struct_txt")
    if options.plainnet_struct_txt:
        return str(PlainNet.read_structure_file(options.plainnet_struct_txt))
    return options.plainnet_struct


def detector_report(options: Namespace) -> str:
    """The counts of the published detector, of the same one on another structure, or of a trained one."""
    from gsnet.detection.catalogue import published_settings
    from gsnet.detection.counts import report

    if options.no_reslink or options.no_BN:
        raise InputError(f"--no_reslink and --no_BN do nothing with --arch {_DETECTOR}: leave them out")
    settings, side = published_settings(class_names(options.num_classes or CLASSES)), RESOLUTION
    if options.arch != _DETECTOR:
        settings, side = of_checkpoint(options.arch)
        classes = class_names(options.num_classes) if options.num_classes else settings.classes
        settings = replace(settings, classes=classes)
    if text := structure_text(options):
        settings = replace(settings, structure=str(PlainNet.parse(text)))
    settings = replace(settings, unit=options.unit or settings.unit, use_se=options.use_se or settings.use_se)
    return report(settings, options.arch, options.input_image_size or side, options.json)


def class_names(classes: int) -> tuple[str, ...]:
    """Names for classes that have none."""
    return tuple(f"class {i + 1}" for i in range(classes))


def of_checkpoint(arch: str) -> tuple[DetectorSettings, int]:
    """What a trained detector is made of, and the width of its images. Raises InputError."""
    from gsnet.detection.checkpoint import described as described_detector
    from gsnet.detection.checkpoint import read_checkpoint

    settings, preprocessing = described_detector(read_checkpoint(Path(arch).expanduser()), arch)
    return settings, preprocessing.width


def is_detector(arch: str) -> bool:
    """Whether --arch is the published detector, or a trained one in a file or a folder."""
    if arch == _DETECTOR:
        return True
    path = existing_path(arch)
    file = checkpoint_in(path) if path is not None and path.is_dir() else path
    if file is None or not file.is_file() or file.suffix not in _CHECKPOINTS:
        return False
    from gsnet.detection.checkpoint import holds_detector

    return holds_detector(file)


def rows_of(options: Namespace, names: Sequence[str]) -> list[Analysis | str]:
    """Of several networks the costs of each, or why there are none; what there is so far is kept as --csv."""
    rows: list[Analysis | str] = []
    for name in names:
        try:
            rows.append(analysis_of(options, name).analysis)
        except (InputError, StructureError, OSError, RuntimeError, ValueError) as error:
            rows.append(" ".join(str(error).split()))
        write_csv(options.csv, [table_row(name, row) for name, row in zip(names, rows, strict=False)])
    return rows


def table_row(name: str, row: Analysis | str) -> dict[str, Any]:
    """The costs of a network without those of its blocks, or the error."""
    if isinstance(row, str):
        return {"arch": name, "error": row}
    return {"arch": name} | {key: value for key, value in row.to_dict().items() if key != "blocks"}


def show_several(options: Namespace, names: Sequence[str]) -> int:
    """A row a network; returns the exit status, which is 2 where none could be analysed."""
    rows = rows_of(options, names)
    if options.json:
        found = [
            {"arch": n} | ({"error": r} if isinstance(r, str) else r.to_dict())
            for n, r in zip(names, rows, strict=True)
        ]
        print(json.dumps({"networks": found}))
    else:
        print(summary(names, rows))
    say_csv(options.csv)
    return BAD_INPUT if all(isinstance(row, str) for row in rows) else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Analyse one network block by block, or several in a table; returns the exit status."""
    options = parse_options(argv)
    log_to(quiet=options.json)
    detector = is_detector(options.arch)
    if options.explain and (options.json or detector):
        raise InputError("--explain prints a table for a classifier: leave --json and detectors out")
    if detector:
        if options.csv:
            raise InputError("--csv is a table of classifiers: a detector has --json")
        print(detector_report(options))
        return 0
    if options.arch in BUILT_AS and options.plainnet_struct_txt and described(options.plainnet_struct_txt):
        # The folder of a search knows more of the structure in it.
        options.arch, options.plainnet_struct_txt = str(options.plainnet_struct_txt), None
    if (
        options.arch not in BUILT_AS
        and ".py:" not in options.arch
        and (options.plainnet_struct or options.plainnet_struct_txt)
    ):
        raise InputError(f"--arch {options.arch} has a structure of its own: leave --plainnet_struct out")
    names = names_of(options.arch)
    if len(names) > 1:
        if options.explain:
            raise InputError("--explain is for one network: --arch must name one")
        return show_several(options, names)
    analysis, by_ptflops, explained = analysis_of(options, names[0])
    # Before anything is written: it may be refused.
    explanation = explained() if options.explain and explained else None
    write_csv(options.csv, [table_row(names[0], analysis)])
    say_csv(options.csv)
    if options.json:
        print(json.dumps(analysis.to_dict()))
        return 0
    print(analysis)
    if default := assumed(names[0], options.input_image_size, options.num_classes):
        print(default)
    if explanation is not None:
        print(explanation)
        return 0
    if not options.no_ptflops:
        from gsnet.models.complexity import describe

        print(describe(by_ptflops(), analysis.total))
    return 0


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main)
