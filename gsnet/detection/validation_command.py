"""The options of val_detection.py and what each way of using it does."""

from __future__ import annotations

import argparse
import json
import logging
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from gsnet.data.name_options import ClassNames
from gsnet.detection.coco_format import REGIONS
from gsnet.detection.data_sets import FORMATS
from gsnet.detection.data_yaml import SPLITS
from gsnet.detection.prediction_files import FORMS, GEOJSON
from gsnet.detection.report import PROTOCOLS, as_text, evaluated
from gsnet.detection.score_files import read_files
from gsnet.detection.score_limits import ScoreLimits, score_limits
from gsnet.detection.tiles import JOINS
from gsnet.detection.trained_data import take_data_of_training
from gsnet.interface.logs import log_to
from gsnet.interface.options import (
    InputError,
    OptionParser,
    add_device_options,
    add_skip_broken,
    names,
    not_negative,
    positive_int,
    single,
)
from gsnet.interface.path_options import new_file, path
from gsnet.interface.script_options import script_parser

_LOG = logging.getLogger(__name__)
# Where pictures and results go that are given no place.
_USUAL_FOLDER = Path("detections")


def parser(description: str, argv: Sequence[str] | None = ()) -> OptionParser:
    """The options for a command line, grouped by what they are for."""
    parser = script_parser(description, argv)
    parser.alternatives += [("evaluate_results", "weights"), ("data_dir", "predict"), ("gpu", "device")]
    files = parser.add_argument_group("score result files, without a model")
    files.add_argument("--evaluate_results", type=path, metavar="FOLDER", help="official result files, or COCO's JSON")
    files.add_argument("--annotations", type=path, metavar="PATH", help="VisDrone's annotation files, or COCO's JSON")
    files.add_argument("--images", type=path, metavar="FOLDER", help="images, of which only the sizes are read")
    files.add_argument("--image_sizes", type=path, metavar="FILE.json", help='instead: {"stem": [width, height]}')
    model = parser.add_argument_group("model")
    model.add_argument(
        "--weights",
        type=path,
        metavar="FILE",
        help="checkpoint, training's folder, or exported file (.onnx, .xml, .param)",
    )
    add_device_options(model)
    model.add_argument("--fp16", action="store_true", help="half precision; bfloat16 on a CPU")
    model.add_argument("--batch_size", type=positive_int, default=8, metavar="N", help="images or tiles at a time")
    model.add_argument(
        "--input_image_size", type=positive_int, metavar="PIXELS", help="side, instead of the checkpoint's"
    )
    model.add_argument("--score_threshold", type=single, default=0.005, metavar="P", help="least score of a detection")
    model.add_argument(
        "--nms_threshold", type=single, default=0.6, metavar="IOU", help="overlap at which the weaker one goes"
    )
    model.add_argument(
        "--max_detections", type=positive_int, default=500, metavar="N", help="detections of an image or of a tile"
    )
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data_dir", type=path, metavar="PATH", help="data set to evaluate on (default: that of its training)"
    )
    data.add_argument("--data_format", choices=FORMATS, default="auto", help="format of the data set")
    data.add_argument("--split", choices=SPLITS, help="which of several splits (default: val, or the only one)")
    data.add_argument(
        "--classes",
        type=ClassNames(),
        metavar="NAME,…|FILE.txt",
        help="these classes alone (default: all); a file has a name a line",
    )
    add_skip_broken(data)
    data.add_argument("--workers", type=not_negative, default=2, metavar="N", help="processes that read images")
    data.add_argument("--limit", type=positive_int, metavar="N", help="only N images, evenly spread")
    data.add_argument(
        "--predict",
        nargs="+",
        metavar="SOURCE",
        help="images, folders, videos, patterns, addresses (http, rtsp), the number of a camera",
    )
    data.add_argument("--frames", type=positive_int, metavar="N", help="of a video or stream (default: all)")
    data.add_argument(
        "--tile",
        type=not_negative,
        metavar="PIXELS",
        help="look at tiles of this side, and at the whole; 0: not (default: as it was trained)",
    )
    data.add_argument("--overlap", type=single, metavar="SHARE", help="of neighbouring tiles (default: 0.2)")
    data.add_argument("--no_whole", action="store_true", help="look at the tiles alone")
    data.add_argument(
        "--tile_join",
        choices=JOINS,
        help="boxes of two tiles are one object by what they share of their union, of the smaller, or that and merged "
        "(default: iou)",
    )
    data.add_argument("--max_joined", type=positive_int, metavar="N", help="detections of a tiled image (default: all)")
    output = parser.add_argument_group("output")
    output.add_argument("--protocol", choices=PROTOCOLS, default="both", help="how detections are scored")
    regions = "COCO's protocol: ignored regions are nothing, crowds of every class, or take away what lies in them"
    output.add_argument("--regions", choices=REGIONS, default="discard", help=regions)
    output.add_argument(
        "--html",
        type=new_file,
        metavar="FILE",
        help="one page: curves, confusions, kinds of errors, counts, the worst images",
    )
    output.add_argument("--json", action="store_true", help="one JSON object on standard output")
    output.add_argument(
        "--save_dir",
        type=path,
        metavar="FOLDER",
        help=f"result files and pictures go here (default: {_USUAL_FOLDER}, with --predict and --draw)",
    )
    output.add_argument("--draw", type=not_negative, default=0, metavar="N", help="draw the detections of N images")
    output.add_argument(
        "--save_as",
        type=_forms,
        default=(),
        metavar="FORM,…",
        help=f"of what --predict draws also {', '.join(FORMS[:-1])}: boxes by name, labels with scores, objects cut out, "
        "coco.json; or geojson alone, of GeoTIFFs of any size: polygons of longitude and latitude",
    )
    output.add_argument(
        "--draw_threshold",
        type=score_limits,
        default=ScoreLimits(),
        metavar="P",
        help="least score of what is drawn and saved, as 0.3 or 0.3,car=0.4,person=0.25",
    )
    output.add_argument(
        "--track",
        action="store_true",
        help="with --predict: follow objects through videos; rows in mot/ (needs trackers)",
    )
    return parser


