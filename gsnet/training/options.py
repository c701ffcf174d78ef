"""Command-line options of the training scripts, by their published names."""

from __future__ import annotations

import argparse
import logging
from argparse import Namespace
from pathlib import Path

from gsnet.data import DATASETS, data_set_name
from gsnet.data.settings import CACHES, IMAGE_FOLDER, NONE
from gsnet.interface.config import options_of_training
from gsnet.interface.options import (
    add_skip_broken,
    add_switch,
    not_negative,
    not_negative_single,
    positive_float,
    positive_int,
    positive_single,
    reading_processes,
    require_unless,
    share,
    single,
    size_in_bytes,
    true_or_false,
)
from gsnet.interface.path_options import path, structure
from gsnet.interface.script_options import Given, ScriptParser, script_parser
from gsnet.tracking import add_log
from gsnet.training.augmentation_options import add_augmentation
from gsnet.training.ending_options import add_ending
from gsnet.training.fine_tuning_options import add_fine_tuning
from gsnet.training.regularisation_options import add_regularisation
from gsnet.training.retired_options import retire_published
from gsnet.training.usual import AMP_TYPES
from PlainNet import UNITS

_LOG = logging.getLogger(__name__)
OPT_LEVELS = ("O0", "O1", "O2", "O3")
RECIPES = Path(__file__).parent.parent / "recipes"
DIST_MODES = ("cpu", "single", "ddp", "horovod", "apex")
# The first of each is worked out from the second where it is not given.
_ALTERNATIVES = (
    ("lr", "lr_per_256"),
    ("target_lr", "target_lr_per_256"),
    ("batch_size", "batch_size_per_gpu"),
    ("plainnet_struct", "plainnet_struct_txt"),
    ("resume", "auto_resume"),
    ("start_from", "load_parameters_from", "pretrained"),
)


def parser(description: str, argv: Given = ()) -> ScriptParser:
    """The options that both training scripts have, for a command line."""
    parser = script_parser(description, argv, {"options": options_of_training}, RECIPES)
    parser.alternatives += _ALTERNATIVES
    parser.set_defaults(retired=[])
    _add_network(parser.add_argument_group("network"))
    _add_data(parser.add_argument_group("data"))
    add_augmentation(parser.add_argument_group("augmentation"))
    _add_optimiser(parser.add_argument_group("optimiser and schedule"))
    add_fine_tuning(parser.add_argument_group("fine-tuning (of what --start_from begins with)"))
    add_regularisation(parser.add_argument_group("regularisation"))
    machine = parser.add_argument_group("machine")
    add_machine(machine)
    machine.add_argument(
        "--grad_checkpointing",
        action="store_true",
        help="compute what is inside blocks again in the backward pass: less memory, more time",
    )
    add_run(parser.add_argument_group("run"))
    retire_published(parser)
    return parser


def parse(parser: ScriptParser, argv: Given) -> Namespace:
    """Parsed options; a retired one costs a warning that names what stands for it."""
    options = parser.parse_args(argv)
    options.dataset = options.dataset or IMAGE_FOLDER
    for warning in options.retired:
        _LOG.warning("%s", warning)
    return options


def stage_list(text: str) -> tuple[int, ...]:
    """Epochs separated by commas."""
    try:
        return tuple(positive_int(part) for part in text.split(","))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of epochs such as 30,60,80") from None


def loss_scale(text: str) -> float | None:
    """A number above zero, or None for "dynamic"."""
    return None if text == "dynamic" else positive_float(text)


