"""What is said of a winner's latency: how it was found, and what a measurement makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gsnet.latency.device import TORCH


def judged(predicted: float, error_bar: float | None, measured: float | None, budget: float | None) -> dict[str, Any]:
    """Whether a measurement contradicts a prediction or breaks the budget: for best.json.

    All in seconds an image; error_bar: standard deviation of the logarithm, None where there is none.
    """
    contradicted = over = None
    if measured is not None:
        over = None if budget is None else measured > budget
        contradicted = None if error_bar is None else abs(math.log(measured / predicted)) > error_bar
    return {
        "error_bar": error_bar,
        "budget": budget,
        "measured_beyond_error_bar": contradicted,
        "measured_over_budget": over,
    }


def latency_lines(latency: Mapping[str, Any]) -> list[str]:
    """The latency of best.json in words, one line for the figures and one for each thing that is wrong with them."""
    predicted, measured, bar = (
        latency[name] for name in ("seconds_per_image", "measured_seconds_per_image", "error_bar")
    )
    # Results of older versions name no runtime.
    runtime = latency.get("backend", TORCH)
    where = "" if runtime == TORCH else f" in {runtime}"
    line = f"latency{where} by {latency['source']}: {predicted * 1e3:.4g} ms an image"
    if bar is not None:
        line += f" +- {bar:.0%}"
    if measured is None:
        return [line]
    line += f", measured {measured * 1e3:.4g} ms"
    if bar is None:
        line += f", {measured / predicted:.2f} times that sum of layers, which is not calibrated"
    lines = [line]
    if latency["measured_beyond_error_bar"]:
        lines.append(
            f"the measurement contradicts the prediction: {measured / predicted:.2f} times as long, beyond the error bar of "
            f"{bar:.0%}; choose by measured latencies, or calibrate the table anew"
        )
    if latency["measured_over_budget"]:
        allowed = f"{latency['budget'] * 1e3:.4g} ms"
        lines.append(
            f"the winner as measured breaks the budget: {measured * 1e3:.4g} ms where --budget_latency allows {allowed}"
        )
    return lines
