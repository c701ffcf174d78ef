"""Which units of a network are on: the sign of what enters every rectifying activation, however it is written."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten

# Operators that let positive values through and hold negative ones back, alone or as the first of their arguments.
RECTIFIERS = frozenset(
    {
        aten.relu,
        aten.relu_,
        aten.leaky_relu,
        aten.leaky_relu_,
        aten._prelu_kernel,
        aten.elu,
        aten.elu_,
        aten.gelu,
        aten.silu,
        aten.silu_,
        aten.mish,
        aten.mish_,
        aten.hardswish,
        aten.hardswish_,
    }
)
# Clamping is a rectifier only where it clamps at zero from below: ReLU6, x.clamp(min=0) and their like.
CLAMPS = frozenset(
    {
        aten.hardtanh,
        aten.hardtanh_,
        aten.clamp,
        aten.clamp_,
        aten.clamp_min,
        aten.clamp_min_,
        aten.threshold,
        aten.threshold_,
    }
)


class PatternRecorder(TorchDispatchMode):
    """Inside this context, `patterns` receives a (batch, units) boolean tensor for every rectifying activation.

    It sees operators, not modules: nn.ReLU, functional and in-place forms, ReLU6, clamp(min=0), leaky ReLU, ELU, GELU,
    hard-swish and SiLU all count once, by the sign of their input. No hook is set and nothing is replaced. An
    activation composed by hand of other operators (x * sigmoid(x)) cannot be told from arithmetic and does not count.
    """

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size
        self.patterns: list[Tensor] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        if _rectifies(func.overloadpacket, args, kwargs):
            units = args[0]
            if units.dim() > 1 and units.shape[0] == self.batch_size:
                self.patterns.append((units > 0).flatten(1))
        return func(*args, **kwargs)


def _rectifies(operator, args: tuple, kwargs: dict) -> bool:  # type: ignore[no-untyped-def]
    return operator in RECTIFIERS or (operator in CLAMPS and clamps_at_zero(args, kwargs))


def clamps_at_zero(args: tuple, kwargs: dict) -> bool:
    """Whether a clamp, called so, holds back what is below zero and nothing else below."""
    names = ("threshold", "min", "min_val")
    lowest = args[1] if len(args) > 1 else next((kwargs[name] for name in names if name in kwargs), None)
    return isinstance(lowest, int | float) and lowest == 0


@torch.no_grad()
def activation_patterns(network: nn.Module, images: Tensor) -> Iterator[Tensor]:
    """Boolean (batch, units) tensors, one for each rectifying activation in the order of the forward pass."""
    with PatternRecorder(len(images)) as recorder:
        network(images)
    yield from recorder.patterns