def _add_network(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--arch",
        metavar="NAME",
        help="results folder of a search, structure file, checkpoint, FILE.py:Class or published name",
    )
    group.add_argument(
        "--plainnet_struct", type=structure, metavar="TEXT", help="structure string for --arch Masternet.py:MasterNet"
    )
    group.add_argument("--plainnet_struct_txt", type=path, metavar="FILE", help="the same, in a file")
    group.add_argument("--use_se", action="store_true", help="structures with squeeze-and-excitation")
    group.add_argument("--unit", choices=tuple(UNITS), help="GhostShuffle units of structures (default: searched)")
    group.add_argument("--num_classes", type=positive_int, metavar="N", help="classes (default: the data set's)")
    group.add_argument("--pretrained", action="store_true", help="begin with published weights")
    group.add_argument(
        "--start_from",
        metavar="FOLDER|FILE|NAME",
        help="begin with the weights of a training, a checkpoint or a published network, which need not be named again; "
        "of other classes the classifier starts anew",
    )
    group.add_argument(
        "--load_parameters_from",
        type=path,
        metavar="PATH",
        help="begin with the weights of a checkpoint, or of a training's folder",
    )
    group.add_argument(
        "--weight_init", default="None", metavar="NAME", help="custom, xavier, MSRAPrelu, stupid, 01, zero"
    )
    group.add_argument("--bn_momentum", type=share, metavar="X", help="momentum of batch normalisation")
    group.add_argument("--bn_eps", type=positive_single, metavar="X", help="eps of batch normalisation")


def _add_data(group: argparse._ArgumentGroup) -> None:
    dataset = group.add_argument(
        "--dataset",
        type=data_set_name,
        metavar="NAME",
        help=f"{', '.join(DATASETS)} (default: with --data_dir {IMAGE_FOLDER})",
    )
    require_unless(dataset, "--data_dir")
    group.add_argument("--data_dir", type=path, metavar="FOLDER", help="its folder (default: below ~/data)")
    group.add_argument("--download", action="store_true", help="fetch CIFAR where it is missing")
    group.add_argument("--fake_images", type=positive_int, default=256, metavar="N", help="images of --dataset fake")
    group.add_argument(
        "--workers_per_gpu",
        "--workers",
        type=not_negative,
        default=reading_processes(),
        metavar="N",
        help="reading processes",
    )
    group.add_argument("--batch_size", type=positive_int, metavar="N", help="images of a batch, all processes together")
    group.add_argument("--batch_size_per_gpu", type=positive_int, metavar="N", help="images of a process (default 64)")
    group.add_argument(
        "--input_image_size",
        type=positive_int,
        metavar="PIXELS",
        help="side of the images (default: the network's own; of a structure or a class of yours 32 with CIFAR; else 224)",
    )
    group.add_argument(
        "--input_image_crop", type=positive_float, default=0.875, metavar="X", help="share that tests keep"
    )
    add_skip_broken(group)
    group.add_argument(
        "--cache",
        choices=CACHES,
        default=NONE,
        help="keep decoded images: ram, in this machine's memory, with the same results; device, small ones of one size on "
        "the device that computes, changed there a batch at a time (default: none)",
    )
    group.add_argument(
        "--cache_memory",
        type=size_in_bytes,
        default=4 * 2.0**30,
        metavar="BYTES",
        help="what the kept images of a data set may take in each process, such as 500MB (default: 4GiB)",
    )
    group.add_argument(
        "--reduced_decoding",
        action="store_true",
        help="decode large JPEG files of training at a half, a quarter or an eighth of their size where the part that is cut "
        "out keeps as many pixels as are asked for: faster, slightly other pixels",
    )
    group.add_argument(
        "--dataloader_testing",
        action="store_true",
        help="time reading alone, then train with a hundredth of the images, validate with a tenth; in a --save_dir of its own",
    )


