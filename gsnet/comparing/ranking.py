"""Networks ranked among each other by several proxies at once, by the rule with which a search ranks its population."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gsnet.evolution.ensemble import ENSEMBLE, NAMED_ENSEMBLES, ORDERING_MEMBERS, log_rank_sums
from gsnet.evolution.options import ensemble_from
from gsnet.interface.options import InputError
from gsnet.interface.words import counted
from ZeroShotProxy import Needs, get_proxy

Named = TypeVar("Named")


@dataclass(frozen=True)
class Ranking:
    """A sum of log ranks, the name of its column, and the proxies that rank."""

    name: str
    members: tuple[str, ...]


def rankings_among(names: Iterable[str], ensemble: str = "") -> tuple[Ranking, ...]:
    """The ensembles among some names. ensemble: the members of `Ensemble`, with commas between them, else those that
    order networks best, which are others than a search joins (docs/network_order.md).

    Raises InputError, UnknownProxyError.
    """
    found = [name for name in names if name in (ENSEMBLE, *NAMED_ENSEMBLES)]
    if ensemble and ENSEMBLE not in found:
        raise InputError(f"The members of an ensemble are named, and {ENSEMBLE} is not among the proxies: name it, too")
    ordering = ensemble or ",".join(ORDERING_MEMBERS)
    rankings = [Ranking(n, ensemble_from(ordering if n == ENSEMBLE else "", n, ("score",))) for n in found]
    for member in (member for ranking in rankings for member in ranking.members):
        if not get_proxy(member).larger_is_better:
            raise InputError(f"An ensemble puts the largest score first, and of {member} more is not better")
    return tuple(rankings)


def scoring(names: Iterable[Named], rankings: Iterable[Ranking]) -> list[Named | str]:
    """What scores each network: the proxies among `names`, which may be functions, and in place of ensembles their members."""
    joined = {ranking.name: ranking.members for ranking in rankings}
    found: list[Named | str] = []
    for name in names:
        found += joined.get(name, (name,)) if isinstance(name, str) else [name]
    return list(dict.fromkeys(found))


def rank(rows: Sequence[dict[str, Any]], ranking: Ranking) -> str:
    """Add the sum of log(rank / networks) to the figures of each network that has a score by every member.

    It is 0 for one that is first by all of them (`log_rank_sums`). Returns what the figure means, in a sentence.
    """
    scored = [row for row in rows if all(_is_score(row.get(member)) for member in ranking.members)]
    if scored:
        sums = log_rank_sums([[row[member] for member in ranking.members] for row in scored])
        for row, total in zip(scored, sums.tolist(), strict=True):
            row[ranking.name] = total
    return " ".join([_meaning(ranking, len(scored)), *_advice(rows, ranking, found_any=bool(scored))])


def _meaning(ranking: Ranking, size: int) -> str:
    """What the figure of a ranking is, of which so many networks have one."""
    if not size:
        members = ", ".join(ranking.members)
        return f"{ranking.name}: no network has a score by each of {members}, so that none has a place."
    how = f"{ranking.name}: the sum of log(place / {size}) by {', '.join(ranking.members)}."
    if size == 1:
        return f"{how} The one network that has all of these scores has no other beside it to be ranked among."
    return (
        f"{how} Of the {size} networks that have all of these scores the best has place {size}, the worst 1, and equal scores "
        "share the mean of theirs."
    )


def _advice(rows: Sequence[dict[str, Any]], ranking: Ranking, *, found_any: bool) -> list[str]:
    """Which members rank networks that have no structure, where there are such, which closed forms need."""
    closed = [member for member in ranking.members if _is_of_structures(member)]
    # Of a network that cannot be looked at at all there are no figures.
    without = [row for row in rows if row and row.get("structure") is None]
    if without and closed:
        others = [member for member in ranking.members if member not in closed]
        if len(others) < 2:
            # One alone is no ensemble.
            others = [member for member in ORDERING_MEMBERS if not _is_of_structures(member)]
        asked = "" if ranking.name == ENSEMBLE else f"--zero_shot_score {ENSEMBLE} "
        verbs = ("scores" if len(closed) == 1 else "score", "has" if len(without) == 1 else "have")
        return [
            f"{', '.join(closed)} {verbs[0]} structures alone, and {counted(len(without), 'network')} {verbs[1]} none: "
            f"{asked}--ensemble {','.join(others)} ranks all."
        ]
    return [] if found_any else ["Name members that score them all."]


def _is_of_structures(proxy: str) -> bool:
    return get_proxy(proxy).needs is Needs.VALUE


def _is_score(figure: object) -> bool:
    return isinstance(figure, int | float) and not math.isnan(figure)
