"""The options of `gsnet export` that are of detectors, and what it does with one. Its options need no torch."""

from __future__ import annotations

import argparse
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

from gsnet.interface.options import InputError, OptionParser, positive_int, share
from gsnet.models.expected import classes_text
from gsnet.validation.int8_options import bounds_of, check_int8

# What asks for something of a detector.
OF_DETECTORS = ("decode", "nms", "dynamic", "input_image_height", "ap_loss")
# Options of --nms, and what they are called where overlaps are suppressed.
_OF_NMS = {
    "score_threshold": "score_threshold",
    "nms_threshold": "iou_threshold",
    "max_detections": "max_detections",
}


def add_detector_options(group: argparse._ActionsContainer) -> None:
    """How a detector is written."""
    group.add_argument("--decode", action="store_true", help="boxes instead of bins")
    group.add_argument(
        "--nms", action="store_true", help="detections: boxes, scores and classes of what suppression leaves (onnx)"
    )
    of_nms = "with --nms: {}, unless a program that runs the file gives another (default: {})"
    group.add_argument("--score_threshold", type=share, metavar="P", help=of_nms.format("least score", 0.05))
    group.add_argument(
        "--nms_threshold", type=share, metavar="IOU", help=of_nms.format("overlap at which the weaker goes", 0.6)
    )
    group.add_argument(
        "--max_detections", type=positive_int, metavar="N", help=of_nms.format("detections of an image", 100)
    )
    group.add_argument(
        "--dynamic", action="store_true", help="inputs of any height and width, multiples of 32 (onnx, openvino)"
    )
    group.add_argument("--input_image_height", type=positive_int, metavar="PIXELS", help="height, if not the width")


def refuse_ignored_by_detectors(parser: OptionParser, options: Namespace) -> None:
    """Raise InputError for an option of suppression without --nms."""
    if not options.nms:
        parser.refuse_ignored(options, "without --nms", tuple(_OF_NMS))


def export_detector(options: Namespace, file: Path) -> dict[str, Any]:
    """Export the detector whose checkpoint --weights names; returns what was written. Raises InputError, ExportError."""
    from gsnet.detection.checkpoint import load_detector
    from gsnet.detection.export import Form, write
    from gsnet.detection.postprocess import PostprocessSettings
    from gsnet.models.exporting import files_of

    values = {name: getattr(options, option) for option, name in _OF_NMS.items()}
    thresholds = {name: value for name, value in values.items() if value is not None}
    suppression = PostprocessSettings(**thresholds) if options.nms else None
    form = Form(options.format, options.decode, options.dynamic, suppression, not options.no_fuse)
    if options.int8:
        check_int8(options, with_folder=False, of_detector=True)
        if options.no_fuse:
            raise InputError(
                "--no_fuse does nothing with --int8 of a detector, whose graph is as torch has it: leave it out"
            )
    loaded = load_detector(Path(options.weights))
    width = options.input_image_size or loaded.preprocessing.width
    height = options.input_image_height or options.input_image_size or loaded.preprocessing.height
    prepared = replace(loaded.preprocessing, width=width, height=height)
    asked = replace(loaded, preprocessing=prepared)
    forms: dict[str, Any] = {}
    if options.int8:
        from gsnet.detection.int8 import read_samples, write_int8
        from gsnet.validation.int8_comparison import table

        samples = read_samples(options.calibration, loaded.settings.classes)
        rows = write_int8(asked, file, form, samples, bounds_of(options))
        difference, head, agree = rows[-1].output_error, f"{table(rows)}\n", ""
        forms = {"forms": [row.to_dict() for row in rows]}
    else:
        difference = write(asked, file, form)
        head, agree = "", f"; outputs agree to {difference:.1e}"
    files = files_of(file, form.kind)
    classes, size, layout = len(loaded.settings.classes), sum(one.stat().st_size for one in files), form.layout
    mean, deviation = (" ".join(f"{v:g}" for v in values) for values in (prepared.mean, prepared.deviation))
    shape = "of sides of multiples of 32" if form.dynamic else f"3 x {height} x {width}"
    return {
        "file": str(file),
        "files": [str(one) for one in files],
        "format": form.kind,
        "bytes": size,
        "max_difference": difference,
        "layout": layout,
        "dynamic": form.dynamic,
        "height": height,
        "width": width,
        "classes": classes,
        "mean": list(prepared.mean),
        "std": list(prepared.deviation),
        "text": f"{head}{' and '.join(map(str, files))}, {size:,} bytes, input {shape}, {layout}; "
        f"mean {mean}, deviation {deviation} of pixels from 0 to 255; {classes_text(classes)}{agree}",
        **forms,
    }
