"""Networks ranked among each other by several proxies at once, by the rule with which a search ranks its population."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gsnet.evolution.ensemble import ENSEMBLE, NAMED_ENSEMBLES, ORDERING_MEMBERS, log_rank_sums
from gsnet.evolution.options import ensemble_from
from gsnet.interface.options import InputError
from ZeroShotProxy import get_proxy

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
    size = len(scored)
    if not size:
        return (
            f"{ranking.name}: no network has a score by each of {', '.join(ranking.members)}, so that none has a place. "
            "Name members that score them all."
        )
    return (
        f"{ranking.name}: the sum of log(place / {size}) by {', '.join(ranking.members)}. Of the {size} networks that have all "
        f"of these scores the best has place {size}, the worst 1, and equal scores share the mean of theirs."
    )


def _is_score(figure: object) -> bool:
    return isinstance(figure, int | float) and not math.isnan(figure)
