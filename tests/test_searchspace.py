"""Search spaces against the golden candidate lists, and long chains of mutations."""

import json
import random
from collections import Counter
from pathlib import Path

import pytest

import gsnet
import PlainNet
from PlainNet import Network
from PlainNet.SuperResKXKX import SuperResK5K5
from SearchSpace import (
    SearchSpaceError,
    list_spaces,
    load_block_types,
    load_search_space,
    search_choice,
    search_space_XXBL,
    space_name,
)
from SearchSpace.candidates import channel_candidates, sub_layer_candidates
from SearchSpace.mutation import mutate
from SearchSpace.random_numbers import CandidateRandom, candidate_seed, further_numbers
from SearchSpace.variation import crossed, put

ROOT = Path(__file__).parent.parent
LANGUAGE = json.loads((ROOT / "tests/golden/language.json").read_text())
STRUCTURES = json.loads((ROOT / "tests/golden/structures.json").read_text())["structures"]
INIT = {case["id"]: case["string"] for case in STRUCTURES}
SPACES = {"XXBL": "init_XX_cifar", "IDW_fixfc": "init_IDW_flops", "ghostshuffle": "init_GS_2M"}
PROBES = {
    "XXBL": "SuperConvK3BNRELU(3,16,1,1)SuperResK3K3(16,24,2,8,1)SuperConvK1BNRELU(24,128,1,1)",
    "IDW_fixfc": "SuperConvK3BNRELU(3,16,1,1)SuperResIDWE6K3(16,24,2,8,1)SuperConvK1BNRELU(24,128,1,1)",
    "ghostshuffle": "SuperConvK3BNRELU(3,16,1,1)SuperGhostShuffleK3(16,24,2,8,1)SuperConvK1BNRELU(24,128,1,1)",
}
LARGEST = {"XXBL": 2048, "IDW_fixfc": None, "ghostshuffle": 2048}


def space_of(name):
    return load_search_space(ROOT / f"SearchSpace/search_space_{name}.py")


def module_of(name):
    return __import__(f"SearchSpace.search_space_{name}", fromlist=["gen_search_space"])


@pytest.mark.parametrize("name", SPACES)
def test_width_and_depth_candidates(name):
    for width, golden in LANGUAGE["channel_candidates"][name].items():
        assert list(channel_candidates(int(width), LARGEST[name])) == golden
    for depth, golden in LANGUAGE["sublayer_candidates"].items():
        assert list(sub_layer_candidates(int(depth))) == [n for n in golden if n > 0]


@pytest.mark.parametrize("name", SPACES)
def test_listed_candidates_are_the_golden_ones_with_types_equally_likely(name):
    blocks = list(PlainNet.parse(PROBES[name]).blocks)
    for block_id, golden in LANGUAGE["gen_search_space"][name].items():
        lists = module_of(name).gen_search_space(blocks, int(block_id))
        texts = [text for texts in lists for text in texts]
        assert len(texts) == len(set(texts)) == golden["distinct"]
        assert set(golden["distinct_sorted"]) - {"..."} <= set(texts)
        assert len({len(texts) for texts in lists}) == 1


@pytest.mark.parametrize("name", SPACES)
def test_drawn_blocks_are_the_listed_ones_and_uniform(name):
    blocks = list(PlainNet.parse(PROBES[name]).blocks)
    generator = random.Random(0)
    draws = Counter(str(space_of(name).sample_block(blocks, 1, generator)) for _ in range(20_000))
    listed = {text for texts in module_of(name).gen_search_space(blocks, 1) for text in texts}
    assert set(draws) == listed
    expected = 20_000 / len(listed)
    chi_square = sum((count - expected) ** 2 / expected for count in draws.values())
    assert chi_square < len(listed) + 5 * (2 * len(listed)) ** 0.5


@pytest.mark.parametrize("name", SPACES)
def test_a_thousand_mutations_stay_valid(name):
    space, generator = space_of(name), random.Random(1)
    network = PlainNet.parse(INIT[SPACES[name]])
    for _ in range(1_000):
        network = mutate(network, space.sample_block, generator, 2)
        assert PlainNet.parse(str(network)) == network
        assert network.in_channels == 3
        if network.cost(32, 10).parameters > 30e6 or network.layers > 60:
            network = PlainNet.parse(INIT[SPACES[name]])


