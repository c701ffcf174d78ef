"""The compiled loop of a search does what the one in Python does: the same proposals, costs, scores, texts and survivors.

GSNET_PROPOSALS=20000 pytest tests/test_evolution_arrays.py compares as many proposals in each space; it takes some minutes.
"""

import math
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numba import typeof

import gsnet
import PlainNet
from gsnet.evolution import array_arrays, array_compiling, array_loop, packed_text, pareto_front
from gsnet.evolution.array_choice import make_loop, why_in_python
from gsnet.evolution.array_codes import Codes, SpaceTables
from gsnet.evolution.array_layout import Plan
from gsnet.evolution.array_population import ArrayPopulation
from gsnet.evolution.budgets import CostModel
from gsnet.evolution.executors import make_executor
from gsnet.evolution.figures import known_figures
from gsnet.evolution.functions import NO_FUNCTIONS
from gsnet.evolution.history import DETERMINISTIC_COLUMNS, History
from gsnet.evolution.population import Member, Population
from gsnet.evolution.proposals import make_proposer
from gsnet.evolution.recorded import SCORED, Row
from gsnet.evolution.search import Search
from gsnet.evolution.settings import FITTING, PUBLISHED, SearchSettings
from PlainNet.super_blocks import SuperConvK3BNRELU

PROPOSALS = int(os.environ.get("GSNET_PROPOSALS", "2000"))
XX = (
    "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)"
    "SuperResK3K3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
)
STARTS = {
    "XXBL": XX,
    "ghostshuffle": XX.replace("SuperResK3K3", "SuperGhostShuffleK3"),
    "IDW_fixfc": XX.replace("SuperResK3K3", "SuperResIDWE6K3"),
}
PLACES = [Row._fields.index(name) for name in (*DETERMINISTIC_COLUMNS, "figures")]


def settings_of(space="XXBL", evolution=FITTING, **changes):
    settings = SearchSettings(
        "ZenClosedForm",
        evolution_max_iter=PROPOSALS,
        population_size=128,
        fix_initialize=True,
        origin=True,
        search_space=f"SearchSpace/search_space_{space}.py",
        plainnet_struct=STARTS[space],
        evolution=evolution,
        max_layers=18,
        budget_model_size=1e6,
        budget_flops=1e8,
        budget_mac=8e6,
    )
    return replace(settings, **changes)


def opened(settings, history, compiled):
    """A search over a history, with its loop compiled or in Python."""
    proposer, figures = make_proposer(settings), known_figures(settings)
    loop = make_loop(settings, proposer, figures) if compiled else None
    return Search(settings, proposer, make_executor(settings, 1), history, figures, loop)


def searched(settings, compiled):
    """All rows of a search, its best member, and its survivors."""
    history = History.create(None, settings)
    search = opened(settings, history, compiled)
    while not search.finished:
        search.advance()
    history.commit()
    rows = [tuple(row[place] for place in PLACES) for row in history.rows()]
    return rows, search.best, search.population.members, search.progress.outcomes


WIDE = "SuperConvK3BNRELU(3,24,1,1){0}(24,32,2,24,1){0}(32,48,2,32,2)SuperConvK1BNRELU(48,64,1,1)"


def growing(limit):
    """Settings of a search that limits the growth of gradients."""
    return {"figures": ("growth",), "limits": (("growth", limit),)}


DEEP = {"max_layers": 120, "budget_model_size": None, "budget_flops": None, "budget_mac": None}
OTHERS = {"search_space_list": ("PlainNet/SuperGhostShuffle.py",), "evolution_max_iter": 800}
LISTED = {"search_space": None, "search_space_list": ("PlainNet/SuperResKXKX.py", "PlainNet/SuperResK1KXK1.py")}


