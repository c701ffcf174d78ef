"""Which searches have their loop compiled, and why others have not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gsnet.evolution.array_codes import Codes, SpaceTables, is_plain
from gsnet.evolution.array_layout import (
    FITTING_RULE,
    FLOPS_SCORE,
    PARAMETERS_SCORE,
    PERTURBATION_SCORE,
    PUBLISHED_RULE,
    SCALING_RULE,
    ZEN_SCORE,
    Plan,
)
from gsnet.evolution.array_search import ArrayLoop, ClosedFormSteps
from gsnet.evolution.functions import NO_FIGURES, Figure, Functions
from gsnet.evolution.proposals import Proposer, smallest_drawn
from gsnet.evolution.rules import Fitting, Published
from gsnet.evolution.scorer import scoring_settings
from gsnet.evolution.settings import GROWTH, SearchSettings
from PlainNet import Style
from PlainNet.compiling import compiles
from PlainNet.step_table import StepTable
from PlainNet.super_blocks import SuperConvK1BNRELU, SuperConvK3BNRELU
from SearchSpace.candidates import TypedSpace
from SearchSpace.neighbourhood import TypedNeighbours
from SearchSpace.random_numbers import search_number
from SearchSpace.search_choice import ChosenBlocks, neighbours
from ZeroShotProxy import get_proxy
from ZeroShotProxy.gradient_growth import GAMMA
from ZeroShotProxy.mean_field_machine import first_map

SCORES = {
    "ZenClosedForm": ZEN_SCORE,
    "PerturbationClosedForm": PERTURBATION_SCORE,
    "Params": PARAMETERS_SCORE,
    "Flops": FLOPS_SCORE,
}


class Drawing(NamedTuple):
    """How later candidates are drawn: a rule of `array_layout`, and the neighbours whose options it draws from."""

    rule: int
    neighbours: TypedNeighbours


def why_in_python(settings: SearchSettings, proposer: Proposer, functions: Functions, in_process: bool) -> str:
    """Why a search's loop cannot be compiled, in words; empty where it can. in_process: whether candidates are scored here."""
    if why := why_settings_are_pythons(settings, functions, in_process):
        return why
    drawing = drawing_of(proposer)
    if drawing is None:
        return "the search space is a function of its own"
    if own := [kind.__name__ for kind in _types(drawing, proposer) if not is_plain(kind)]:
        return f"{own[0]} is no super-block of the package"
    return ""


def why_settings_are_pythons(settings: SearchSettings, functions: Functions, in_process: bool) -> str:
    """`why_in_python`, as far as that is known before the search space is."""
    name = settings.zero_shot_score
    if not compiles():
        return "numba is not there"
    if functions.of_the_program:
        return "a function of the program's own decides"
    if name not in SCORES:
        return f"{name} is no compiled score"
    if name in ("Params", "Flops") and settings.keep_links is False:
        return "what is scored is another network than what is counted"
    if settings.objectives != ("score",) or settings.watches_latency or settings.figures not in ((), (GROWTH,)):
        return "more than the score, the four costs and a limit on growth is watched"
    if settings.round_size != 1 or not in_process:
        return "candidates are scored many at a time"
    return ""


def drawing_of(proposer: Proposer) -> Drawing | None:
    """How later candidates are drawn, where that is one of the ways that are known here."""
    rule = proposer.rule
    if isinstance(rule, Fitting):
        return Drawing(FITTING_RULE, rule.later) if type(rule.later) is TypedNeighbours else None
    if not isinstance(rule, Published):
        return None
    if isinstance(rule.later_block, ChosenBlocks):
        return Drawing(SCALING_RULE, neighbours(rule.later_block.block_types))
    space = getattr(rule.later_block, "__self__", None)
    if type(space) is TypedSpace and rule.later_block.__func__ is TypedSpace.sample_block:  # type: ignore[attr-defined]
        return Drawing(PUBLISHED_RULE, space.neighbours)  # type: ignore[arg-type]
    return None


def make_loop(settings: SearchSettings, proposer: Proposer, figures: Mapping[str, Figure] = NO_FIGURES) -> ArrayLoop:
    """The loop of a search for which there is no reason `why_in_python`. figures: the search's own."""
    drawing = drawing_of(proposer)
    if drawing is None:
        raise ValueError("the search space is a function of its own")
    scoring = scoring_settings(settings)
    codes = Codes(_types(drawing, proposer))
    limits = (settings.budget_model_size, settings.budget_flops, settings.budget_mac)
    plan = Plan(
        rule=drawing.rule,
        score=SCORES[settings.zero_shot_score],
        last=settings.evolution_max_iter,
        capacity=settings.population_size,
        resolution=settings.input_image_size,
        classes=settings.num_classes,
        most_layers=math.inf if settings.max_layers is None else float(settings.max_layers),
        limits=np.array([math.inf if limit is None else limit for limit in limits], dtype=np.float64),
        most_growth=float(dict(settings.limits).get(GROWTH, math.inf)),
        seed=np.uint64(search_number(settings.seed)),
    )
    channels = proposer.starts[0].in_channels if proposer.starts else 3
    style = scoring.style_for(get_proxy(settings.zero_shot_score))
    # The gradient is that of the network as it is trained, links included; it does not depend on gamma.
    score, gradients = (
        ClosedFormSteps(StepTable(one), first_map(settings.input_image_size, gamma, channels))
        for one, gamma in ((style, settings.gamma), (Style(use_se=settings.use_se), GAMMA))
    )
    tables = SpaceTables(codes, drawing.neighbours, smallest_drawn(settings))
    return ArrayLoop(plan, codes, tables, proposer.costs, score, gradients, figures.get(GROWTH))


def _types(drawing: Drawing, proposer: Proposer) -> list:
    """All types of blocks that networks of a search may have: later candidates are drawn from others than the first."""
    of_starts = [type(block) for network in proposer.starts for block in network.blocks]
    drawn = (*drawing.neighbours.block_types, *proposer.block_types)
    return [*drawn, *of_starts, SuperConvK3BNRELU, SuperConvK1BNRELU]
