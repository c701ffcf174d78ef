"""The options of both training scripts, read and checked; what trains by them is not imported, as torch takes its time."""

from __future__ import annotations

from argparse import Namespace

from gsnet.interface.script_options import Given
from gsnet.training.distillation_options import add_distillation_options
from gsnet.training.ignored_options import refuse_ignored, refuse_ignored_by_teacher
from gsnet.training.options import parse, parser
from gsnet.training.retired_options import retire_distillation


def options_without_teacher(description: str, given: Given) -> Namespace:
    """Of train_image_classification.py. Raises InputError."""
    described = parser(description, given)
    retire_distillation(described)
    options = parse(described, given)
    refuse_ignored(described, options)
    return options


def options_with_teacher(description: str, given: Given) -> Namespace:
    """Of ts_train_image_classification.py. Raises InputError."""
    described = parser(description, given)
    add_distillation_options(described)
    options = parse(described, given)
    refuse_ignored(described, options)
    refuse_ignored_by_teacher(described, options)
    return options
