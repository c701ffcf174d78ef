"""Proposals of a search as rows of its history, and rows as members of its population."""

from __future__ import annotations

import json
import math
from typing import NamedTuple

from gsnet.evolution.budgets import NetworkCosts
from gsnet.evolution.population import Member
from gsnet.evolution.recorded import FAILED, OVER_BUDGET, SCORED, Row
from gsnet.evolution.scorer import Scored
from PlainNet import Network

_Figures = tuple[int | None, int | None, int | None, int | None, int | None]
_UNKNOWN: _Figures = (None, None, None, None, None)


class Proposal(NamedTuple):
    """A candidate before anything is known about it. `problem` is set where mutation gave something that cannot run."""

    iteration: int
    parent: int | None
    seed: int
    network: Network | None
    problem: str = ""


class OpenRound(NamedTuple):
    """A round before its candidates are scored: its proposals, the rows of those that will not be, and all others.

    admitted: place in the round, the proposal, what it costs.
    """

    proposals: list[Proposal]
    rows: list[Row]
    admitted: list[tuple[int, Proposal, NetworkCosts]]


def member_of(row: Row, network: Network) -> Member:
    """The member that a recorded candidate with a score is."""
    costs = (row.parameters, row.flops, row.memory_access, row.layers, row.latency)
    if row.figures:
        costs = (*costs, *json.loads(row.figures).values())
    scores = tuple(json.loads(row.scores)) if row.scores else ()
    return Member(row.score, row.iteration, network, costs, scores)  # type: ignore[arg-type]


def row_of(
    proposal: Proposal,
    outcome: str,
    reason: str = "",
    costs: _Figures = _UNKNOWN,
    latency: float | None = None,
) -> Row:
    """The row of a proposal without a score; costs: layers, parameters, FLOPs, memory access, largest map."""
    iteration, parent, seed, network, _ = proposal
    text = network.text if network else ""
    return Row(iteration, parent, seed, outcome, reason, None, *costs, latency, 0.0, text)


def scored_row(proposal: Proposal, costs: NetworkCosts, result: Scored) -> Row:
    """The row of a proposal that was scored, or whose scoring failed."""
    if result.score is None:
        outcome = OVER_BUDGET if result.reason == "latency" else FAILED
        latency = costs.latency if result.latency is None else result.latency
        known = None if math.isnan(latency) else latency
        row = row_of(proposal, outcome, result.reason, costs[:5], known)
        return row._replace(seconds=result.seconds, figures=costs.figures)
    return Row(
        proposal.iteration,
        proposal.parent,
        proposal.seed,
        SCORED,
        "",
        result.score,
        costs.layers,
        costs.parameters,
        costs.flops,
        costs.memory_access,
        costs.peak_feature_map,
        result.latency if math.isnan(costs.latency) else costs.latency,
        result.seconds,
        proposal.network.text,  # type: ignore[union-attr]
        json.dumps(result.scores) if result.scores else "",
        costs.figures,
    )
