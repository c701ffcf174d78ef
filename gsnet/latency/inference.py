"""Seconds of single layers from whole networks: what a runtime makes of a layer inside a network, without its telling.

A network takes the sum of its layers. So a Gaussian process over layers is conditioned on such sums (a linear functional of
a process is Gaussian with it: Rasmussen and Williams 2006, section 9.8): each layer's time is a roofline, fitted to the
networks first, times 1 + g, and g varies smoothly with the layer's widths and height. Layers of one class (dense, depth-wise,
each other kind) share a part of g, those of one kernel and stride another, those whose widths fill whole blocks of
channels alike a third, and in a class those that fill them alike one that no width or height changes. How much each part
counts is what makes the networks' times most probable.

What is no sum over layers is the cache: weights that it has no room for are read from memory in each pass. So a network takes
besides what is a convex function of its number of weights, of pieces that the rooflines' fit finds.

Where the runtime tells the times of its operations (`gsnet.latency.profiled`), the process is conditioned on those, too: on
single layers beside sums of layers, each kind of time with a noise of its own. A pass that writes down its times is another
one than those that were timed: where what it tells makes the networks' own times less probable, it counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

import numpy as np

from gsnet.latency.errors import LatencyError
from gsnet.latency.inferred_layers import (
    LENGTHS,
    InferredLayers,
    besides,
    layer_class,
    layer_group,
    positions,
    roofline_parts,
    weights_of,
    whole_blocks,
)
from gsnet.latency.interpolation import non_negative_least_squares
from gsnet.latency.layer import Layer

FEWEST_NETWORKS = 12
# Logarithms of standard deviations: where the search for them starts, its steps, its bounds, and what it is drawn to.
_START, _START_NOISE, _START_TOLD_NOISE = -4.0, -3.5, -2.5
_STEPS = (-1.5, -0.7, -0.3, 0.3, 0.7, 1.5)
# Rounds of one network differ by a percent or two: none is known better than that.
_BOUNDS, _NOISE_BOUNDS = (-8.0, 1.0), (-4.2, 0.0)
_DRAWN_TO, _DRAWN = -3.0, 0.02
_SWEEPS = 6
# Deviations are found by so many of the layers that were told: all of them take minutes, and say the same.
_TOLD_FOR_TUNING = 400
# Numbers of weights beyond which a network may take more for each: 256 KiB to 16 MiB of float32.
_FEWER = tuple(2.0**power for power in range(16, 23))
# At least this part of a layer's time is its own.
_LEAST_TOLD = 0.1
# What a clock adds to the time of an operation, in seconds.
_CLOCK = 1e-6


def infer_layers(
    networks: Sequence[Sequence[Layer]],
    seconds: Sequence[float],
    told: Sequence[Sequence[tuple[Layer, float]]] = (),
) -> InferredLayers:
    """Seconds of the layers of networks (in any order) that take so long as a whole, and of others like them.

    told: of each network the seconds of layers that the runtime told, of none where it told nothing. Raises LatencyError for
    fewer than 12 networks.
    """
    if len(networks) < FEWEST_NETWORKS:
        raise LatencyError(
            f"{len(networks)} timed networks say too little of their layers: time at least {FEWEST_NETWORKS}"
        )
    times = np.array(seconds, dtype=np.float64)
    layers = sorted({layer for network in [*networks, *(dict(one) for one in told)] for layer in network})
    fit = _rooflines(networks, layers, times)
    sums = _Sums(_shares(networks, layers, fit.of_layers) / times[:, None], 1.0 - fit.of_networks / times)
    found = _posterior(layers, sums, _told_layers(layers, fit.of_layers, {}))
    if single := _without_weights(networks, told, fit.beyond):
        also = _posterior(layers, sums, _told_layers(layers, fit.of_layers, single))
        found = max(found, also, key=lambda one: one.probability)
    pulls, deviations = found.pulls.tolist(), found.deviations.tolist()
    return InferredLayers(fit.coefficients, float(fit.of_layers.min()), layers, pulls, deviations, beyond=fit.beyond)


class _Rooflines(NamedTuple):
    """coefficients: of `roofline_parts`; beyond: as `InferredLayers` has it; of_layers: (layers,) seconds of each; of_networks:
    (networks,) the sum of its layers' with all that it takes besides.
    """

    coefficients: Mapping[str, float]
    beyond: Sequence[tuple[float, float]]
    of_layers: np.ndarray
    of_networks: np.ndarray


def _rooflines(networks: Sequence[Sequence[Layer]], layers: Sequence[Layer], times: np.ndarray) -> _Rooflines:
    parts = [roofline_parts(layer) for layer in layers]
    names = sorted({name for one in parts for name in one})
    of_layers = np.array([[one.get(name, 0.0) for name in names] for one in parts])
    weights = np.array([weights_of(network) for network in networks])
    more = np.maximum(weights[:, None] - np.array(_FEWER), 0.0)
    rows = np.hstack((_shares(networks, layers, np.ones(len(layers))) @ of_layers, more, np.ones((len(networks), 1))))
    relative = rows / times[:, None]
    scale = np.array([np.median(column[column > 0]) if column.any() else 1.0 for column in relative.T])
    found = non_negative_least_squares(relative / scale, np.ones(len(times))) / scale
    prices, of_weights = found[: len(names)], found[len(names) : -1]
    beyond = [(fewer, float(price)) for fewer, price in zip(_FEWER, of_weights, strict=True) if price > 0]
    base = of_layers @ prices
    least = base[base > 0].min() if base.any() else 0.0
    return _Rooflines(dict(zip(names, prices.tolist(), strict=True)), beyond, np.maximum(base, least), rows @ found)


def _shares(networks: Sequence[Sequence[Layer]], layers: Sequence[Layer], values: np.ndarray) -> np.ndarray:
    """(networks, layers): a layer's value as often as a network has the layer."""
    place = {layer: index for index, layer in enumerate(layers)}
    found = np.zeros((len(networks), len(layers)))
    for row, network in enumerate(networks):
        for layer in network:
            found[row, place[layer]] += values[place[layer]]
    return found


