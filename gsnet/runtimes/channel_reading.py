"""Networks read as layers of channels (`gsnet.runtimes.channel_graph`), by torch.fx."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torch.nn import functional

from gsnet.runtimes.channel_graph import Kind, Layer, View, convolution_of, identity, norm_of
from PlainNet.modules import shuffle_halves

_POINTWISE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardswish, nn.SiLU, nn.Sigmoid, nn.Hardsigmoid, nn.Tanh, nn.GELU, nn.ELU),
    *(functional.relu, functional.hardswish, functional.silu, functional.leaky_relu, functional.hardsigmoid),
    *(torch.relu, torch.sigmoid, torch.tanh, "relu", "sigmoid", "tanh"),
)
_CHANNELWISE = (
    *(nn.AdaptiveAvgPool2d, nn.AvgPool2d, nn.MaxPool2d, nn.Upsample),
    *(functional.adaptive_avg_pool2d, functional.avg_pool2d, functional.max_pool2d, functional.interpolate),
)
_UNCHANGED = (nn.Identity, nn.Dropout, nn.Dropout2d)
# What changes its first argument by an operator (x += y) is traced as if it did not.
_SUMS = (operator.add, torch.add, "add")
PRODUCTS = (operator.mul, torch.mul, "mul")
_FLATTENINGS = (nn.Flatten, torch.flatten, "flatten")


class Reading:
    """The layers of a traced network; images of normal noise (2, 3, *size), and what the network gives for them."""

    def __init__(self, network: nn.Module, size: tuple[int, int]) -> None:
        tracer = fx.Tracer(autowrap_functions=(shuffle_halves,))
        graph = tracer.trace(network)
        self.traced = fx.GraphModule(network, graph)
        self.layers: list[Layer] = []
        # What views alone express: how many such nodes there were.
        self.copies = 0
        # Of each node a view, a tuple of views, or None where it is no map.
        self.values: dict[fx.Node, Any] = {}
        dtype = next(network.parameters()).dtype
        self.images = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=dtype)
        with torch.no_grad():
            # A copy: a network may change what it is given.
            self.outputs = ShapeProp(self.traced).propagate(self.images.clone())
        for node in graph.nodes:
            self.values[node] = self._value(node)

    def _value(self, node: fx.Node) -> Any:
        what = self._what(node)
        read: Callable[[fx.Node, Any], Any] | None = next(
            (reader for kinds, reader in self._readers() if what in kinds), None
        )
        value = read(node, what) if read else None
        return self._ordered(node) if value is None else value

    def _what(self, node: fx.Node) -> Any:
        """What a node computes: a module's class, a function, or a method's name; nothing without an argument to read."""
        if not _arguments(node) or not node.op.startswith("call"):
            return None
        return type(self._module(node)) if node.op == "call_module" else node.target

    def _module(self, node: fx.Node) -> nn.Module:
        return self.traced.get_submodule(str(node.target))

    def _readers(self) -> tuple[tuple[tuple[Any, ...], Callable[[fx.Node, Any], Any]], ...]:
        return (
            ((nn.Conv2d, nn.Linear), self._convolution),
            ((nn.BatchNorm2d,), self._norm),
            (_POINTWISE, self._pointwise),
            (_CHANNELWISE, self._channelwise),
            (_UNCHANGED, lambda node, _: self._map(_arguments(node)[0])),
            (_FLATTENINGS, self._flattening),
            ((*_SUMS, *PRODUCTS), self._joint),
            (("sum", torch.sum), self._sum_of_stack),
            ((torch.cat,), self._concatenation),
            (("chunk", torch.chunk, "split", torch.split), self._split),
            ((operator.getitem,), self._part),
            ((shuffle_halves,), self._shuffle),
        )

    def _map(self, argument: Any) -> View | None:
        """The view of an argument; None where it is none."""
        value = self.values.get(argument) if isinstance(argument, fx.Node) else None
        return value if isinstance(value, np.ndarray) else None

    def _only_map(self, node: fx.Node) -> View | None:
        """The first argument's view; None where another argument is a map too."""
        others = [self.values[one] is None for one in node.all_input_nodes if one is not _arguments(node)[0]]
        return self._map(_arguments(node)[0]) if all(others) else None

    def _add(self, kind: Kind, node: fx.Node, inputs: Sequence[View], content: Any = None) -> View:
        channels = _shape(node)[1]
        self.layers.append(Layer(kind, list(inputs), channels, node, content))
        return identity(len(self.layers) - 1, channels)

    def _ordered(self, node: fx.Node) -> View | None:
        """Whatever is not known: all its arguments are given as they were."""
        inputs: list[View] = []
        arguments: dict[fx.Node, int | tuple[int, ...]] = {}
        for one in node.all_input_nodes:
            value = self.values[one]
            if isinstance(value, tuple):
                arguments[one] = tuple(range(len(inputs), len(inputs) + len(value)))
                inputs += value
            elif value is not None:
                arguments[one] = len(inputs)
                inputs.append(value)
        shape = _shape(node)
        channels = shape[1] if len(shape) > 1 else 0
        self.layers.append(Layer(Kind.ORDERED, inputs, channels, node, None, arguments))
        return identity(len(self.layers) - 1, channels) if channels else None

    def _convolution(self, node: fx.Node, _: Any) -> View | None:
        module, read = self._module(node), self._map(_arguments(node)[0])
        if read is None or not isinstance(module, nn.Conv2d | nn.Linear):
            return None
        content = convolution_of(module)
        if isinstance(module, nn.Linear):
            return self._add(Kind.DENSE, node, [read], content) if len(_shape(node)) == 2 else None
        if module.padding_mode != "zeros":
            return None
        if module.groups == 1:
            return self._add(Kind.DENSE, node, [read], content)
        depthwise = module.groups == module.in_channels == module.out_channels
        return self._add(Kind.CHANNELWISE if depthwise else Kind.ORDERED, node, [read], content)

    def _norm(self, node: fx.Node, _: Any) -> View | None:
        module, read = self._module(node), self._map(_arguments(node)[0])
        content = norm_of(module) if isinstance(module, nn.BatchNorm2d) else None
        return None if read is None or content is None else self._add(Kind.NORM, node, [read], content)

    def _pointwise(self, node: fx.Node, _: Any) -> View | None:
        read = self._only_map(node)
        return None if read is None else self._add(Kind.POINTWISE, node, [read])

    def _channelwise(self, node: fx.Node, _: Any) -> View | None:
        read = self._only_map(node)
        return None if read is None or len(_shape(node)) != 4 else self._add(Kind.CHANNELWISE, node, [read])

    def _flattening(self, node: fx.Node, what: Any) -> View | None:
        """Of maps of one pixel, where features are channels."""
        read = self._map(_arguments(node)[0])
        whole = what is nn.Flatten or _arguments(node)[1:] == (1,)
        single = read is not None and whole and _shape(_arguments(node)[0])[2:] == (1, 1)
        return self._add(Kind.CHANNELWISE, node, [read]) if read is not None and single else None

    def _joint(self, node: fx.Node, what: Any) -> View | None:
        """Sums and products of maps with as many channels, one of which may be a gate of one pixel."""
        reads = [self._map(argument) for argument in _arguments(node)]
        shapes = [_shape(argument) for argument in _arguments(node)]
        alike = len({len(shape) for shape in shapes}) == len({shape[1:2] for shape in shapes}) == 1
        if node.kwargs or not alike or any(read is None for read in reads) or len(shapes[0]) != 4:
            return None
        return self._add(Kind.JOINT, node, [read for read in reads if read is not None], None)

    def _sum_of_stack(self, node: fx.Node, _: Any) -> View | None:
        """Maps stacked along a new first dimension and summed over it, which is their sum."""
        stack = _arguments(node)[0]
        over = _arguments(node)[1:] or tuple(node.kwargs.values())
        if not isinstance(stack, fx.Node) or stack.target is not torch.stack or over != (0,) or _arguments(stack)[1:]:
            return None
        reads = [self._map(one) for one in _arguments(stack)[0]]
        if stack.kwargs or any(read is None for read in reads) or len(_shape(node)) != 4:
            return None
        return self._add(Kind.JOINT, node, [read for read in reads if read is not None])

    def _concatenation(self, node: fx.Node, _: Any) -> View | None:
        parts, *places = _arguments(node)
        dimension = node.kwargs.get("dim", places[0] if places else 0)
        reads = [self._map(part) for part in parts]
        if dimension != 1 or any(read is None for read in reads) or len(_shape(node)) != 4:
            return None
        self.copies += 1
        return np.concatenate([read for read in reads if read is not None])

    def _split(self, node: fx.Node, what: Any) -> tuple[View, ...] | None:
        read = self._map(_arguments(node)[0])
        amount = _arguments(node)[1] if len(_arguments(node)) > 1 else None
        dimension = node.kwargs.get("dim", _arguments(node)[2] if len(_arguments(node)) > 2 else 0)
        if read is None or dimension != 1 or not isinstance(amount, int):
            return None
        self.copies += 1
        length = -(-len(read) // amount) if what in ("chunk", torch.chunk) else amount
        return tuple(read[start : start + length] for start in range(0, len(read), length))

    def _part(self, node: fx.Node, _: Any) -> View | None:
        """One of several maps, or some neighbouring channels of a map."""
        value, index = self.values.get(_arguments(node)[0]), _arguments(node)[1]
        if isinstance(value, tuple) and isinstance(index, int):
            return value[index]
        if not isinstance(value, np.ndarray) or not isinstance(index, tuple) or len(index) != 2:
            return None
        rows, channels = index
        whole = rows == slice(None) and isinstance(channels, slice) and channels.step is None
        if not whole or not all(one is None or isinstance(one, int) for one in (channels.start, channels.stop)):
            return None
        self.copies += 1
        return value[channels]

    def _shuffle(self, node: fx.Node, _: Any) -> View | None:
        read = self._map(_arguments(node)[0])
        if read is None:
            return None
        self.copies += 1
        return np.concatenate([read[0::2], read[1::2]])


def _arguments(node: fx.Node) -> tuple[Any, ...]:
    """What a node's function is given by place; fx's own type says nothing of it."""
    return node.args


def pixels(node: Any) -> int:
    """Of one channel of a node's output."""
    return math.prod(_shape(node)[2:])


def _shape(node: Any) -> tuple[int, ...]:
    """Of a node's output; nothing where that is no tensor."""
    found = node.meta.get("tensor_meta") if isinstance(node, fx.Node) else None
    shape = getattr(found, "shape", ())
    return tuple(shape)
