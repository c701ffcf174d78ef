"""Times of torch's operators on a processor, by its own profiler."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile, record_function

from gsnet.runtimes.contract import Operation

_OPERATOR = "aten::"
# Begins what the profile notes while a layer of the module runs.
_LAYER = "gsnet layer "
# Above all levels at which the profiler's library says of each pass that it begins and ends, and that there is no GPU.
_SILENT = {"KINETO_LOG_LEVEL": "99"}
# Layer, operator and seconds.
_Call = tuple[str, str, float]


def operators_of(module: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, passes: int) -> list[Operation]:
    """Every operator that a module calls, in order, with the time of those that it calls in turn.

    A name is the layer's within the module; "" for what is compiled or traced, whose layers are not known.
    """
    with _silent(), _layers_noted(module):
        calls = [_calls(module, images) for _ in range(passes)]
    return [
        Operation.of(layer, operator, [one[place][-1] for one in calls])
        for place, (layer, operator, _) in enumerate(calls[0])
    ]


def _calls(module: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> list[_Call]:
    with torch.inference_mode(), profile(activities=[ProfilerActivity.CPU]) as profiled:
        module(images)
    found = []
    for event in profiled.events():
        around = list(_around(event))
        if event.name.startswith(_OPERATOR) and not any(one.startswith(_OPERATOR) for one in around):
            layer = next((one.removeprefix(_LAYER) for one in around if one.startswith(_LAYER)), "")
            found.append((layer, event.name.removeprefix(_OPERATOR), event.cpu_time_total / 1e6))
    return found


def _around(event: Any) -> Iterator[str]:
    """Names of what an event is a part of, the nearest first."""
    while (event := event.cpu_parent) is not None:
        yield event.name


@contextmanager
def _layers_noted(module: object) -> Iterator[None]:
    """The profile names the layers of a module; of what torch compiled or traced it does not, which would be made anew."""
    compiled = hasattr(module, "_orig_mod")
    if compiled or not isinstance(module, nn.Module) or isinstance(module, torch.jit.ScriptModule):
        yield
        return
    hooks = []
    for name, layer in module.named_modules():
        if name:
            hooks += _noting(layer, f"{_LAYER}{name}")
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _noting(layer: nn.Module, name: str) -> list[Any]:
    # A layer may run within itself.
    notes: list[record_function] = []

    def begin(*_: object) -> None:
        notes.append(record_function(name))
        notes[-1].__enter__()

    def end(*_: object) -> None:
        notes.pop().__exit__(None, None, None)

    return [layer.register_forward_pre_hook(begin), layer.register_forward_hook(end)]


@contextmanager
def _silent() -> Iterator[None]:
    """The profiler's library reads how much it is to say when it is used first; what the user says of it counts."""
    new = {name: value for name, value in _SILENT.items() if name not in os.environ}
    os.environ.update(new)
    try:
        yield
    finally:
        for name in new:
            del os.environ[name]
