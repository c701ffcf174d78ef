"""Tools for detection data: conversion to COCO's JSON, what a data set holds, and synthetic scenes.

gsnet detection-data convert --data_dir VisDrone2019-DET-val --output val.json --regions discard
gsnet detection-data stats --data_dir VisDrone2019-DET-val --plot val.png
gsnet detection-data synthetic --output scenes --images 8 --seed 0
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Sequence

from gsnet.interface.running import run
from gsnet.detection.coco_format import REGIONS, to_coco
from gsnet.detection.data_sets import FORMATS, read_data_set
from gsnet.detection.data_yaml import SPLITS
from gsnet.detection.image_check import checked
from gsnet.detection.synthetic import SyntheticSettings, write_synthetic
from gsnet.detection.visdrone_format import sanity
from gsnet.interface.files import write_text
from gsnet.interface.options import InputError, OptionParser, add_skip_broken, not_negative, positive_int
from gsnet.interface.path_options import new_file, path
from gsnet.interface.script_options import script_parser

_NAME = "gsnet detection-data"


def convert(options: Namespace) -> int:
    """Write a split as COCO's JSON and say what was left out."""
    if options.output.exists() and options.data_dir.is_file() and options.output.samefile(options.data_dir):
        raise InputError(f"{options.output} is what is converted: give the new file another name, by --output")
    data = read_data_set(options.data_dir, options.data_format, split=options.split, skip_broken=options.skip_broken)
    dropped: Counter[str] = Counter()
    # As the file itself finds them, or else as whoever has the data set does.
    whole = options.data_dir if options.data_dir.is_dir() else options.data_dir.parent
    content = to_coco(data, options.regions, dropped, (options.output.parent, whole))
    write_text(options.output, json.dumps(content))
    for scene in data.scenes:
        faults = {kind: count for kind, count in sanity(scene).items() if count and kind != "repeated rows"}
        if faults:
            shown = ", ".join(f"{count} {kind}" for kind, count in faults.items())
            print(f"{scene.name}: {shown}", file=sys.stderr)
    counts = {"images": len(data), "annotations": len(content["annotations"])}
    counts |= {"ignored regions": len(content["ignored_regions"])}
    counts |= {"crowd annotations": sum(row["iscrowd"] for row in content["annotations"])}
    first = next((image["file_name"] for image in content["images"]), None)
    if first is not None and (whole / first).exists() and not (options.output.parent / first).exists():
        print(
            f"{options.output}: images are called by their paths from {whole}: move it there to read it",
            file=sys.stderr,
        )
    if options.json:
        print(json.dumps({"output": str(options.output), **counts, "dropped": dict(dropped)}))
        return 0
    print(f"{options.output}: " + ", ".join(f"{count} {name}" for name, count in counts.items()))
    for reason, count in dropped.items():
        print(f"  {reason}: {count}" + ("" if "clipped" in reason else ", not written"))
    return 0


def stats(options: Namespace) -> int:
    """Print, and with --plot draw, what a data set holds."""
    from gsnet.detection.data_statistics import as_text, statistics
    from gsnet.detection.statistics_picture import draw

    data = read_data_set(options.data_dir, options.data_format, split=options.split, skip_broken=None)
    (data,) = checked([data], None)
    figures = statistics(data)
    print(json.dumps(figures) if options.json else as_text(figures))
    if options.plot is not None:
        draw(data, options.plot)
    return 0


def synthetic(options: Namespace) -> int:
    """Draw scenes in VisDrone's format."""
    settings = SyntheticSettings(
        images=options.images,
        width=options.width,
        height=options.height,
        objects=(min(options.objects), max(options.objects)),
        classes=options.classes,
        seed=options.seed,
    )
    write_synthetic(options.output, settings)
    print(f"{options.output}: {options.images} scenes of {options.width} x {options.height} pixels")
    return 0


def parser(task: str, argv: Sequence[str]) -> OptionParser:
    """The options of one of the tools, for a command line."""
    parser = script_parser(__doc__ or "", argv)
    parser.prog = f"{_NAME} {task}"
    if task == "synthetic":
        parser.add_argument(
            "--output", type=path, required=True, metavar="FOLDER", help="gets images/ and annotations/"
        )
        parser.add_argument("--images", type=positive_int, default=8, metavar="N", help="scenes")
        parser.add_argument("--width", type=positive_int, default=320, metavar="PIXELS", help="of a scene")
        parser.add_argument("--height", type=positive_int, default=192, metavar="PIXELS", help="of a scene")
        help_text = "least and largest number of objects (default: 4 16)"
        parser.add_argument("--objects", type=positive_int, nargs=2, default=[4, 16], metavar="N", help=help_text)
        parser.add_argument("--classes", type=positive_int, default=10, metavar="N", help="the first N classes")
        parser.add_argument("--seed", type=not_negative, default=0, metavar="N", help="decides everything")
        return parser
    parser.add_argument("--data_dir", type=path, required=True, metavar="PATH", help="a data set")
    parser.add_argument("--data_format", choices=FORMATS, default="auto", help="format of the data set")
    parser.add_argument("--split", choices=SPLITS, help="which of several splits (default: train, or the only one)")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    if task == "convert":
        parser.add_argument("--output", type=new_file, required=True, metavar="FILE.json", help="the COCO file")
        help_text = "ignored regions: only under a key of their own, one crowd a class, or drop the boxes in them"
        parser.add_argument("--regions", choices=REGIONS, default="discard", help=help_text)
        add_skip_broken(parser)
        return parser
    parser.add_argument("--plot", type=new_file, metavar="FILE.png", help="picture of the figures")
    return parser


_TASKS = {"convert": convert, "stats": stats, "synthetic": synthetic}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the tool that the first argument names; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in _TASKS:
        task, *rest = arguments
        return _TASKS[task](parser(task, rest).parse_args(rest))
    overview = script_parser(__doc__ or "", arguments)
    overview.prog = _NAME
    overview.add_argument(
        "task", choices=tuple(_TASKS), metavar="task", help=f"{', '.join(_TASKS)}; its own --help lists its options"
    )
    task = overview.parse_args(arguments).task
    return overview.error(f"the task comes first: {_NAME} {task} ...")


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main)
