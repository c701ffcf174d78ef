"""A least width: nothing narrower is drawn, whatever draws it, and what contradicts it is refused in a sentence."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

import gsnet
import PlainNet
from gsnet.evolution.options import parse_options, settings_from
from gsnet.evolution.settings import FITTING, PUBLISHED, SearchError, SearchSettings
from gsnet.interface.options import InputError
from SearchSpace import load_search_space
from SearchSpace.candidates import TypedSpace
from SearchSpace.least_width import widened
from tests.whole_search import searched

START = "SuperConvK3BNRELU(3,24,1,1){0}(24,32,2,24,1){0}(32,48,2,40,2)SuperConvK1BNRELU(48,64,1,1)"
BLOCKS = {"XXBL": "SuperResK3K3", "ghostshuffle": "SuperGhostShuffleK3", "IDW_fixfc": "SuperResIDWE6K3"}
# Under these budgets networks become as narrow as they may.
SMALL = SearchSettings("Params", evolution_max_iter=800, population_size=32, max_layers=9, budget_model_size=2e5)


def settings_of(space, **changes):
    if space == "list":
        return replace(SMALL, search_space_list=("PlainNet/SuperResKXKX.py",), budget_model_size=2e6, **changes)
    start = START.format(BLOCKS[space])
    return replace(SMALL, search_space=space, plainnet_struct=start, fix_initialize=True, **changes)


def widths(text):
    """All output widths and bottlenecks of a structure string, read by hand: (in, out, stride[, bottleneck], depth)."""
    numbers = [list(map(int, part.split(")")[0].split(","))) for part in text.split("(")[1:]]
    return [width for block in numbers for width in (block[1], *block[3:-1])]


@pytest.mark.parametrize(
    "settings",
    [
        *(
            settings_of(space, min_width=24, evolution=rule, origin=True)
            for space in BLOCKS
            for rule in (FITTING, PUBLISHED)
        ),
        settings_of("XXBL", min_width=24),
        settings_of("list", min_width=24),
        settings_of("list", min_width=24, evolution=PUBLISHED),
        settings_of("ghostshuffle", min_width=24, islands=2, migration=200, origin=True),
    ],
    ids=lambda settings: f"{settings.search_space}-{settings.evolution}-{settings.islands}-{settings.origin}",
)
def test_nothing_narrower_is_proposed(settings):
    rows = searched(settings)
    assert min(min(widths(row.structure)) for row in rows) == 24
    assert sum(row.score is not None for row in rows) > 40


def test_a_width_between_two_multiples_of_8_is_that_of_the_next_one():
    assert min(min(widths(row.structure)) for row in searched(settings_of("XXBL", min_width=18, origin=True))) == 24


def listing(block_list, block_id):
    """Neighbours as a user lists them, most of them too narrow."""
    block = block_list[block_id]
    if not str(block).startswith("SuperRes"):
        return [[str(block)]]
    return [
        [f"SuperResK{kernel}K{kernel}({block.in_channels},{out},{block.stride},{mid},1)" for out in (8, 16, 32, 40)]
        for kernel in (3, 5)
        for mid in (8, 32)
    ]


@pytest.mark.parametrize("evolution", [FITTING, PUBLISHED])
def test_of_a_users_listing_only_what_is_wide_enough_is_drawn(evolution, tmp_path):
    options = {"proxy": "Params", "iterations": 60, "population_size": 8, "evolution": evolution}
    start = START.format("SuperResK3K3")
    narrow = gsnet.search(start, space=listing, **options).history["structure"]
    wide = gsnet.search(start, space=listing, min_width=24, **options).history["structure"]
    assert min(min(widths(text)) for text in narrow) == 8 and min(min(widths(text)) for text in wide) == 24
    assert len(set(wide)) > 5


def test_what_a_users_space_draws_too_narrow_is_over_budget():
    block = PlainNet.parse("SuperResK3K3(24,8,1,8,1)").blocks[0]
    space = SimpleNamespace(gen_search_space=listing, sample_block=lambda blocks, index, generator: block)
    with pytest.raises(gsnet.SearchFailed, match=r"No candidate was scored in 30 iterations: 30 over budget \(width\)"):
        gsnet.search(START.format("SuperResK3K3"), space=space, proxy="Params", min_width=24, iterations=30)


def test_a_structure_to_start_from_that_is_too_narrow_is_refused_with_one_that_is_not(tmp_path):
    start = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,32,2,16,2)SuperConvK1BNRELU(32,64,1,1)"
    wide = "SuperConvK3BNRELU(3,16,1,1)SuperResK3K3(16,32,2,16,2)SuperConvK1BNRELU(32,64,1,1)"
    with pytest.raises(SearchError) as refusal:
        gsnet.search(start, space="XXBL", proxy="Params", min_width=12, iterations=20)
    assert str(refusal.value) == (
        "The initial structure breaks the budgets: it has a width of 8 in SuperConvK3BNRELU(3,8,1,1) where min_width asks for "
        f"12; as wide as that it is {wide}"
    )
    assert gsnet.search(wide, space="XXBL", proxy="Params", min_width=12, iterations=20).iterations == 20
    # Of several, those that are wide enough are started from.
    result = gsnet.search([start, wide], space="XXBL", proxy="Params", min_width=12, iterations=20)
    assert result.history["outcome"][:2] == ["over budget", "scored"] and result.history["reason"][0] == "width"


def test_networks_are_widened_where_they_are_narrow():
    network = PlainNet.parse("SuperConvK3BNRELU(3,8,2,1)SuperResIDWE6K3(8,32,2,8,3)SuperConvK1BNRELU(32,2048,1,1)")
    assert str(widened(network, 20)) == (
        "SuperConvK3BNRELU(3,24,2,1)SuperResIDWE6K3(24,32,2,24,3)SuperConvK1BNRELU(32,2048,1,1)"
    )
    assert widened(network, 8) == network


def test_the_listing_of_a_space_has_its_least_width():
    space = TypedSpace(load_search_space("XXBL").block_types, smallest_width=32)
    blocks = PlainNet.parse(START.format("SuperResK3K3")).blocks
    texts = [text for texts in space.gen_search_space(blocks, 1) for text in texts]
    assert min(min(widths(text)) for text in texts) == 32


def test_it_is_a_setting_of_the_search(tmp_path):
    def command(*more):
        search = ["--zero_shot_score", "Params", "--search_space", "XXBL", "--fix_initialize", "--origin"]
        search += ["--plainnet_struct", START.format("SuperResK3K3"), "--save_dir", str(tmp_path), *more]
        return settings_from(parse_options([*search, "--evolution_max_iter", "60"], ""))

    settings = command("--min_width", "16")
    assert settings.min_width == 16 and SearchSettings.from_json(settings.to_json()) == settings
    searched(settings, tmp_path)
    with pytest.raises(SearchError, match="--min_width was 16 and is now not given"):
        searched(command(), tmp_path)
    for wrong in (0, 513, 2.5, "16"):
        with pytest.raises(InputError, match="min_width is"):
            gsnet.search(START.format("SuperResK3K3"), space="XXBL", proxy="Params", min_width=wrong, iterations=20)
