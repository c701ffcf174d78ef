"""Searches that end before their last iteration: nothing new comes, or hardly anything can be scored."""

import csv
import itertools
import json
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

import gsnet
import PlainNet
from gsnet.commands import evolution_search
from gsnet.evolution.folder import is_done, open_history
from gsnet.evolution.history import Row
from gsnet.evolution.island_search import IslandSearch
from gsnet.evolution.judging import PATIENCE, PATIENCE_A_PARENT, Failures, Novelty
from gsnet.evolution.recorded import HistoryReader
from gsnet.evolution.search import Search
from gsnet.evolution.session import RunOptions, Session
from gsnet.evolution.settings import EVOLUTIONS
from gsnet.interface.options import FAILED

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
START = "SuperConvK3BNRELU(3,16,1,1)SuperResK3K3(16,32,2,16,1)SuperConvK1BNRELU(32,64,1,1)"
NETWORK = "SuperConvK3BNRELU(3,16,1,1){}(16,{width},2,{width},{layers})SuperConvK1BNRELU({width},64,1,1)"
SMALL = {"proxy": "Params", "budgets": {"flops": 30e6}, "population_size": 64}


def readmes_space():
    """`gen_search_space` as the README has it."""
    text = next(
        b for b in re.findall(r"```python\n(.*?)```", README, re.DOTALL) if b.startswith("def gen_search_space")
    )
    names = {}
    exec(text, names)
    return names["gen_search_space"]