def _forms(text: str) -> tuple[str, ...]:
    found = names(text)
    if unknown := [form for form in found if form not in FORMS]:
        raise argparse.ArgumentTypeError(f"there is no form {unknown[0]}: known are {', '.join(FORMS)}")
    if GEOJSON in found and len(found) > 1:
        raise argparse.ArgumentTypeError(f"{GEOJSON} stands alone, of images that are read window by window")
    return found


def parse(description: str, argv: Sequence[str] | None) -> Namespace:
    """The command line. Raises InputError for an option that the way of working does not read."""
    described = parser(description, argv)
    options = described.parse_args(argv)
    if options.evaluate_results is not None and options.weights is None:
        read = (
            "evaluate_results",
            "annotations",
            "images",
            "image_sizes",
            "protocol",
            "regions",
            "json",
            "html",
            "plugin",
        )
        described.refuse_all_but(options, "with --evaluate_results", read)
        if options.annotations is not None and options.annotations.is_file():
            described.refuse_ignored(options, "with COCO's annotations, which hold them", ("image_sizes",))
    if options.weights is not None and options.evaluate_results is None:
        described.refuse_ignored(options, "with --weights", ("annotations", "images", "image_sizes"))
        if options.predict is not None:
            data = ("data_format", "split", "workers", "limit", "protocol", "regions", "draw", "html")
            described.refuse_ignored(options, "with --predict", data)
        else:
            described.refuse_ignored(options, "without --predict", ("save_as", "frames", "track"))
        if GEOJSON in options.save_as:
            described.refuse_ignored(options, f"with --save_as {GEOJSON}", ("frames", "track", "skip_broken"))
        if options.predict is None and not options.draw:
            described.refuse_ignored(options, "without --draw", ("draw_threshold",))
        elif least := _unreachable(options):
            raise InputError(
                f"--draw_threshold {least:g} is below --score_threshold {options.score_threshold:g}, under which nothing is "
                "found: lower that one, too"
            )
        if options.tile == 0:
            described.refuse_ignored(options, "with --tile 0", ("overlap", "no_whole", "tile_join", "max_joined"))
    if options.protocol == "visdrone":
        described.refuse_ignored(options, "with --protocol visdrone, which has its own rule", ("regions",))
    return options


def _unreachable(options: Namespace) -> float | None:
    """A score to draw from, of those that were given, that no detection has; None where there is none. 0 stands for all."""
    limits = options.draw_threshold
    given = [*limits.by_class.values(), *([limits.usual] if limits.usual != ScoreLimits.usual else [])]
    return next((limit for limit in given if 0 < limit < options.score_threshold), None)


def report(options: Namespace) -> int:
    """Do what the options ask for and print it; returns the exit status. Raises InputError."""
    log_to(quiet=options.json)
    ways = [name for name in ("evaluate_results", "weights") if getattr(options, name) is not None]
    if len(ways) != 1:
        raise InputError("Give either --evaluate_results, to score files, or --weights, to run a model")
    if options.evaluate_results is not None:
        data, results = read_files(options)
        figures = evaluated(data, results, options.protocol, options.regions)
        if options.html is not None:
            from gsnet.detection.judging_page import write_page

            title = str(options.evaluate_results)
            write_page(options.html, title, figures, data, results, options.regions)
        print_figures(figures, options.json)
        return 0
    if options.data_dir is None and options.predict is None:
        take_data_of_training(options)
    if (options.data_dir is None) == (options.predict is None):
        _check_is_detector(options.weights)
        raise InputError("--weights needs either --data_dir, to be evaluated, or --predict, to look at pictures")
    drawn = bool(options.draw or options.predict)
    if drawn and options.save_dir is None:
        options.save_dir = _USUAL_FOLDER
    from gsnet.detection.validation import run_model

    figures = run_model(options)
    print_figures(figures, options.json)
    if drawn:
        _LOG.info("%s: what was found, drawn and as result files", options.save_dir)
    return 0


def _check_is_detector(weights: Path) -> None:
    """What is no training of a detector needs no data, either. Raises InputError."""
    if not weights.is_file():
        from gsnet.detection.checkpoint import read_checkpoint

        read_checkpoint(weights)


def print_figures(figures: dict, as_json: bool) -> None:
    """The figures on standard output."""
    print(json.dumps(figures) if as_json else as_text(figures))
