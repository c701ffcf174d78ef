"""Proxies against the reference's measured scores, where its algorithm is right."""

import json
import math
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean, stdev

import pytest

import gsnet
import PlainNet
from gsnet.evolution.ensemble import ENSEMBLE, NAMED_ENSEMBLES
from ZeroShotProxy import (
    Needs,
    ProxyFailure,
    ScoringSettings,
    UnknownProxyError,
    get_proxy,
    list_proxies,
    proxy,
    repeated_score,
    score,
    users_proxies,
)
from ZeroShotProxy.compute_zen_closed_form import ClosedForm
from ZeroShotProxy.registry import AGGREGATES

GOLDEN = json.loads((Path(__file__).parent / "golden/scores.json").read_text())["structures"]
SEEDS = range(12)
# Deep: a score of it takes as long as those of all others together.
DEEP = "zennet_cifar_model_size05M_res32"
BIG = ("zennet_cifar_model_size1M_res32", "GSmodel-L@32")
KERNEL_CASES = ("init_XX_cifar", "init_GS_1M", "init_GS_2M")


def cases(wanted):
    """(structure, settings, golden scores) of every golden network that is wanted, with and without links."""
    found = []
    for case in filter(wanted, GOLDEN):
        for links in ("with_reslink", "no_reslink"):
            if links in case:
                keep = links == "with_reslink"
                settings = ScoringSettings(case["resolution"], case["batch_size"], case["num_classes"], keep_links=keep)
                found.append(pytest.param(case["string"], settings, case[links], id=f"{case['id']}-{links}"))
    return found


def has_ghosts(case):
    return "GhostShuffle" in case["string"]


def deviation(ours, mean, std, count):
    """Our mean minus the golden one, in standard errors of that difference (Student's two-sample statistic).

    The claim under test is that both are samples of one distribution, so that their spreads are estimates of the same
    quantity and are pooled: the spread of eight golden scores alone is off by a quarter of itself as often as not.
    """
    pooled = ((len(ours) - 1) * stdev(ours) ** 2 + (count - 1) * std**2) / (len(ours) + count - 2)
    return abs(fmean(ours) - mean) / math.sqrt(pooled * (1 / len(ours) + 1 / count))


@pytest.mark.parametrize(("structure", "settings", "golden"), cases(lambda case: True))
def test_zen_mean_agrees_with_the_reference(structure, settings, golden):
    ours = repeated_score(PlainNet.parse(structure), "Zen", settings, SEEDS).scores
    assert deviation(ours, *golden["zen_repeat1"].values()) < 3


@pytest.mark.parametrize(("structure", "settings", "golden"), cases(lambda case: case["id"] not in {*BIG, DEEP}))
def test_gradnorm_mean_agrees_with_the_reference(structure, settings, golden):
    ours = repeated_score(PlainNet.parse(structure), "GradNorm", settings, SEEDS).scores
    assert deviation(ours, *golden["gradnorm"].values()) < 3


@pytest.mark.parametrize(
    ("structure", "settings", "golden"), cases(lambda case: case["id"] not in {*BIG, DEEP} and not has_ghosts(case))
)
def test_naswot_mean_agrees_with_the_reference_on_relu_networks(structure, settings, golden):
    ours = repeated_score(PlainNet.parse(structure), "NASWOT", settings, SEEDS).scores
    assert deviation(ours, *golden["naswot"].values()) < 3


@pytest.mark.parametrize(("structure", "settings", "golden"), cases(has_ghosts))
def test_naswot_counts_the_activations_of_ghostshuffle_that_the_reference_misses(structure, settings, golden):
    assert score(PlainNet.parse(structure), "NASWOT", settings) > golden["naswot"]["mean"] + 10


@pytest.mark.parametrize(("structure", "settings", "golden"), cases(lambda case: case["id"] in KERNEL_CASES))
def test_the_tangent_kernel_agrees_with_the_reference(structure, settings, golden):
    """Condition numbers have a heavy tail, so the means of their logarithms are compared."""
    scores = repeated_score(PlainNet.parse(structure), "TE-NAS-NTK", settings, SEEDS).scores
    reference = golden["te_nas_ntk"]
    # The spread of a logarithm, from the relative spread of the number, were it log-normal.
    spread = math.sqrt(math.log1p((reference["std"] / reference["mean"]) ** 2))
    ours = [math.log(-value) for value in scores]
    assert deviation(ours, reference["mean_log_cond"], spread, reference["n"]) < 3


