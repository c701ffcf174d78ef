"""The options of train_detection.py."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from gsnet.data.name_options import ClassNames
from gsnet.data.settings import NONE, RAM
from gsnet.detection.catalogue import GSNET_DETECTOR
from gsnet.detection.data_sets import FORMATS
from gsnet.detection.settings import TAP_STRIDES, TAPS
from gsnet.interface.config import options_of_training
from gsnet.interface.options import (
    OptionParser,
    add_skip_broken,
    not_negative,
    not_negative_single,
    positive_int,
    positive_single,
    reading_processes,
    single,
    size_in_bytes,
)
from gsnet.interface.path_options import path
from gsnet.interface.script_options import script_parser
from gsnet.training.ignored_options import refuse_ignored_by_machine, refuse_ignored_by_optimiser
from gsnet.training.options import add_machine, add_run
from PlainNet import UNITS


def parser(description: str, argv: Sequence[str] | None = ()) -> OptionParser:
    """The options for a command line, grouped by what they are for; defaults are NanoDet-Plus'."""
    parser = script_parser(description, argv, {"options": options_of_training})
    parser.alternatives.append(("resume", "auto_resume"))
    # What a classifier's training asks for and this one does not have.
    parser.set_defaults(retired=[])
    _add_network(parser.add_argument_group("network"))
    _add_data(parser.add_argument_group("data"))
    _add_augmentation(parser.add_argument_group("augmentation"))
    _add_optimiser(parser.add_argument_group("optimiser and schedule"))
    _add_detection(parser.add_argument_group("assignment and validation"))
    add_machine(parser.add_argument_group("machine"))
    add_run(parser.add_argument_group("run"))
    return parser


