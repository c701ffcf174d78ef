"""A score in words: what it is of, so that two that differ are told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gsnet.models.expected import classes_text, size_text, style_text
from PlainNet import Network, Style
from ZeroShotProxy import ScoringSettings, get_proxy

if TYPE_CHECKING:
    from torch import nn

_CHOICES = ("use_se", "no_BN", "no_reslink")
# What a table has of how scores were made.
MADE_WITH = ("batch_size", "seed", "gamma", *_CHOICES)
_GAMMA = ScoringSettings().gamma


def built_with(network: Network | nn.Module, proxy: str, settings: ScoringSettings) -> dict[str, bool]:
    """With what a structure is built that its string does not say: what a proxy leaves out, and what options do."""
    if not isinstance(network, Network):
        return {}
    style = settings.style_for(get_proxy(proxy))
    return {name: getattr(style, name) for name in _CHOICES}


def made_with(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """How a network was scored, of its results by all proxies: one value, or by proxy where they differ.

    What a proxy does not read, such as the batch of one that looks at no images, and what none of them says is left out.
    """
    found: dict[str, Any] = {}
    for name in MADE_WITH:
        told = {result["proxy"]: result[name] for result in results if result.get(name) is not None}
        values = set(told.values())
        if values:
            found[name] = told if len(values) > 1 else values.pop()
    return found


def as_text(result: Mapping[str, Any]) -> str:
    """A result of compute_score.py for a person."""
    spread = f" +- {result['std']:.2g} over {result['repeats']} repeats" if result["repeats"] > 1 else ""
    # The first has what a process, and a closed form, does once for a network.
    first = f"{result['seconds_first_score']:.3g} s for the first score"
    seconds = f"{result['seconds_per_score']:.3g} s a score after {first}" if result["repeats"] > 1 else first
    head = f"{result['proxy']} {result['score']:.6g}{spread}, {seconds}"
    noise = f", {result['images']}, batch {result['batch_size']}, seed {result['seed']}" if result["images"] else ""
    gamma = "" if result["gamma"] == _GAMMA else f", gamma {result['gamma']:g}"
    built = style_text(Style(**{name: result.get(name, False) for name in _CHOICES}))
    seen = f"at {size_text(result['resolution'])}{noise}{gamma}, {classes_text(result['classes'])}{built}"
    return f"{head} {seen}: {result['structure']}"
