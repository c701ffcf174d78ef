"""Fitting a network's terms to whole networks that were timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gsnet.latency.errors import LatencyError
from gsnet.latency.interpolation import non_negative_least_squares
from gsnet.latency.predictor import TERMS
from gsnet.latency.records import Calibration

FEWEST_NETWORKS = 6
# How strongly coefficients of single terms are drawn towards the overall ratio, in networks.
_PRIOR = 4.0
_LAYER_TERMS = 3
# (networks, terms) and (networks,) seconds to (terms,) coefficients.
Fit = Callable[[np.ndarray, np.ndarray], np.ndarray]


def fit(terms: Sequence[Sequence[float]], seconds: Sequence[float], fit_to: Fit | None = None) -> Calibration:
    """Coefficients that bring the terms of networks to their measured seconds, by relative error, all of them at least 0.

    A weak prior draws the coefficients of convolutions and of what lies between them to one common ratio. The spread is
    leave-one-out. fit_to: another way than this. Raises LatencyError for fewer than 6 networks.
    """
    if len(seconds) < FEWEST_NETWORKS:
        raise LatencyError(
            f"{len(seconds)} timed networks cannot calibrate a predictor: time at least {FEWEST_NETWORKS}"
        )
    rows, times = np.array(terms, dtype=np.float64), np.array(seconds, dtype=np.float64)
    coefficients = (fit_to or _fit)(rows, times)
    errors = leave_one_out(rows, times, fit_to)
    return Calibration(tuple(map(float, coefficients)), float(np.sqrt(np.mean(errors**2))), len(times))


def described(found: Calibration) -> str:
    """What was fitted, in a line for a person: what a network takes, and how far off that is."""
    dense, depthwise, between, layer, network = found.coefficients
    if dense == depthwise == between:
        times = f"{dense:.3g}"
        # Layers that were inferred from networks already add up to them.
        parts = [f"{'' if times == '1' else f'{times} times '}the sum of its layers' seconds in the table"]
    else:
        parts = [
            f"{dense:.3g} times the table's seconds for its dense convolutions",
            f"{depthwise:.3g} times those for depth-wise ones",
            f"{between:.3g} times those for what lies between them",
        ]
    parts += [f"{layer * 1e6:.3g} us a layer"] if layer else []
    parts += [f"{network * 1e6:.3g} us besides"] if network else []
    takes = ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]
    return (
        f"calibrated on {found.networks} networks, by which a network takes {takes}; "
        f"a network that was not timed takes +- {found.spread:.1%} of that (leave-one-out)"
    )


def leave_one_out(rows: np.ndarray, times: np.ndarray, fit_to: Fit | None = None) -> np.ndarray:
    """Logarithm of predicted over measured for every network, fitted to all others."""
    fit_to = fit_to or _fit
    errors = np.empty(len(times))
    for i in range(len(times)):
        others = np.arange(len(times)) != i
        errors[i] = np.log(rows[i] @ fit_to(rows[others], times[others]) / times[i])
    return errors


def fit_few(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Two coefficients for networks too few for `fit`: of the layers' seconds, and of their number."""
    two = np.column_stack((rows[:, :_LAYER_TERMS].sum(axis=1), rows[:, _LAYER_TERMS]))
    layers, launch = non_negative_least_squares(two / times[:, None], np.ones(len(times)))
    return np.array((layers, layers, layers, launch, 0.0))


def fit_inferred(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    """One coefficient of all layers and a constant: layers that were inferred from networks already add up to them."""
    two = np.column_stack((rows[:, :_LAYER_TERMS].sum(axis=1), rows[:, -1]))
    layers, constant = non_negative_least_squares(two / times[:, None], np.ones(len(times)))
    return np.array((layers, layers, layers, 0.0, constant))


def _fit(rows: np.ndarray, times: np.ndarray) -> np.ndarray:
    ratio = float(np.median(times / rows[:, :_LAYER_TERMS].sum(axis=1)))
    # In units in which every term of a typical network is as large as its time.
    scale = np.maximum(np.median(rows / times[:, None], axis=0), 1e-30)
    prior = np.zeros((len(TERMS), len(TERMS)))
    wanted = np.zeros(len(TERMS))
    for j in range(len(TERMS)):
        prior[j, j] = _PRIOR
        wanted[j] = _PRIOR * ratio * scale[j] if j < _LAYER_TERMS else 0.0
    a = np.vstack((rows / times[:, None] / scale, prior))
    b = np.concatenate((np.ones(len(times)), wanted))
    coefficients = non_negative_least_squares(a, b) / scale
    return coefficients * float(np.exp(np.median(np.log(times / (rows @ coefficients)))))
