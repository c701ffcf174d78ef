"""The report card: networks of the benchmarks against their files, statistics, and the report from end to end."""

import csv
import math
import os
import random
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau, spearmanr

from benchmarks import nas_bench_201, nas_bench_macro
from benchmarks.proxy_report import PAGES, main, parse_counts
from benchmarks.report_benchmarks import DISCONNECTED, NasBench201, NasBenchMacro, score_or_reason
from benchmarks.report_csv import (
    CORRELATIONS,
    SEARCHES,
    WINNERS,
    merged,
    read_correlations,
    read_searches,
    read_winners,
    write_csv,
)
from benchmarks.report_output import three_digits, winners_table
from benchmarks.report_rows import SHORT_SEARCHES, candidates, search_plans
from benchmarks.report_scores import Scores
from benchmarks.report_search import SearchPlan, search
from benchmarks.report_statistics import argmax_accuracy, bootstrap, kendall, ndcg, spearman, top_accuracy
from benchmarks.report_winners import WinnerRow
from gsnet.interface.options import InputError
from Masternet import MasterNet
from PlainNet import StructureError, Style
from ZeroShotProxy.compute_zen_closed_form import ClosedForm

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("GSNET_DATA", ROOT.parent / "shared/data"))
DISCONNECTED_CELL = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|skip_connect~1|none~2|"


def data_file(name):
    if not (DATA / name).is_file():
        pytest.skip(f"{DATA / name} is not here (GSNET_DATA names its folder)")
    return DATA / name


@pytest.fixture(scope="module")
def cells():
    return nas_bench_201.read_table(data_file(nas_bench_201.FILE))


@pytest.fixture(scope="module")
def macro():
    return nas_bench_macro.read_table(data_file(nas_bench_macro.FILE))


def test_the_tables_hold_the_known_optima(cells, macro):
    best = {name: max(row.accuracies[name] for row in cells) for name in nas_bench_201.DATA_SETS}
    assert list(best.values()) == pytest.approx([94.3733, 73.5133, 47.3111], abs=1e-4)
    assert (len(cells), len({row.cell for row in cells}), len(macro)) == (15_625, 15_625, 6_561)
    # Networks that differ only in where a stage's identities stand are one network and share their trainings.
    best = max(row.mean_accuracy for row in macro)
    assert round(best, 2) == 93.13
    assert "22212220" in {row.digits for row in macro if row.mean_accuracy == best}
    assert sorted(row.digits for row in macro) == nas_bench_macro.all_digits()


def test_cells_have_the_parameters_of_the_file(cells):
    for row in cells:
        counted = nas_bench_201.parameters(nas_bench_201.parse_cell(row.cell))
        # The file gives six significant digits.
        assert float(f"{counted / 1e6:.6g}") == row.params_m
    for row in random.Random(0).sample(cells, 60):
        operations = nas_bench_201.parse_cell(row.cell)
        with torch.device("meta"):
            network = nas_bench_201.CellNetwork(operations)
        assert sum(p.numel() for p in network.parameters()) == nas_bench_201.parameters(operations)


def test_counted_flops_are_those_of_the_modules(cells):
    for row in random.Random(1).sample(cells, 8):
        operations = nas_bench_201.parse_cell(row.cell)
        flops = 0

        def count(layer, inputs, output):
            nonlocal flops
            flops += layer.weight[0].numel() * output[0].numel()

        with torch.device("meta"):
            network = nas_bench_201.CellNetwork(operations, num_classes=100)
            for layer in network.modules():
                if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
                    layer.register_forward_hook(count)
            assert network(torch.empty(2, 3, 32, 32)).shape == (2, 100)
        assert flops == nas_bench_201.flops(operations, num_classes=100)


