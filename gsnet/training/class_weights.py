"""How much images of a class count in the loss."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from gsnet.interface.options import InputError
from gsnet.training.fine_tuning_options import BALANCED

_LOG = logging.getLogger(__name__)


def weights_of(wanted: str | Sequence[float] | None, images: object, classes: int) -> Tensor | None:
    """Weights (classes,) as --class_weights has them; None without.

    Balanced ones are N / (K n) for a class with n of the N images of K classes (King and Zeng 2001), so that the mean over all
    images is 1; a class without images has 1. Raises InputError.
    """
    if wanted is None:
        return None
    if wanted != BALANCED:
        if len(wanted) != classes:
            raise InputError(f"--class_weights has {len(wanted)} numbers for {classes} classes: give one for each")
        if not any(wanted):
            raise InputError("--class_weights is 0 for every class: nothing would be learnt")
        return torch.tensor([float(weight) for weight in wanted])
    labels = getattr(images, "targets", None)
    if labels is None:
        raise InputError("--class_weights balanced counts images of folders and of CIFAR: give a number for each class")
    counts = torch.bincount(torch.as_tensor(labels), minlength=classes)
    weights = len(labels) / ((counts > 0).sum() * counts.clamp(min=1))
    weights[counts == 0] = 1
    _LOG.info("Classes count from %.3g to %.3g in the loss", float(weights.min()), float(weights.max()))
    return weights
