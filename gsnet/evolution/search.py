"""The evolutionary search: propose, admit, score, record, evict."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

from gsnet.evolution.array_search import ArrayLoop
from gsnet.evolution.budgets import NetworkCosts, first_exceeded
from gsnet.evolution.ensemble import EnsemblePopulation
from gsnet.evolution.figures import figure_number
from gsnet.evolution.functions import NO_FIGURES, Figure
from gsnet.evolution.history import DUPLICATE, FAILED, OVER_BUDGET, SCORED, Row
from gsnet.evolution.jobs import CandidateExecutor, Job
from gsnet.evolution.judging import Failures, NothingScored, Novelty, Refusals, SearchFailed, Tried, nothing_scored
from gsnet.evolution.packed import Packed
from gsnet.evolution.parts import make_population, predicted_latency, search_budgets
from gsnet.evolution.population import AnyPopulation, Member
from gsnet.evolution.proposals import Proposer
from gsnet.evolution.proposed import OpenRound, Proposal, member_of, row_of, scored_row
from gsnet.evolution.recorded import Recording, rows_of
from gsnet.evolution.scorer import Scored
from gsnet.evolution.settings import SearchSettings
from gsnet.evolution.so_far import Progress
from gsnet.evolution.turns import ONE_POPULATION, Turns
from PlainNet import Network, StructureError
from SearchSpace.least_width import narrowest, narrowest_block
from SearchSpace.random_numbers import CandidateRandom

# While the population is this small and has room, candidates come from the start rather than from parents.
FIRST_CANDIDATES = 10
_PROPOSALS_BEFORE_GIVING_UP = 5_000


class Search:
    """One search over one history. `advance` runs a round; everything else is bookkeeping.

    The result depends on the settings alone: a candidate's random numbers come from (seed, iteration), a round's
    parents from the population at its start, and results are entered in order of iteration.
    """

    def __init__(
        self,
        settings: SearchSettings,
        proposer: Proposer,
        executor: CandidateExecutor,
        history: Recording,
        figures: Mapping[str, Figure] = NO_FIGURES,
        loop: ArrayLoop | None = None,
        turns: Turns = ONE_POPULATION,
    ) -> None:
        self.settings = settings
        self._end = settings.evolution_max_iter
        # A population that never has more members than this would never have children.
        self._most_young = min(FIRST_CANDIDATES, settings.population_size - 1)
        self._turns = turns
        self.progress = Progress()
        self.population: AnyPopulation = loop.population if loop else make_population(settings)
        self._proposer = proposer
        self._executor = executor
        self._history = history
        self._budgets = search_budgets(settings)
        self._most_layers = settings.max_layers
        self._least_width = settings.min_width
        self._costs = proposer.costs
        self._latency = predicted_latency(settings)
        self._figures = figures
        self._limits = dict(settings.limits)
        self._random = CandidateRandom(settings.seed)
        self._loop = loop
        self._tried = loop.tried if loop else Tried()
        self.refusals = Refusals(self._budgets, settings.budget_latency, self._limits)
        self._novelty, self._failures = Novelty(), Failures()
        self._starts_are_known = False
        self._replay()

    @property
    def finished(self) -> bool:
        """Whether all iterations are done, or there is nothing left to find."""
        return self.progress.next_iteration >= self._end or self.exhausted

    @property
    def exhausted(self) -> bool:
        """Whether proposals have brought nothing new for so long that the space within the budgets holds no more."""
        return not self._is_young() and self._novelty.is_over(len(self.population))

    @property
    def best(self) -> Member | None:
        """The best member so far; of an ensemble, by its aggregate in the population of the moment."""
        population = self.population
        return population.best if isinstance(population, EnsemblePopulation) else self.progress.best

    def record_in(self, history: Recording) -> None:
        """Record in another history, which holds the same as the one so far."""
        self._history = history

    def go_to(self, first: int, end: int) -> None:
        """Go on at an iteration, up to another one: those between belong to other populations."""
        self.progress.next_iteration, self._end = first, end

    def receive(self, members: Sequence[Member]) -> None:
        """Let members of another population take part, but for networks that were tried here."""
        for member in members:
            if member.network not in self._tried:
                self._tried.add(member.network)
                self.population.add(member)
                # Their neighbours are new here.
                self._novelty.start_anew()

    def advance(self) -> None:
        """Run the next round, or rounds for some hundredths of a second. Raises SearchFailed where going on is pointless."""
        if self._loop is None or self._is_given or not self._run_compiled(self._loop):
            self.advance_round()

    def _run_compiled(self, loop: ArrayLoop) -> bool:
        return loop.advance(self.progress, self._novelty, self._history, self._end)

    def advance_round(self) -> None:
        """Run one round. Raises SearchFailed where going on is pointless."""
        opened = self.open_round()
        admitted = opened.admitted
        jobs = [Job(p.network, p.seed) for _, p, _ in admitted]  # type: ignore[arg-type]
        self.close_round(opened, self._executor.score(jobs) if jobs else ())

    def open_round(self) -> OpenRound:
        """The proposals of the next round, of which those admitted are to be scored. `close_round` has to follow."""
        start, length = self.progress.next_iteration, self.settings.round_size
        end = min(start - start % length + length, self._end)
        proposals = [self._propose(iteration) for iteration in range(start, end)]
        rows: list[Row] = []
        admitted: list[tuple[int, Proposal, NetworkCosts]] = []
        for place, proposal in enumerate(proposals):
            verdict = self._admit(proposal)
            if isinstance(verdict, NetworkCosts):
                admitted.append((place, proposal, verdict))
            else:
                rows.append(verdict)
        return OpenRound(proposals, rows, admitted)

    def close_round(self, opened: OpenRound, results: Sequence[Scored]) -> None:
        """Record a round, given the results of its admitted candidates in order. Raises SearchFailed."""
        proposals, rows, admitted = opened
        # In order of place: every row is put in where it ends up.
        for (place, proposal, costs), result in zip(admitted, results, strict=True):
            rows.insert(place, scored_row(proposal, costs, result))
        self._history.append(rows)
        for row, proposal in zip(rows, proposals, strict=True):
            self._enter(row, proposal.network)
        self._judge()

    def _propose(self, iteration: int) -> Proposal:
        generator, proposer, population = self._random, self._proposer, self.population
        rule = proposer.impartial if self._novelty.is_rare else proposer.rule
        seed = generator.at(iteration)
        parent = None
        try:
            own = self._turns.own(iteration) if proposer.given else iteration
            if own < proposer.given or self._is_young():
                return Proposal(iteration, None, seed, proposer.first(own, generator, rule))
            parent = rule.parent(population, generator)
            return Proposal(iteration, parent.iteration, seed, rule.child(parent, population, generator))
        except StructureError as error:
            return Proposal(iteration, parent.iteration if parent else None, seed, None, error.reason)

    @property
    def _is_given(self) -> bool:
        """Whether the next candidate does not come from a parent that is drawn from the population."""
        return self._turns.own(self.progress.next_iteration) < self._proposer.given or self._is_young()

    def _is_young(self) -> bool:
        """Whether candidates come from the start; not for ever where that has fewer neighbours than are wanted."""
        return len(self.population) <= self._most_young and not self._starts_are_known

    def _admit(self, proposal: Proposal) -> NetworkCosts | Row:
        """The candidate's costs if it is to be scored, otherwise the row that says why not."""
        network = proposal.network
        if network is None:
            return row_of(proposal, FAILED, proposal.problem)
        if self._most_layers is not None and network.layers > self._most_layers:
            # The one budget that needs no costs.
            return row_of(proposal, OVER_BUDGET, "layers", (network.layers, None, None, None, None))
        if self._least_width and narrowest(narrowest_block(network)) < self._least_width:
            # Only of several structures to start from, and of what a user's space draws.
            return row_of(proposal, OVER_BUDGET, "width", (network.layers, None, None, None, None))
        if network in self._tried:
            return row_of(proposal, DUPLICATE)
        costs = self._costs.costs(network)
        if self._budgets and (exceeded := first_exceeded(self._budgets, costs)):
            self.refusals.add(exceeded.name, exceeded.measure(costs))
            return row_of(proposal, OVER_BUDGET, exceeded.name, costs[:5])
        if self._latency is not None and network is not None:
            costs = self._latency.added_to(costs, network)
            if costs.latency > self._latency.limit:
                self.refusals.add("latency", costs.latency)
                return row_of(proposal, OVER_BUDGET, "latency", costs[:5], costs.latency)
        if self._figures:
            return self._judge_figures(proposal, network, costs)
        self._tried.add(network)
        return costs

    def _judge_figures(self, proposal: Proposal, network: Network, costs: NetworkCosts) -> NetworkCosts | Row:
        """The costs with what the user's functions say, or the row of a candidate that this keeps out."""
        values = {name: figure_number(name, figure(network)) for name, figure in self._figures.items()}
        wrong = {name: value for name, value in values.items() if not math.isfinite(value)}
        costs = costs if wrong else costs._replace(figures=json.dumps(values))
        known = None if math.isnan(costs.latency) else costs.latency
        for name, limit in self._limits.items():
            if values[name] > limit:
                self.refusals.add(name, values[name])
                return row_of(proposal, OVER_BUDGET, name, costs[:5], known)._replace(figures=costs.figures)
        self._tried.add(network)
        if wrong:
            name, value = next(iter(wrong.items()))
            return row_of(proposal, FAILED, f"{name} is {value}", costs[:5], known)
        return costs

    def _enter(self, row: Row, network: Network | None) -> None:
        """Let a recorded proposal take part: population, best, counts."""
        progress = self.progress
        progress.next_iteration = row.iteration + 1
        progress.outcomes[f"{row.outcome} ({row.reason})" if row.outcome == OVER_BUDGET else row.outcome] += 1
        if row.score is None or network is None:
            self._note_known(row)
            return
        self._novelty.scored()
        member = member_of(row, network)
        if progress.best is None or member.score > progress.best.score:
            progress.best = member
        self.population.add(member)

    def _note_known(self, row: Row) -> None:
        """Take into account that a proposal was not scored."""
        self._novelty.not_scored(row)
        if row.outcome == FAILED:
            self._failures.add(row)
        if self.population and self._is_young() and self._novelty.is_over(len(self.population)):
            # The start's neighbours are known, those of its neighbours may not be.
            self._starts_are_known = True
            self._novelty.start_anew()

    def _replay(self) -> None:
        """Take up what the history holds."""
        self._history.drop_incomplete_round(self.settings.round_size)
        for batch in self._history.batches():
            self.take_up(batch)

    def take_up(self, batch: list[Row] | Packed) -> None:
        """Take up recorded proposals as if they had just been made."""
        if self._loop is None:
            for row in rows_of(batch):
                self._take_up(row)
            return
        for place in self._loop.replay(batch, self.progress, self._novelty):
            row = batch[place] if isinstance(batch, list) else next(rows_of(batch.between(place, place + 1)))
            self._take_up(row)

    def _take_up(self, row: Row) -> None:
        tried = row.outcome in (SCORED, FAILED) or (row.reason == "latency" and self._latency is None)
        network = row.network if tried and row.structure else None
        if network is not None:
            self._tried.add(network)
        self._enter(row, network if row.score is not None else None)

    def _judge(self) -> None:
        scored = self.progress.outcomes.get(SCORED, 0)
        if scored and not self._failures:
            return
        proposals = self.progress.outcomes.total()
        if self._failures and (verdict := self._failures.verdict(proposals, scored)):
            raise SearchFailed(verdict)
        if not scored and proposals >= _PROPOSALS_BEFORE_GIVING_UP:
            raise NothingScored(self.nothing_scored())

    def why_exhausted(self) -> str:
        """The sentence for a search that is over before its last iteration."""
        scored, known = self.progress.outcomes.get(SCORED, 0), self._novelty.known
        return (
            f"The search space is exhausted after {self.progress.next_iteration:,} iterations: the last {known:,} proposals "
            f"brought nothing new, {scored:,} networks are scored"
        )

    def nothing_scored(self) -> str:
        """The sentence for a search in which no candidate was scored."""
        return nothing_scored(self.progress, self.commonest_failure, self.refusals)

    @property
    def commonest_failure(self) -> str:
        """Why most candidates failed, in words; empty where none did."""
        return self._failures.commonest()