@pytest.mark.parametrize(
    "settings",
    [
        *(settings_of(space, rule) for space in STARTS for rule in (FITTING, PUBLISHED)),
        settings_of(origin=False, fix_initialize=False, evolution=PUBLISHED, plainnet_struct=None, **LISTED),
        settings_of(origin=False, fix_initialize=False, plainnet_struct=None, **LISTED),
        # The first candidates have blocks that no later one is drawn from.
        settings_of(origin=False, **OTHERS),
        settings_of(fix_initialize=False, plainnet_struct=None, **OTHERS),
        settings_of("ghostshuffle", use_se=True, zero_shot_score="PerturbationClosedForm", input_image_size=48),
        settings_of("XXBL", evolution_max_iter=800, **growing(3.0)),
        settings_of(
            "ghostshuffle", PUBLISHED, use_se=True, input_image_size=24, evolution_max_iter=150, **growing(2.0)
        ),
        settings_of("IDW_fixfc", zero_shot_score="Params", evolution_max_iter=800, **growing(4.0)),
        settings_of("IDW_fixfc", PUBLISHED, no_BN=True, zero_shot_score="Flops", origin=False),
        settings_of("ghostshuffle", min_width=24, plainnet_struct=WIDE.format("SuperGhostShuffleK3")),
        settings_of(min_width=24, evolution=PUBLISHED, plainnet_struct=WIDE.format("SuperResK3K3"), origin=False),
        # Networks become longer than there is room for at first.
        settings_of("ghostshuffle", zero_shot_score="Params", population_size=16, evolution_max_iter=600, **DEEP),
        # Widths for which there are no templates are Python's, each iteration that has them.
        settings_of(plainnet_struct=XX.replace("(3,8,1,1)SuperResK3K3(8,", "(3,20,1,1)SuperResK3K3(20,")),
    ],
    ids=lambda settings: f"{settings.search_space}-{settings.evolution}-{settings.zero_shot_score}",
)
def test_both_ways_propose_count_score_and_keep_the_same(settings):
    rows, best, members, outcomes = searched(settings, True)
    in_python, its_best, its_members, its_outcomes = searched(settings, False)
    assert rows == in_python
    assert (best, members, outcomes) == (its_best, its_members, its_outcomes)
    assert outcomes[SCORED] > settings.evolution_max_iter / 10
    assert bool(settings.figures) == ("over budget (growth)" in outcomes)
    if settings.max_layers == 120:
        assert max(len(member.network.blocks) for member in members) > 32


def test_a_search_is_taken_up_by_either_way_where_the_other_left_it():
    settings = settings_of("ghostshuffle", evolution_max_iter=1500, **growing(3.0))
    history, marks = History.create(None, settings), iter((True, False, True, False, True))
    done = 0
    while done < settings.evolution_max_iter:
        search = opened(settings, history, next(marks, True))
        end = min(done + 300, settings.evolution_max_iter)
        while search.progress.next_iteration < end:
            # Rounds in Python on what compiled code has left, and the other way round.
            (search.advance_round if search.progress.next_iteration % 100 < 20 else search.advance)()
        history.commit()
        done = search.progress.next_iteration
    assert [tuple(row[place] for place in PLACES) for row in history.rows()] == searched(settings, False)[0]


def test_a_small_space_is_exhausted_at_the_same_iteration():
    start = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,8,2,8,1)SuperConvK1BNRELU(8,8,1,1)"
    settings = settings_of(plainnet_struct=start, max_layers=3, budget_model_size=3e3, population_size=12)
    settings = replace(settings, evolution_max_iter=60_000)
    rows, best, members, _ = searched(settings, True)
    assert len(rows) < settings.evolution_max_iter
    assert (rows, best, members) == searched(settings, False)[:3]


def test_blocks_become_rows_and_come_back():
    network = PlainNet.parse(XX + "SuperResIDWE6K3(128,64,2,24,4)")
    types = [type(block) for block in network.blocks]
    codes = Codes(types)
    rows = codes.encoded(network)
    assert rows.shape == (7, 12)
    assert rows[1, :6].tolist() == [1, 8, 16, 1, 8, 1] and rows[0, :6].tolist() == [0, 3, 8, 1, 0, 1]
    assert codes.decoded(rows) == network


