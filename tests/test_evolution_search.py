"""The search: determinism, outcomes, outputs, refusals, resumption."""

import csv
import fcntl
import json
import logging
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

import gsnet
import PlainNet
from gsnet.evolution import progress
from gsnet.evolution.archive import COSTS, Archive
from gsnet.evolution.budgets import CostModel, first_exceeded, make_budgets
from gsnet.evolution.history import Row
from gsnet.evolution.plots import is_pressed, whole_numbers
from gsnet.evolution.population import Member, Population
from gsnet.evolution.survival import ParetoPopulation, select
from PlainNet import Style
from SearchSpace.random_numbers import candidate_seed

pytestmark = pytest.mark.usefixtures("warm_python")
ROOT = Path(__file__).parent.parent
STRUCTURES = json.loads((ROOT / "tests/golden/structures.json").read_text())["structures"]
INIT = {case["id"]: case["string"] for case in STRUCTURES}
GHOST = ["--search_space", "SearchSpace/search_space_ghostshuffle.py", "--plainnet_struct", INIT["init_GS_2M"]]
XXBL = ["--search_space", "SearchSpace/search_space_XXBL.py", "--plainnet_struct", INIT["init_XX_cifar"]]
BOTH = ["--fix_initialize", "--origin"]


def search(folder, *options, proxy="Params", iterations=300, root=ROOT, **environment):
    command = [os.environ["WARM_PYTHON"], "evolution_search.py", "--zero_shot_score", proxy, "--save_dir", str(folder)]
    command += ["--evolution_max_iter", str(iterations), "--population_size", "32", *map(str, options)]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, env=os.environ | environment, check=False)


@pytest.mark.parametrize("size", [1, 4, 10])
def test_a_small_population_has_children(size):
    result = gsnet.search(INIT["init_XX_cifar"], space="XXBL", proxy="Params", iterations=120, population_size=size)
    parents = result.history["parent"]
    assert sum(parent is not None for parent in parents) > 60
    assert len({parent for parent in parents if parent is not None}) > 2


def test_a_search_whose_scoring_is_slow_says_how_far_it_is(monkeypatch, caplog):
    now = [100.0]
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    options = {"space": "XXBL", "proxy": "Params", "iterations": 20, "population_size": 8}
    with gsnet.Search(INIT["init_XX_cifar"], **options) as opened, caplog.at_level(logging.INFO):
        search = opened._session.search
        with progress.Reporter(search, logging.getLogger("any"), bar=False) as reporter:
            for _ in range(6):
                search.advance_round()
                now[0] += 4.0
                reporter.advanced(1)
            told = [record.getMessage() for record in caplog.records if record.message.startswith("loop_count")]
    assert [text.partition("/")[0] for text in told] == ["loop_count=3", "loop_count=6"]


