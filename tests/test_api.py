"""Searches from Python: as the command does them, asked and told, in threads, with functions of one's own."""

import ast
import asyncio
import csv
import json
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import pandas
import polars
import pytest
import torch
from torch import nn

import gsnet
import PlainNet
from gsnet.evolution.history import History
from SearchSpace import search_space_ghostshuffle
from ZeroShotProxy import ProxyFailure

ROOT = Path(__file__).parent.parent
START = (
    "SuperConvK3BNRELU(3,16,1,1)SuperGhostShuffleK3(16,32,2,16,1)"
    "SuperGhostShuffleK3(32,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
)
SMALL = {"space": "ghostshuffle", "proxy": "ZenClosedForm", "iterations": 300, "population_size": 32}
BUDGETS = {"params": 300e3, "layers": 12}


def untimed(result):
    """A history without the seconds that scoring took."""
    return {name: column for name, column in result.history.items() if name != "seconds"}


def told_by_closed_form(search, at_once=3):
    """Ask and tell to the end, the last network first."""
    while not search.finished:
        for network in reversed(search.ask(at_once)):
            search.tell(network, gsnet.score(network, "ZenClosedForm", resolution=32))


def contents(folder):
    """The files of a results folder that do not hold times; of config.json all but the command line."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    config = json.loads(files.pop("config.json"))
    del config["arguments"]
    return {
        n: None if n in ("search.db", "search.lock", "evolution_search.log") else b for n, b in files.items()
    }, config


def test_the_command_the_function_and_asking_and_telling_give_the_same_folder(tmp_path):
    command = [
        sys.executable,
        "evolution_search.py",
        "--zero_shot_score",
        "ZenClosedForm",
        "--origin",
        "--fix_initialize",
    ]
    command += ["--search_space", "SearchSpace/search_space_ghostshuffle.py", "--plainnet_struct", START]
    command += ["--evolution_max_iter", "300", "--population_size", "32", "--round_size", "4", "--max_layers", "12"]
    command += ["--budget_model_size", "300e3", "--save_dir", str(tmp_path / "command")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    options = SMALL | {"budgets": BUDGETS, "round_size": 4}
    found = gsnet.search(START, **options, save_dir=tmp_path / "function")
    with gsnet.Search(START, **options, save_dir=tmp_path / "told") as search:
        told_by_closed_form(search)
    wanted = contents(tmp_path / "command")
    assert contents(tmp_path / "function") == wanted
    assert contents(tmp_path / "told") == wanted
    assert untimed(gsnet.search(START, **options)) == untimed(found) == untimed(gsnet.load(tmp_path / "command"))
    # A module, a file and a name of the space are the same space.
    again = options | {"space": search_space_ghostshuffle, "save_dir": tmp_path / "module"}
    assert gsnet.search(START, **again).finished
    assert contents(tmp_path / "module") == wanted


def test_without_save_dir_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    result = gsnet.search(START, **SMALL)
    assert not list(tmp_path.iterdir()) and result.folder is None
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    best = max(s for s in result.history["score"] if s is not None)
    assert result.score == result.best.score == best == gsnet.score(result.best.network, "ZenClosedForm", resolution=32)
    assert result.iterations == len(result.history["iteration"]) == sum(result.outcomes.values()) == 300


def test_the_history_is_a_table_that_pandas_and_polars_take():
    result = gsnet.search(START, **SMALL | {"budgets": BUDGETS})
    frame, other = pandas.DataFrame(result.history), polars.DataFrame(result.history)
    assert frame.shape == other.shape == (300, len(result.history))
    assert list(frame.columns) == other.columns == list(result.history)
    assert frame.loc[frame.score.idxmax(), "structure"] == str(result.best.network)
    assert other.filter(polars.col("score") == polars.col("score").max())["parameters"][0] == result.best.parameters
    assert frame.outcome.value_counts().to_dict() == {
        outcome: other.filter(polars.col("outcome") == outcome).height for outcome in set(result.history["outcome"])
    }
    assert list(pandas.DataFrame(result.pareto).score) == sorted((row.score for row in result.pareto), reverse=True)


def test_a_callback_sees_every_round_and_may_stop(tmp_path):
    seen = []

    def callback(progress):
        seen.append((progress.iteration, progress.best.score if progress.best else None))
        if progress.iteration == 120:
            progress.stop()

    options = SMALL | {"round_size": 4}
    stopped = gsnet.search(START, **options, save_dir=tmp_path, callback=callback)
    assert [iteration for iteration, _ in seen] == list(range(4, 121, 4))
    assert not stopped.finished and stopped.iterations == 120 and stopped.score == seen[-1][1]
    assert json.loads((tmp_path / "best.json").read_text())["iterations"] == 120
    with pytest.raises(gsnet.SearchError, match="unfinished search: continue it with resume=True"):
        gsnet.search(START, **options, save_dir=tmp_path)
    with pytest.raises(
        gsnet.SearchError, match="resume=True continues a search as it was, but seed was 0 and is now 1"
    ):
        gsnet.search(START, **options, seed=1, save_dir=tmp_path, resume=True)
    resumed = gsnet.search(START, **options, save_dir=tmp_path, resume=True)
    assert resumed.finished and untimed(resumed) == untimed(gsnet.search(START, **options))
    # The same search again is done already; another one does not take its place.
    assert untimed(gsnet.search(START, **options, save_dir=tmp_path)) == untimed(resumed)
    with pytest.raises(gsnet.SearchError, match=r"another search: seed was 0 and is now 1.*overwrite=True"):
        gsnet.search(START, **options, seed=1, save_dir=tmp_path)
    # Nor does one that cannot begin.
    for wrong in (
        {"budgets": {"layers": 1}},
        {"start": "SuperConvK3BNRELU(3,8"},
        {"resume": True},
        {"islands": 2, "workers": 3},
        {"scheduler": "127.0.0.1:1"},
    ):
        with pytest.raises((gsnet.InputError, ValueError)):
            gsnet.search(**{"start": START} | options | wrong, save_dir=tmp_path, overwrite=True)
    assert untimed(gsnet.load(tmp_path)) == untimed(resumed)


def test_an_interrupt_loses_nothing(tmp_path):
    def callback(progress):
        if progress.iteration == 40:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        gsnet.search(START, **SMALL, save_dir=tmp_path, callback=callback)
    assert gsnet.load(tmp_path).iterations == 40
    resumed = gsnet.search(START, **SMALL, save_dir=tmp_path, resume=True)
    assert untimed(resumed) == untimed(gsnet.search(START, **SMALL))


def test_an_error_of_ones_own_comes_out_and_the_search_goes_on():
    faults = [0]

    def limit(network):
        faults[0] += 1
        if faults[0] == 30:
            raise ZeroDivisionError("mine")
        return 1.0

    with gsnet.Search(START, **SMALL, budgets={"mine": (limit, 2.0)}) as search:
        with pytest.raises(ZeroDivisionError, match="mine"):
            search.run()
        again = search.run()
    assert again.history["score"] == gsnet.search(START, **SMALL).history["score"]


@pytest.mark.parametrize("proxy", ["ZenClosedForm", "TE-NAS-LR"])
def test_searches_in_threads_are_those_that_run_alone(proxy):
    options = SMALL | {"proxy": proxy, "resolution": 16, "batch_size": 2}
    options |= {} if proxy == "ZenClosedForm" else {"iterations": 12, "round_size": 4}
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        alone = [untimed(gsnet.search(START, **options, seed=seed)) for seed in (0, 1)]
        both = threading.Barrier(2)

        def run(seed):
            both.wait()
            return untimed(gsnet.search(START, **options, seed=seed))

        with ThreadPoolExecutor(2) as pool:
            assert list(pool.map(run, (0, 1))) == alone
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert alone[0] != alone[1]


def test_it_runs_beside_an_event_loop():
    async def both():
        return await asyncio.gather(*(asyncio.to_thread(gsnet.search, START, **SMALL, seed=s) for s in (0, 1)))

    assert [untimed(r) for r in asyncio.run(both())] == [untimed(gsnet.search(START, **SMALL, seed=s)) for s in (0, 1)]


def test_told_scores_survive_a_kill_and_any_order(tmp_path):
    options = SMALL | {"iterations": 60, "round_size": 6}
    whole = gsnet.search(START, **options)
    search = gsnet.Search(START, **options, save_dir=tmp_path)
    first = search.ask(2)
    rest = search.ask()
    assert len(first) == 2 and not set(first) & set(rest) and search.ask() == []
    assert search.waiting == [*first, *rest]
    for network in rest[1:]:
        search.tell(network, gsnet.score(network, "ZenClosedForm", resolution=32))
    # As if the process ended here: nothing is closed, the folder's lock goes with the process.
    search._session.history._lock.close()
    with gsnet.Search(START, **options, save_dir=tmp_path, resume=True) as again:
        assert again.ask() == [*first, rest[0]], "what was told is not asked for again"
        for network in again.waiting:
            again.tell(str(network), gsnet.score(network, "ZenClosedForm", resolution=32))
        told_by_closed_form(again)
    assert untimed(gsnet.load(tmp_path)) == untimed(whole)


def test_what_is_told_is_checked_and_failures_are_rows():
    with gsnet.Search(START, **SMALL | {"proxy": None, "iterations": 40, "round_size": 8}) as search:
        with pytest.raises(gsnet.InputError, match="no proxy"):
            search.run()
        networks = search.ask()
        with pytest.raises(gsnet.InputError, match="does not wait for a score"):
            search.tell("SuperConvK3BNRELU(3,16,1,1)", 1.0)
        with pytest.raises(gsnet.InputError, match="at least one"):
            search.ask(0)
        search.tell(networks[0], None, reason="no memory")
        search.tell(networks[1], float("nan"))
        with pytest.raises(gsnet.InputError, match="once each"):
            search.tell(networks[0], 1.0)
        for wrong in ("a", numpy.ones(2), ["a"]):
            with pytest.raises(gsnet.InputError, match="it must be a number"):
                search.tell(networks[2], wrong)
        for number, network in enumerate(networks[2:]):
            search.tell(network, number, seconds=numpy.float32(2.5))
        table = pandas.DataFrame(search.result().history)
        rows = {row["structure"]: row for row in table[table.outcome != "duplicate"].to_dict("records")}
        assert rows[str(networks[0])]["reason"] == "no memory"
        assert rows[str(networks[1])]["reason"] == "the score is nan"
        assert rows[str(networks[-1])]["score"] == len(networks) - 3 == search.progress.best.score
        assert rows[str(networks[-1])]["seconds"] == 2.5
    with pytest.raises(gsnet.InputError, match="closed"):
        search.ask()


def test_a_told_latency_is_a_time():
    """Nothing is larger than what is no number: such a network would be within any budget."""
    with gsnet.Search(START, **SMALL | {"proxy": None, "round_size": 8, "budgets": {"latency": 0.1}}) as search:
        slow, fast = search.ask(2)
        for wrong in (float("nan"), -1.0, "1ms"):
            with pytest.raises(gsnet.InputError, match=r"latency is .*: it must be a number above 0"):
                search.tell(slow, 1.0, latency=wrong)
        search.tell(slow, 1.0, latency=0.2)
        search.tell(fast, 1.0, latency=numpy.float32(0.05))
        assert {slow, fast}.isdisjoint(search.waiting)


def test_random_numbers_of_a_told_candidate_are_those_of_a_run():
    options = SMALL | {"proxy": "Random", "iterations": 40, "round_size": 8}
    with gsnet.Search(START, **options) as search:
        while not search.finished:
            for network in search.ask():
                search.tell(network, gsnet.score(network, "Random", seed=search.seed_of(network)))
        assert untimed(search.result()) == untimed(gsnet.search(START, **options))


def mean_width(network):
    return sum(block.out_channels for block in network.blocks) / len(network.blocks)


def convolutions(network: nn.Module) -> float:
    return sum(isinstance(layer, nn.Conv2d) for layer in network.modules())


def with_context(network, context):
    return context.settings.resolution + len(network.blocks)


def widths_alone(block_list, block_id):
    block = block_list[block_id]
    return [[str(type(block)(block.in_channels, w, *block.arguments[2:])) for w in (16, 32, 64, 96)]]


def test_proxies_budgets_objectives_and_spaces_may_be_functions(tmp_path):
    result = gsnet.search(
        START,
        space=widths_alone,
        proxy=mean_width,
        budgets={"params": 40e3, "wide": (lambda network: max(b.out_channels for b in network.blocks), 80)},
        objectives=("score", "params", len_of_blocks),
        iterations=200,
        population_size=8,
        save_dir=tmp_path,
    )
    assert result.settings.zero_shot_score == "mean_width"
    scored = [i for i, outcome in enumerate(result.history["outcome"]) if outcome == "scored"]
    for i in scored:
        network = PlainNet.parse(result.history["structure"][i])
        assert result.history["score"][i] == mean_width(network)
        assert result.history["wide"][i] == max(b.out_channels for b in network.blocks) <= 80
        assert result.history["len_of_blocks"][i] == len(network.blocks)
    assert (
        result.outcomes["over budget: wide"] == sum(1 for w in result.history["wide"] if w is not None and w > 80) > 0
    )
    rows = list(csv.DictReader((tmp_path / "history.csv").open()))
    assert [float(r["wide"]) if r["wide"] else None for r in rows] == result.history["wide"]
    assert "len_of_blocks" in (tmp_path / "pareto.csv").read_text().splitlines()[0]
    own = {"space": widths_alone, "proxy": mean_width, "iterations": 10}
    gsnet.search(START, **own, save_dir=tmp_path / "own")
    with pytest.raises(gsnet.SearchError, match="by their names alone: resume=True takes"):
        gsnet.search(START, **own, save_dir=tmp_path / "own")
    # A population that is replayed is the same: a search that goes on proposes what a longer one does.
    options = {"space": widths_alone, "proxy": mean_width, "objectives": {"score": None, "own": len_of_blocks}}
    gsnet.search(START, **options, iterations=60, population_size=4, save_dir=tmp_path / "parts")
    parts = gsnet.search(START, **options, iterations=120, population_size=4, save_dir=tmp_path / "parts", resume=True)
    assert untimed(parts) == untimed(gsnet.search(START, **options, iterations=120, population_size=4))


def len_of_blocks(network):
    return len(network.blocks)


def test_one_network_is_scored_by_a_name_or_a_function_as_text_value_or_module():
    structure = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)"
    assert gsnet.score(structure, "Params", resolution=32, num_classes=10) == 2354
    assert gsnet.score(gsnet.parse(structure), mean_width) == 12
    assert gsnet.score(structure, with_context, resolution=48) == 50
    # One convolution in the stem, two in the block, one in its shortcut.
    assert gsnet.score(structure, convolutions, resolution=32) == 4
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    weight = module[0].weight.clone()
    assert gsnet.score(module, convolutions, resolution=16) == 1
    assert gsnet.score(module, lambda m: len(m), resolution=16) == 5
    assert gsnet.score(module, "NASWOT", resolution=16, batch_size=4) > 0
    assert torch.equal(module[0].weight, weight)
    with pytest.raises(ProxyFailure, match="not torch modules"):
        gsnet.score(module, "ZenClosedForm")
    with pytest.raises(gsnet.InputError, match="name of a proxy of the package"):
        gsnet.score(structure, NASWOT)


def NASWOT(network):
    return 0.0


def test_an_analysis_has_figures_and_a_table():
    # The published detector's backbone aside, ptflops counts the same: tests of analyze_model.py say so.
    analysis = gsnet.analyze("SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)", resolution=32, num_classes=10)
    assert (analysis.parameters, analysis.layers, analysis.output_shape) == (2354, 2, (16, 16, 16))
    assert sum(row.cost.parameters for row in analysis.blocks) == analysis.parameters == analysis.to_dict()["params"]
    total = next(line for line in str(analysis).splitlines() if line.startswith("total"))
    assert total.split()[1] == "2,354"


def test_a_module_of_a_programs_own_is_analysed_and_stays_as_it_is():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    analysis = gsnet.analyze(module.double(), resolution=16)
    # 3 x 4 x 9 + 4 and 4 x 10 + 10; 14 x 14 pixels of 3 x 4 x 9 products, and 4 x 10.
    assert (analysis.parameters, analysis.flops, analysis.num_classes) == (162, 14 * 14 * 108 + 40, 10)
    assert module.training and module[0].weight.dtype is torch.float64 and module[0].weight.grad is None
    assert gsnet.analyze(module).resolution == 224
    for option in ({"num_classes": 3}, {"use_se": True}, {"no_reslink": True}):
        with pytest.raises(gsnet.InputError, match=f"^{next(iter(option))} is for structures"):
            gsnet.analyze(module, **option)


def test_several_structures_are_candidates_themselves_and_then_parents(tmp_path):
    first = gsnet.search(START, **SMALL)
    starts = first.pareto[:5]
    result = gsnet.search(starts, **SMALL, seed=1)
    assert result.history["structure"][:5] == [row.structure for row in starts]
    assert result.history["parent"][:5] == [None] * 5
    assert result.score >= first.score
    # The same from a file, by the command; a blank line and a remark are no networks.
    file = tmp_path / "starts.txt"
    file.write_text("# the front\n\n" + "\n".join(row.structure for row in starts) + "\n")
    assert [str(n) for n in PlainNet.parse_structures(file.read_text())] == [row.structure for row in starts]
    assert untimed(gsnet.search(file, **SMALL, seed=1)) == untimed(result)
    # One structure may span lines, as ever.
    assert [str(n) for n in PlainNet.parse_structures(START.replace(")S", ")\nS"))] == [START]
    with pytest.raises(PlainNet.StructureError, match="Line 2: No block is called SuperGhostShuffel"):
        PlainNet.parse_structures(f"{START}\n{START.replace('Shuffle', 'Shuffel')}")
    with pytest.raises(PlainNet.StructureError, match="expects 999 channels"):
        PlainNet.parse_structures("SuperConvK3BNRELU(3,16,1,1)\nSuperResK3K3(999,32,2,16,1)")
    over = gsnet.search(starts, **SMALL, budgets={"params": starts[-1].parameters})
    assert over.outcomes["over budget: parameters"] > 0
    with pytest.raises(gsnet.SearchError, match="All 5 initial structures break the budgets"):
        gsnet.search(starts, **SMALL, budgets={"params": 1})


def test_a_search_starts_from_the_front_of_another(tmp_path, warm_python):
    front = gsnet.search(START, **SMALL, save_dir=tmp_path / "first").pareto
    command = [str(warm_python), "evolution_search.py", "--zero_shot_score", "ZenClosedForm", "--origin"]
    command += ["--search_space", "ghostshuffle", "--start_from", str(tmp_path / "first"), "--population_size", "32"]
    command += ["--evolution_max_iter", "300", "--save_dir", str(tmp_path / "second")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    again = gsnet.search(gsnet.load(tmp_path / "first").pareto[:32], **SMALL)
    assert untimed(gsnet.load(tmp_path / "second")) == untimed(again)
    assert again.history["structure"][:32] == [row.structure for row in front[:32]]


PLUGIN = """
from __future__ import annotations