def test_cells_that_nothing_flows_through_are_at_chance(cells):
    disconnected = [row for row in cells if not nas_bench_201.is_connected(nas_bench_201.parse_cell(row.cell))]
    reached = {row.cell for row in disconnected}
    connected = [row for row in cells if row.cell not in reached]
    assert {round(row.accuracies["CIFAR-10"], 1) for row in disconnected} == {10.0}
    assert min(row.accuracies["CIFAR-10"] for row in connected) > 40


def test_what_a_cell_computes():
    x = torch.rand(2, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    # Node 3 = x + pool(x) + (x + 0), with node 1 = x and node 2 = x + 0.
    operations = ("skip_connect", "skip_connect", "none", "skip_connect", "avg_pool_3x3", "skip_connect")
    pooled = torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(nas_bench_201.Cell(operations, 4)(x), 2 * x + pooled)
    for wrong in ("", "|none~0|", DISCONNECTED_CELL.replace("none~0", "conv~0")):
        with pytest.raises(ValueError, match=r"cell|operation"):
            nas_bench_201.parse_cell(wrong)
    operations = nas_bench_201.parse_cell(DISCONNECTED_CELL)
    assert nas_bench_201.cell_text(operations) == DISCONNECTED_CELL
    assert sum(a != b for a, b in zip(operations, nas_bench_201.mutate(operations, random.Random(0)), strict=True)) == 1


def test_every_macro_network_has_the_parameters_and_flops_of_the_file(macro):
    for row in macro:
        cost = nas_bench_macro.network(row.digits).cost(32, 10)
        assert (cost.parameters, cost.flops) == (row.parameters, row.flops)


def test_macro_modules_have_the_parameters_of_the_file(macro):
    for row in random.Random(2).sample(macro, 10):
        with torch.device("meta"):
            module = MasterNet(num_classes=10, plainnet_struct=nas_bench_macro.network(row.digits))
        assert sum(p.numel() for p in module.parameters()) == row.parameters


def test_macro_structures():
    assert nas_bench_macro.structure("00000000") == (
        "SuperConvK3BNRELU(3,32,1,1)ConvKX(32,64,1,2)BN(64)ConvKX(64,128,1,2)BN(128)ConvKX(128,256,1,2)BN(256)"
        "SuperConvK1BNRELU(256,1280,1,1)"
    )
    network = nas_bench_macro.network("12200000")
    assert str(network) == nas_bench_macro.structure("12200000")
    first = network.blocks[1].expand()
    second = network.blocks[2].expand()
    assert [str(block) for block in first[-2:]] == ["ConvKX(96,64,1,1)", "BN(64)"]
    assert str(second[0]).startswith("ResBlock(64,1,ConvKX(64,384,1,1)BN(384)RELU(384)ConvDW(384,5,1)")
    for wrong in ("0000000", "00000003"):
        with pytest.raises(ValueError, match="digits"):
            nas_bench_macro.structure(wrong)
    with pytest.raises(StructureError):
        nas_bench_macro.Reader("SuperMBE3K3(3,8,1)", nas_bench_macro._REGISTRY).network()


def test_the_closed_form_orders_all_macro_networks(macro):
    closed_form = ClosedForm(32, 1e-2, Style())
    scores = [closed_form.parts(nas_bench_macro.network(row.digits))[0] for row in macro]
    # A prototype of the same theory gave .916.
    assert spearmanr(scores, [row.mean_accuracy for row in macro]).statistic == pytest.approx(0.916, abs=0.01)


def test_costs_correlate_as_published(cells, macro):
    accuracies = [row.accuracies["CIFAR-10"] for row in cells]
    parameters = [nas_bench_201.parameters(nas_bench_201.parse_cell(row.cell)) for row in cells]
    assert spearmanr(parameters, accuracies).statistic == pytest.approx(0.753, abs=0.001)
    accuracies = [row.mean_accuracy for row in macro]
    costs = [nas_bench_macro.network(row.digits).cost(32, 10) for row in macro]
    assert spearmanr([c.parameters for c in costs], accuracies).statistic == pytest.approx(0.318, abs=0.001)
    assert spearmanr([c.flops for c in costs], accuracies).statistic == pytest.approx(0.748, abs=0.001)


def test_statistics():
    generator = np.random.default_rng(0)
    accuracies = generator.normal(size=300)
    scores = accuracies + generator.normal(size=300)
    assert spearman(scores, accuracies) == pytest.approx(spearmanr(scores, accuracies).statistic)
    assert kendall(scores, accuracies) == pytest.approx(kendalltau(scores, accuracies).statistic)
    interval = bootstrap(spearman, scores, accuracies)
    # The standard error of a Spearman correlation of .7 over 300 networks is about .033.
    assert interval.low < interval.value < interval.high
    assert 0.06 < interval.high - interval.low < 0.2
    scores[0] = -math.inf
    assert -1 < spearman(scores, accuracies) < 1
    assert spearman(np.zeros(300), accuracies) == kendall(np.zeros(300), accuracies) == 0


def test_ndcg_and_the_top_by_hand():
    accuracies = np.array([10.0, 60.0, 110.0])
    # Gains 0, 0.5 and 1; the worst order is (0 + 0.5 / log2 3 + 1 / 2) / (1 + 0.5 / log2 3).
    discount = 1 / math.log2(3)
    assert ndcg(np.array([1, 2, 3]), accuracies) == 1
    assert ndcg(np.array([3, 2, 1]), accuracies) == pytest.approx((0.5 * discount + 0.5) / (1 + 0.5 * discount))
    assert ndcg(np.zeros(3), accuracies) == pytest.approx((0.5 + 0.5 * discount + 0.25) / (1 + 0.5 * discount))
    assert argmax_accuracy(np.array([0, 5, 5]), accuracies) == 85
    assert top_accuracy(np.arange(200.0), np.arange(200.0)) == 198.5


def test_a_disconnected_cell_has_a_score_below_all_others():
    data_file(nas_bench_201.FILE)
    benchmark = NasBench201(DATA / nas_bench_201.FILE)
    for proxy in ("Perturbation", "NASWOT", "Syncflow-log"):
        assert score_or_reason(benchmark, DISCONNECTED_CELL, proxy, 0) == (-math.inf, DISCONNECTED)
    assert score_or_reason(benchmark, DISCONNECTED_CELL, "Params", 0)[0] > 0


def test_scores_are_kept_and_a_torn_line_is_made_again(tmp_path):
    benchmark = NasBenchMacro(data_file(nas_bench_macro.FILE))
    keys = benchmark.sample(12, seed=0)
    assert keys[:5] == benchmark.sample(5, seed=0)
    path = tmp_path / "scores.csv"
    first = Scores(benchmark, path)
    first.score_all(keys, "PerturbationClosedForm")
    entries = [first.entry(key, "PerturbationClosedForm") for key in keys]
    first.close()
    whole = path.read_text()
    path.write_text(whole[:-30])
    second = Scores(benchmark, path)
    assert [second.entry(key, "PerturbationClosedForm").score for key in keys] == [entry.score for entry in entries]
    second.close()
    assert len(Scores(benchmark, path)._entries) == 12


def test_a_search_finds_the_best_score_of_a_small_space(tmp_path):
    benchmark = NasBenchMacro(data_file(nas_bench_macro.FILE))
    scores = Scores(benchmark, tmp_path / "scores.csv")
    plan = SearchPlan(networks=300, population=16, first=10)
    largest = max(benchmark.keys, key=lambda key: scores.entry(key, "Flops").score)
    winner = search(scores, ["Flops"], plan, seed=1)
    assert scores.entry(winner, "Flops").score >= 0.97 * scores.entry(largest, "Flops").score
    assert winner == search(scores, ["Flops"], plan, seed=1)
    both = search(scores, ["Flops", "PerturbationClosedForm"], plan, seed=1)
    assert benchmark.accuracies["CIFAR-10"][both] > 92
    assert both == search(scores, ["Flops", "PerturbationClosedForm"], plan, seed=1)


def test_aggregates_take_closed_forms_and_the_smallest_sample():
    limits = {"Flops": 9, "Perturbation": 5, "PerturbationClosedForm": 9, "TE-NAS-NTK": 4, "TE-NAS-LR": 9}
    found = {candidate.name: candidate for candidate in candidates(limits, ["Flops", "Perturbation"])}
    assert found["Ensemble"].members == ("Flops", "PerturbationClosedForm")
    assert (found["Ensemble"].networks, found["TE-NAS"].networks) == (9, 4)
    assert "Ensemble" not in {c.name for c in candidates({"Flops": 9}, ["Flops", "Zen"])}


def test_how_far_each_proxy_searches():
    chosen = candidates({"Flops": 9, "TE-NAS-NTK": 4}, [])
    lengths = {c.name: plan.networks for c, plan in search_plans(chosen, None, 64, 20)}
    assert lengths == {"Flops": 64, "TE-NAS-NTK": SHORT_SEARCHES["TE-NAS-NTK"]}
    counts = parse_counts("--search_proxies", "TE-NAS-NTK:8,Zen")
    assert [(c.name, plan.networks, plan.seeds) for c, plan in search_plans(chosen, counts, 64, 3)] == [
        ("TE-NAS-NTK", 8, 3)
    ]
    assert search_plans(chosen, None, 64, 0) == []
    for text in ("Flops:", "Flops:0", "Flops:x"):
        with pytest.raises(InputError, match="NAME:N"):
            parse_counts("--search_proxies", text)


@pytest.mark.parametrize(
    ("option", "text", "name"),
    [
        ("--proxies", "Zen,GradientSpread:8", "GradientSpread"),
        ("--search_proxies", "GradientGrowthClosedForm", "GradientGrowthClosedForm"),
        ("--ensemble", "Zen,GradientGrowth", "GradientGrowth"),
    ],
)
def test_proxies_of_which_more_is_not_better_are_refused(option, text, name, tmp_path):
    with pytest.raises(InputError, match=f"puts the largest score first, and of {name} more is not better"):
        main([option, text, "--output_dir", str(tmp_path / "report")])
    assert not (tmp_path / "report").exists()


def test_tables_are_read_again_as_they_were_written(tmp_path):
    correlations, searches = (read(ROOT / "docs/proxy_report") for read in (read_correlations, read_searches))
    assert len(correlations) > len(searches) > 20
    winners = [WinnerRow("B", "D", "Flops", n, 20, 93.25, 0.5, 0.25, 0.75) for n in (64, 300)]
    write_csv(
        tmp_path, merged(correlations, correlations[:3]), merged(searches[:2], searches), merged(winners, winners)
    )
    assert read_winners(tmp_path) == winners
    assert read_correlations(tmp_path) == correlations
    assert read_searches(tmp_path) == searches
    assert read_searches(tmp_path / "absent") == []


def test_pages_are_what_the_tables_beside_them_say(tmp_path, capsys):
    kept = ROOT / "docs/proxy_report"
    for name in (CORRELATIONS, SEARCHES, WINNERS):
        shutil.copy(kept / name, tmp_path)
    assert main(["--from_tables", "--output_dir", str(tmp_path)]) == 0
    for name in (CORRELATIONS, SEARCHES, WINNERS, "tables.md", "summary.md"):
        assert (tmp_path / name).read_text() == (kept / name).read_text(), name
    for page, heading in PAGES.items():
        assert (kept / "summary.md").read_text().strip().replace("### ", heading) in (ROOT / page).read_text()
    capsys.readouterr()
    assert main(["--from_tables", "--output_dir", str(tmp_path / "empty")]) == 1
    assert "no figures in" in capsys.readouterr().err


@pytest.mark.parametrize("page", ["proxy_report.md", "proxy_report/tables.md", "ensemble_choice.md"])
def test_no_two_columns_of_a_table_are_called_alike(page):
    lines = (ROOT / "docs" / page).read_text().splitlines()
    headers = [line for line, rule in pairwise(lines) if rule.startswith("| ---")]
    assert headers
    for header in headers:
        columns = [column.strip() for column in header.strip("|").split("|")]
        assert len(set(columns)) == len(columns), header


def test_what_winners_lose_is_called_what_it_is():
    rows = [
        WinnerRow("B", "D", proxy, n, 20, mean, 0.5, too_few, too_low)
        for proxy, n, mean, too_few, too_low in (
            ("Flops", 64, 93.0, 1.0, 0.25),
            ("Flops", 300, 93.25, 0.5, 0.5),
            ("Oracle", 64, 93.25, 1.0, 0),
            ("Oracle", 300, 93.75, 0.5, 0),
        )
    ]
    assert winners_table(rows).splitlines() == [
        "| proxy | winner of 64 | winner of all 300 | best of all minus best of 64 | best of 64 minus winner |",
        "| --- | --- | --- | --- | --- |",
        "| **Oracle** | 93.25 ± 0.50 | 93.75 | 1.00 | 0.00 |",
        "| Flops | 93.00 ± 0.50 | 93.25 | 1.00 | 0.25 |",
    ]


def test_numbers_are_written_as_people_do():
    found = [three_digits(value) for value in (1271.3, 0.01, 0.04981, 34.84, 550, 12345)]
    assert found == ["1,270", "0.01", "0.0498", "34.8", "550", "12,300"]


def test_the_report_from_end_to_end(tmp_path, warm_python):
    data_file(nas_bench_201.FILE)
    data_file(nas_bench_macro.FILE)
    command = [
        str(warm_python),
        "-m",
        "benchmarks.proxy_report",
        "--samples",
        "12",
        "--searches",
        "2",
        "--search_networks",
        "20",
    ]
    command += [
        "--proxies",
        "Params,Flops,Random,Perturbation:8,PerturbationClosedForm",
        "--ensemble",
        "Flops,Perturbation",
    ]
    command += ["--search_proxies", "Flops,PerturbationClosedForm", "--seeds", "1", "--resamples", "20"]
    command += ["--cache_dir", str(tmp_path / "cache"), "--output_dir", str(tmp_path / "report")]
    result = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"GSNET_DATA": str(DATA)}, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader((tmp_path / "report/correlations.csv").open()))
    sizes = {(r["benchmark"], r["proxy"], r["scope"]): int(r["networks"]) for r in rows}
    assert sizes["NAS-Bench-201", "Perturbation", "sample"] == 8
    assert sizes["NAS-Bench-Macro", "PerturbationClosedForm", "all"] == 6_561
    exact = {(r["benchmark"], r["data_set"], r["proxy"], r["scope"]): r for r in rows}
    assert float(exact["NAS-Bench-Macro", "CIFAR-10", "Flops", "all"]["spearman"]) == pytest.approx(0.7478, abs=5e-5)
    assert float(exact["NAS-Bench-201", "ImageNet16-120", "Params", "all"]["best"]) == pytest.approx(47.3111, abs=1e-4)
    found = list(csv.DictReader((tmp_path / "report/searches.csv").open()))
    assert {r["proxy"] for r in found} == {"Flops", "PerturbationClosedForm"}
    assert all(0 <= float(r["regret"]) < 60 for r in found)
    assert result.stdout.startswith("### NAS-Bench-201, CIFAR-10")
    for name in ("summary.png", "scatter_NAS-Bench-201.png", "scatter_NAS-Bench-Macro.png"):
        assert (tmp_path / "report" / name).read_bytes().startswith(b"\x89PNG")


def test_absent_files_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GSNET_DATA", str(tmp_path))
    assert main(["--output_dir", str(tmp_path / "report"), "--cache_dir", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert nas_bench_201.FILE in error
    assert "GSNET_DATA" in error
