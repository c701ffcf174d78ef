"""Functions of a program's own in place of names: proxies, budgets, objectives."""

from __future__ import annotations

import argparse
import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gsnet.evolution.functions import Figure
from gsnet.evolution.recorded import Row
from gsnet.evolution.settings import IN_BYTES, KNOWN_FIGURES, OBJECTIVES
from gsnet.interface.options import InputError, count, positive_int, seconds, size_in_bytes
from gsnet.interface.values import plain
from ZeroShotProxy import PROXY_FILES, Needs, Proxy, get_proxy, users_proxies
from ZeroShotProxy.registry import AGGREGATES

ProxyLike = str | Proxy | Callable[..., float]
Budget = float | str | tuple[Figure, float]
# Budget -> the setting that holds its limit.
BUDGETS = {
    "params": "budget_model_size",
    "layers": "max_layers",
    "flops": "budget_flops",
    "mac": "budget_mac",
    "latency": "budget_latency",
}


@dataclass(frozen=True)
class WithoutContext:
    """A function of the network alone, called as proxies are: with the scoring context too."""

    function: Callable[[Any], float]

    @property
    def __wrapped__(self) -> Callable[[Any], float]:
        return self.function

    def __call__(self, network: Any, context: Any) -> float:
        del context
        return self.function(network)


def proxy_of(source: ProxyLike, gets_module: bool = False) -> Proxy:
    """The proxy that a name, a `Proxy` or a function is. Raises UnknownProxyError or InputError.

    A function takes the network's value, or, where its first argument is annotated as `nn.Module`, or `gets_module`, the built
    module. It may take the scoring context as its second argument.
    """
    if isinstance(source, str):
        return get_proxy(source)
    if isinstance(source, Proxy):
        return source
    if not callable(source):
        raise InputError(f"proxy is {source!r}: it must be a name or a function of a network or module")
    for registered in users_proxies():
        if registered.compute is source:
            return registered
    name = name_of(source)
    if name in (*PROXY_FILES, *AGGREGATES):
        raise InputError(f"The function {name} has the name of a proxy of the package: give it another one")
    arguments = _positional(source)
    compute = source if len(arguments) > 1 else WithoutContext(source)
    module = gets_module or (bool(arguments) and _is_module(arguments[0].annotation))
    return Proxy(name, compute, Needs.MODULE if module else Needs.VALUE)


def several(given: Any) -> tuple:
    """What may be one thing or several of its kind: a text, a path, a module or a function is one."""
    return tuple(given) if isinstance(given, Iterable) and not isinstance(given, str | Path) else (given,)


def name_of(function: Callable) -> str:
    """How a function is called in settings and tables."""
    return getattr(inspect.unwrap(function), "__name__", type(function).__name__)


def split_budgets(budgets: Mapping[str, Budget]) -> tuple[dict[str, float], dict[str, Figure], dict[str, float]]:
    """Limits of known costs by setting; functions, and their limits, by name. Raises InputError."""
    known: dict[str, float] = {}
    figures: dict[str, Figure] = {}
    limits: dict[str, float] = {}
    if not isinstance(budgets, Mapping):
        raise InputError(f"budgets is {budgets!r}: it must be limits by name, such as {{'params': 1e6}}")
    for name, budget in budgets.items():
        if isinstance(budget, tuple):
            if len(budget) != 2 or not callable(budget[0]):
                raise InputError(f"The budget {name} is {budget!r}: a budget of one's own is (function, limit)")
            figures[_own(name)], limits[name] = budget[0], plain(budget[1])
        elif name in KNOWN_FIGURES:
            limits[name] = _limit(name, budget)
        elif name in BUDGETS:
            known[BUDGETS[name]] = _limit(name, budget)
        else:
            near = difflib.get_close_matches(name, (*BUDGETS, *KNOWN_FIGURES), n=1)
            hint = f"; did you mean {near[0]}?" if near else f" among {', '.join((*BUDGETS, *KNOWN_FIGURES))}."
            raise InputError(f"There is no budget {name!r}{hint} One of your own is {name}=(function, limit)")
    return known, figures, limits


def _limit(name: str, limit: float | str) -> float:
    """The number that a limit is or, such as "1M" or "250us", says. Raises InputError."""
    if not isinstance(limit, str):
        return plain(limit)
    kinds = {"layers": positive_int, "latency": seconds, **dict.fromkeys(IN_BYTES, size_in_bytes)}
    kind = kinds.get(name, count)
    try:
        return kind(limit)
    except argparse.ArgumentTypeError as error:
        raise InputError(f"The budget {name}: {error}") from None


def split_objectives(
    objectives: str | Figure | Sequence[str | Figure] | Mapping[str, Figure | None],
) -> tuple[tuple[str, ...], dict[str, Figure]]:
    """The names of objectives, and the functions among them. Raises InputError."""
    items: Iterable[tuple[str, Figure | None]]
    if isinstance(objectives, str):
        items = [(name.strip(), None) for name in objectives.split(",")]
    elif isinstance(objectives, Mapping):
        items = objectives.items()
    else:
        items = [(o, None) if isinstance(o, str) else (name_of(o), o) for o in several(objectives)]
    named = dict(items)
    return tuple(named), {_own(name): figure for name, figure in named.items() if figure is not None}


def merged(some: dict[str, Figure], others: dict[str, Figure]) -> dict[str, Figure]:
    """All functions by name. Raises InputError where one name stands for two."""
    for name in some.keys() & others.keys():
        if some[name] is not others[name]:
            raise InputError(f"{name} is one function as a budget and another as an objective: name them differently")
    return some | others


def _own(name: str) -> str:
    if name in (*OBJECTIVES, *KNOWN_FIGURES, *Row._fields) or not name.isidentifier():
        raise InputError(f"A function cannot be called {name!r} here: give it a name of its own, such as my_cost")
    return name


def _positional(function: Callable) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        # Of some functions that are not written in Python nothing is known.
        return []
    return [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]


def _is_module(annotation: Any) -> bool:
    """Whether an annotation means torch's module, which need not be imported to say so."""
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2] in ("Module", "MasterNet")
    kinds = inspect.getmro(annotation) if isinstance(annotation, type) else ()
    return any(kind.__name__ == "Module" and kind.__module__.startswith("torch.nn") for kind in kinds)
