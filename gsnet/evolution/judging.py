"""When a search is over before its last iteration: nothing new comes any more, or hardly anything can be scored."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from gsnet.evolution.budgets import Budget
from gsnet.evolution.recorded import DUPLICATE, Row
from gsnet.evolution.settings import figure_in_words
from gsnet.evolution.so_far import Progress
from PlainNet import Network

# So many proposals in a row that were all known before end a search, and so many more for every possible parent: a
# neighbour that one of them alone has is rarely drawn.
PATIENCE = 500
PATIENCE_A_PARENT = 100
# Long before that, what is left is looked for without a preference for some parents and neighbours.
PATIENCE_WITH_PREFERENCES = 100
# Networks over budget come again too. Which ones they are is kept only where nothing was scored for so many proposals.
UNSCORED_BEFORE_KEEPING = 200
_ATTEMPTS_BEFORE_JUDGING = 20
# A proposal that is no network costs nothing: only where next to all are none is a search pointless.
_MOST_UNSOUND = 0.9


class SearchFailed(Exception):  # noqa: N818 - the outcome of a search, not a programming error
    """A search that ran but has no result: most candidates fail, or none meets the budgets."""


class NothingScored(SearchFailed):
    """A search that ends because no candidate was scored for so long."""


class Tried:
    """The networks that were tried, as hashes of their texts. Two of half a million share one once in 10^8 searches."""

    def __init__(self) -> None:
        self._hashes: set[int] = set()

    def __contains__(self, network: Network) -> bool:
        return hash(network.text) in self._hashes

    def add(self, network: Network) -> None:
        """Remember a network."""
        self._hashes.add(hash(network.text))


class Novelty:
    """Counts the latest proposals that brought nothing new: duplicates, networks refused before, and no networks at all."""

    def __init__(self) -> None:
        self.known = 0
        self._unscored = 0
        self._refused: set[int] = set()

    def scored(self) -> None:
        """A network was scored: it was new."""
        if self._unscored:
            self.start_anew()

    @property
    def counts(self) -> tuple[int, int]:
        """How many of the latest proposals brought nothing new, and how many no score."""
        return self.known, self._unscored

    @counts.setter
    def counts(self, counts: tuple[int, int]) -> None:
        """As somebody else has gone on counting, up to `UNSCORED_BEFORE_KEEPING`."""
        self.known, self._unscored = counts
        self._refused.clear()

    def start_anew(self) -> None:
        """Forget what was counted."""
        self.known = self._unscored = 0
        self._refused.clear()

    def not_scored(self, row: Row) -> None:
        """A proposal that was not scored."""
        self._unscored += 1
        if row.outcome == DUPLICATE or not row.structure:
            self.known += 1
        elif self._unscored <= UNSCORED_BEFORE_KEEPING:
            self.known = 0
        elif (identity := hash(row.structure)) in self._refused:
            self.known += 1
        else:
            self._refused.add(identity)
            self.known = 0

    @property
    def is_rare(self) -> bool:
        """Whether what is preferred is known by now."""
        return self.known >= PATIENCE_WITH_PREFERENCES

    def is_over(self, parents: int) -> bool:
        """Whether nothing new can be expected of so many parents."""
        return self.known >= PATIENCE + PATIENCE_A_PARENT * parents


class Failures:
    """What failed, and why: proposals that are no networks, and networks that have no score."""

    def __init__(self) -> None:
        self._unsound = Reasons()
        self._unscored = Reasons()

    def __bool__(self) -> bool:
        return self._unsound.count + self._unscored.count > 0

    def add(self, row: Row) -> None:
        """A failed proposal."""
        (self._unscored if row.structure else self._unsound).add(row.reason)

    def commonest(self) -> str:
        """Why most failed, in words; empty where none did."""
        reasons = self._unscored if self._unscored.count else self._unsound
        return f"of the failed {reasons.commonest()}" if reasons.count else ""

    def verdict(self, proposals: int, scored: int) -> str:
        """Why it is pointless to go on after so many proposals, of which so many were scored; empty where it is not."""
        failed, unsound = self._unscored.count, self._unsound.count
        if failed > scored and failed + scored >= _ATTEMPTS_BEFORE_JUDGING:
            return f"{failed:,} of {failed + scored:,} candidates failed to score, {self._unscored.commonest()}"
        if unsound > _MOST_UNSOUND * proposals and proposals >= _ATTEMPTS_BEFORE_JUDGING:
            return f"{unsound:,} of {proposals:,} proposals are no networks, {self._unsound.commonest()}"
        return ""


class Reasons:
    """Counts reasons; those that differ in their numbers alone are one."""

    def __init__(self) -> None:
        self.count = 0
        self._kinds: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def add(self, reason: str) -> None:
        """One more."""
        kind = re.sub(r"\d+", "", reason)
        self.count += 1
        self._kinds[kind] += 1
        self._examples.setdefault(kind, reason)

    def commonest(self) -> str:
        """The commonest of at least one, in words, with its share."""
        ((kind, count),) = self._kinds.most_common(1)
        which = "all" if count == self.count > 1 else f"{count:,}"
        return f"{which} for this reason: {self._examples[kind]}"


class Refusals:
    """The least figure that each budget refused: how near a search came to them in which nothing was scored.

    latency: its budget in seconds. limits: the budgets of figures beside the costs.
    """

    def __init__(self, budgets: Sequence[Budget], latency: float | None, limits: Mapping[str, float]) -> None:
        self._budgets, self._latency, self._limits = budgets, latency, limits
        self.least: dict[str, float] = {}

    def add(self, name: str, figure: float) -> None:
        """A figure that the budget of that name refused."""
        self.least[name] = min(figure, self.least.get(name, figure))

    def nearest(self) -> str:
        """How near refused networks came to the budgets that refused them, in words; empty where none refused any."""
        least = self.least
        refused = [
            f"the least refused for {b.name} has {least[b.name]:,.0f} {b.unit}, {b.option} is {b.limit:,.0f}"
            for b in self._budgets
            if b.name in least
        ]
        if self._latency is not None and "latency" in least:
            refused.append(
                f"the least refused for latency takes {least['latency'] * 1e3:.4g} ms an image, "
                f"--budget_latency is {self._latency * 1e3:.4g} ms"
            )
        for name, limit in self._limits.items():
            if name in least:
                figure, budget = figure_in_words(name, least[name]), figure_in_words(name, limit)
                refused.append(f"the least refused for {name} is {figure}, its budget {budget}")
        return "; ".join(refused)


def nothing_scored(progress: Progress, failed: str, refusals: Refusals) -> str:
    """The sentence for a search in which no candidate was scored. failed: why most failed, empty where none did."""
    seen = f"No candidate was scored in {progress.next_iteration:,} iterations: {progress.describe()}"
    return "; ".join(filter(None, (seen, failed, refusals.nearest())))