def test_outputs_and_the_winner(tmp_path):
    result = search(tmp_path, *BOTH, *XXBL, "--budget_model_size", 1e6, "--max_layers", 18)
    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert [int(r["iteration"]) for r in rows] == list(range(300))
    scored = [r for r in rows if r["outcome"] == "scored"]
    best = json.loads((tmp_path / "best.json").read_text())
    assert best["score"] == max(float(r["score"]) for r in scored)
    assert best["structure"] == (tmp_path / "best_structure.txt").read_text()
    for row in scored[::10]:
        network = PlainNet.parse(row["structure"])
        cost = network.cost(32, 10)
        assert (cost.parameters, cost.flops, network.layers) == tuple(
            int(row[c]) for c in ("parameters", "flops", "layers")
        )
        assert cost.parameters == float(row["score"]) <= 1e6
        assert network.layers <= 18
    parents = {int(r["parent"]) for r in rows if r["parent"]}
    assert parents <= {int(r["iteration"]) for r in scored}
    assert sum(best["outcomes"].values()) == 300
    for name in ("search.png", "pareto.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "config.json").read_text())["settings"]["max_layers"] == 18
    assert "max_score" in (tmp_path / "evolution_search.log").read_text()


@pytest.mark.parametrize(
    "options",
    [
        ["--search_space_list", "PlainNet/SuperResKXKX.py", "PlainNet/SuperResK1KXK1.py"],
        ["--origin", *GHOST[:2]],
        ["--fix_initialize", *GHOST],
        [*BOTH, *GHOST],
    ],
    ids=["neither", "origin", "fix_initialize", "both"],
)
def test_all_four_modes_stay_within_their_blocks(tmp_path, options):
    result = search(tmp_path, *options, "--input_image_size", 64, iterations=120)
    assert result.returncode == 0, result.stderr
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    wanted = "SuperRes" if "PlainNet/SuperResKXKX.py" in options else "SuperGhostShuffle"
    for row in rows:
        names = [type(b).__name__ for b in PlainNet.parse(row["structure"]).blocks]
        assert all(name.startswith((wanted, "SuperConv")) for name in names)
    starts = {r["structure"].split(")")[0] for r in rows[:5]}
    assert ("SuperConvK3BNRELU(3,32,2,1" in starts) == ("--fix_initialize" not in options)


def test_same_seed_same_history_whatever_the_hash_seed(tmp_path):
    for hash_seed in ("0", "12345"):
        result = search(tmp_path / hash_seed, *BOTH, *GHOST, "--seed", 3, PYTHONHASHSEED=hash_seed)
        assert result.returncode == 0, result.stderr
    files = ("history.csv", "best.json", "pareto.csv")
    assert [(tmp_path / "0" / f).read_bytes() for f in files] == [(tmp_path / "12345" / f).read_bytes() for f in files]
    assert search(tmp_path / "other", *BOTH, *GHOST, "--seed", 4).returncode == 0
    assert (tmp_path / "other/history.csv").read_bytes() != (tmp_path / "0/history.csv").read_bytes()


def test_workers_do_not_change_the_history(tmp_path):
    for workers in (1, 2):
        options = ["--batch_size", 2, "--input_image_size", 16, "--workers", workers, "--round_size", 8]
        result = search(tmp_path / str(workers), *BOTH, *GHOST, *options, proxy="Zen", iterations=40)
        assert result.returncode == 0, result.stderr

    def rows(folder):
        columns = ("iteration", "parent", "outcome", "structure")
        return [[r[c] for c in columns] for r in csv.DictReader((tmp_path / folder / "history.csv").open())]

    assert rows("1") == rows("2")


def test_an_existing_result_is_never_overwritten_unasked(tmp_path):
    """The same command is done already; another one is told what made the folder."""
    assert search(tmp_path, *BOTH, *GHOST, iterations=50).returncode == 0
    before = (tmp_path / "best.json").read_bytes()
    again = search(tmp_path, *BOTH, *GHOST, iterations=50)
    assert (again.returncode, "skip" in again.stderr) == (0, True)
    for more, iterations, said in (
        (("--seed", 9), 50, "--seed was 0 and is now 9"),
        (("--max_layers", 7), 50, "--max_layers was"),
        ((), 60, "after 50 iterations: go on to 60 with --resume"),
        ((), 40, "after 50 iterations, not 40: name another --save_dir"),
    ):
        other = search(tmp_path, *BOTH, *GHOST, *more, iterations=iterations)
        assert (other.returncode, said in other.stderr) == (2, True), other.stderr
    assert search(tmp_path, *BOTH, *GHOST, proxy="Flops", iterations=50).returncode == 2
    assert (tmp_path / "best.json").read_bytes() == before
    assert search(tmp_path, *BOTH, *GHOST, "--seed", 9, "--overwrite", iterations=50).returncode == 0
    assert (tmp_path / "best.json").read_bytes() != before
    assert (tmp_path / "evolution_search.log").read_text().count("loop_count=50/50") == 1


def test_what_is_to_be_overwritten_stays_where_the_new_search_cannot_begin(tmp_path):
    assert search(tmp_path, *BOTH, *GHOST, iterations=50).returncode == 0
    names = ("best.json", "best_structure.txt", "history.csv", "config.json", "evolution_search.log")
    before = {name: (tmp_path / name).read_bytes() for name in names}
    refused = search(tmp_path, *BOTH, *GHOST, "--overwrite", "--max_layers", 1, iterations=50)
    assert (refused.returncode, "--max_layers allows 1" in refused.stderr) == (2, True), refused.stderr
    lock = (tmp_path / "search.lock").open("a")
    fcntl.flock(lock, fcntl.LOCK_EX)
    refused = search(tmp_path, *BOTH, *GHOST, "--overwrite", iterations=50)
    assert (refused.returncode, "is writing to" in refused.stderr) == (2, True), refused.stderr
    lock.close()
    assert all((tmp_path / name).read_bytes().startswith(content) for name, content in before.items())
    with sqlite3.connect(tmp_path / "search.db") as database:
        assert database.execute("SELECT COUNT(*) FROM proposals").fetchone() == (50,)


def test_a_longer_search_continues_a_finished_one(tmp_path):
    assert search(tmp_path / "whole", *BOTH, *GHOST, "--round_size", 7, iterations=200).returncode == 0
    assert search(tmp_path / "parts", *BOTH, *GHOST, "--round_size", 7, iterations=90).returncode == 0
    result = search(tmp_path / "parts", *BOTH, *GHOST, "--round_size", 7, "--resume", iterations=200)
    assert result.returncode == 0, result.stderr
    for name in ("history.csv", "best.json", "pareto.csv"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_an_unfinished_folder_names_the_flag_and_changed_options_are_refused(tmp_path):
    assert search(tmp_path, *BOTH, *GHOST, iterations=50).returncode == 0
    (tmp_path / "best_structure.txt").unlink()
    with closing(sqlite3.connect(tmp_path / "search.db")) as database, database:
        database.execute("UPDATE meta SET value = '0' WHERE key = 'finished'")
    result = search(tmp_path, *BOTH, *GHOST, iterations=50)
    assert (result.returncode, "unfinished search: continue it with --resume" in result.stderr) == (2, True)
    result = search(tmp_path, *BOTH, *GHOST, "--resume", "--max_layers", 10, iterations=50)
    assert (result.returncode, "--max_layers was not given and is now 10" in result.stderr) == (2, True)


def test_report_remakes_every_output(tmp_path):
    assert search(tmp_path, *BOTH, *GHOST, iterations=80).returncode == 0
    names = ("history.csv", "best.json", "pareto.csv", "best_structure.txt")
    before = {name: (tmp_path / name).read_bytes() for name in names}
    for name in (*names, "search.png", "pareto.png"):
        (tmp_path / name).unlink()
    command = [os.environ["WARM_PYTHON"], "evolution_search.py", "--report", str(tmp_path), "--json"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(result.stdout) == json.loads(before["best.json"])
    assert {name: (tmp_path / name).read_bytes() for name in names} == before
    assert (tmp_path / "search.png").exists()


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        ([], 2, "--search_space FILE"),
        (["--origin", "--search_space_list", "PlainNet/SuperResKXKX.py"], 2, "need --search_space"),
        ([*BOTH, "--search_space", "SearchSpace/search_space_XXBL.py"], 2, "needs a structure to start from"),
        (
            [*BOTH, "--search_space", "nowhere.py", "--plainnet_struct", INIT["init_GS_2M"]],
            2,
            "nowhere.py does not exist",
        ),
        ([*BOTH, *XXBL, "--budget_model_siz", "1e6"], 2, "did you mean --budget_model_size?"),
        ([*BOTH, *XXBL, "--budget_model_size", "1000"], 2, "90,962 parameters where --budget_model_size allows 1,000"),
        ([*BOTH, *XXBL, "--zero_shot_score", "Zne"], 2, "did you mean Zen?"),
        ([*BOTH, *XXBL[:2], "--plainnet_struct", "SuperResK3K4(3,8,1,8,1)"], 2, "did you mean SuperResK3K3?"),
        ([*BOTH, *XXBL[:2], "--plainnet_struct_txt", "absent.txt"], 2, "absent.txt"),
        ([*BOTH, *XXBL, "--gpu", "7"], 2, "There is no GPU 7"),
        (["--origin", *XXBL[:2], "--budget_model_size", "100"], 1, "No candidate was scored"),
    ],
)
def test_refusals_are_one_sentence(tmp_path, options, status, words):
    result = search(tmp_path, *options, iterations=6_000)
    assert (result.returncode, "Traceback" in result.stderr) == (status, False)
    assert words in result.stderr


def test_a_search_in_which_most_candidates_fail_stops(tmp_path):
    # One image on maps of one pixel: batch normalisation has a single value per channel.
    options = [
        *BOTH,
        "--search_space",
        "SearchSpace/search_space_ghostshuffle.py",
        "--plainnet_struct",
        INIT["init_GS_1M"],
    ]
    result = search(tmp_path, *options, "--batch_size", 1, "--input_image_size", 32, proxy="Zen", iterations=500)
    assert result.returncode == 1
    assert "candidates failed to score" in result.stderr
    assert "more than 1 value per channel" in result.stderr.splitlines()[-1]
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert {"failed"} < {row["outcome"] for row in rows} | {"over budget"}
    assert (tmp_path / "best_structure.txt").exists() == any(row["outcome"] == "scored" for row in rows)
    with sqlite3.connect(tmp_path / "search.db") as database:
        reasons = database.execute("SELECT DISTINCT reason FROM proposals WHERE outcome = 'failed'").fetchall()
    assert any("more than 1 value per channel" in reason for (reason,) in reasons)


def test_a_latency_budget_is_measured_as_asked(tmp_path):
    options = [*BOTH, *GHOST, "--budget_latency", 10, "--latency_batch_size", 2, "--latency_resolution", 16]
    result = search(tmp_path, *options, "--batch_size", 2, "--input_image_size", 16, iterations=20)
    assert result.returncode == 0, result.stderr
    with sqlite3.connect(tmp_path / "search.db") as database:
        (latencies,) = zip(*database.execute("SELECT latency FROM proposals WHERE outcome = 'scored'"), strict=True)
    assert all(0 < latency < 10 for latency in latencies)
    refused = search(tmp_path / "tight", *BOTH, *GHOST, "--budget_latency", 1e-7, iterations=20)
    assert (refused.returncode, "over budget (latency)" in refused.stderr) == (1, True)


INVERTED_RESIDUAL = '''"""MobileNetV2's inverted residual as a super-block."""

from dataclasses import dataclass

from PlainNet.basic_blocks import RELU
from PlainNet.super_blocks import SuperBlock, conv_bn, conv_bn_relu, depthwise_bn, residual


@dataclass(frozen=True)
class SuperMobileK3(SuperBlock):
    """SuperMobileK3(in, out, stride, bottleneck, sub_layers)."""

    in_channels: int
    out_channels: int
    stride: int
    bottleneck_channels: int
    sub_layers: int

    def layer(self, in_channels, stride, first, style):
        wide = self.bottleneck_channels
        expand = (*conv_bn_relu(in_channels, wide, 1, 1, style), *depthwise_bn(wide, 3, stride, style), RELU(wide))
        body = (*expand, *conv_bn(wide, self.out_channels, 1, 1, style))
        return residual(body, style) if stride == 1 and in_channels == self.out_channels else body


def register_netblocks_dict(netblocks_dict):
    return netblocks_dict | {"SuperMobileK3": SuperMobileK3}
'''


def test_a_block_of_ones_own_takes_one_short_file_and_two_lines(tmp_path):
    assert len(INVERTED_RESIDUAL.splitlines()) < 30
    ignored = shutil.ignore_patterns(".venv*", ".git", "save_dir", "golden", "__pycache__")
    copy = shutil.copytree(ROOT, tmp_path / "copy", ignore=ignored)
    (copy / "PlainNet/ABC_Block.py").write_text(INVERTED_RESIDUAL)
    with (copy / "PlainNet/__init__.py").open("a") as file:
        file.write(
            "from PlainNet import ABC_Block\n"
            "_all_netblocks_dict_ = ABC_Block.register_netblocks_dict(_all_netblocks_dict_)\n"
        )
    options = ["--search_space_list", "PlainNet/ABC_Block.py", "--input_image_size", 64, "--batch_size", 2]
    result = search(tmp_path / "found", *options, proxy="Zen", iterations=24, root=copy)
    assert result.returncode == 0, result.stderr
    assert "SuperMobileK3(" in (tmp_path / "found/best_structure.txt").read_text()
    check = (
        "import PlainNet; from Masternet import MasterNet\n"
        "n = MasterNet(num_classes=10, plainnet_struct=open('{}/best_structure.txt').read())\n"
        "print(sum(p.numel() for p in n.parameters()) == n.network.cost(64, 10).parameters)"
    )
    script = check.format(tmp_path / "found")
    assert subprocess.run([sys.executable, "-c", script], cwd=copy, capture_output=True, text=True).stdout == "True\n"


def test_population_drops_the_worst_and_keeps_the_rest():
    generator, population, everyone = random.Random(0), Population(20), []
    network = PlainNet.parse(INIT["init_GS_2M"])
    for iteration in range(500):
        member = Member(float(generator.randrange(60)), iteration, network)
        everyone.append(member)
        population.add(member)
        # The reference's rule, by brute force: the first member with the lowest score goes.
        while len(everyone) > 20:
            lowest = min(m.score for m in everyone)
            everyone.remove(next(m for m in everyone if m.score == lowest))
        assert sorted(population.members) == sorted(everyone)
        assert population.lowest_score == min(m.score for m in everyone)


def test_parents_are_uniform():
    population, network = Population(50), PlainNet.parse(INIT["init_GS_2M"])
    for iteration in range(50):
        population.add(Member(float(iteration), iteration, network))
    generator = random.Random(1)
    counts = [0] * 50
    for _ in range(50_000):
        counts[population.choose(generator).iteration] += 1
    assert sum((c - 1_000) ** 2 / 1_000 for c in counts) < 100


def test_archive_equals_brute_force():
    generator = random.Random(2)
    rows = []
    for iteration in range(400):
        figures = [generator.randrange(12) for _ in range(4)]
        layers, parameters, flops, memory = figures
        score = float(generator.randrange(12))
        rows.append(
            Row(
                iteration, None, 0, "scored", "", score, layers, parameters, flops, memory, 1, None, 0.0, str(iteration)
            )
        )
    archive = Archive()
    for row in rows:
        archive.add(row)

    def point(row):
        return (-row.score, *(getattr(row, c) for c in COSTS))

    points = {point(r) for r in rows}
    front = {p for p in points if not any(q != p and all(a <= b for a, b in zip(q, p, strict=True)) for q in points)}
    assert {point(r) for r in archive.front()} == front
    assert len(archive.front()) == len(front)


@pytest.mark.parametrize("style", [Style(), Style(use_se=True), Style(no_BN=True)])
def test_cost_model_equals_the_networks_own_costs(style):
    model = CostModel(32, 10, style)
    for case in STRUCTURES[::3]:
        if case["macs"]:
            network = PlainNet.parse(case["string"])
            costs, cost = model.costs(network), network.cost(32, 10, style)
            assert (costs.parameters, costs.flops, costs.memory_access, costs.peak_feature_map) == cost
            assert costs.layers == case["layers"]


def test_budgets_are_checked_cheapest_first_and_inclusive():
    costs = CostModel(32, 10).costs(PlainNet.parse(INIT["init_XX_cifar"]))
    assert first_exceeded(make_budgets(6, 90_962, 6_710_528, 266_914), costs) is None
    assert first_exceeded(make_budgets(5, 90_961), costs).name == "layers"
    assert first_exceeded(make_budgets(6, 90_961, 1), costs).option == "--budget_model_size"
    assert first_exceeded(make_budgets(budget_mac=266_913), costs).name == "memory access"


def test_candidate_seeds_differ():
    seeds = {candidate_seed(seed, iteration) for seed in range(20) for iteration in range(1_000)}
    assert len(seeds) == 20_000
    assert all(0 <= seed < 1 << 63 for seed in seeds)


def test_objectives_keep_cheap_networks_alive(tmp_path):
    options = [*BOTH, *XXBL, "--budget_model_size", 1e6, "--max_layers", 18]
    for name in ("score", "score,params"):
        result = search(tmp_path / name, *options, "--objectives", name, proxy="Flops", iterations=1_000)
        assert result.returncode == 0, result.stderr

    def median_parameters(name):
        rows = list(csv.DictReader((tmp_path / name / "history.csv").open()))[-300:]
        return sorted(int(r["parameters"]) for r in rows if r["outcome"] == "scored")[50]

    assert median_parameters("score,params") < median_parameters("score") / 2
    rows = csv.DictReader((tmp_path / "score,params/history.csv").open())
    points = {(-float(r["score"]), int(r["parameters"])) for r in rows if r["outcome"] == "scored"}
    front = [p for p in points if not any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)]
    assert json.loads((tmp_path / "score,params/best.json").read_text())["pareto"]["networks"] == len(front)
    assert f"Pareto front in score, params: {len(front)} networks" in result.stdout
    assert str(tmp_path / "score,params/pareto.csv") in result.stdout
    assert "pareto" not in json.loads((tmp_path / "score/best.json").read_text())
    refused = search(tmp_path / "bad", *options, "--objectives", "params")
    assert (refused.returncode, "score must be among them" in refused.stderr) == (2, True)


