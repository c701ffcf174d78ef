"""Seconds of single layers from whole networks: what a runtime makes of a layer inside a network, without its telling.

A network takes the sum of its layers. So a Gaussian process over layers is conditioned on such sums (a linear functional of
a process is Gaussian with it: Rasmussen and Williams 2006, section 9.8): each layer's time is a roofline, fitted to the
networks first, times 1 + g, and g varies smoothly with the layer's widths and height. Layers of one class (dense, depth-wise,
each other kind) share a part of g, those of one kernel and stride another, and those whose widths fill whole blocks of
channels alike a third. How much each part counts is what makes the networks' times most probable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from gsnet.latency.errors import LatencyError
from gsnet.latency.inferred_layers import (
    LENGTHS,
    InferredLayers,
    layer_class,
    layer_group,
    positions,
    roofline_parts,
    whole_blocks,
)
from gsnet.latency.interpolation import non_negative_least_squares
from gsnet.latency.layers import Layer

FEWEST_NETWORKS = 12
# Logarithms of standard deviations: where the search for them starts, its steps, its bounds, and what it is drawn to.
_START, _START_NOISE = -4.0, -3.5
_STEPS = (-1.5, -0.7, -0.3, 0.3, 0.7, 1.5)
_BOUNDS, _NOISE_BOUNDS = (-8.0, 1.0), (-5.0, 0.0)
_DRAWN_TO, _DRAWN = -3.0, 0.02
_SWEEPS = 6


def infer_layers(networks: Sequence[Sequence[Layer]], seconds: Sequence[float]) -> InferredLayers:
    """Seconds of the layers of networks (in any order) that take so long as a whole, and of others like them.

    Raises LatencyError for fewer than 12 networks.
    """
    if len(networks) < FEWEST_NETWORKS:
        raise LatencyError(
            f"{len(networks)} timed networks say too little of their layers: time at least {FEWEST_NETWORKS}"
        )
    times = np.array(seconds, dtype=np.float64)
    layers = sorted({layer for network in networks for layer in network})
    coefficients, base, sums = _rooflines(networks, layers, times)
    place = {layer: index for index, layer in enumerate(layers)}
    shares = np.zeros((len(networks), len(layers)))
    for row, network in enumerate(networks):
        for layer in network:
            shares[row, place[layer]] += base[place[layer]] / times[row]
    pulls, deviations = _posterior(layers, shares, 1.0 - sums / times)
    return InferredLayers(coefficients, float(base.min()), layers, pulls.tolist(), deviations.tolist())


def _rooflines(
    networks: Sequence[Sequence[Layer]], layers: Sequence[Layer], times: np.ndarray
) -> tuple[Mapping[str, float], np.ndarray, np.ndarray]:
    """Coefficients of `roofline_parts`, each layer's roofline, and for each network their sum with what it takes besides."""
    columns = sorted({key for layer in layers for key in roofline_parts(layer)})
    rows = np.zeros((len(networks), len(columns) + 1))
    rows[:, -1] = 1.0
    place = {key: column for column, key in enumerate(columns)}
    for row, network in enumerate(networks):
        for layer in network:
            for key, value in roofline_parts(layer).items():
                rows[row, place[key]] += value
    relative = rows / times[:, None]
    scale = np.array([np.median(column[column > 0]) if column.any() else 1.0 for column in relative.T])
    found = non_negative_least_squares(relative / scale, np.ones(len(times))) / scale
    coefficients = {key: float(found[column]) for key, column in place.items()}
    base = np.array(
        [sum(coefficients[key] * value for key, value in roofline_parts(layer).items()) for layer in layers]
    )
    return coefficients, np.maximum(base, base[base > 0].min() if base.any() else 0.0), rows @ found


def _posterior(layers: Sequence[Layer], shares: np.ndarray, left: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What networks' times say of each layer, and the deviations of g's parts.

    shares: (networks, layers), how much of a network's time each is; left: (networks,), what rooflines leave of the times.
    """
    of_networks = [shares @ part @ shares.T for part in _parts(layers)]
    deviations, noise = _most_probable(of_networks, left)
    return shares.T @ np.linalg.solve(_sum(of_networks, deviations, noise), left), deviations


def _parts(layers: Sequence[Layer]) -> Iterator[np.ndarray]:
    """Covariances of g between all layers, (layers, layers) each, one for each part of it."""
    classes = _same([layer_class(layer) for layer in layers])
    groups = _same([layer_group(layer) for layer in layers])
    alike = groups * _same([whole_blocks(layer) for layer in layers])
    yield classes
    yield groups
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


def _sum(parts: Sequence[np.ndarray], deviations: np.ndarray, noise: float) -> np.ndarray:
    total = np.exp(2 * noise) * np.eye(len(parts[0]))
    for part, one in zip(parts, deviations, strict=True):
        total += np.exp(2 * one) * part
    return total


def _most_probable(parts: Sequence[np.ndarray], left: np.ndarray) -> tuple[np.ndarray, float]:
    """Logarithms of the parts' standard deviations and of the networks' noise, by the likelihood of what is left."""
    values = np.array([*[_START] * len(parts), _START_NOISE])
    least = _unlikelihood(parts, left, values)
    for _ in range(_SWEEPS):
        before = least
        for index in range(len(values)):
            bounds = _NOISE_BOUNDS if index == len(parts) else _BOUNDS
            for step in _STEPS:
                tried = values.copy()
                tried[index] = np.clip(values[index] + step, *bounds)
                if (found := _unlikelihood(parts, left, tried)) < least:
                    least, values = found, tried
        if before - least < 1e-2:
            break
    return values[:-1], float(values[-1])


def _unlikelihood(parts: Sequence[np.ndarray], left: np.ndarray, values: np.ndarray) -> float:
    """Negative logarithm of the marginal likelihood (Rasmussen and Williams 2006, equation 2.30), with a weak prior."""
    root = np.linalg.cholesky(_sum(parts, values[:-1], values[-1]))
    solved = np.linalg.solve(root, left)
    prior = _DRAWN * float(np.sum((values[:-1] - _DRAWN_TO) ** 2))
    return float(0.5 * solved @ solved + np.log(np.diag(root)).sum()) + prior
