"""Command-line options of the loss and of what keeps a network from learning by heart, which both training scripts have."""

from __future__ import annotations

import argparse

from gsnet.interface.options import add_optional, add_switch, not_negative_single, share
from gsnet.training.fine_tuning_options import class_weights
from gsnet.training.usual import CUTMIX_ALPHA, MIXUP_ALPHA, SMOOTHING


def add_regularisation(group: argparse._ArgumentGroup) -> None:
    """Add the loss, softened and mixed targets, and what is left out."""
    add_switch(group, "--bce_loss", "binary cross-entropy, each class by itself, in the place of cross-entropy")
    group.add_argument(
        "--bce_target_thresh",
        type=share,
        metavar="X",
        help="with --bce_loss: classes whose share of a mixed image is above X are right, all others wrong",
    )
    add_optional(group, "--label_smoothing", SMOOTHING, share, "X", "share of the label that goes to all classes")
    group.add_argument(
        "--class_weights",
        type=class_weights,
        metavar="W,W,…",
        help="how much each class counts in the loss; balanced: the less, the more images it has",
    )
    shares = "shares from Beta(ALPHA, ALPHA)"
    add_optional(group, "--mixup", MIXUP_ALPHA, not_negative_single, "ALPHA", f"blend pairs, {shares}")
    add_optional(
        group, "--cutmix", CUTMIX_ALPHA, not_negative_single, "ALPHA", "paste rectangles of others, shares likewise"
    )
    group.add_argument(
        "--drop_path",
        type=drop_rate,
        default=0.0,
        metavar="P",
        help="probability that the last residual body is left out for an image; of earlier ones less, down to 0",
    )


def drop_rate(text: str) -> float:
    """A probability below 1."""
    value = share(text)
    if value == 1:
        raise argparse.ArgumentTypeError(f"{text!r} would leave everything out: use a probability below 1")
    return value
