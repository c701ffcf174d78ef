"""Policies of changed colours and shapes, by the names that torchvision's and timm's trainings give them.

A policy is False for none, True for the data set's own AutoAugment, or one of `TORCHVISION`, with its numbers, or of timm's
`rand-…`, as text. Nothing here needs torch.
"""

from __future__ import annotations

import argparse
import re

RAND, TRIVIAL, THREE = "ra", "ta_wide", "3a"
TORCHVISION = (RAND, TRIVIAL, THREE)
OF_TIMM = "rand-"
# RandAugment's own: its magnitudes go from 0 to 30, of which the paper's ImageNet networks take 9 (Cubuk et al. 2020).
_MAGNITUDE, _OPERATIONS, _STRONGEST = 9, 2, 30
_RAND = re.compile(r"ra((-m\d+|-n[1-9]\d*)*)")
# The parts that timm's RandAugment knows; it stops with a bare AssertionError at others.
_TIMM = re.compile(r"rand(-(m\d+|n\d+|p(0?\.\d+|[01])|mstd\d+(\.\d+)?|mmax\d+|inc[01]|t(weights|3a|3aw)))+")
USAGE = "ra-m9-n2, ta_wide, 3a, none, or timm's rand-m9-mstd0.5-inc1"


def policy(text: str) -> str | bool:
    """A policy as an option takes it. Raises argparse.ArgumentTypeError."""
    if text in ("none", "autoaugment"):
        return text != "none"
    if wrong := wrong_policy(text):
        raise argparse.ArgumentTypeError(wrong)
    return text


def wrong_policy(name: str) -> str | None:
    """What is wrong with the name of a policy; None where nothing is."""
    if name in TORCHVISION or _TIMM.fullmatch(name):
        return None
    if _RAND.fullmatch(name) is None:
        return f"{name!r} is no policy: use {USAGE}"
    magnitude, _ = rand_numbers(name)
    return None if magnitude <= _STRONGEST else f"{name!r}: the magnitudes of ra go from 0 to {_STRONGEST}"


def rand_numbers(name: str) -> tuple[int, int]:
    """Magnitude and number of operations of "ra-m9-n2", whose parts may be left out."""
    numbers = dict(re.findall(r"-([mn])(\d+)", name))
    return int(numbers.get("m", _MAGNITUDE)), int(numbers.get("n", _OPERATIONS))
