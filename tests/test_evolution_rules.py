"""Rules of evolution: the published one as it always was, and one whose proposals keep the budgets and the space."""

import hashlib
import json
import random
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

import gsnet
import PlainNet
from gsnet.evolution.again import options_of_search
from gsnet.evolution.budgets import CostModel, make_budgets
from gsnet.evolution.history import DETERMINISTIC_COLUMNS
from gsnet.evolution.options import parse_options, settings_from
from gsnet.evolution.population import Member, Population
from gsnet.evolution.recorded import Row
from gsnet.evolution.rules import Fitting
from gsnet.evolution.settings import FITTING, PUBLISHED, SearchSettings, SettingError
from SearchSpace import load_search_space, search_choice
from SearchSpace.blocks import bottleneck_of
from SearchSpace.variation import crossed, put, split_deep
from tests.whole_search import searched

XX = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperConvK1BNRELU(32,64,1,1)"
STARTS = {
    "XXBL": XX,
    "ghostshuffle": XX.replace("SuperResK3K3", "SuperGhostShuffleK3"),
    "IDW_fixfc": XX.replace("SuperResK3K3", "SuperResIDWE6K3"),
}
SMALL = SearchSettings(
    "Params", evolution_max_iter=600, population_size=64, max_layers=18, budget_model_size=1e6, budget_flops=6e8
)


def settings_of(space, **changes):
    if space == "list":
        return replace(SMALL, search_space_list=("PlainNet/SuperResKXKX.py",), **changes)
    file = f"SearchSpace/search_space_{space}.py"
    return replace(SMALL, search_space=file, plainnet_struct=STARTS[space], fix_initialize=True, **changes)


def digest(rows):
    places = [Row._fields.index(name) for name in DETERMINISTIC_COLUMNS]
    values = [[row[place] for place in places] for row in rows]
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:16]


@pytest.mark.parametrize(
    ("space", "changes", "golden"),
    [
        ("XXBL", {"origin": True}, "bc41bb6d5c5969d4"),
        ("ghostshuffle", {"origin": True, "round_size": 32}, "38da3d93871b6f3d"),
        ("IDW_fixfc", {}, "27c1a1e903b8a1f5"),
        ("list", {}, "25f4329e4fd62cef"),
    ],
)
def test_the_published_rule_proposes_what_it_did_before_there_was_another(space, changes, golden):
    """Digests of histories that the version before the fitting rule wrote."""
    assert digest(searched(settings_of(space, evolution=PUBLISHED, **changes))) == golden


@pytest.mark.parametrize("name", STARTS)
def test_neighbours_are_listed_and_differ_in_every_subset_of_the_properties(name):
    space, generator = load_search_space(name), random.Random(0)
    blocks = list(PlainNet.parse(STARTS[name].replace("32,2,16,1", "32,2,16,3")).blocks)
    for index, block in enumerate(blocks):
        listing = load_module(name).gen_search_space(blocks, index)
        listed = {text for texts in listing for text in texts}
        drawn = [space.neighbours.changed(blocks, index, 4, generator) for _ in range(600)]
        drawn += [space.neighbours.narrowed(blocks, index, generator) for _ in range(60)]
        drawn += [space.neighbours.shortened(blocks, index, generator) for _ in range(60)]
        assert {other.text for other in drawn} <= listed
        assert (len(listed) == 1) == space.neighbours.is_fixed(block)
        if index != 2:
            continue
        changed, narrowed, shortened = drawn[:600], drawn[600:660], drawn[660:]
        assert len({differences(block, other) for other in changed}) == 15
        assert max(other.depth for other in changed) == 4 and {other.depth for other in shortened} == {1, 2}
        assert all(max(less) <= 0 and sum(map(bool, less)) == 1 for less in map(growth(block), narrowed))


def load_module(name):
    return __import__(f"SearchSpace.search_space_{name}", fromlist=["gen_search_space"])


def sizes(block):
    return block.out_channels, bottleneck_of(block), block.depth


def growth(block):
    return lambda other: [after - before for after, before in zip(sizes(other), sizes(block), strict=True)]


def differences(block, other):
    return (type(block) is not type(other), *(change != 0 for change in growth(block)(other)))


