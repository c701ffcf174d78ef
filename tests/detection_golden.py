"""The golden file of the detector, and the rule by which it fills weights and images."""

import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

GOLDEN = json.loads((Path(__file__).parent / "golden/detection.json").read_text())


@cache
def unit(count, offset):
    """`count` numbers from 0 to 1 by the golden file's hash, as float64."""
    mask = 2**32
    i = (np.arange(count, dtype=np.uint64) + offset) % mask
    h = ((i + 1) * 2654435761) % mask
    for shift, factor in ((15, 2246822519), (13, 3266489917)):
        h = ((h ^ (h >> np.uint64(shift))) * factor) % mask
    return torch.from_numpy((h ^ (h >> np.uint64(16))) / mask)


def hashed(shape, offset):
    return unit(math.prod(shape), offset).reshape(shape)


@torch.no_grad()
def fill(module):
    """Set all weights by the golden rule."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            out, inner, height, width = layer.weight.shape
            values = hashed(layer.weight.shape, 1000 * out + 10 * inner + height) - 0.5
            layer.weight.copy_(values * 2 * math.sqrt(6 / (inner * height * width)))
            if layer.bias is not None:
                layer.bias.copy_((hashed(layer.bias.shape, 77) - 0.5) * 0.2)
        elif isinstance(layer, nn.BatchNorm2d | nn.GroupNorm):
            layer.weight.copy_(0.75 + 0.5 * hashed(layer.weight.shape, 1))
            layer.bias.copy_((hashed(layer.bias.shape, 2) - 0.5) * 0.4)
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.copy_((hashed(layer.bias.shape, 3) - 0.5) * 0.4)
                layer.running_var.copy_(0.75 + 0.5 * hashed(layer.bias.shape, 4))
    return module


def pattern(shape, offset):
    """The golden file's images and maps."""
    return 2 * (hashed(tuple(shape), offset) - 0.5)


def agrees(tensor, golden, rtol=1e-8):
    """Assert that a tensor is the one that the golden file describes."""
    assert list(tensor.shape) == golden["shape"]
    flat = tensor.double().flatten()
    values = flat[golden["flat_index"]]
    scale = max(abs(golden["min"]), abs(golden["max"]))
    torch.testing.assert_close(values, torch.tensor(golden["value"], dtype=torch.float64), rtol=rtol, atol=rtol * scale)
    for name, found in (
        ("mean", flat.mean()),
        ("std", flat.std(correction=0)),
        ("min", flat.min()),
        ("max", flat.max()),
        ("l2", flat.norm()),
    ):
        assert math.isclose(float(found), golden[name], rel_tol=rtol, abs_tol=rtol * scale), name
