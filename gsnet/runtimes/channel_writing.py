"""Layers of channels written as a network again, with as few copies of maps as their readers allow."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import fx, nn

from gsnet.runtimes import channel_modules
from gsnet.runtimes.channel_graph import Convolution, Kind, Layer, Norm, View
from gsnet.runtimes.channel_groups import Readers
from gsnet.runtimes.channel_maps import Joined, Lying, Map, Widths
from gsnet.runtimes.channel_reading import PRODUCTS, Reading, pixels

_NOBODY = (-1, -1)
# The two halves of a GhostConv. In a network whose layers read all maps before them, one operator each would be far more.
_MOST_APART = 2


class Writing:
    """The network of some layers; norms_as_convolutions: as in `gsnet.runtimes.fusing.fused`."""

    def __init__(self, reading: Reading, readers: Readers, widths: Widths, norms_as_convolutions: bool) -> None:
        self._traced, self._layers, self._readers = reading.traced, reading.layers, readers
        self._widths, self._norms_as_convolutions = widths, norms_as_convolutions
        self._graph, self._root = fx.Graph(), nn.Module()
        # Nodes of the traced network that are no maps, and what they are here.
        self._nodes: dict[fx.Node, fx.Node] = {}
        self._maps: list[Map] = []
        # (layer, channel) -> (map, position).
        self._where: dict[tuple[int, int], tuple[int, int]] = {}
        self._copies: dict[Any, fx.Node] = {}
        self._dtype = next(reading.traced.parameters()).dtype

    def network(self) -> fx.GraphModule:
        """The new network."""
        write = {
            Kind.DENSE: self._dense,
            Kind.CHANNELWISE: self._channelwise,
            Kind.POINTWISE: self._pointwise,
            Kind.NORM: self._pointwise,
            Kind.JOINT: self._joint,
            Kind.ORDERED: self._ordered,
        }
        for number, layer in enumerate(self._layers):
            if layer.kind is Kind.ORDERED or self._readers.ways[number].any():
                write[layer.kind](number, layer)
        self._graph.lint()
        return fx.GraphModule(self._root, self._graph)

    def _dense(self, number: int, layer: Layer) -> None:
        content = layer.content
        if not isinstance(content, Convolution):
            raise TypeError(f"{layer.node} has no weights")
        lying = self._lying(layer.inputs[0], dense=True)
        groups = list(self._parts(number, layer))
        more = len(groups) * (len(lying.parts) - 1)
        numbers = lying.width * pixels(layer.node.args[0])
        apart = more > 0 and isinstance(content.module, nn.Conv2d) and self._widths.apart(more, numbers)
        for places in groups:
            module = channel_modules.dense(content, places, lying.places, lying.width, self._dtype)
            called = self._sum(module, lying) if apart else self._call(module, self._side_by_side(lying.parts))
            self._new(called, number, places)

    def _sum(self, module: nn.Module, lying: Lying) -> fx.Node:
        """A convolution of several maps as a sum of one of each, which runtimes add up as they compute the last ones."""
        widths = [high - low for _, low, high in lying.parts]
        addends = channel_modules.addends(module, widths, self._dtype)
        first, *others = (self._call(one, self._slice(*part)) for one, part in zip(addends, lying.parts, strict=True))
        for other in others:
            first = self._graph.call_function(operator.add, (first, other))
        return first

    def _parts(self, number: int, layer: Layer) -> Iterable[np.ndarray]:
        """The output channels of each convolution that a dense layer becomes, in the order in which they lie there."""
        if (order := self._partners_order(number, layer.channels)) is not None:
            return [order]
        groups = self._readers.groups(number)
        if min(map(len, groups)) < self._widths.least:
            groups = [np.concatenate(groups)]
        if self._readers.in_order[number].any():
            return [np.sort(group) for group in groups]
        return [np.pad(group, (0, -len(group) % self._widths.multiple), constant_values=-1) for group in groups]

    def _partners_order(self, number: int, channels: int) -> np.ndarray | None:
        """The order of the map to which this one is added, or by which it is multiplied, where it is there already."""
        readers = self._readers.layers[number]
        if len(readers) != 1:
            return None
        reader = self._layers[readers[0]]
        mine = [view for view in reader.inputs if number in view[:, 0]]
        if len(mine) != 1 or len(mine[0]) != channels or (mine[0][:, 1] != np.arange(channels)).any():
            return None
        if reader.kind in (Kind.POINTWISE, Kind.NORM):
            return self._partners_order(readers[0], channels)
        if reader.kind is not Kind.JOINT:
            return None
        others = [view for view in reader.inputs if number not in view[:, 0]]
        written = [view for view in others if all(one in self._where for one in map(tuple, view.tolist()))]
        return self._joined(written[0]).channels() if written else None

    def _channelwise(self, number: int, layer: Layer) -> None:
        (view,) = layer.inputs
        read = self._readers.read(number)
        owners = self._owners(view[read])
        several = dict.fromkeys(owners.tolist())
        # Half of them is one more here and one more behind it.
        numbers = sum(len(self._maps[one].channels) for one in several) * pixels(layer.node.args[0])
        if len(several) == 2 and self._summed(number, layer) and self._widths.apart(3, numbers):
            groups = [read[owners == owner] for owner in several]
        else:
            # What lies in one map is not taken apart.
            groups = [read] if len(several) == 1 else self._readers.groups(number)
        for group in groups:
            self._each(number, layer, group)

    def _summed(self, number: int, layer: Layer) -> bool:
        """Whether a layer is depth-wise, or what is done to the output of such a one, that dense convolutions alone read."""
        # A convolution in groups reads one map, in the order of the network.
        depthwise = layer.kind is Kind.CHANNELWISE and isinstance(layer.content, Convolution)
        if layer.kind is not Kind.POINTWISE and not depthwise:
            return False
        readers = [(one, self._layers[one]) for one in self._readers.layers[number]]
        return all(one.kind is Kind.DENSE or self._summed(reader, one) for reader, one in readers)

    def _pointwise(self, number: int, layer: Layer) -> None:
        """On every map by itself, so that runtimes make it a part of the convolution before it; on many maps, joined."""
        read = self._readers.read(number)
        owners = self._owners(layer.inputs[0][read])
        several = dict.fromkeys(owners.tolist())
        if len(several) > _MOST_APART * len(self._readers.groups(number)):
            self._channelwise(number, layer)
            return
        for owner in several:
            self._each(number, layer, read[owners == owner])

    def _each(self, number: int, layer: Layer, channels: np.ndarray) -> None:
        """Some channels of a layer that computes each by itself."""
        view = layer.inputs[0][channels]
        joined = self._joined(view)
        order = joined.channels()
        if order is None:
            joined, order = self._sorted(view), np.arange(len(view))
        places = np.where(order >= 0, channels[order], -1)
        if isinstance(layer.content, Norm):
            as_convolution = self._norms_as_convolutions
            module = channel_modules.normalising(layer.content, places, self._dtype, as_convolution=as_convolution)
            node = self._call(module, joined.node)
        elif layer.content is not None:
            node = self._call(channel_modules.depthwise(layer.content, places, self._dtype), joined.node)
        else:
            node = self._copied(layer.node, {layer.node.args[0]: joined.node})
        self._new(node, number, places)

    def _joint(self, number: int, layer: Layer) -> None:
        read = self._readers.read(number)
        views = [view[read] for view in layer.inputs]
        inputs = [self._joined(view) for view in views]
        order = inputs[0].channels()
        alike = all(one.width == inputs[0].width and (one.places == inputs[0].places).all() for one in inputs)
        if not alike or order is None:
            inputs, order = [self._sorted(view) for view in views], np.arange(len(read))
        # A sum of stacked maps is written as sums of two.
        function = operator.mul if layer.node.target in PRODUCTS else operator.add
        node = inputs[0].node
        for other in inputs[1:]:
            node = self._graph.call_function(function, (node, other.node))
        self._new(node, number, np.where(order >= 0, read[order], -1))

    def _ordered(self, number: int, layer: Layer) -> None:
        if isinstance(layer.content, Convolution):
            content = layer.content
            module = channel_modules.layer_like(content.module, content.weight, content.bias, self._dtype)
            node = self._call(module, self._sorted(layer.inputs[0]).node)
        else:
            arguments: dict[Any, Any] = {}
            for argument, which in layer.arguments.items():
                if isinstance(which, tuple):
                    arguments[argument] = tuple(self._sorted(layer.inputs[one]).node for one in which)
                else:
                    arguments[argument] = self._sorted(layer.inputs[which]).node
            node = self._copied(layer.node, arguments)
        self._nodes[layer.node] = node
        if layer.channels:
            self._new(node, number, np.arange(layer.channels))

    def _new(self, node: fx.Node, number: int, places: np.ndarray) -> None:
        """Note a map, and which channels of a layer lie in it where."""
        channels = np.array([(number, channel) if channel >= 0 else _NOBODY for channel in places.tolist()])
        for place, channel in enumerate(places.tolist()):
            if channel >= 0:
                self._where[number, channel] = len(self._maps), place
        self._maps.append(Map(node, channels))

    def _owners(self, view: View) -> np.ndarray:
        """The map in which each channel of a view lies."""
        return np.array([self._where[one][0] for one in map(tuple, view.tolist())])

    def _joined(self, view: View) -> Joined:
        """The maps that hold a view, side by side."""
        lying = self._lying(view)
        return Joined(self._side_by_side(lying.parts), lying.width, lying.places)

    def _lying(self, view: View, *, dense: bool = False) -> Lying:
        """The maps that hold a view; of those that hold much else only what is needed.

        dense: a dense layer reads them, to which a little more is no harm: see `Widths`.
        """
        where = np.array([self._where[one] for one in map(tuple, view.tolist())])
        parts, starts, width = [], {}, 0
        for owner in dict.fromkeys(where[:, 0].tolist()):
            held = self._maps[owner].channels
            used = np.unique(where[where[:, 0] == owner, 1])
            whole = len(used) == int((held[:, 0] >= 0).sum())
            whole |= dense and len(held) <= max(self._widths.most * len(used), self._widths.narrow)
            low, high = (0, len(held)) if whole else (int(used[0]), int(used[-1]) + 1)
            parts.append((owner, low, high))
            starts[owner] = width - low
            width += high - low
        places = np.array([starts[owner] + place for owner, place in where])
        return Lying(tuple(parts), width, places)

    def _side_by_side(self, parts: tuple[tuple[int, int, int], ...]) -> fx.Node:
        if parts not in self._copies:
            nodes = [self._slice(*part) for part in parts]
            self._copies[parts] = (
                nodes[0] if len(nodes) == 1 else self._graph.call_function(torch.cat, (nodes,), {"dim": 1})
            )
        return self._copies[parts]

    def _slice(self, owner: int, low: int, high: int) -> fx.Node:
        held = self._maps[owner]
        if (low, high) == (0, len(held.channels)):
            return held.node
        if (owner, low, high) not in self._copies:
            arguments = (held.node, (slice(None), slice(low, high)))
            self._copies[owner, low, high] = self._graph.call_function(operator.getitem, arguments)
        return self._copies[owner, low, high]

    def _sorted(self, view: View) -> Joined:
        """A map that is the view."""
        joined = self._joined(view)
        if joined.in_order():
            return joined
        key = joined.node, tuple(joined.places.tolist())
        if key not in self._copies:
            name = f"order{len(self._copies)}"
            self._root.register_buffer(name, torch.from_numpy(joined.places), persistent=False)
            order = self._graph.get_attr(name)
            self._copies[key] = self._graph.call_function(torch.index_select, (joined.node, 1, order))
        return Joined(self._copies[key], len(view), np.arange(len(view)))

    def _call(self, module: nn.Module, node: fx.Node) -> fx.Node:
        name = f"layer{len(self._graph.nodes)}"
        self._root.add_module(name, module)
        return self._graph.call_module(name, (node,))

    def _copied(self, node: fx.Node, arguments: dict[Any, Any]) -> fx.Node:
        """A node of the traced network with other arguments, its module or tensor taken along."""
        target, options = node.target, dict(node.kwargs)
        if options.get("inplace") is True:
            options["inplace"] = False
        if node.op in ("call_module", "get_attr"):
            owner, _, name = str(node.target).rpartition(".")
            held, target = getattr(self._traced.get_submodule(owner), name), f"layer{len(self._graph.nodes)}"
            if isinstance(held, nn.Module):
                self._root.add_module(target, channel_modules.kept(held))
            else:
                self._root.register_buffer(target, held.detach(), persistent=False)
        changed = {key: arguments.get(key, self._nodes.get(key)) for key in node.all_input_nodes}
        return self._graph.create_node(
            node.op,
            target,
            fx.node.map_arg(node.args, lambda one: changed[one]),
            fx.node.map_arg(options, lambda one: changed[one]),
        )
