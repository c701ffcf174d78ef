"""Options of an export in int8."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from gsnet.interface.options import InputError, positive_float
from gsnet.interface.path_options import path

# The tools that make other runtimes' files of int8 are programs apart, which pip does not install.
INT8_FORMATS = ("onnx", "openvino")
# What does nothing without --int8.
OF_INT8 = ("calibration", "top1_loss", "ap_loss", "output_error")


@dataclass(frozen=True)
class Bounds:
    """What int8 may change.

    top1_points: of top-1, where pictures have classes; ap_points: of a detector's AP50, where they have boxes. output_error:
    root of the mean squared difference of outputs to torch's, relative to the root of their mean square, where they have
    neither.
    """

    top1_points: float = 2.0
    ap_points: float = 2.0
    output_error: float = 0.1


def add_int8_options(group: argparse._ActionsContainer) -> None:
    """--int8, and what goes with it."""
    group.add_argument(
        "--int8", action="store_true", help="integers of 8 bits, as onnx or openvino; needs --calibration"
    )
    group.add_argument("--calibration", type=path, metavar="FOLDER",
                       help="with --int8: pictures, or a folder a class, or of a detector a data set: half decide scales, "
                       "the others compare")  # fmt: skip
    group.add_argument("--top1_loss", type=positive_float, metavar="POINTS",
                       help="with --int8: points of top-1 that may be lost, of pictures with classes "
                       f"(default: {Bounds.top1_points:g})")  # fmt: skip
    group.add_argument("--ap_loss", type=positive_float, metavar="POINTS",
                       help="with --int8: points of AP50 that may be lost, of a detector and a data set with boxes "
                       f"(default: {Bounds.ap_points:g})")  # fmt: skip
    group.add_argument("--output_error", type=positive_float, metavar="X",
                       help="with --int8: relative error of outputs allowed, of other pictures "
                       f"(default: {Bounds.output_error:g})")  # fmt: skip


def check_int8(options: argparse.Namespace, *, with_folder: bool, of_detector: bool = False) -> None:
    """What goes with --int8, before long work. Raises InputError.

    with_folder: whether a folder for timm is asked for. of_detector: whose --calibration may be a data set of any format.
    """
    if not options.int8:
        return
    if options.fp16 or with_folder:
        raise InputError(f"--int8 and --{'fp16' if options.fp16 else 'folder'} contradict each other: use one of them")
    if options.format not in INT8_FORMATS:
        raise InputError(f"--int8 is written as {' or '.join(INT8_FORMATS)}, not as {options.format}")
    if options.calibration is None:
        raise InputError("--int8 needs --calibration FOLDER: pictures such as the network will see")
    if of_detector:
        return
    if not options.calibration.expanduser().is_dir():
        raise InputError(
            f"--calibration {options.calibration} is no folder: name one with pictures, or with a folder a class"
        )


def bounds_of(options: argparse.Namespace) -> Bounds:
    """The bounds that the options ask for."""
    given = {
        "top1_points": options.top1_loss,
        "ap_points": options.ap_loss,
        "output_error": options.output_error,
    }
    return Bounds(**{name: value for name, value in given.items() if value is not None})