def parse(description: str, argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line. Raises InputError for an option that another one leaves without effect."""
    described = parser(description, argv)
    options = described.parse_args(argv)
    refuse_ignored_by_machine(described, options)
    refuse_ignored_by_optimiser(described, options)
    if options.train_tile is None:
        described.refuse_ignored(options, "without --train_tile", ("tile_objects", "tile_whole"))
    if options.cache == NONE:
        described.refuse_ignored(options, "without --cache", ("cache_memory",))
    options.input_image_size = options.input_image_size or options.train_tile or 640
    if options.no_auxiliary:
        described.refuse_ignored(options, "with --no_auxiliary", ("detach_epoch",))
    if options.no_data_augment:
        changes = ("mosaic", "copy_paste", "rotation", "scale", "quarter_turns", "hue", "gamma", "cast", "grey", "blur")
        described.refuse_ignored(options, "with --no_data_augment", changes)
    return options


def strides(text: str) -> tuple[int, ...]:
    """Strides separated by commas."""
    known = {str(stride): stride for stride in TAP_STRIDES}
    parts = text.split(",")
    if not set(parts) <= known.keys():
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of strides such as 8,16,32")
    return tuple(known[part] for part in parts)


def add_network_options(group: argparse._ArgumentGroup) -> None:
    """Options that say what a detector is made of."""
    group.add_argument(
        "--arch",
        default=GSNET_DETECTOR,
        metavar="NAME",
        help="backbone: gsnet_detector, a name of ZenNet, a results folder, a checkpoint, a structure file (.txt) or a "
        "structure string",
    )
    group.add_argument(
        "--unit", choices=tuple(UNITS), default="deployed", help="GhostShuffle units as published, or as searched"
    )
    group.add_argument("--use_se", action="store_true", help="squeeze-and-excitation in searched units")
    group.add_argument("--tap", choices=TAPS, default="reference", help="which map of a stride the neck reads")
    group.add_argument("--tap_strides", type=strides, default=(8, 16, 32), metavar="S,S", help="or 4,8,16,32")
    group.add_argument("--no_extra_level", action="store_true", help="without the level of stride 64")
    group.add_argument("--neck_channels", type=positive_int, default=128, metavar="N", help="width of the neck")
    group.add_argument("--head_channels", type=positive_int, default=128, metavar="N", help="width of the head")


def _add_network(group: argparse._ArgumentGroup) -> None:
    add_network_options(group)
    group.add_argument("--no_auxiliary", action="store_true", help="without the assignment guidance module")
    group.add_argument(
        "--start_weights",
        type=path,
        metavar="FILE",
        help="begin with the weights of a classifier, or of a detector of other classes: a checkpoint or a training's folder",
    )


def _add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--data_dir", type=path, required=True, metavar="PATH", help="training images and annotations")
    group.add_argument(
        "--val_dir",
        type=path,
        metavar="PATH",
        help="validation data (default: the validation split of --data_dir, or else the training data)",
    )
    group.add_argument("--data_format", choices=FORMATS, default="auto", help="format of both")
    group.add_argument(
        "--classes",
        type=ClassNames(),
        metavar="NAME,…|FILE.txt",
        help="learn these classes alone (default: all); a file has a name a line",
    )
    add_skip_broken(group)
    group.add_argument(
        "--train_tile",
        type=positive_int,
        metavar="PIXELS",
        help="train on random windows of this side instead of whole images, and validate in tiles of it",
    )
    group.add_argument(
        "--tile_objects",
        type=single,
        default=0.75,
        metavar="SHARE",
        help="of the windows: laid around an object, not anywhere",
    )
    group.add_argument(
        "--tile_whole",
        type=single,
        default=0.1,
        metavar="SHARE",
        help="whole images among the windows, as they are looked at beside tiles; 0: neither",
    )
    group.add_argument(
        "--input_image_size",
        type=positive_int,
        metavar="PIXELS",
        help="side of the input (default: 640, or that of --train_tile)",
    )
    group.add_argument("--input_image_height", type=positive_int, metavar="PIXELS", help="its height, if another")
    group.add_argument("--keep_ratio", action="store_true", help="scale images as they are instead of stretching")
    group.add_argument(
        "--batch_size", type=positive_int, default=96, metavar="N", help="images of a step, all processes"
    )
    group.add_argument(
        "--batches_per_step", type=positive_int, default=1, metavar="N", help="parts a step is computed in"
    )
    group.add_argument(
        "--workers", type=not_negative, default=reading_processes(), metavar="N", help="reading processes"
    )
    group.add_argument(
        "--cache",
        choices=(NONE, RAM),
        default=NONE,
        help="ram: keep decoded training images in memory, with the same results",
    )
    group.add_argument(
        "--cache_memory",
        type=size_in_bytes,
        default=4 * 2.0**30,
        metavar="BYTES",
        help="what the reading processes keep, all together, such as 500MB (default: 4GiB)",
    )


def _add_augmentation(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--no_data_augment", action="store_true", help="train with images as they are")
    group.add_argument("--mosaic", type=single, default=0.0, metavar="P", help="probability of a mosaic of four images")
    group.add_argument(
        "--copy_paste",
        type=single,
        default=0.0,
        metavar="P",
        help="probability that an object stands a second time in its image, at a free place",
    )
    group.add_argument(
        "--multi_scale",
        type=single,
        default=0.0,
        metavar="SHARE",
        help="batches by so much larger or smaller than the input, at random",
    )
    group.add_argument("--rotation", type=single, default=0.0, metavar="DEGREES", help="largest rotation")
    group.add_argument("--scale", type=single, nargs=2, default=(0.6, 1.4), metavar="X", help="least and largest scale")
    group.add_argument("--quarter_turns", action="store_true", help="turn by 90, 180 and 270 degrees: views from above")
    group.add_argument("--hue", type=single, default=0.0, metavar="DEGREES", help="largest turn of the hue")
    group.add_argument(
        "--gamma", type=single, default=0.0, metavar="X", help="largest logarithm of an exponent of pixels"
    )
    group.add_argument(
        "--cast", type=single, default=0.0, metavar="SHARE", help="largest change of each colour channel"
    )
    group.add_argument("--grey", type=single, default=0.0, metavar="P", help="probability of a grey image")
    group.add_argument("--blur", type=single, default=0.0, metavar="P", help="probability of a blurred image")


def _add_optimiser(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--epochs", type=positive_int, default=300, metavar="N", help="passes over the data")
    group.add_argument("--optimizer", default="adamw", metavar="NAME", help="sgd, adam, adamw, rmsprop")
    group.add_argument("--momentum", type=not_negative_single, default=0.9, metavar="X", help="of sgd and rmsprop")
    group.add_argument("--lr", type=positive_single, default=1e-3, metavar="X", help="learning rate")
    group.add_argument(
        "--target_lr", type=not_negative_single, default=5e-5, metavar="X", help="learning rate at the end"
    )
    group.add_argument(
        "--wd", "--weight_decay", type=not_negative_single, default=0.05, metavar="X", help="weight decay"
    )
    group.add_argument("--no_norm_decay", action="store_true", help="none on biases and normalisation")
    group.add_argument(
        "--warmup_steps", type=not_negative, metavar="N", help="default: 500, or a fifth of a shorter training"
    )
    group.add_argument(
        "--grad_norm", type=positive_single, default=35.0, metavar="X", help="bound of the gradient's norm"
    )
    group.add_argument("--ema", type=single, default=0.9998, metavar="X", help="validate averaged weights; 0: not")
    group.add_argument(
        "--detach_epoch", type=not_negative, default=10, metavar="N", help="the guidance module teaches till then"
    )


def _add_detection(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--tiny_radius",
        type=single,
        default=0.0,
        metavar="STRIDES",
        help="objects may be learnt by the nearest prior within so many strides; 1 to 1.5 for tiny objects (default: 0, off)",
    )
    group.add_argument(
        "--ignored_share", type=single, default=0.5, metavar="SHARE", help="of a box in an ignored region"
    )
    group.add_argument("--val_interval", type=positive_int, default=10, metavar="N", help="epochs between validations")
    group.add_argument("--score_threshold", type=single, default=0.005, metavar="P", help="least score in validations")
    group.add_argument(
        "--nms_threshold", type=single, default=0.6, metavar="IOU", help="overlap at which the weaker one goes"
    )
    group.add_argument("--max_detections", type=positive_int, default=500, metavar="N", help="detections of an image")