from dataclasses import dataclass

from PlainNet.SuperResKXKX import SuperResKXKX
from ZeroShotProxy import Needs, proxy


@dataclass(frozen=True)
class SuperResK9K9(SuperResKXKX):
    kernel_size = 9


def register_netblocks_dict(netblocks_dict):
    return netblocks_dict | {"SuperResK9K9": SuperResK9K9}


@proxy("Width", needs=Needs.VALUE)
def width(network, context):
    return sum(block.out_channels for block in network.blocks) / len(network.blocks)
"""


def test_blocks_and_proxies_of_a_file_reach_the_workers(tmp_path, registries):
    file = tmp_path / "mine.py"
    file.write_text(PLUGIN)
    module = gsnet.load_plugin(file)
    options = {"blocks": [file], "proxy": "Width", "iterations": 40, "population_size": 8, "round_size": 8}
    here = gsnet.search(**options)
    assert all("SuperResK9K9" in text for text in here.history["structure"])
    assert here.score == mean_width(here.best.network)
    assert untimed(gsnet.search(**options, workers=2)) == untimed(here)
    assert untimed(gsnet.search(**options | {"blocks": [module], "proxy": module.width})) == untimed(here)
    # What other processes cannot read is said before they start.
    with pytest.raises(gsnet.SearchError, match=r"Worker processes cannot read .*lambda"):
        gsnet.search(**options | {"proxy": lambda network: 1.0}, workers=2)
    (tmp_path / "broken.py").write_text("import nothing_of_that_name")
    with pytest.raises(gsnet.InputError, match="cannot be imported"):
        gsnet.load_plugin(tmp_path / "broken.py")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"population_size": 0}, "population_size is 0: it must be a whole number of at least 1"),
        ({"round_size": 0}, "round_size is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"iterations": -5}, "iterations is -5"),
        ({"iterations": 1.5}, "iterations is 1.5"),
        ({"resolution": 0}, "resolution is 0"),
        ({"gamma": 0}, "gamma is 0: it must be a number above 0"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"workers": 0}, "workers is 0"),
        ({"objectives": ("score", "parms")}, "'parms' is none of .*did you mean params?"),
        ({"objectives": ("params",)}, "score must be among them"),
        ({"budgets": {"params": -1}}, "budgets.'params'. is -1"),
        ({"budgets": {"parms": 1}}, "no budget 'parms'; did you mean params"),
        ({"budgets": {"own": (1, 2)}}, r"a budget of one's own is \(function, limit\)"),
        ({"budgets": {"own": (mean_width, 0)}}, "the budget own is 0"),
        ({"budgets": {"score": (mean_width, 1)}}, "give it a name of its own"),
        ({"proxy": 3}, "a name or a function"),
        ({"proxy": "Ensemble", "ensemble": ["Params"]}, "at least two proxies"),
        ({"resume": True}, "resume needs a save_dir"),
        (
            {"resume": True, "overwrite": True, "save_dir": "kept"},
            "overwrite=True and resume=True contradict each other",
        ),
        ({"proxy": "Params", "verify_top": 2, "save_dir": "kept"}, "^verify_top re-scores by Monte-Carlo Zen"),
        ({"blocks": "PlainNet/SuperResKXKX.py"}, "blocks do nothing where a start is mutated within a space"),
        ({"tls": ("a", "b", "c")}, "tls is for a scheduler"),
        ({"scheduler": "tcp://nowhere:1", "workers": 2}, "leave workers out"),
        ({"log": "csv"}, "log needs a save_dir"),
        ({"log": ["csv", "wandbb"]}, "log: 'wandbb' is none of csv, tensorboard, wandb, mlflow"),
        ({"verify_top": -1}, "verify_top is -1"),
        ({"iterations": True}, "iterations is True"),
        ({"gamma": "x"}, "gamma is 'x'"),
        ({"use_se": "no"}, "use_se is 'no': it must be True or False"),
        ({"keep_links": "no"}, "keep_links is 'no': it must be True, False or None"),
        ({"latency_source": "guess"}, "latency_source is 'guess': use one of measure, table, predict"),
        ({"latency_source": "predict"}, r"^latency_source, .* go with budgets\['latency'\]"),
        ({"budgets": 3}, "budgets is 3: it must be limits by name"),
        ({"tls": ("a",)}, "tls is .*: it must be the paths"),
        ({"space": "nowhere.py"}, "nowhere.py does not exist"),
        ({"space": None}, "space"),
        ({"objectives": mean_width}, "objectives mean_width: score must be among them"),
        ({"proxy": "Ensemble", "ensemble": [mean_width]}, "ensemble has .*: it is of names"),
    ],
)
def test_what_is_wrong_is_said_at_once(options, complaint):
    with pytest.raises((gsnet.InputError, ValueError), match=complaint):
        gsnet.Search(START, **SMALL | options)


@pytest.mark.parametrize("name", ["resolution", "num_classes", "batch_size"])
def test_what_is_wrong_with_one_network_is_said_too(name):
    with pytest.raises(gsnet.InputError, match=f"{name} is 0: it must be a whole number of at least 1"):
        gsnet.score(START, "Zen", **{name: 0})
    if name != "batch_size":
        with pytest.raises(gsnet.InputError, match=f"{name} is -1"):
            gsnet.analyze(START, **{name: -1})


def test_numbers_of_numpy_are_numbers(tmp_path):
    """As loops over seeds and sizes give them."""
    whole, real = {"seed": 3, "iterations": 30, "resolution": 16}, {"gamma": 0.5}
    own = {name: numpy.int64(value) for name, value in whole.items()} | {"gamma": numpy.float32(0.5)}
    budgets = {"params": numpy.int32(50_000), "mine": (mean_width, numpy.float32(64))}
    named = {"budgets": {"params": 50_000, "mine": (mean_width, 64)}}
    found = gsnet.search(START, **SMALL | own | {"budgets": budgets}, save_dir=tmp_path)
    assert untimed(found) == untimed(gsnet.search(START, **SMALL | whole | real | named))
    # The same search again is not made twice.
    assert found.settings == gsnet.load(tmp_path).settings
    one, other = (gsnet.score(START, "Zen", seed=kind(1), resolution=kind(8)) for kind in (int, numpy.int64))
    assert one == other
    assert gsnet.analyze(START, resolution=numpy.int16(8)).flops == gsnet.analyze(START, resolution=8).flops
    assert gsnet.compare(START, resolution=numpy.int64(8), seed=numpy.int64(1))["resolution"] == [8]


def test_one_thing_is_as_good_as_a_list_of_it():
    file = ROOT / "PlainNet/SuperResKXKX.py"
    options = {"proxy": "ZenClosedForm", "iterations": 30, "population_size": 8, "resolution": 16}
    for given in (file, str(file)):
        one, several = (gsnet.search(**options, blocks=blocks) for blocks in (given, [given]))
        assert untimed(one) == untimed(several)
    both = SMALL | {"proxy": "Ensemble", "iterations": 30}
    one, several = (gsnet.search(START, **both, ensemble=names) for names in ("Params,Flops", ["Params", "Flops"]))
    assert untimed(one) == untimed(several)


def test_a_candidate_is_its_network_and_other_things_are_none():
    best = gsnet.search(START, **SMALL | {"iterations": 30}).best
    assert gsnet.parse(best) == best.network
    assert gsnet.analyze(best, resolution=32, num_classes=10).parameters == best.parameters
    assert gsnet.score(best, "ZenClosedForm", resolution=32) == best.score
    for wrong in (5, None, [best]):
        for function in (gsnet.parse, gsnet.analyze, gsnet.score):
            with pytest.raises(gsnet.InputError, match="is no network"):
                function(wrong)
    with pytest.raises(gsnet.InputError, match=r"^ReLU is a class: give a network that it makes, ReLU\(\.\.\.\)$"):
        gsnet.analyze(nn.ReLU)


def test_what_is_wrong_with_a_comparison_is_said_before_it():
    for wrong in ({"resolution": 0}, {"num_classes": -1}, {"gamma": 0}, {"seed": "x"}):
        with pytest.raises(gsnet.InputError, match=f"{next(iter(wrong))} is"):
            gsnet.compare(START, **wrong)


def test_unknown_keywords_name_the_nearest():
    with pytest.raises(TypeError, match="'iteration'; did you mean iterations"):
        gsnet.search(START, **SMALL, iteration=3)


def test_a_folder_is_read_while_it_is_written_and_left_as_it_is(tmp_path):
    gsnet.search(START, **SMALL, save_dir=tmp_path)
    files = sorted(tmp_path.iterdir())
    finished = gsnet.load(tmp_path)
    assert finished.finished and sorted(tmp_path.iterdir()) == files
    history = History.open(tmp_path)
    try:
        assert untimed(gsnet.load(tmp_path)) == untimed(finished)
    finally:
        history.close()
    with pytest.raises(gsnet.SearchError, match=r"holds no search\.db"):
        gsnet.load(tmp_path / "nowhere")


def test_every_public_name_is_there_and_editors_know_it():
    tree = ast.parse((ROOT / "gsnet/__init__.py").read_text())
    typed = next(node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in typed.body if isinstance(node, ast.ImportFrom)]
    for_editors = {alias.name: node.module for node in imports for alias in node.names}
    assert sorted(for_editors) == sorted(gsnet.__all__)
    for name, module in for_editors.items():
        assert getattr(gsnet, name) is getattr(sys.modules[module], name)
    assert set(gsnet.__all__) <= set(dir(gsnet))
    with pytest.raises(AttributeError, match="serach"):
        gsnet.serach  # noqa: B018
    for package in ("gsnet", "PlainNet", "SearchSpace", "ZeroShotProxy", "ZenNet"):
        assert (ROOT / package / "py.typed").is_file()