BETWEEN = ["BN(16)", "RELU(7)", "BN(16)RELU(7)", "SE(16)MaxPool(16,3,1)", "ResBlock(RELU(7)BN(16))", "ResBlock(HS(7))"]


@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("name", SPACES)
def test_what_hands_a_width_on_reads_and_gives_another_one(name, between):
    """Normalisation, pooling and the like between super-blocks: those behind them were left with the width before."""
    space, generator = space_of(name), random.Random(3)
    kind = type(PlainNet.parse(PROBES[name]).blocks[1]).__name__
    start = PlainNet.parse(f"SuperConvK3BNRELU(3,16,1,1){between}{kind}(16,32,2,16,1)HS(9){kind}(32,32,2,16,1)")
    mate = PlainNet.parse(f"SuperConvK3BNRELU(3,24,1,1){kind}(24,24,2,16,1)RELU(5){kind}(24,40,2,16,1)")
    neighbours = space.neighbours
    for _ in range(60):
        child = mutate(start, space.sample_block, generator, 2)
        joined = crossed(start.blocks, mate.blocks, generator)
        changed = list(start.blocks)
        index = generator.randrange(len(changed))
        put(changed, index, neighbours.changed(changed, index, 18, generator))
        for blocks in (child.blocks, joined, changed):
            # As a whole network is checked.
            assert PlainNet.parse(str(Network(tuple(blocks)))).in_channels == 3


@pytest.mark.parametrize("files", [["SuperResKXKX", "SuperResK1KXK1"], ["SuperResIDWEXKX"], ["SuperGhostShuffle"]])
def test_random_networks_and_their_mutations(files):
    types = load_block_types([ROOT / f"PlainNet/{file}.py" for file in files])
    generator = random.Random(2)
    for _ in range(200):
        network = search_choice.random_network(types, generator)
        assert 6 <= len(network.blocks) <= 10
        assert network.output_size(224) == 7
        assert PlainNet.parse(str(network)) == network

        def sample(blocks, index, generator):
            return search_choice.sample_block(blocks[index], types, generator)

        for _ in range(5):
            network = mutate(network, sample, generator, 2)
            assert PlainNet.parse(str(network)) == network


@pytest.mark.parametrize(
    ("stem", "words"),
    [
        ("[str(b)]", "must return a list of lists"),
        ("[[b.nothing]]", "fails on SuperConvK3BNRELU.*, block 0 of .*AttributeError"),
    ],
)
def test_a_space_that_is_wrong_for_some_blocks_alone_is_told_when_these_come(tmp_path, stem, words):
    """Many write one that knows the blocks which it searches, and forget stem and head."""
    path = tmp_path / "space.py"
    path.write_text(
        "def gen_search_space(block_list, block_id):\n    b = block_list[block_id]\n"
        f"    if not hasattr(b, 'bottleneck_channels'):\n        return {stem}\n"
        "    return [[f'SuperResK3K3({b.in_channels},16,{b.stride},8,1)']]\n"
    )
    space, blocks = load_search_space(path), PlainNet.parse(PROBES["XXBL"]).blocks
    assert str(space.sample_block(blocks, 1, random.Random(0))) == "SuperResK3K3(16,16,2,8,1)"
    with pytest.raises(SearchSpaceError, match=words):
        space.sample_block(blocks, 0, random.Random(0))


def test_same_generator_same_neighbours():
    space, network = space_of("XXBL"), PlainNet.parse(INIT["init_XX_cifar"])
    texts = [[str(mutate(network, space.sample_block, random.Random(7), 2)) for _ in range(3)] for _ in range(2)]
    assert texts[0] == texts[1]


def test_a_users_space_needs_only_gen_search_space(tmp_path):
    path = tmp_path / "my_space.py"
    path.write_text(
        "def gen_search_space(block_list, block_id):\n"
        "    b = block_list[block_id]\n"
        "    if not hasattr(b, 'bottleneck_channels'):\n"
        "        return [[str(b)]]\n"
        "    return [[f'SuperResK5K5({b.in_channels},{c},{b.stride},{c},1)' for c in (16, 32)],\n"
        "            [f'SuperResK7K7({b.in_channels},16,{b.stride},8,2)']]\n"
    )
    space = load_search_space(path)
    assert [t.__name__ for t in space.block_types] == ["SuperResK5K5", "SuperResK7K7"]
    network, generator = PlainNet.parse(INIT["init_XX_cifar"]), random.Random(0)
    for _ in range(100):
        network = mutate(network, space.sample_block, generator, 2)
        assert PlainNet.parse(str(network)) == network


