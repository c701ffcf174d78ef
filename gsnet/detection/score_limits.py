"""The least score at which an object is drawn, counted and saved: one for all classes, or one for each."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from gsnet.data.name_options import ClassNames, split_at_commas
from gsnet.detection.classes import labels_of
from gsnet.detection.scene import ImageResults
from gsnet.interface.options import InputError, share
from gsnet.interface.values import wrong_number


@dataclass(frozen=True)
class ScoreLimits:
    """usual: of classes that are not in by_class, which names classes."""

    usual: float = 0.3
    by_class: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises InputError for what is no number from 0 to 1."""
        for name, value in (("score_threshold", self.usual), *self.by_class.items()):
            if wrong := wrong_number(value):
                raise InputError(f"{name} {wrong}")
            if not 0 <= value <= 1:
                raise InputError(f"{name} is {value!r}: a score lies between 0 and 1")

    def __str__(self) -> str:
        return ",".join(
            [f"{self.usual:g}", *(f"{ClassNames.typed([name])}={value:g}" for name, value in self.by_class.items())]
        )

    def of(self, class_names: Sequence[str]) -> np.ndarray:
        """The limit of each class (K,). Raises InputError for a class that is not among them."""
        limits = np.full(len(class_names), self.usual)
        limits[labels_of(list(self.by_class), class_names)] = list(self.by_class.values())
        return limits

    def reached(self, found: ImageResults, class_names: Sequence[str]) -> np.ndarray:
        """Which detections (D,) have the score that their class needs."""
        return found.scores >= self.of(class_names)[found.labels]


def score_limits(text: str) -> ScoreLimits:
    r"""An option's text: 0.3, or car=0.4,person=0.25, or 0.3,car=0.4; a comma that is a part of a name is written \,."""
    usual, by_class = ScoreLimits.usual, {}
    for part in split_at_commas(text):
        name, equals, value = part.rpartition("=")
        if equals and not name.strip():
            raise argparse.ArgumentTypeError(f"{text!r} names no class before =")
        if equals:
            by_class[name.strip()] = share(value)
        else:
            usual = share(value)
    return ScoreLimits(usual, by_class)
