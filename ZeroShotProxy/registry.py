"""What a proxy declares: its name, what it needs and which weights it wants."""

from __future__ import annotations

import difflib
import enum
import fnmatch
import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from PlainNet.user_files import takes


class Needs(enum.Enum):
    """What a proxy is given.

    VALUE: the `PlainNet.Network`, nothing is built. MODULE: a torch module, without gradients. GRADIENT: a torch module
    with gradients.
    """

    VALUE = enum.auto()
    MODULE = enum.auto()
    GRADIENT = enum.auto()


class Weights(enum.Enum):
    """How the module's weights are set before the proxy sees it.

    GAUSSIAN: standard normal convolutions and linear layers, zero biases, BN at weight 1 and bias 0. KAIMING: the same with a
    variance of 2 / fan-in (He et al. 2015, equation 10). DEFAULT: PyTorch's own initialisation.
    """

    GAUSSIAN = enum.auto()
    KAIMING = enum.auto()
    DEFAULT = enum.auto()


class ProxyFailure(Exception):  # noqa: N818 - the name says what happened, as in the failure rows of a search
    """A network that a proxy cannot score, with the reason."""


class UnknownProxyError(ValueError):
    """A proxy name that is not registered; the message names the nearest ones."""


@dataclass(frozen=True)
class Proxy:
    """A registered proxy.

    compute(network, context) returns the score. keeps_links: whether residual links stay in the scored network unless the
    caller decides otherwise.
    """

    name: str
    compute: Callable[[Any, Any], float]
    needs: Needs
    weights: Weights = Weights.GAUSSIAN
    keeps_links: bool = True
    larger_is_better: bool = True


# Proxy name -> file of this package, imported when it is asked for. A proxy of your own, in whatever file, is known from the
# moment in which its `@proxy(...)` runs.
PROXY_FILES: dict[str, str] = {
    "Zen": "compute_zen_score",
    "Perturbation": "compute_perturbation_score",
    "GradNorm": "compute_gradnorm_score",
    "GradNormClosedForm": "compute_gradnorm_closed_form",
    "NASWOT": "compute_NASWOT_score",
    "Syncflow": "compute_syncflow_score",
    "Syncflow-log": "compute_syncflow_score",
    "TE-NAS": "compute_te_nas_score",
    "TE-NAS-LR": "compute_te_nas_score",
    "TE-NAS-NTK": "compute_te_nas_score",
    "AZ-NAS-Expressivity": "compute_az_nas_score",
    "AZ-NAS-Progressivity": "compute_az_nas_score",
    "AZ-NAS-Trainability": "compute_az_nas_score",
    "VKDNW": "compute_vkdnw_score",
    "Jacov": "compute_jacov_score",
    "ZiCo": "compute_zico_score",
    "MeCo": "compute_meco_score",
    "MeCo-Rectified": "compute_meco_score",
    "SWAP": "compute_swap_score",
    "WRCor": "compute_wrcor_score",
    "Dextr": "compute_dextr_score",
    "ZenClosedForm": "compute_zen_closed_form",
    "PerturbationClosedForm": "compute_zen_closed_form",
    "Flops": "compute_cost_scores",
    "Params": "compute_cost_scores",
    "GradientGrowth": "compute_gradient_growth",
    "GradientGrowthClosedForm": "compute_gradient_growth",
    "GradientSpread": "compute_gradient_growth",
    "GradientSpreadClosedForm": "compute_gradient_growth",
    "GrowthMargin": "compute_gradient_growth",
    "GrowthMarginClosedForm": "compute_gradient_growth",
    "Random": "compute_random_score",
}

# What ranks networks among each other by several proxies at once (gsnet/evolution/ensemble.py): names that a search and a
# comparison take beside those of proxies.
AGGREGATES = ("Ensemble", "AZ-NAS", "VKDNW-Aggregate")
_registered: dict[str, Proxy] = {}