def halving_to_nothing(block_list, block_id):
    """A neighbour in three is no network."""
    block = block_list[block_id]
    if not hasattr(block, "bottleneck_channels"):
        return [[str(block)]]
    widths = (block.out_channels // 4 if block.out_channels > 32 else 0, block.out_channels, block.out_channels * 4)
    return [[f"SuperResK3K3({block.in_channels},{w},{block.stride},{w},{n})" for w in widths for n in (1, 2, 3)]]


def one_step_wider_or_narrower(block_list, block_id):
    block = block_list[block_id]
    if not hasattr(block, "bottleneck_channels"):
        return [[str(block)]]
    widths = {min(512, 2 * block.out_channels), max(8, block.out_channels // 2)}
    return [[f"SuperResK3K3({block.in_channels},{w},{block.stride},{w},1)" for w in widths]]


def structures(result, outcome="scored"):
    table = result.history
    return [s for s, found in zip(table["structure"], table["outcome"], strict=True) if found == outcome]


def test_an_exhausted_space_is_said_and_ends_the_search_with_its_result(tmp_path):
    """All that halving and doubling of 32 within the budget comes to, counted without a search."""
    result = gsnet.search(START, space=readmes_space(), iterations=20_000, save_dir=tmp_path, **SMALL)
    kinds = itertools.product(("SuperResK3K3", "SuperResK5K5"), (8, 16, 32, 64, 128, 256), (1, 2, 3))
    every = [START] + [NETWORK.format(kind, width=width, layers=layers) for kind, width, layers in kinds]
    wanted = {text for text in every if PlainNet.parse(text).cost(32, 10).flops <= 30e6}
    found = structures(result)
    assert set(found) == wanted and len(found) == len(wanted)
    assert result.finished and result.iterations < 10_000
    best = json.loads((tmp_path / "best.json").read_text())
    assert best["exhausted"] is True and best["iterations"] == result.iterations
    with (tmp_path / "history.csv").open() as file:
        assert len(list(csv.reader(file))) == 1 + result.iterations


def test_a_stop_does_not_change_when_a_space_is_exhausted(tmp_path):
    options = SMALL | {"space": readmes_space(), "round_size": 7, "iterations": 20_000}
    whole = gsnet.search(START, **options)
    for stop in (230, 1_400):
        gsnet.search(
            START, **options, save_dir=tmp_path, resume=True, callback=lambda p, n=stop: p.iteration >= n and p.stop()
        )
    resumed = gsnet.search(START, **options, save_dir=tmp_path, resume=True)
    assert resumed.iterations == whole.iterations and structures(resumed) == structures(whole)
    again = gsnet.search(START, **options, save_dir=tmp_path, resume=True)
    assert again.iterations == whole.iterations and again.finished


@pytest.mark.parametrize("rule", EVOLUTIONS)
def test_a_start_with_few_neighbours_is_left_when_they_are_known(rule):
    """The width of 8 is found from that of 16 alone, which has next to the lowest score."""
    result = gsnet.search(START, space=one_step_wider_or_narrower, iterations=20_000, proxy="Params", evolution=rule)
    widths = sorted(PlainNet.parse(text).blocks[1].out_channels for text in structures(result))
    # The start's own 32 is another network: its bottleneck is 16.
    assert widths == [8, 16, 32, 32, 64, 128, 256, 512]
    assert result.finished and result.iterations < 10_000


def test_a_neighbour_that_differs_in_everything_is_found_among_many_that_hardly_differ():
    """Four draws in a row are of nothing nearer once in 150,000 times."""
    near = [f"SuperResK3K3(16,{width},2,16,1)" for width in range(8, 168, 8)]

    def gen_search_space(block_list, block_id):
        return [5 * near, ["SuperResK5K5(16,256,2,24,2)"]] if block_id == 1 else [[str(block_list[block_id])]]

    result = gsnet.search(START, space=gen_search_space, iterations=20_000, proxy="Params")
    assert sorted(str(PlainNet.parse(text).blocks[1]) for text in structures(result)) == sorted(
        [*near, "SuperResK5K5(16,256,2,24,2)"]
    )
    assert result.iterations < 10_000


def test_a_search_goes_on_where_some_proposals_are_no_networks():
    result = gsnet.search(START, space=halving_to_nothing, iterations=600, **SMALL)
    assert result.iterations == 600
    failed = len(structures(result, "failed"))
    assert failed > len(structures(result)) > 3


def test_a_space_of_no_networks_ends_at_once_with_the_commonest_reason(tmp_path):
    def nonsense(block_list, block_id):
        block = block_list[block_id]
        return [[f"SuperResK3K3({block.in_channels},0,1,{n},1)" for n in range(1, 9)], ["SuperResK3K3(3,8,1)"]]

    nonsense.block_types = tuple(type(block) for block in PlainNet.parse(START).blocks[1:2])
    holder = type("Space", (), {"gen_search_space": staticmethod(nonsense), "block_types": nonsense.block_types})
    with pytest.raises(
        gsnet.SearchFailed, match=r"20 of 20 proposals are no networks, \d+ for this reason: .*out_channels"
    ):
        gsnet.search(START, space=holder, iterations=600, save_dir=tmp_path, **SMALL)
    with (tmp_path / "history.csv").open() as file:
        assert [row["outcome"] for row in csv.DictReader(file)] == ["failed"] * 20


def test_outputs_are_written_where_most_candidates_have_no_score(tmp_path):
    """Of every four networks, three fail: at 20 the search ends, and the best of the others is there."""
    count = itertools.count()

    def rarely(network):
        return float(network.layers) if next(count) % 4 == 0 else float("nan")

    options = {"space": "XXBL", "proxy": rarely, "iterations": 500, "save_dir": tmp_path}
    with pytest.raises(gsnet.SearchFailed, match=r"15 of 20 candidates failed to score, all for this reason: .*nan"):
        gsnet.search(START, **options)
    with (tmp_path / "history.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["outcome"] in ("scored", "failed")]
    assert len(rows) == 20
    best = max((row for row in rows if row["score"]), key=lambda row: float(row["score"]))
    assert (tmp_path / "best_structure.txt").read_text() == best["structure"]
    assert not gsnet.load(tmp_path).finished


def test_a_longer_search_that_is_cut_short_is_not_done(tmp_path):
    options = SMALL | {"space": "XXBL", "save_dir": tmp_path}
    settings = gsnet.search(START, **options, iterations=50).settings
    assert is_done(settings, tmp_path)
    longer = gsnet.search(
        START, **options, iterations=90, resume=True, callback=lambda p: p.iteration == 70 and p.stop()
    ).settings
    assert (longer.evolution_max_iter, is_done(longer, tmp_path)) == (90, False)
    open_history(longer, tmp_path, resume=True).close()
    assert not is_done(longer, tmp_path)


NOTHING = {"space": "XXBL", "proxy": "Params", "budgets": {"growth": 1e-9}, "population_size": 16}
ZEN = {"proxy": "ZenClosedForm"}


def test_what_scored_nothing_is_told_again_and_is_not_unfinished(tmp_path):
    said = "300 over budget .growth.; the least refused for growth is"
    for verify_top in (0, 3):
        options = {"verify_top": verify_top, "overwrite": True} | ZEN
        with pytest.raises(gsnet.SearchFailed, match=f"No candidate was scored in 300 iterations: {said}"):
            gsnet.search(START, **NOTHING | options, iterations=300, save_dir=tmp_path)
        assert len((tmp_path / "history.csv").read_text().splitlines()) == 301
    with pytest.raises(
        gsnet.SearchError, match=r"in which none of 300 proposals was scored: .*resume=True.*iterations"
    ):
        gsnet.search(START, **NOTHING | ZEN, iterations=300, save_dir=tmp_path)
    with pytest.raises(gsnet.SearchFailed, match="No candidate was scored in 310 iterations"):
        gsnet.search(START, **NOTHING | ZEN, iterations=310, save_dir=tmp_path, resume=True)
    assert evolution_search.report(tmp_path, as_json=False) == FAILED


def test_islands_that_score_nothing_are_counted_together():
    said = r"No candidate was scored in 300 iterations: 300 over budget .growth.; the least refused for growth is ([\d.]+),"
    with pytest.raises(gsnet.SearchFailed, match=said) as together:
        gsnet.search(START, **NOTHING, iterations=300, islands=3, migration=100)
    refused = []
    for first, islands in ((100, 1), (200, 2), (300, 3)):
        with pytest.raises(gsnet.SearchFailed) as alone:
            gsnet.search(
                START, **NOTHING, iterations=first, islands=islands, **({"migration": 100} if islands > 1 else {})
            )
        refused.append(float(re.search(r"growth is ([\d.]+)", str(alone.value))[1]))
    assert refused[0] >= refused[1] >= refused[2] == float(re.search(said, str(together.value))[1])
    # Each is given up after 5,000 proposals of its own; those of the others that are recorded count, too.
    with pytest.raises(gsnet.SearchFailed, match=r"scored in (5,000|9,900) iterations: \1 over budget"):
        gsnet.search(START, **NOTHING, iterations=20_000, islands=2, migration=100)


def test_a_finished_search_without_its_outputs_says_how_to_make_them(tmp_path):
    options = SMALL | {"space": "XXBL", "save_dir": tmp_path, "iterations": 30}
    gsnet.search(START, **options)
    (tmp_path / "best_structure.txt").unlink()
    with pytest.raises(gsnet.SearchError, match="a finished search without its outputs"):
        gsnet.search(START, **options)
    assert evolution_search.report(tmp_path, as_json=True) == 0 and is_done(gsnet.load(tmp_path).settings, tmp_path)


def test_what_cannot_begin_leaves_no_search(tmp_path):
    """A folder with nothing in it but a search that never began was said to hold an unfinished one."""
    options = SMALL | {"space": "XXBL", "save_dir": tmp_path, "iterations": 30}
    with pytest.raises(gsnet.SearchError, match="functions of a program"):
        gsnet.search(START, **options, islands=2, workers=2, objectives={"score": None, "mine": lambda network: 1.0})
    assert not (tmp_path / "search.db").exists()
    assert gsnet.search(START, **options).iterations == 30


def test_a_search_is_not_resumed_to_fewer_iterations_than_it_has(tmp_path):
    options = SMALL | {"space": "XXBL", "save_dir": tmp_path}
    gsnet.search(START, **options, iterations=30)
    with pytest.raises(gsnet.SearchError, match=r"holds 30 iterations: iterations must be at least so many"):
        gsnet.search(START, **options, iterations=20, resume=True)
    assert gsnet.load(tmp_path).settings.evolution_max_iter == 30


@pytest.mark.parametrize("islands", [1, 2])
def test_a_search_is_made_once(islands, tmp_path, monkeypatch):
    """To overwrite made it twice, and with it the islands and their processes."""
    gsnet.search(START, **SMALL, space="XXBL", save_dir=tmp_path, iterations=30)
    made = []
    kind = Search if islands == 1 else IslandSearch
    begin = kind.__init__
    monkeypatch.setattr(kind, "__init__", lambda self, *of, **more: (made.append(self), begin(self, *of, **more))[1])
    settings = gsnet.load(tmp_path).settings
    settings = replace(settings, islands=islands, evolution_max_iter=40, migration=10)
    with closing(Session(settings, tmp_path, RunOptions(overwrite=True))) as session:
        while not session.search.finished:
            session.search.advance()
        session.finish()
    assert made == [session.search]
    with closing(HistoryReader.read(tmp_path)) as reader:
        assert len(reader) == 40 and reader.settings == settings and reader.finished


def row(outcome, structure="", reason=""):
    return Row(0, None, 0, outcome, reason, None, *[None] * 6, 0.0, structure)


def test_known_networks_over_budget_count_as_known_and_new_ones_do_not():
    novelty, enough = Novelty(), PATIENCE + 3 * PATIENCE_A_PARENT
    for number in range(10 * enough):
        novelty.not_scored(row("over budget", f"new {number}"))
        novelty.not_scored(row("duplicate", "old"))
        assert not novelty.is_over(3)
    for _ in range(enough - 1):
        assert not novelty.is_over(3)
        novelty.not_scored(row("over budget", "new 5000"))
    assert novelty.is_over(3) and not novelty.is_over(4)
    novelty.scored()
    assert not novelty.is_over(0)


def test_reasons_that_differ_in_numbers_are_one():
    failures = Failures()
    for number in range(15):
        failures.add(row("failed", "network", f"width {number} is odd"))
        failures.add(row("failed", "network", "even"))
    for _ in range(3):
        failures.add(row("failed", "network", "width 99 is odd"))
    assert failures.verdict(100, 40) == ""
    assert failures.verdict(100, 32) == ("33 of 65 candidates failed to score, 18 for this reason: width 0 is odd")


def test_a_search_ends_where_of_twenty_candidates_more_fail_than_are_scored():
    failures = Failures()
    for _ in range(19):
        failures.add(row("failed", "network", "even"))
    assert failures.verdict(19, 0) == ""
    failures.add(row("failed", "network", "even"))
    assert failures.verdict(20, 0).startswith("20 of 20 candidates failed to score")
    assert failures.verdict(40, 20) == ""
    assert failures.verdict(39, 19).startswith("20 of 39 candidates failed to score, all for this reason")


def test_a_search_ends_where_of_twenty_proposals_more_than_nine_tenths_are_no_networks():
    failures = Failures()
    for _ in range(18):
        failures.add(row("failed", reason="odd"))
    assert failures.verdict(18, 0) == failures.verdict(20, 0) == ""
    failures.add(row("failed", reason="odd"))
    assert failures.verdict(20, 0).startswith("19 of 20 proposals are no networks, all for this reason: odd")
