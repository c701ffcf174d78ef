"""The command line of val.py and val_cifar.py; needs no torch."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence

from gsnet.data import DATASETS, data_set_name
from gsnet.data.name_options import names_in_file
from gsnet.data.settings import is_never_fetched
from gsnet.interface.options import (
    OptionParser,
    add_device_options,
    add_skip_broken,
    not_negative,
    positive_int,
    reading_processes,
)
from gsnet.interface.path_options import new_file, path
from gsnet.interface.rows import add_csv_option
from gsnet.interface.script_options import Given, ScriptParser, script_parser
from gsnet.models.options import add_network_options, refuse_ignored_mirror


def folder_parser(description: str, argv: Given = ()) -> ScriptParser:
    """The options of a validation on ImageNet or on any folder of pictures, for a command line."""
    parser = option_parser(description, batch_size=128, argv=argv)
    help_text = f"{', '.join(DATASETS)} (default: that of its training, else imagenet or image_folder, by the classes)"
    parser.add_argument("--dataset", type=data_set_name, metavar="NAME", help=help_text)
    parser.set_defaults(usual_dataset="imagenet")
    return parser


def option_parser(description: str, batch_size: int, argv: Given = ()) -> ScriptParser:
    """The options of a validation, for a command line; batch_size: where the network's training does not say one."""
    parser = script_parser(description, argv)
    parser.alternatives += [("gpu", "device"), ("weights", "untrained")]
    add_network_options(parser)
    data = parser.add_argument_group("data")
    data.add_argument(
        "--data_dir",
        "--data",
        metavar="FOLDER",
        help="data set's folder (default: that of its training, else below ~/data)",
    )
    data.add_argument(
        "--class_names",
        "--class_map",
        type=names_in_file,
        metavar="FILE",
        help="a class name a line, in the order of the network's outputs, where it does not say them itself",
    )
    data.add_argument("--download", action="store_true", help="fetch CIFAR where it is missing")
    add_skip_broken(data)
    data.add_argument("--limit", type=positive_int, metavar="N", help="only N images, evenly spread")
    data.add_argument(
        "--workers", type=not_negative, default=reading_processes(), metavar="N", help="processes that read images"
    )
    data.add_argument(
        "--batch_size",
        type=positive_int,
        metavar="N",
        help=f"images at a time (default: as in its training, else {batch_size})",
    )
    parser.set_defaults(usual_batch_size=batch_size)
    data.add_argument("--input_image_size", type=positive_int, metavar="PIXELS", help="side, instead of the network's")
    machine = parser.add_argument_group("machine")
    add_device_options(machine)
    precision = machine.add_mutually_exclusive_group()
    precision.add_argument("--fp16", action="store_true", help="half precision; bfloat16 on a CPU")
    precision.add_argument("--apex", action="store_true", help="mixed precision, by torch where Apex has none")
    machine.add_argument("--channels_last", action="store_true", help="channels last in memory")
    data.add_argument(
        "--flip",
        action="store_true",
        help="mean of the probabilities of each image and of its mirror image, in twice the time",
    )
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object on standard output")
    add_csv_option(output)
    output.add_argument(
        "--predict", type=path, nargs="+", metavar="IMAGE", help="classify these, or a folder's, instead"
    )
    output.add_argument("--per_class", action="store_true", help="top-1 of each class")
    output.add_argument(
        "--confusion", type=new_file, metavar="FILE.png", help="picture of true against predicted classes"
    )
    return parser


def names_text(names: Sequence[str]) -> str:
    """How many names there are, in words."""
    return f"{len(names)} name{'s' * (len(names) != 1)}"


def parse(parser: OptionParser, argv: Sequence[str] | None) -> Namespace:
    """The command line. Raises InputError for an option that the way of working does not read."""
    return checked(parser, parser.parse_args(argv))


def checked(parser: OptionParser, options: Namespace) -> Namespace:
    """The options that were parsed. Raises InputError for one that the way of working does not read."""
    if options.predict:
        reading = ("download", "skip_broken", "limit", "workers", "batch_size")
        precision = ("fp16", "apex", "channels_last")
        parser.refuse_ignored(options, "with --predict", (*reading, *precision, "per_class", "confusion", "csv"))
        if options.class_names:
            parser.refuse_ignored(options, "with --predict and --class_names", ("data_dir",))
    refuse_ignored_mirror(parser, options)
    # Whether the names alone say how many classes there are.
    options.counted_by_names = bool(options.class_names) and options.num_classes is None
    if options.class_names:
        options.num_classes = options.num_classes or len(options.class_names)
        if options.num_classes != len(options.class_names):
            parser.error(f"--class_names has {names_text(options.class_names)} for --num_classes {options.num_classes}")
    if options.dataset == "fake":
        parser.refuse_ignored(options, "with --dataset fake, which is noise", ("data_dir",))
    if is_never_fetched(options.dataset):
        parser.refuse_ignored(options, f"with --dataset {options.dataset}", ("download",))
    return options