def test_as_many_options_as_a_space_has():
    space = make_proposer(settings_of()).rule.later
    tables = SpaceTables(Codes(space.block_types), space)
    for width in range(8, 2048, 8):
        tables.add(0, width)
    row = tables.arrays.places[0, 64]
    count = tables.arrays.options[row, 0]
    # The published ratios of 64 in multiples of 8 (48 twice: of 1 / 1.25 and of 1 / 1.5 in halves to even).
    assert tables.arrays.options[row, 1 : 1 + count].tolist() == [160, 128, 96, 80, 64, 48, 40, 32, 24]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"zero_shot_score": "Random"}, "Random is no compiled score"),
        ({"round_size": 4}, "many at a time"),
        ({"objectives": ("score", "params")}, "more than the score"),
        ({"figures": ("growth", "weights"), "limits": (("growth", 5.0), ("weights", 1e6))}, "more than the score"),
        ({"figures": ("growth",), "objectives": ("score", "growth")}, "more than the score"),
        ({"zero_shot_score": "Params", "keep_links": False}, "another network"),
    ],
)
def test_what_is_pythons_alone_says_so(changes, words):
    settings = settings_of(**changes)
    assert words in why_in_python(settings, make_proposer(settings), NO_FUNCTIONS, in_process=True)


def test_a_space_or_processes_of_ones_own_say_so(tmp_path):
    own = tmp_path / "space.py"
    own.write_text("def gen_search_space(block_list, block_id):\n    return [[str(block_list[block_id])]]\n")
    settings = settings_of(search_space=str(own))
    assert "function of its own" in why_in_python(settings, make_proposer(settings), NO_FUNCTIONS, in_process=True)
    settings = settings_of()
    assert "many at a time" in why_in_python(settings, make_proposer(settings), NO_FUNCTIONS, in_process=False)
    assert why_in_python(settings, make_proposer(settings), NO_FUNCTIONS, in_process=True) == ""


def small_arrays(capacity=2):
    plan = Plan(0, 0, 1, capacity, 32, 10, math.inf, np.full(3, math.inf), math.inf, np.uint64(0))
    return array_arrays.Arrays(plan, 1)


def test_of_equal_scores_the_oldest_goes_wherever_it_comes_from():
    """Members of other islands may be older than those who are here."""
    codes, costs = Codes([SuperConvK3BNRELU]), CostModel(32, 10, PlainNet.Style())
    populations = Population(2), ArrayPopulation(2, small_arrays(), codes, costs)
    added = ((7, 1.0), (9, 2.0), (3, 1.0), (5, 1.5), (4, 1.5), (2, 2.0))
    for (iteration, score), kept in zip(added, ({7}, {7, 9}, {7, 9}, {5, 9}, {5, 9}, {2, 9}), strict=True):
        network = PlainNet.parse(f"SuperConvK3BNRELU(3,{8 * iteration},1,1)")
        for population in populations:
            population.add(Member(score, iteration, network))
            assert {member.iteration for member in population.members} == kept


def test_the_table_of_networks_that_were_tried_is_never_full():
    """However many rows a history has, where a search is resumed that is to be a short one."""
    arrays = small_arrays()
    arrays.make_room_for_tried(100_000)
    assert arrays.room.tried.size > 100_000


def test_what_a_record_has_no_room_for_is_pythons():
    wide = STARTS["IDW_fixfc"].replace("(64,128,1,1)", "(64,70000,1,1)")
    unlimited = {"budget_model_size": None, "budget_flops": None, "budget_mac": None}
    settings = settings_of("IDW_fixfc", plainnet_struct=wide, evolution_max_iter=60, **unlimited)
    rows, best, _, _ = searched(replace(settings, zero_shot_score="Params"), True)
    structures = [row[PLACES.index(Row._fields.index("structure"))] for row in rows]
    # The head of this space is kept as it is.
    assert all(text.endswith(",70000,1,1)") for text in structures) and best.network.blocks[-1].out_channels == 70000