def _without_weights(
    networks: Sequence[Sequence[Layer]],
    told: Sequence[Sequence[tuple[Layer, float]]],
    beyond: Sequence[tuple[float, float]],
) -> Mapping[Layer, Sequence[float]]:
    """Seconds of layers as often as they were told, less their part of what all weights of a network take besides."""
    found: dict[Layer, list[float]] = {}
    for network, of_layers in zip(networks, told, strict=False):
        weights = weights_of(network)
        of_a_weight = besides(beyond, weights) / max(weights, 1.0)
        for layer, seconds in of_layers:
            less = seconds - of_a_weight * weights_of([layer])
            found.setdefault(layer, []).append(max(less, _LEAST_TOLD * seconds))
    return found


class _Sums(NamedTuple):
    """Times of whole networks. shares: (networks, layers), how much of each is which layer by rooflines; left: (networks,),
    what rooflines leave of it, relative.
    """

    shares: np.ndarray
    left: np.ndarray


class _Single(NamedTuple):
    """Times of single layers. places: which layers; shares: by rooflines; left: what those leave; clock: its variance."""

    places: np.ndarray
    shares: np.ndarray
    left: np.ndarray
    clock: np.ndarray

    def some(self, most: int) -> _Single:
        """At most so many of them, evenly."""
        chosen = np.unique(np.linspace(0, len(self.left) - 1, min(most, len(self.left))).astype(int))
        return _Single(*(values[chosen] for values in self))


def _told_layers(layers: Sequence[Layer], base: np.ndarray, told: Mapping[Layer, Sequence[float]]) -> _Single:
    place = {layer: index for index, layer in enumerate(layers)}
    places = np.array(sorted(place[layer] for layer in told), dtype=int)
    means = np.array([fmean(told[layers[index]]) for index in places])
    shares = base[places] / means
    return _Single(places, shares, 1.0 - shares, (_CLOCK / means) ** 2)


class _Posterior(NamedTuple):
    """What the times of networks, and of single layers, say of each layer, and the deviations of g's parts. probability: the
    logarithm of that of the networks' times, single layers given.
    """

    pulls: np.ndarray
    deviations: np.ndarray
    probability: float