@pytest.mark.parametrize("space", [*STARTS, "list"])
def test_children_keep_the_budgets_and_fit_together(space):
    generator, costs = random.Random(1), CostModel(32, 10)
    if space == "list":
        neighbours = search_choice.neighbours(load_search_space("XXBL").block_types)
        start = PlainNet.parse(XX)
    else:
        neighbours, start = load_search_space(space).neighbours, PlainNet.parse(STARTS[space])
    rule = Fitting(neighbours, neighbours, costs, make_budgets(12, 3e5, 5e7, 3e6), 12)
    population, kept = Population(30), 0
    population.add(Member(0.0, 0, start))
    for iteration in range(1, 400):
        parent = rule.parent(population, generator)
        child = rule.child(parent, population, generator)
        assert PlainNet.parse(child.text) == child == child.split()
        found = costs.costs(child)
        # The figures that a network had last are remembered, of that very network alone.
        assert found == costs.costs(PlainNet.parse(child.text))
        if found.layers <= 12 and found.parameters <= 3e5 and found.flops <= 5e7 and found.memory_access <= 3e6:
            population.add(Member(found.parameters, iteration, child))
            kept += 1
    assert kept > 250


def test_networks_are_joined_where_their_maps_have_the_same_size():
    blocks = PlainNet.parse("SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,1)SuperConvK1BNRELU(16,64,1,1)").blocks
    others = PlainNet.parse("SuperConvK3BNRELU(3,24,1,1)SuperResK5K5(24,32,2,8,1)SuperResK5K5(32,48,2,8,1)").blocks
    texts = {"".join(map(str, crossed(blocks, others, random.Random(seed)))) for seed in range(20)}
    # Behind 2 x 2 there is one place in the other network; behind 4 x 4 none, where the blocks stay as they are.
    assert texts == {"SuperConvK3BNRELU(3,8,2,1)SuperResK5K5(8,48,2,8,1)", "".join(map(str, blocks))}
    changed = list(blocks)
    put(changed, 1, PlainNet.parse("SuperResK3K3(99,40,2,8,7)").blocks[0])
    split_deep(changed)
    assert "".join(map(str, changed[1:])) == (
        "SuperResK3K3(8,40,2,8,3)SuperResK3K3(40,40,1,8,4)SuperConvK1BNRELU(40,64,1,1)"
    )


def test_of_a_users_listing_what_differs_least_is_taken():
    def gen_search_space(block_list, block_id):
        text = str(block_list[block_id])
        return [[text, text.replace("16,1,8,1", "24,1,16,2")], [text.replace("16,1,8,1", "24,1,8,1")]]

    space, blocks = load_search_space(gen_search_space), list(PlainNet.parse(XX).blocks)
    drawn = [space.neighbours.changed(blocks, 1, 9, random.Random(seed)).text for seed in range(60)]
    assert set(drawn) <= {text for texts in gen_search_space(blocks, 1) for text in texts}
    assert drawn.count("SuperResK3K3(8,24,1,8,1)") > 40 > drawn.count("SuperResK3K3(8,24,1,16,2)") > 0
    result = gsnet.search(XX, space=gen_search_space, proxy="Params", iterations=40, population_size=4)
    assert {"16,1,8,1", "24,1,8,1", "24,1,16,2"} >= {
        text.split("(8,")[-1].split(")")[0] for text in result.history["structure"] if "(8," in text
    }


def test_parents_win_a_tournament():
    population = Population(10)
    for place in range(10):
        population.add(Member(float(place), place, PlainNet.parse(XX)))
    chosen = [population.choose_fit(random.Random(seed), 5).iteration for seed in range(400)]
    # The best of 10 is among five draws with 1 - 0.9^5 = 41 %; the lower half wins alone with 1 / 2^5 = 3 %.
    assert 120 < chosen.count(9) < 210 and sum(place < 5 for place in chosen) < 30


def test_a_search_of_an_older_version_goes_on_by_the_published_rule(tmp_path):
    def command(*more):
        search = ["--zero_shot_score", "Params", "--search_space", "XXBL", "--plainnet_struct", XX, "--fix_initialize"]
        search += ["--evolution_max_iter", "120", "--save_dir", str(tmp_path), *more]
        return settings_from(parse_options(search, ""))

    rows = searched(replace(command("--evolution", PUBLISHED), evolution_max_iter=60), tmp_path)
    with closing(sqlite3.connect(tmp_path / "search.db")) as database:
        ((text,),) = database.execute("SELECT value FROM meta WHERE key = 'settings'")
        older = {name: value for name, value in json.loads(text).items() if name != "evolution"}
        database.execute("UPDATE meta SET value = ? WHERE key = 'settings'", (json.dumps(older),))
        database.commit()
    assert options_of_search({"settings": older})["evolution"] == PUBLISHED
    assert command("--overwrite").evolution == FITTING and command("--resume").evolution == PUBLISHED
    more = searched(command("--resume"), tmp_path)
    whole = searched(command("--evolution", PUBLISHED))
    assert digest(more) == digest(whole) and digest(more[:60]) == digest(rows)


def test_a_rule_that_nobody_knows_is_refused():
    with pytest.raises(SettingError, match="evolution is 'other': use one of fitting, published"):
        gsnet.search(XX, space="XXBL", proxy="Params", iterations=4, evolution="other")
