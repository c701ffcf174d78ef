"""Command-line options of fine-tuning, which both training scripts have."""

from __future__ import annotations

import argparse

from gsnet.interface.options import not_negative_single, positive_int, positive_single, single

BALANCED = "balanced"
# Parts of a network that --freeze knows by name.
BACKBONE, NORMS = "backbone", "bn"


def add_fine_tuning(group: argparse._ArgumentGroup) -> None:
    """Add what is trained, and how fast, where a network has learnt before."""
    group.add_argument(
        "--freeze",
        type=frozen_parts,
        default=(),
        metavar="N|backbone|bn",
        help="leave as they are: the first N blocks, all but the classifier, batch normalisation; several as 2,bn",
    )
    group.add_argument(
        "--lr_head", type=positive_single, metavar="X", help="learning rate of the classifier (default: --lr)"
    )
    group.add_argument(
        "--layer_decay",
        type=decay,
        metavar="X",
        help="factor of the learning rate for each layer away from the classifier",
    )


def frozen_parts(text: str) -> tuple[str, ...]:
    """Numbers of blocks, "backbone" and "bn", separated by commas."""
    parts = tuple(part.strip() for part in text.split(","))
    for part in parts:
        if part not in (BACKBONE, NORMS):
            try:
                positive_int(part)
            except argparse.ArgumentTypeError:
                raise argparse.ArgumentTypeError(
                    f"{text!r} is neither a number of blocks, nor backbone, nor bn, nor several of these as 2,bn"
                ) from None
    return parts


def decay(text: str) -> float:
    """A number above 0, at most 1."""
    value = single(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a factor: above 0, at most 1, as 0.8")
    return value


def class_weights(text: str) -> str | tuple[float, ...]:
    """ "balanced", or a number of at least 0 for each class, separated by commas."""
    if text == BALANCED:
        return text
    try:
        return tuple(not_negative_single(part) for part in text.split(","))
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither balanced nor a list of weights such as 1,1,2.5"
        ) from None