def test_costs_pressed_into_a_corner_get_a_logarithmic_axis():
    """As FLOPs of a front are, from one to hundreds of millions; costs of one size and costs at a budget are not."""
    assert is_pressed([1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 70.0])
    assert not is_pressed([6.0, 7.0, 8.0, 9.0, 10.0, 18.0])
    assert not is_pressed([0.1, 0.6, 0.8, 0.9, 1.0])
    # A single cost, and one of nothing, cannot be spread out.
    assert not is_pressed([3.0]) and not is_pressed([3.0, 3.0]) and not is_pressed([0.0, 1.0, 100.0])


def test_selection_is_by_rank_then_crowding():
    """Deb et al. 2002 on a hand-made set: the first front whole, then the ends and the loneliest of the second."""
    network = PlainNet.parse(INIT["init_GS_2M"])
    first = [(9.0, 90), (5.0, 50), (1.0, 10)]
    second = [(8.0, 95), (7.5, 94), (4.0, 60), (0.5, 20)]
    members = [Member(score, i, network, (cost, 0, 0, 0)) for i, (score, cost) in enumerate(first + second)]
    chosen = select(members, 6, ("score", "params"))
    assert [member.iteration for member in chosen] == [0, 1, 2, 3, 5, 6]


def of_points(*points):
    network = PlainNet.parse(INIT["init_GS_2M"])
    return [Member(score, i, network, (cost, 0, 0, 0)) for i, (score, cost) in enumerate(points)]