@pytest.mark.parametrize(
    ("structure", "settings", "golden"), cases(lambda case: case["id"].startswith(("init", "rnd")))
)
def test_syncflow_is_positive_where_the_reference_is_negative_or_fails(structure, settings, golden):
    assert golden.get("synflow", {"mean": -9999})["mean"] < 0
    assert score(PlainNet.parse(structure), "Syncflow", settings) > 1e6


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
    for name in ("Zen", "Random", "GradNorm", "NASWOT", "Syncflow", "TE-NAS", "TE-NAS-LR", "Perturbation"):
        assert score(network, name, ScoringSettings(), 5) == score(network, name, ScoringSettings(), 5)
        assert score(network, name, ScoringSettings(), 5) != score(network, name, ScoringSettings(), 6)


def test_unknown_proxy_names_the_nearest():
    with pytest.raises(UnknownProxyError, match="did you mean Zen"):
        get_proxy("Zenn")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("Ensembel", "Ensemble"), ("ensemble", "Ensemble"), ("AZNAS", "AZ-NAS"), ("VKDNW-Agregate", "VKDNW-Aggregate")],
)
def test_a_mistyped_ranking_by_several_proxies_names_the_nearest(typed, meant):
    with pytest.raises(UnknownProxyError, match=rf"did you mean {meant}\?"):
        get_proxy(typed)
    # Where one network is scored, it would be refused.
    with pytest.raises(UnknownProxyError) as error:
        gsnet.score("ConvKX(3,8,3,1)", typed)
    assert f"did you mean {meant}?" not in str(error.value)


def test_rankings_by_several_proxies_are_what_searches_and_comparisons_take():
    assert set(AGGREGATES) == {ENSEMBLE, *NAMED_ENSEMBLES}
    with pytest.raises(UnknownProxyError, match="AZ-NAS adds up the ranks of several proxies, and is none itself"):
        get_proxy("AZ-NAS")


def test_a_proxy_of_ones_own_is_known_wherever_it_stands(registries):
    @proxy("Width", needs=Needs.VALUE)
    def width(network, context):
        return sum(block.out_channels for block in network.blocks) / len(network.blocks)

    assert "Width" in list_proxies() and list_proxies("Wid*") == ["Width"]
    network = PlainNet.parse("SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)")
    assert score(network, "Width", ScoringSettings()) == (8 + 16) / 2
    assert [made.compute for made in users_proxies()] == [width]
    with pytest.raises(UnknownProxyError, match="did you mean Width"):
        get_proxy("Widht")
    for name in ("NASWOT", *AGGREGATES):
        with pytest.raises(ValueError, match=f"a proxy {name} already"):
            proxy(name, needs=Needs.VALUE)(width)


def test_what_a_closed_form_remembers_is_for_one_thread(monkeypatch):
    """Two threads that shared its tables and maps would sooner or later take one another's."""

    class Owned(ClosedForm):
        def __init__(self, *options):
            super().__init__(*options)
            self.owner = threading.get_ident()

        def parts(self, network):
            assert threading.get_ident() == self.owner
            return super().parts(network)

    monkeypatch.setattr("ZeroShotProxy.compute_zen_closed_form.ClosedForm", Owned)
    network, settings = PlainNet.parse(GOLDEN[3]["string"]), ScoringSettings(gamma=0.0123)
    both_at_once = threading.Barrier(2)

    def scored():
        both_at_once.wait()
        return score(network, "ZenClosedForm", settings)

    with ThreadPoolExecutor(2) as pool:
        scores = [future.result() for future in [pool.submit(scored) for _ in range(2)]]
    assert scores == [score(network, "ZenClosedForm", settings)] * 2


def test_a_single_value_per_channel_is_a_failure_with_a_reason():
    network = PlainNet.parse("SuperConvK3BNRELU(3,8,2,5)")
    with pytest.raises(ProxyFailure, match="more than 1 value per channel"):
        score(network, "Zen", ScoringSettings(resolution=2, batch_size=1))
