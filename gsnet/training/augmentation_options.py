"""Command-line options of how training images are changed, which both training scripts have."""

from __future__ import annotations

import argparse

from gsnet.data.policies import USAGE, policy
from gsnet.interface.options import add_optional, not_negative, not_negative_single, positive_int, share
from gsnet.training.usual import ERASING

_JITTERS = (1, 3, 4)
_MOST_HUE = 0.5


def add_augmentation(group: argparse._ArgumentGroup) -> None:
    """Add the policies, crops and erasing of training images, and how often one comes."""
    group.add_argument(
        "--auto_augment",
        "--aa",
        nargs="?",
        type=policy,
        const=True,
        default=False,
        metavar="POLICY",
        help=f"AutoAugment's policies where none is named; {USAGE} (default: off)",
    )
    group.add_argument(
        "--color_jitter",
        type=jitter,
        metavar="X[,Y,Z[,H]]",
        help="change of brightness, contrast, saturation and hue; one number for the first three "
        "(default: 0.4 for ImageNet's images without a policy, 0.3 after 3a, else none)",
    )
    group.add_argument(
        "--lighting",
        type=not_negative_single,
        metavar="X",
        help="deviation of AlexNet's shift of colours (default: 0.1 for ImageNet's images, else none)",
    )
    group.add_argument(
        "--scale",
        nargs=2,
        type=share,
        metavar=("LEAST", "MOST"),
        help="shares of an image that random crops are of "
        "(default: 0.08 1 for ImageNet's images; CIFAR's are moved by 4 pixels)",
    )
    group.add_argument(
        "--aug_repeats",
        type=not_negative,
        default=0,
        metavar="N",
        help="each image of an epoch comes N times, changed differently, while fewer images do",
    )
    add_optional(group, "--random_erase", ERASING, share, "P", "erase part of an image with this probability")
    group.add_argument("--no_data_augment", action="store_true", help="train with images as they are")
    group.add_argument(
        "--train_crop_size",
        type=positive_int,
        metavar="PIXELS",
        help="side of training images where validation's are larger (default: --input_image_size)",
    )


def jitter(text: str) -> tuple[float, ...]:
    """One, three or four numbers of at least 0, as brightness, contrast, saturation and hue; hue up to 0.5."""
    values = tuple(not_negative_single(part) for part in text.split(","))
    if len(values) not in _JITTERS or (len(values) == 4 and values[3] > _MOST_HUE):
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither one number, nor three, nor these and a hue of at most {_MOST_HUE}, as 0.4 or 0.4,0.4,0.4,0.1"
        )
    return values * 3 if len(values) == 1 else values