def test_a_candidates_numbers_do_not_depend_on_those_before_by_whatever_method():
    """`random.Random.gauss` makes two numbers and keeps the second, which went to the next candidate."""
    draws = [
        lambda r: r.gauss(0, 1),
        lambda r: r.normalvariate(0, 1),
        lambda r: r.sample(range(50), 5),
        lambda r: r.choices("abc", k=4),
        lambda r: r.randbytes(5),
        lambda r: r.randrange(7),
    ]
    for draw in draws:
        fresh, used = CandidateRandom(3), CandidateRandom(3)
        fresh.at(9)
        used.at(8)
        for other in draws:
            other(used)
        used.at(9)
        assert draw(fresh) == draw(used)


GHOSTS_ALONE = """
WIDTHS = {"SuperGhostShuffleK3": (16, 32, 64), "SuperConvK3BNRELU": (), "SuperConvK1BNRELU": ()}


def gen_search_space(block_list, block_id):
    b = block_list[block_id]
    widths = WIDTHS[type(b).__name__]
    return [[f"SuperGhostShuffleK3({b.in_channels},{w},{b.stride},{w},1)" for w in widths] or [str(b)]]
"""


@pytest.mark.parametrize("absent", ["WIDTHS[type(b).__name__]", "WIDTHS.get(type(b).__name__)"])
def test_a_space_that_knows_its_own_blocks_alone_is_asked_for_those_it_starts_from(absent, tmp_path):
    """It was asked for the neighbours of a SuperRes block whatever it was used on, and refused."""
    text = GHOSTS_ALONE.replace("WIDTHS[type(b).__name__]", absent)
    otherwise = "    if widths is None:\n        return []\n    return"
    (tmp_path / "ghosts.py").write_text(text.replace("    return", otherwise))
    start = "SuperConvK3BNRELU(3,16,1,1)SuperGhostShuffleK3(16,32,2,16,1)SuperConvK1BNRELU(32,64,1,1)"
    space = load_search_space(tmp_path / "ghosts.py", PlainNet.parse_structures(start))
    assert [t.__name__ for t in space.block_types] == ["SuperGhostShuffleK3"]
    found = gsnet.search(start, space=tmp_path / "ghosts.py", proxy="Params", iterations=60, population_size=8)
    # Of three widths, and what it starts from.
    assert 1 < found.outcomes["scored"] <= 4 and "failed" not in found.outcomes
    with pytest.raises(
        SearchSpaceError, match=r"KeyError: 'SuperResK3K3'|lists no super-block in place of SuperResK3K3"
    ):
        load_search_space(tmp_path / "ghosts.py")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = 1", "defines no gen_search_space"),
        ("def gen_search_space(a, b): return []", r"lists no super-block in place of SuperResK3K3\(32,64,2,32,1\)"),
        ("def gen_search_space(a, b): return [['RELU(8)']]", "lists no super-block"),
        ("import nothing_of_that_name", "cannot be imported"),
        ("def gen_search_space(a, b): return [['Nope(1)']]", "gen_search_space fails"),
        (
            "def gen_search_space(a, b): return ['SuperResK3K3(32,8,1,8,1)']",
            r"must return a list of lists .* not \['Super",
        ),
        ("def gen_search_space(a, b): return 'SuperResK3K3(32,8,1,8,1)'", "must return a list of lists"),
        ("def gen_search_space(a, b): return None", "must return a list of lists .* not None"),
        ("def gen_search_space(a, b): return [[a[b]]]", "must return a list of lists of block strings"),
        ("def gen_search_space(a, b): return a[b].width", "AttributeError: 'SuperResK3K3' object has no attribute"),
    ],
)
def test_unusable_space_files(tmp_path, content, words):
    path = tmp_path / "space.py"
    path.write_text(content)
    with pytest.raises(SearchSpaceError, match=words):
        load_search_space(path)
    with pytest.raises(SearchSpaceError):
        load_search_space(tmp_path / "absent.py")


