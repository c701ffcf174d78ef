"""torch's layers with weights that were cut, put into another order and widened."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gsnet.runtimes.channel_graph import Convolution, Norm


def rows_of(places: np.ndarray) -> tuple[Tensor, Tensor]:
    """Of each position the channel to take, and whether there is one: -1 stands for zeros."""
    return torch.from_numpy(np.maximum(places, 0)), torch.from_numpy(places >= 0)


def dense(content: Convolution, places: np.ndarray, inputs: np.ndarray, width: int, dtype: torch.dtype) -> nn.Module:
    """A convolution without groups, or a linear layer, of some output channels (or zeros, -1), for another order of inputs.

    inputs: of each input channel its position among the `width` that are given.
    """
    rows, there = rows_of(places)
    weight = content.weight[rows] * _along(there, content.weight)
    spread = weight.new_zeros(len(rows), width, *weight.shape[2:])
    # The same channel may be read several times.
    spread.index_add_(1, torch.from_numpy(inputs), weight)
    return layer_like(content.module, spread, content.bias[rows] * there, dtype)


def addends(whole: nn.Module, widths: Sequence[int], dtype: torch.dtype) -> list[nn.Module]:
    """Convolutions without groups whose sum is one that reads maps of these widths side by side; the first has its bias."""
    if not isinstance(whole, nn.Conv2d):
        raise TypeError(f"{type(whole).__name__} is no convolution")
    none = whole.weight.new_zeros(whole.out_channels)
    biases = [none if whole.bias is None else whole.bias, *[none] * (len(widths) - 1)]
    weights = whole.weight.split(list(widths), dim=1)
    return [layer_like(whole, weight, bias, dtype) for weight, bias in zip(weights, biases, strict=True)]


def depthwise(content: Convolution, places: np.ndarray, dtype: torch.dtype) -> nn.Module:
    """A depth-wise convolution of some channels, or zeros (-1)."""
    rows, there = rows_of(places)
    weight = content.weight[rows] * _along(there, content.weight)
    return layer_like(content.module, weight, content.bias[rows] * there, dtype)


def normalising(norm: Norm, places: np.ndarray, dtype: torch.dtype, *, as_convolution: bool) -> nn.Module:
    """Batch normalisation of some channels, or zeros (-1); or the depth-wise convolution that does the same."""
    rows, there = rows_of(places)
    made: nn.Module
    if as_convolution:
        scale, shift = norm.affine()
        made = nn.Conv2d(len(rows), len(rows), 1, groups=len(rows))
        state = {"weight": (scale[rows] * there).view(-1, 1, 1, 1), "bias": shift[rows] * there}
    else:
        made = nn.BatchNorm2d(len(rows), eps=norm.eps)
        state = {
            "running_mean": norm.mean[rows] * there,
            "running_var": torch.where(there, norm.var[rows], 1.0),
            "weight": norm.weight[rows] * there,
            "bias": norm.bias[rows] * there,
        }
    made = made.to(dtype)
    made.load_state_dict(state, strict=False)
    return made.requires_grad_(False)


def layer_like(like: nn.Conv2d | nn.Linear, weight: Tensor, bias: Tensor, dtype: torch.dtype) -> nn.Module:
    """A layer of the same kind with these weights, and without a bias where all are zero."""
    biased, outputs = bool(bias.any()), weight.shape[0]
    made: nn.Module
    if isinstance(like, nn.Linear):
        made = nn.Linear(weight.shape[1], outputs, biased)
    else:
        depthwise_one = like.groups == like.in_channels == like.out_channels
        groups = outputs if depthwise_one and like.groups > 1 else like.groups
        sizes: dict[str, Any] = {name: getattr(like, name) for name in ("kernel_size", "stride", "padding", "dilation")}
        made = nn.Conv2d(weight.shape[1] * groups, outputs, groups=groups, bias=biased, **sizes)
    made = made.to(dtype)
    made.load_state_dict({"weight": weight} | ({"bias": bias} if biased else {}))
    return made.requires_grad_(False)


def kept(module: nn.Module) -> nn.Module:
    """A copy of a module that leaves what it reads as it is: others may read that too now."""
    made = copy.deepcopy(module)
    for one in made.modules():
        if hasattr(one, "inplace"):
            setattr(one, "inplace", False)  # noqa: B010
    return made


def _along(there: Tensor, weight: Tensor) -> Tensor:
    return there.view(-1, *[1] * (weight.dim() - 1))