def _posterior(layers: Sequence[Layer], sums: _Sums, single: _Single) -> _Posterior:
    few = single.some(_TOLD_FOR_TUNING)
    of_few = [_of_times(part, sums, few) for part in _parts(layers)]
    deviations, noises = _most_probable(of_few, sums, few)
    told_all = len(few.left) == len(single.left)
    of_all = of_few if told_all else (_of_times(part, sums, single) for part in _parts(layers))
    total = _sum(of_all, deviations, _noise(noises, sums, single))
    left, networks = np.concatenate((sums.left, single.left)), len(sums.left)
    solved = np.linalg.solve(total, left)
    pulls = sums.shares.T @ solved[:networks]
    pulls[single.places] += single.shares * solved[networks:]
    probability = _log_density(total, left) - _log_density(total[networks:, networks:], left[networks:])
    return _Posterior(pulls, deviations, probability)


def _of_times(part: np.ndarray, sums: _Sums, single: _Single) -> np.ndarray:
    """(times, times): covariances of the times of networks and behind them of single layers, from (layers, layers)."""
    of_sums = sums.shares @ part
    between = of_sums[:, single.places] * single.shares
    of_single = part[np.ix_(single.places, single.places)] * np.outer(single.shares, single.shares)
    return np.block([[of_sums @ sums.shares.T, between], [between.T, of_single]])


def _parts(layers: Sequence[Layer]) -> Iterator[np.ndarray]:
    """Covariances of g between all layers, (layers, layers) each, one for each part of it."""
    classes = _same([layer_class(layer) for layer in layers])
    groups = _same([layer_group(layer) for layer in layers])
    blocks = _same([whole_blocks(layer) for layer in layers])
    alike = groups * blocks
    yield classes
    yield groups
    yield classes * blocks
    points = positions(layers)
    norms = (points**2).sum(axis=1)
    squares = np.maximum(norms[:, None] + norms[None] - 2.0 * (points @ points.T), 0.0)
    for length in LENGTHS:
        near = np.exp(squares * (-0.5 / length**2))
        for same in (classes, groups, alike):
            yield same * near


def _same(keys: Sequence[object]) -> np.ndarray:
    numbers: dict[object, int] = {}
    found = np.array([numbers.setdefault(key, len(numbers)) for key in keys])
    return (found[:, None] == found[None]).astype(np.float64)


def _sum(parts: Iterable[np.ndarray], deviations: np.ndarray, noise: np.ndarray) -> np.ndarray:
    total = noise
    for part, one in zip(parts, deviations, strict=True):
        total += np.exp(2 * one) * part
    return total


def _noise(noises: np.ndarray, sums: _Sums, single: _Single) -> np.ndarray:
    """(times, times): the variance that times have by themselves."""
    of_sums, of_single = np.exp(2 * noises)
    return np.diag(np.concatenate((np.full(len(sums.left), of_sums), of_single + single.clock)))


def _most_probable(parts: Sequence[np.ndarray], sums: _Sums, single: _Single) -> tuple[np.ndarray, np.ndarray]:
    """Logarithms of the standard deviations of g's parts and of both kinds of times, by the likelihood of what is left."""
    values = np.array([*[_START] * len(parts), _START_NOISE, _START_TOLD_NOISE])
    # Without layers that were told their noise is nowhere.
    moved = len(values) - (not len(single.left))
    least = _unlikelihood(parts, sums, single, values)
    for _ in range(_SWEEPS):
        before = least
        for index in range(moved):
            bounds = _BOUNDS if index < len(parts) else _NOISE_BOUNDS
            for step in _STEPS:
                tried = values.copy()
                tried[index] = np.clip(values[index] + step, *bounds)
                if (found := _unlikelihood(parts, sums, single, tried)) < least:
                    least, values = found, tried
        if before - least < 1e-2:
            break
    return values[: len(parts)], values[len(parts) :]


def _unlikelihood(parts: Sequence[np.ndarray], sums: _Sums, single: _Single, values: np.ndarray) -> float:
    """Negative logarithm of the marginal likelihood (Rasmussen and Williams 2006, equation 2.30), with a weak prior."""
    deviations = values[: len(parts)]
    total = _sum(parts, deviations, _noise(values[len(parts) :], sums, single))
    prior = _DRAWN * float(np.sum((deviations - _DRAWN_TO) ** 2))
    return prior - _log_density(total, np.concatenate((sums.left, single.left)))


def _log_density(covariance: np.ndarray, values: np.ndarray) -> float:
    """Of a normal distribution around 0, up to a constant for each value."""
    root = np.linalg.cholesky(covariance)
    solved = np.linalg.solve(root, values)
    return -float(0.5 * solved @ solved + np.log(np.diag(root)).sum())