def test_crowding_is_relative_to_the_range_of_each_objective():
    # Between the ends the second has neighbours at a distance of 2 / 10 + 600 / 1000, the third of 9 / 10 + 500 / 1000.
    chosen = select(of_points((0.0, 0), (1.0, 500), (2.0, 600), (10.0, 1000)), 3, ("score", "params"))
    assert [member.iteration for member in chosen] == [0, 2, 3]


def test_of_equally_crowded_members_the_oldest_survives():
    chosen = select(of_points((0.0, 0), (2.0, 2), (1.0, 1), (3.0, 3)), 3, ("score", "params"))
    assert [member.iteration for member in chosen] == [0, 1, 3]


def test_a_population_of_several_objectives_is_cut_once_it_has_doubled():
    population = ParetoPopulation(2, ("score", "params"))
    # The second has the best score and the third the least cost; the last one is beaten.
    *first, last = of_points((5.0, 50), (9.0, 90), (1.0, 10), (4.0, 60))
    for member in first:
        population.add(member)
    assert len(population) == 3
    population.add(last)
    assert [member.iteration for member in population.members] == [1, 2]


def test_the_foremost_are_the_best_and_of_equal_ones_the_oldest():
    population = Population(5)
    for member in of_points((3.0, 0), (5.0, 0), (1.0, 0), (5.0, 0)):
        population.add(member)
    assert [member.iteration for member in population.foremost(3)] == [1, 3, 0]


def test_verify_top_rescores_by_forward_passes(tmp_path):
    result = search(
        tmp_path, *BOTH, *GHOST, "--verify_top", 2, "--batch_size", 4, proxy="ZenClosedForm", iterations=150
    )
    assert result.returncode == 0, result.stderr
    assert "Monte-Carlo Zen of the winner" in result.stdout
    assert "re-scoring the best by Zen: 100%" in result.stderr and "48/48" in result.stderr
    rows = list(csv.DictReader((tmp_path / "verified.csv").open()))
    assert len(rows) == 2
    assert rows[0]["structure"] == (tmp_path / "best_structure.txt").read_text()
    assert float(rows[0]["zen_mean"]) == pytest.approx(float(rows[0]["score"]), rel=0.03)


@pytest.mark.parametrize("most", [3, 4, 6, 40])
def test_no_ticks_between_numbers_of_layers(most):
    from matplotlib.figure import Figure

    axis = Figure().subplots()
    axis.scatter([3, most], [0.0, 1.0])
    whole_numbers(axis)
    assert all(float(tick).is_integer() for tick in axis.get_xticks())