BLOCK_FILE = """
from __future__ import annotations

from dataclasses import dataclass

from PlainNet.SuperResKXKX import SuperResKXKX


@dataclass(frozen=True)
class SuperResK9K9(SuperResKXKX):
    kernel_size = 9


def register_netblocks_dict(netblocks_dict):
    return netblocks_dict | {"SuperResK9K9": SuperResK9K9}
"""


def test_a_block_file_is_enough_wherever_it_lies(tmp_path, registries):
    path = tmp_path / "block.py"
    path.write_text(BLOCK_FILE)
    (block,) = load_block_types([path])
    # Two 9 x 9 convolutions of 8 channels, 81 x 8 x 8 weights each, and a 1 x 1 one with bias; three BN of 2 x 8 parameters.
    network = PlainNet.parse("SuperResK9K9(8,8,1,8,1)")
    assert type(network.blocks[0]) is block is PlainNet.load_file(path).SuperResK9K9
    assert network.cost(8).parameters == 2 * 81 * 64 + 64 + 8 + 3 * 16
    assert load_block_types([PlainNet.load_file(path)]) == (block,)
    assert PlainNet.users_blocks() == (block,)


def test_names_of_the_package_are_not_taken_and_own_ones_may_be_given_anew(registries):
    first = type("SuperResK3K3", (SuperResK5K5,), {})
    with pytest.raises(PlainNet.StructureError, match="SuperResK3K3 already"):
        PlainNet.register(first)
    for _ in range(2):
        again = type("SuperMine", (SuperResK5K5,), {})
        PlainNet.register(again)
        assert type(PlainNet.parse("SuperMine(3,8,1,8,1)").blocks[0]) is again


def test_a_space_is_a_name_a_file_a_module_an_object_or_a_function():
    def listing(block_list, block_id):
        return search_space_XXBL.gen_search_space(block_list, block_id)

    blocks = PlainNet.parse("SuperConvK3BNRELU(3,32,2,1)SuperResK3K3(32,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)").blocks
    file = "SearchSpace/search_space_XXBL.py"
    for source in ("XXBL", file, search_space_XXBL, search_space_XXBL._space):
        space = load_search_space(source)
        assert space.block_types == search_space_XXBL.block_types
        assert space.sample_block(blocks, 1, random.Random(0)) == search_space_XXBL.sample_block(
            blocks, 1, random.Random(0)
        )
    assert {space_name(s) for s in ("XXBL", file, search_space_XXBL)} == {file}
    assert space_name(listing).endswith("listing")
    assert set(load_search_space(listing).block_types) == set(search_space_XXBL.block_types)
    assert list_spaces() == ["IDW_fixfc", "XXBL", "ghostshuffle"]


def test_a_candidate_has_the_same_numbers_whatever_came_before():
    fresh, used = CandidateRandom(7), CandidateRandom(7)
    for iteration in (0, 255, 256, 3):
        used.at(iteration)
        used.choice(range(100))
    assert fresh.at(100_000) == used.at(100_000) == candidate_seed(7, 100_000)
    # More numbers than are prepared at once, by every kind of method.
    first, second = ([g.random() for _ in range(40)] + [g.randrange(10**12), g.gauss(0, 1)] for g in (fresh, used))
    assert first == second
    assert len(set(first)) == len(first)


def test_a_candidates_numbers_are_splitmix64():
    # Reference output for seed 1234567 (Vigna's splitmix64.c), as 53-bit fractions.
    generator = CandidateRandom(0)
    reference = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    further = further_numbers(1234567, 0)
    assert [next(further) for _ in reference] == [(value >> 11) * 2.0**-53 for value in reference]
    seed = generator.at(0)
    ahead = further_numbers(seed, 0)
    assert [generator.random() for _ in range(30)] == [next(ahead) for _ in range(30)]


def test_random_bits_are_uniform():
    generator = CandidateRandom(1)
    counts = [0] * 5
    for iteration in range(2_000):
        generator.at(iteration)
        counts[generator.choice(range(5))] += 1
    # Chi-squared with 4 degrees of freedom; 18.5 is exceeded once in a thousand.
    assert sum((count - 400) ** 2 / 400 for count in counts) < 18.5