def test_a_callback_sees_every_round_and_changes_nothing(tmp_path):
    options = {"space": "XXBL", "proxy": "ZenClosedForm", "budgets": {"layers": 12}, "iterations": 60, "seed": 3}
    seen = []
    with_callback = gsnet.search(XX, callback=lambda running: seen.append(running.iteration), **options)
    alone = gsnet.search(XX, save_dir=tmp_path, **options)
    assert seen == list(range(1, 61))
    assert with_callback.best.network == alone.best.network and with_callback.best.score == alone.best.score
    assert "the loop of this search runs as machine code" in (tmp_path / "evolution_search.log").read_text()


@pytest.mark.parametrize(
    ("proxy", "budgets", "told"),
    [
        ("ZenClosedForm", {}, "ZenClosedForm"),
        ("Zen", {}, "ZenClosedForm"),
        ("ZenClosedForm", {"growth": 3.5}, None),
        ("Params", {"params": 1e5}, None),
        (("Params", "ZenClosedForm"), {"growth": 4}, "Params with ZenClosedForm"),
        (("Params", "ZenClosedForm", "NASWOT"), {"growth": 3.5}, None),
        (("Flops", "NASWOT", "Syncflow-log"), {}, "Flops with NASWOT with Syncflow-log"),
        (("Flops", "NASWOT", "Syncflow-log"), {"growth": 3.5}, None),
        (("Params", "Flops"), {}, None),
        (("ZenClosedForm", "PerturbationClosedForm"), {}, None),
    ],
)
def test_a_search_says_where_trained_winners_were_no_better_than_random_ones(tmp_path, proxy, budgets, told):
    names = {"proxy": proxy} if isinstance(proxy, str) else {"proxy": "Ensemble", "ensemble": proxy}
    what = {"budgets": {"layers": 12, **budgets}, "iterations": 20, "resolution": 8, "num_classes": 10, "batch_size": 2}
    gsnet.search(XX, space="XXBL", **names, **what, save_dir=tmp_path)
    log = (tmp_path / "evolution_search.log").read_text()
    assert ("that were trained were no better than random networks" in log) is bool(told)
    assert told is None or f"winners of {told} that were trained" in log
    # A program has keywords.
    assert told is None or "limit on growth were: proxy Ensemble and budgets['growth'] 3.5" in log
    assert "--" not in log


def test_more_networks_are_tried_than_there_was_room_for(monkeypatch):
    settings = settings_of(evolution_max_iter=4_500, zero_shot_score="Params", budget_model_size=None)
    wanted = searched(settings, False)[0]
    monkeypatch.setattr(array_arrays, "_MOST_TRIED", 1)
    assert searched(settings, True)[0] == wanted


def test_what_is_compiled_in_time_is_what_is_called(tmp_path):
    """Other types of arguments would be compiled in the middle of a search, and these for nothing."""
    options = {"space": "XXBL", "proxy": "ZenClosedForm", "budgets": {"layers": 12}, "save_dir": tmp_path}
    for iterations in (60, 90):
        gsnet.search(XX, iterations=iterations, resume=iterations > 60, **options)
    for function, arguments in (*array_compiling.loop_examples(), *packed_text.examples(), *pareto_front.examples()):
        assert set(function.overloads) == {tuple(map(typeof, arguments))}, function


def test_a_change_of_any_compiled_file_renews_the_machine_code():
    """numba looks at the file of the function that Python calls alone."""
    rooms = Path(array_loop.__file__).parent
    compiled = {file for file in rooms.glob("array_*.py") if re.search(r"^@(compiled|inlined)", file.read_text(), re.M)}
    known = {Path(module.__file__) for module in array_loop.MODULES}
    assert compiled - known == {Path(array_loop.__file__)} and len(compiled) > 5