def _add_optimiser(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--epochs", type=positive_int, default=90, metavar="N", help="passes over the data")
    group.add_argument(
        "--optimizer",
        default="sgd",
        metavar="NAME",
        help="sgd, adam, adamw, rmsprop, adadelta; timm's lamb, lion, muon",
    )
    group.add_argument("--momentum", type=not_negative_single, default=0.9, metavar="X", help="of sgd, rmsprop, muon")
    add_switch(group, "--nesterov", "Nesterov's momentum, of sgd and muon")
    group.add_argument("--adadelta_rho", type=share, default=0.9, metavar="X", help="rho of adadelta")
    group.add_argument("--adadelta_eps", type=positive_single, default=1e-9, metavar="X", help="eps of adadelta")
    group.add_argument(
        "--wd",
        "--weight_decay",
        type=not_negative_single,
        default=4e-5,
        metavar="X",
        help="decay of kernels and matrices",
    )
    group.add_argument("--lr", type=positive_single, metavar="X", help="learning rate (default: by --lr_per_256)")
    group.add_argument("--target_lr", type=not_negative_single, metavar="X", help="learning rate at the end")
    group.add_argument(
        "--lr_per_256", type=not_negative_single, default=0.1, metavar="X", help="the same for a batch of 256"
    )
    group.add_argument(
        "--target_lr_per_256", type=not_negative_single, default=0.0, metavar="X", help="the same at the end"
    )
    group.add_argument("--lr_mode", default="cosine", metavar="NAME", help="cosine, linear or stagedecay")
    group.add_argument("--lr_stage_list", type=stage_list, default=(), metavar="E,E", help="epochs that end a stage")
    group.add_argument("--lr_stage_decay", type=not_negative_single, default=0.1, metavar="X", help="factor of a stage")
    group.add_argument("--warmup", type=not_negative, default=0, metavar="N", help="epochs of rising learning rate")
    group.add_argument("--batches_per_allreduce", type=positive_int, default=1, metavar="N", help="batches of one step")
    group.add_argument("--grad_clip", type=positive_single, metavar="X", help="bound of each gradient value")
    group.add_argument("--grad_norm", type=positive_single, metavar="X", help="bound of the norm of all gradients")
    group.add_argument(
        "--ema", type=single, metavar="X", help="validate averaged weights; their decay rises to X over the first steps"
    )


def add_machine(group: argparse._ArgumentGroup) -> None:
    """Options of processes, devices and precision, which every training has."""
    group.add_argument(
        "--dist_mode",
        choices=DIST_MODES,
        default="cpu",
        help="ddp and apex are started by torchrun, horovod by horovodrun",
    )
    group.add_argument("--gpu", type=int, metavar="N", help="GPU of --dist_mode single (default 0)")
    group.add_argument("--sync_bn", action="store_true", help="normalise over all GPUs")
    group.add_argument("--fp16", "--amp", action="store_true", help="mixed precision in 16 bits (--amp_dtype)")
    group.add_argument(
        "--amp_dtype",
        choices=AMP_TYPES,
        help="of --fp16: float16, whose loss is scaled, or bfloat16, with the range of float32 and fewer digits "
        "(default: float16 on a GPU, bfloat16 on a CPU)",
    )
    group.add_argument("--apex", action="store_true", help="the same, by an installed NVIDIA Apex that still has it")
    group.add_argument(
        "--apex_opt_level",
        choices=OPT_LEVELS,
        default="O1",
        help="of Apex; without it O0 is float32, the others --fp16",
    )
    group.add_argument(
        "--apex_loss_scale", type=loss_scale, metavar="X", help="of Apex and torch: a number, or dynamic (default)"
    )
    group.add_argument("--fp16_allreduce", action="store_true", help="gradients travel between processes in float16")
    group.add_argument(
        "--channels-last", type=true_or_false, default=False, metavar="BOOL", help="channels last in memory"
    )
    group.add_argument("--compile", action="store_true", help="compile the network")


def add_run(group: argparse._ArgumentGroup) -> None:
    """Options of the results folder, of resuming and of trying out, which every training has."""
    folder = group.add_argument(
        "--save_dir",
        type=path,
        metavar="FOLDER",
        help="results folder; needed but for --evaluate_only and --dry_run, which write nothing",
    )
    require_unless(folder, "--evaluate_only", "--dry_run")
    group.add_argument("--seed", type=not_negative, default=0, metavar="N", help="of everything random")
    group.add_argument(
        "--resume",
        type=path,
        metavar="PATH",
        help="go on from a checkpoint, or from the latest one of a training's folder",
    )
    group.add_argument("--auto_resume", action="store_true", help="go on from the folder's latest checkpoint, if any")
    group.add_argument("--evaluate_only", action="store_true", help="validate and write nothing")
    group.add_argument("--dry_run", action="store_true", help="two batches, and how long all would take")
    add_ending(group)
    add_log(group, "log to wandb and mlflow too, if their libraries are there; csv and tensorboard are written anyway")
    group.add_argument("--save_freq", type=positive_int, default=1, metavar="N", help="epochs between checkpoints")
    group.add_argument("--print_freq", type=positive_int, default=100, metavar="N", help="steps between log lines")