def proxy(
    name: str,
    *,
    needs: Needs,
    weights: Weights = Weights.GAUSSIAN,
    keeps_links: bool = True,
    larger_is_better: bool = True,
) -> Callable[[Callable[[Any, Any], float]], Callable[[Any, Any], float]]:
    """Decorator that registers a function (network, context) -> float as a proxy, wherever it stands.

    A name of one's own may be given to another function at any time, as one does in a notebook. Raises ValueError for a name
    of the package.
    """

    def register(compute: Callable[[Any, Any], float]) -> Callable[[Any, Any], float]:
        add(Proxy(name, compute, needs, weights, keeps_links, larger_is_better))
        return compute

    return register


def add(made: Proxy) -> None:
    """Register a proxy. Raises ValueError for a name of the package, and for what cannot be called as one."""
    own = getattr(made.compute, "__module__", "") == f"{__package__}.{PROXY_FILES.get(made.name)}"
    if made.name in AGGREGATES or (made.name in PROXY_FILES and not own):
        raise ValueError(f"The package has a proxy {made.name} already: give yours another name")
    for option, wanted in (("needs", Needs), ("weights", Weights)):
        if not isinstance(given := getattr(made, option), wanted):
            there = " or ".join(f"{wanted.__name__}.{one.name}" for one in wanted)
            raise ValueError(f"{option} of the proxy {made.name} must be {there}, not {given!r}")
    if not takes(made.compute, 2):
        raise ValueError(f"The proxy {made.name} must take a network and a context: def score(network, context)")
    _registered[made.name] = made


def list_proxies(pattern: str = "*") -> list[str]:
    """Names of the proxies that match a wildcard pattern, in alphabetical order."""
    return sorted(fnmatch.filter({*PROXY_FILES, *_registered}, pattern))


def proxies_named(text: str) -> list[str]:
    """The proxies that a text names: one, several between commas, patterns such as TE-NAS*, or "all"; each once, as given.

    Raises UnknownProxyError where it names none that there is.
    """
    found: list[str] = []
    for name in (part.strip() for part in text.split(",") if part.strip()):
        matching = list_proxies("*" if name == "all" else name) if name == "all" or set("*?[") & set(name) else [name]
        found += matching or [get_proxy(name).name]
    if not found:
        raise UnknownProxyError(f"No proxy is named (there are {', '.join(list_proxies())}, and all for all of them)")
    return list(dict.fromkeys(found))


def get_proxy(name: str, aggregates: Sequence[str] = AGGREGATES) -> Proxy:
    """The proxy of that name; only its own file is imported. Raises UnknownProxyError.

    aggregates: those of `AGGREGATES` that whoever asks takes in its place, which may be what was meant.
    """
    if name in PROXY_FILES:
        importlib.import_module(f"{__package__}.{PROXY_FILES[name]}")
    if name not in _registered:
        raise UnknownProxyError(_what_there_is(name, aggregates))
    return _registered[name]


def _what_there_is(name: str, aggregates: Sequence[str]) -> str:
    """That no proxy has this name, what is nearest to it, and what there is."""
    if name in AGGREGATES:
        return (
            f"{name} adds up the ranks of several proxies, and is none itself (there are {', '.join(list_proxies())})"
        )
    # Whatever the case: NASWOT and TE-NAS are typed in any.
    lowered = {known.lower(): known for known in (*list_proxies(), *aggregates)}
    nearest = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    hint = f"; did you mean {lowered[nearest[0]]}?" if nearest else ""
    ranking = f"; {', '.join(aggregates)} rank networks by several of them" if aggregates else ""
    there = f"{', '.join(list_proxies())}{ranking}"
    return f"No proxy is called {name!r}{hint} (there are {there})"


def users_proxies() -> tuple[Proxy, ...]:
    """The proxies that were registered beside those of the package."""
    return tuple(made for name, made in _registered.items() if name not in PROXY_FILES)


def finite(score: float) -> float:
    """The score, or ProxyFailure where it is not a finite number."""
    try:
        number = float(score)
    except (TypeError, ValueError) as error:
        raise ProxyFailure(f"the score is {score!r:.60}, which is no number") from error
    if not math.isfinite(number):
        raise ProxyFailure(f"the score is {score}")
    return number
