"""Proxies against the reference's measured scores, where its algorithm is right."""

import json
from pathlib import Path

import pytest

import PlainNet
from ZeroShotProxy import ProxyFailure, ScoringSettings, UnknownProxyError, get_proxy, repeated_score, score

GOLDEN = json.loads((Path(__file__).parent / "golden/scores.json").read_text())["structures"]
SEEDS = range(24)


@pytest.mark.parametrize("links", ["with_reslink", "no_reslink"])
@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["id"])
def test_zen_mean_agrees_with_the_reference(case, links):
    if links not in case:
        pytest.skip("a network without residual links")
    golden = case[links]["zen_repeat1"]
    settings = ScoringSettings(
        case["resolution"], case["batch_size"], case["num_classes"], keep_links=links == "with_reslink"
    )
    ours = repeated_score(PlainNet.parse(case["string"]), "Zen", settings, SEEDS)
    error = (golden["std"] ** 2 / golden["n"] + ours.std**2 / len(SEEDS)) ** 0.5
    assert abs(ours.mean - golden["mean"]) < 3 * error


def test_zen_leaves_links_out_unless_told_otherwise():
    network = PlainNet.parse(GOLDEN[3]["string"])
    assert score(network, "Zen", ScoringSettings()) == score(network, "Zen", ScoringSettings(keep_links=False))
    assert score(network, "Zen", ScoringSettings()) != score(network, "Zen", ScoringSettings(keep_links=True))


def test_costs_are_proxies():
    network = PlainNet.parse(GOLDEN[3]["string"])
    settings = ScoringSettings(resolution=32, num_classes=10)
    assert (score(network, "Params", settings), score(network, "Flops", settings)) == (90962, 6710528)


def test_same_seed_same_score():
    network = PlainNet.parse(GOLDEN[3]["string"])
    for name in ("Zen", "Random"):
        assert score(network, name, ScoringSettings(), 5) == score(network, name, ScoringSettings(), 5)
        assert score(network, name, ScoringSettings(), 5) != score(network, name, ScoringSettings(), 6)


def test_unknown_proxy_names_the_nearest():
    with pytest.raises(UnknownProxyError, match="did you mean Zen"):
        get_proxy("Zenn")


def test_a_single_value_per_channel_is_a_failure_with_a_reason():
    network = PlainNet.parse("SuperConvK3BNRELU(3,8,2,5)")
    with pytest.raises(ProxyFailure, match="more than 1 value per channel"):
        score(network, "Zen", ScoringSettings(resolution=2, batch_size=1))
