"""A search under way, as a program's callback sees it."""

from __future__ import annotations

from collections import Counter

from gsnet.evolution.island_search import AnySearch
from gsnet.evolution.population import Member


class Running:
    """How far a search is; `stop()` ends it after the round that is done."""

    def __init__(self, search: AnySearch) -> None:
        self._search = search
        self.stopped = False

    @property
    def iteration(self) -> int:
        """How many proposals are done."""
        return self._search.progress.next_iteration

    @property
    def iterations(self) -> int:
        """How many there will be."""
        return self._search.settings.evolution_max_iter

    @property
    def best(self) -> Member | None:
        """The best candidate so far (`best.network`, `best.score`), None while nothing is scored."""
        return self._search.best

    @property
    def population(self) -> tuple[Member, ...]:
        """The present survivors."""
        return self._search.population.members

    @property
    def outcomes(self) -> Counter[str]:
        """How many proposals were scored, duplicates, over which budget, failed."""
        return self._search.progress.outcomes.copy()

    def stop(self) -> None:
        """End the search here; what was found so far is its result."""
        self.stopped = True

    def __repr__(self) -> str:
        found = f", best {self.best.score:.6g}" if self.best else ""
        return f"<{self.iteration:,} of {self.iterations:,} iterations{found}: {self._search.progress.describe()}>"
