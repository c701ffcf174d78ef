"""What a module costs that has no structure string: a class of the user's, a network of torchvision or timm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from gsnet.interface.options import InputError
from gsnet.interface.words import first_line
from gsnet.models.analysis import Analysis
from PlainNet import BlockReport, Cost, user_files

_CONTAINERS = (nn.Sequential, nn.ModuleList)
_Handle = torch.utils.hooks.RemovableHandle


# Products by where their two factors stand among the arguments: of layers, whose products are maps, and of maps with maps.
_LAYERS = {torch.ops.aten.convolution: (0, 1), torch.ops.aten.addmm: (1, 2), torch.ops.aten.mm: (0, 1)}
_PRODUCTS = {torch.ops.aten.bmm: (0, 1), torch.ops.aten.baddbmm: (1, 2)}
# An LSTM in one piece, whose products torch's counter does not see.
_UNSEEN = {torch.ops.aten.mkldnn_rnn_layer}


class _Meter(TorchDispatchMode):
    """Running sums while a module works: multiply-accumulates of all products, memory accesses, a layer's largest output."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = FlopCounterMode(display=False)
        self.memory_access = self.peak = 0
        self.not_counted: dict[str, None] = {}

    def sums(self) -> tuple[int, int]:
        """Multiply-accumulates and memory accesses so far."""
        # torch's counter takes a multiplication and an addition as two.
        return self.counter.get_total_flops() // 2, self.memory_access

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """What a product has read and written, and whether an operation is one that nobody counts."""
        output = func(*args, **(kwargs or {}))
        operation = func.overloadpacket
        if places := (_LAYERS | _PRODUCTS).get(operation):
            self.memory_access += output.numel() + sum(args[place].numel() for place in places)
        if operation in _LAYERS:
            self.peak = max(self.peak, output.numel())
        if operation in _UNSEEN or func.namespace not in ("aten", "prim", "prims"):
            self.not_counted[f"{func.namespace}::{operation.__name__}"] = None
        return output


@contextmanager
def _attention_in_products() -> Iterator[None]:
    """Attention is worked out product by product: fused, torch's counter sees none of its products or not all."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)


def analyze_module(module: nn.Module, arch: str, resolution: int) -> Analysis:
    """Costs of a module for one image of resolution x resolution pixels, a row for each of its parts.

    FLOPs are multiply-accumulates of convolutions, linear layers and other matrix products (attention's), as torch counts them.
    Memory access is what these products read and write. The module is put into evaluation mode. Raises InputError where it
    cannot run on such an image.
    """
    meter, rows = _Meter(), dict[str, BlockReport]()
    handles = list[_Handle]()
    for name, part in _parts(module):
        handles += _watched(f"{name} {type(part).__name__}", part, meter, rows)
    try:
        with _attention_in_products(), meter, meter.counter:
            output = output_of(module, resolution, arch)
    finally:
        for handle in handles:
            handle.remove()
    total = Cost(_parameters(module), *meter.sums(), meter.peak)
    rest = _rest(total, list(rows.values()), _shape(output))
    # The first number is classes, or channels of a map.
    classes = next(iter(_shape(output)), 0)
    not_counted = tuple(meter.not_counted)
    return Analysis(None, (*rows.values(), *rest), total, None, resolution, classes, arch, not_counted=not_counted)


def output_of(network: nn.Module, resolution: int, name: str = "The network", channels: int = 3) -> object:
    """What a network on the CPU gives for an image, (1, channels, resolution, resolution); it is put into evaluation mode.

    Raises InputError where it cannot run on such an image.
    """
    try:
        # Not inference_mode, whose tensors, if a network keeps some, are of no use to a training afterwards.
        with torch.no_grad(), user_files.told():
            return network.eval()(torch.zeros(1, channels, resolution, resolution))
    except (RuntimeError, ValueError, AssertionError) as error:
        size = f"{channels} channels and {resolution} x {resolution} pixels"
        raise InputError(f"{name} cannot run on an image of {size} ({first_line(error)})") from error


def width_of(network: nn.Module, resolution: int) -> int:
    """How many logits a network on the CPU gives; see `output_of`. Raises InputError where it gives none."""
    return as_logits(output_of(network, resolution)).shape[1]


def as_logits(output: object, classes: int | None = None, who: str = "The network") -> Tensor:
    """What a classifier gives: logits (N, classes). Raises InputError for anything else, as of a class of the user's.

    classes: how many they are to be of, where that is known; who: the sentence's subject.
    """
    if not isinstance(output, Tensor) or output.ndim != 2:
        found = f"a tensor {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise InputError(f"{who} gives {found} for a batch of images, and no logits (images, classes)")
    if classes is not None and output.shape[1] != classes:
        raise InputError(f"{who} gives logits of {output.shape[1]} classes, but {classes} are asked for")
    return output


def _parts(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """The module's children, containers opened, and what holds most of it: an encoder, a network within a class of a user's."""
    yield from _opened(module, "", _parameters(module) / 2)


def _opened(module: nn.Module, prefix: str, most: float) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        holds_most = _parameters(child) > most and any(map(_is_container, child.children()))
        if _is_container(child) or holds_most:
            yield from _opened(child, f"{prefix}{name}.", most)
        else:
            yield prefix + name, child


def _is_container(module: nn.Module) -> bool:
    return isinstance(module, _CONTAINERS) and len(module) > 0


def _parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _watched(name: str, part: nn.Module, meter: _Meter, rows: dict[str, BlockReport]) -> list[_Handle]:
    before: list[tuple[int, int]] = []
    parameters = _parameters(part)

    def begin(*_: object) -> None:
        before.append(meter.sums())

    def end(_: nn.Module, inputs: object, output: object) -> None:
        flops, memory = (now - then for now, then in zip(meter.sums(), before.pop(), strict=True))
        known = rows[name].cost if name in rows else Cost(parameters)
        cost = Cost(parameters, known.flops + flops, known.memory_access + memory)
        rows[name] = BlockReport(name, cost, _shape(output))

    return [part.register_forward_pre_hook(begin), part.register_forward_hook(cast(Callable, end))]


def _rest(total: Cost, rows: list[BlockReport], shape: tuple[int, int, int]) -> list[BlockReport]:
    """What lies in no part: parameters of the module itself, products between parts."""
    fields = ("parameters", "flops", "memory_access")
    left = [getattr(total, name) - sum(getattr(row.cost, name) for row in rows) for name in fields]
    return [BlockReport("outside its parts", Cost(*left), shape)] if any(value > 0 for value in left) else []


def _shape(output: object) -> tuple[int, int, int]:
    """The shape of an output without the batch; of several, the first's."""
    while isinstance(output, list | tuple | dict) and output:
        output = next(iter(output.values())) if isinstance(output, dict) else output[0]
    return cast("tuple[int, int, int]", tuple(output.shape[1:]) if isinstance(output, Tensor) else ())
