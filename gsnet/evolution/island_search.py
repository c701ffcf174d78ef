"""A search with several populations that exchange members: islands.

Each island is a search of its own over its turns of the iterations (`gsnet.evolution.turns`). After a turn of each, the best of
an island join the next one, those of the last the first. What comes depends on the settings alone: not on where islands live,
nor on how many run at the same time.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from gsnet.evolution.history import History
from gsnet.evolution.island import Migrant, Part, Status
from gsnet.evolution.island_places import IslandsLost, Places
from gsnet.evolution.jobs import DEATHS_UNTIL_FAILURE
from gsnet.evolution.judging import Refusals, SearchFailed, nothing_scored
from gsnet.evolution.packed import Packed
from gsnet.evolution.parts import search_budgets
from gsnet.evolution.population import Member
from gsnet.evolution.proposed import OpenRound
from gsnet.evolution.recorded import Row
from gsnet.evolution.scorer import Scored
from gsnet.evolution.search import Search
from gsnet.evolution.settings import SearchError, SearchSettings
from gsnet.evolution.so_far import Progress
from gsnet.evolution.turns import Turn, Turns


class Islanders:
    """All members of all islands, for who looks on."""

    def __init__(self, search: IslandSearch) -> None:
        self._search = search

    @property
    def members(self) -> tuple[Member, ...]:
        """The members, island by island."""
        return tuple(migrant.member() for members in self._search.ask_all("members") for migrant in members)

    @property
    def scores(self) -> list[float]:
        """Their scores."""
        return [score for status in self._search.statuses for score in status.scores]

    @property
    def lowest_score(self) -> float:
        """The lowest score among them."""
        return min(self.scores)


class IslandSearch:
    """What `gsnet.evolution.search.Search` is for one population. `advance` records some proposals of one island."""

    def __init__(self, settings: SearchSettings, history: History, places: Places) -> None:
        self.settings = settings
        self.progress = Progress()
        self.population = Islanders(self)
        self.statuses: list[Status] = []
        self._history = history
        self._places = places
        self._turns = Turns(settings.islands, settings.migration)
        self._numbers = range(settings.islands)
        # What was asked for, with its ticket, and not received; what was received and not recorded.
        self._under_way: deque[tuple[Turn, int]] = deque()
        self._received: deque[tuple[int, Status]] = deque()
        self._deaths = 0
        self._exhausted = ""
        history.drop_incomplete_round(settings.round_size)
        self._start_over()

    @property
    def finished(self) -> bool:
        """Whether all iterations are done, or an island has found all there is."""
        return self.progress.next_iteration >= self.settings.evolution_max_iter or self.exhausted

    @property
    def exhausted(self) -> bool:
        """Whether an island has found all that there is."""
        return bool(self._exhausted)

    @property
    def best(self) -> Member | None:
        """The best member so far."""
        return self.progress.best

    def record_in(self, history: History) -> None:
        """Record in another history, which holds the same as the one so far."""
        self._history = history

    def advance(self) -> None:
        """Propose and record. Raises SearchFailed where going on is pointless."""
        try:
            if not self._received:
                self._receive()
        except IslandsLost as loss:
            self._died(loss)
            self._start_over()
            return
        self._deaths = 0
        island, status = self._received.popleft()
        self._record(island, status)
        if status.exhausted or status.failure:
            # What other islands have proposed meanwhile comes after the end.
            self._received.clear()
            self._under_way.clear()
            self._exhausted = status.exhausted
        if status.failure:
            raise SearchFailed(self.nothing_scored() if status.fruitless and not self.best else status.failure)

    def advance_round(self) -> None:
        """As `advance`: islands have rounds of their own."""
        self.advance()

    def open_round(self) -> OpenRound:
        """There is none for others to score. Raises SearchError."""
        raise SearchError("Networks are asked for of one population: leave islands out")

    def close_round(self, opened: OpenRound, results: Sequence[Scored]) -> None:
        """There is none. Raises SearchError."""
        raise SearchError("Networks are told to one population: leave islands out")

    def why_exhausted(self) -> str:
        """The sentence for a search that is over before its last iteration."""
        return self._exhausted

    def nothing_scored(self) -> str:
        """The sentence for a search in which no candidate was scored."""
        settings = self.settings
        refusals = Refusals(search_budgets(settings), settings.budget_latency, dict(settings.limits))
        for status in self.statuses:
            for name, figure in status.least_refused.items():
                refusals.add(name, figure)
        failed = next((status.commonest_failure for status in self.statuses if status.commonest_failure), "")
        return nothing_scored(self.progress, failed, refusals)

    def ask_all(self, method: str) -> list:
        """What every island answers."""
        tickets = [self._places.send(island, method) for island in self._numbers]
        return [self._places.receive(ticket) for ticket in tickets]

    def _receive(self) -> None:
        """Wait for islands; where they run at the same time, for all of them, so that these go on while rows are written."""
        if not self._under_way:
            self._send_epoch(self.progress.next_iteration)
        if not self._places.together:
            turn, ticket = self._under_way.popleft()
            status = self._places.receive(ticket)
            self._received.append((turn.island, status))
            done = self.progress.next_iteration + sum(map(_length, status.parts))
            if done < turn.end and not (status.exhausted or status.failure):
                self._under_way.appendleft((turn, self._places.send(turn.island, "run", done, turn.end, False)))
            return
        statuses = [(turn, self._places.receive(ticket)) for turn, ticket in self._under_way]
        self._under_way.clear()
        self._received.extend((turn.island, status) for turn, status in statuses)
        if not any(status.exhausted or status.failure for _, status in statuses):
            self._send_epoch(statuses[-1][0].end)

    def _send_epoch(self, first: int) -> None:
        """Have every island do what is left of an epoch."""
        turns = self._turns.epoch(first, self.settings.evolution_max_iter)
        if not turns:
            return
        if first and self._turns.begins_epoch(first):
            self._migrate(turns[0].epoch)
        for turn in turns:
            ticket = self._places.send(turn.island, "run", turn.first, turn.end, self._places.together)
            self._under_way.append((turn, ticket))

    def _migrate(self, epoch: int) -> None:
        """Have the best of each island join the next one, and keep who they were."""
        leaving = self.ask_all("emigrants")
        self._history.add_migration(epoch, [[migrant.iteration for migrant in of_island] for of_island in leaving])
        self._let_join(leaving)

    def _let_join(self, leaving: list[list[Migrant]]) -> None:
        tickets = [self._places.send(island, "receive", leaving[island - 1]) for island in self._numbers]
        for ticket in tickets:
            self._places.receive(ticket)

    def _start_over(self) -> None:
        """Make all islands, and tell them what is recorded. Raises SearchFailed where their processes die again and again."""
        self._history.commit()
        while True:
            self._under_way.clear()
            self._received.clear()
            try:
                self._places.make(self._numbers)
                self._tell_what_was()
                self.statuses = self.ask_all("status")
                break
            except IslandsLost as loss:
                self._died(loss)
        self.progress.next_iteration = len(self._history)
        self._exhausted = next((status.exhausted for status in self.statuses if status.exhausted), "")
        self._count()

    def _died(self, loss: IslandsLost) -> None:
        self._deaths += 1
        if self._deaths >= DEATHS_UNTIL_FAILURE:
            message = f"A process of the islands died {self._deaths} times one after the other: give fewer workers"
            raise SearchFailed(message) from loss

    def _tell_what_was(self) -> None:
        epoch = 0
        for batch in self._history.batches():
            for turn, part in self._turns.pieces(batch):
                while epoch < turn.epoch:
                    epoch += 1
                    self._let_join([list(map(Migrant.of_row, of_island)) for of_island in self._emigrants(epoch)])
                self._places.receive(self._places.send(turn.island, "take_up", part))

    def _emigrants(self, epoch: int) -> list[list[Row]]:
        kept = self._history.migration(epoch)
        if kept is None:
            raise SearchError(
                f"{self._history.path} does not say who left the islands at migration {epoch}: it is damaged"
            )
        return [self._history.at(iterations) for iterations in kept]

    def _record(self, island: int, status: Status) -> None:
        for part in status.parts:
            if isinstance(part, Packed):
                self._history.extend(part)
            else:
                self._history.append(part)
            self.progress.next_iteration += _length(part)
        self.statuses[island] = status._replace(parts=[])
        self._count()

    def _count(self) -> None:
        """Add up what the islands have done."""
        self.progress.outcomes = sum((status.outcomes for status in self.statuses), Counter())
        bests = [status.best for status in self.statuses if status.best]
        if bests:
            best = max(bests, key=lambda migrant: (migrant.score, -migrant.iteration))
            known = self.progress.best
            # An ensemble's score of the same candidate changes with the population.
            if known is None or (known.iteration, known.score) != (best.iteration, best.score):
                self.progress.best = best.member()


AnySearch = Search | IslandSearch


def _length(part: Part) -> int:
    return len(part.iterations) if isinstance(part, Packed) else len(part)
