"""Images that a user's own reader gives, each held against what it is to be."""

from __future__ import annotations

from collections.abc import Callable
from operator import index
from typing import Any

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from gsnet.interface.options import InputError
from PlainNet.user_files import takes


class OwnImages(Dataset[tuple[Tensor, int]]):
    """The images of `read(settings, train, transform)` of a data set of one's own.

    classes: how many there are; 0 where that is not known. Raises InputError, when it is made and for each image, where the
    reader gives something else than pairs of what transform gave and a label from 0.
    """

    def __init__(self, name: str, read: Callable[..., Any], arguments: tuple[object, ...], classes: int) -> None:
        self._name, self._most = name, classes
        if not takes(read, len(arguments)):
            raise InputError(f"The reader of {name} must take read(settings, train, transform)")
        self._images = read(*arguments)
        if not (hasattr(self._images, "__len__") and hasattr(self._images, "__getitem__")):
            shown = f"{self._images!r:.80}"
            raise InputError(
                f"The reader of {name} must return a torch Dataset with __len__ and __getitem__, not {shown}"
            )
        # What others ask a data set for, where it has it.
        for attribute in ("classes", "targets"):
            if hasattr(self._images, attribute):
                setattr(self, attribute, getattr(self._images, attribute))

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        pair = self._images[place]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            self._refuse(place, f"must be a pair of an image and a label, not of type {type(pair).__name__}")
        image, label = pair
        if not isinstance(image, Tensor | np.ndarray):
            self._refuse(
                place, f"must be what transform(image) makes of a PIL image, not of type {type(image).__name__}"
            )
        try:
            number = index(label)
        except TypeError:
            self._refuse(place, f"must have a whole number as label, not {label!r:.40}")
        if number < 0 or (self._most and number >= self._most):
            below = f"from 0 to {self._most - 1}" if self._most else "of at least 0"
            self._refuse(place, f"has the label {number}, but a label must be a whole number {below}")
        return image, number

    def _refuse(self, place: int, why: str) -> None:
        raise InputError(f"Image {place} that the reader of {self._name} gives {why}")
