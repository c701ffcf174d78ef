"""gsnet compare: its figures, its files, and its page in a real browser."""

import csv
import html.parser
import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas
import polars
import pytest
from torch import nn

import gsnet
from gsnet.commands import compare as script
from gsnet.comparing.page import page, plotly_library
from gsnet.comparing.statistics import correlations, front
from gsnet.latency.layers import list_layers
from gsnet.latency.records import Origin
from gsnet.latency.table import LatencyTable
from PlainNet import StructureError, parse
from PlainNet.style import PLAIN
from ZeroShotProxy import Needs, Proxy

STRUCTURE = "SuperConvK3BNRELU(3,8,1,1)"
OTHER = "SuperConvK3BNRELU(3,16,1,1)"
DEEPER = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)"
SMALL = ("--input_image_size", "8", "--num_classes", "10")
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)


def run(capsys, *arguments):
    """The command in this process: its status, and what it printed."""
    status = script.main(list(map(str, arguments)))
    return status, capsys.readouterr()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Results of two searches, the second with a training in it."""
    root = tmp_path_factory.mktemp("results")
    for name, seed in (("first", 0), ("second", 1)):
        gsnet.search(
            "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperConvK1BNRELU(16,32,1,1)",
            space="XXBL",
            proxy="ZenClosedForm",
            budgets={"params": 50e3},
            iterations=60,
            population_size=8,
            resolution=8,
            num_classes=10,
            seed=seed,
            save_dir=root / name,
        )
    (root / "second/log.csv").write_text(
        "epoch,lr,train_loss,train_acc1,val_loss,val_acc1,val_acc5,images_per_second\n"
        "0,0.1,2.2,20.0,2.1,30.0,80.0,100\n1,0.05,1.9,35.0,1.8,42.5,88.0,100\n2,0.0,nan,40.0,1.9,41.0,87.0,100\n"
    )
    return root


def test_rows_that_failed_name_keywords():
    """A program has no flags: of the command line this is --arch resnet18, and --unit deployed."""
    found = gsnet.compare("resnet18", unit="deployed")
    assert found["error"] == ["network resnet18 is fixed: unit deployed is for structures"]
    assert found.to_dict()["networks"][0]["error"] == found["error"][0] and "--" not in str(found)


def test_costs_are_those_that_one_works_out_by_hand():
    found = gsnet.compare(STRUCTURE, resolution=8, num_classes=10)
    # A convolution of 8 x 3 x 3 x 3 weights on 8 x 8 places, BN, and a classifier of 8 x 10 weights and 10 offsets.
    assert found["parameters"] == [216 + 2 * 8 + 80 + 10]
    assert found["flops"] == [216 * 64 + 80]
    assert found["memory_access"] == [(3 * 64 + 8 * 64 + 216) + (8 + 10 + 80)]
    assert found["peak_feature_map"] == [8 * 64]
    # The activation reads one map of 8 x 64 and writes another, four bytes each.
    assert found["peak_memory"] == [4 * 2 * 8 * 64]
    assert (found["resolution"], found["classes"], found["structure"]) == ([8], [10], [STRUCTURE])
    assert found["arch"] == [STRUCTURE] and found["error"] == [None]


def test_whatever_can_be_named_is_compared(tmp_path, capsys, folders):
    several = tmp_path / "several.txt"
    several.write_text(f"# two\n{STRUCTURE}\n{OTHER}\n")
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n\n\nclass Small(nn.Module):\n"
        "    def __init__(self, num_classes=10):\n        super().__init__()\n"
        "        self.conv = nn.Conv2d(3, 4, 1, bias=False)\n        self.fc = nn.Linear(4, num_classes, bias=False)\n\n"
        "    def forward(self, x):\n        return self.fc(self.conv(x).mean((2, 3)))\n"
    )
    sources = (
        several,
        folders / "first",
        DEEPER,
        "zennet_cifar10_model_size05M*",
        f"{tmp_path}/mine.py:Small",
        "resnet19",
    )
    table = tmp_path / "new/table.csv"
    status, printed = run(capsys, *sources, "--csv", table, "--json")
    assert status == 0
    assert f"{table}: the table" in run(capsys, STRUCTURE, "--csv", table)[1].err
    run(capsys, *sources, "--csv", table, "--json")
    rows = {row["arch"]: row for row in json.loads(printed.out)["networks"]}
    named = [
        f"{several}, 1",
        f"{several}, 2",
        str(folders / "first"),
        DEEPER,
        "zennet_cifar10_model_size05M_res32",
    ]
    assert list(rows) == [*named, f"{tmp_path}/mine.py:Small", "resnet19"]
    assert rows[f"{several}, 1"]["parameters"] == 216 + 16 + 8 * 1000 + 1000
    assert rows[f"{tmp_path}/mine.py:Small"]["parameters"] == 12 + 40
    best = json.loads((folders / "first/best.json").read_text())
    first = rows[str(folders / "first")]
    assert [first[k] for k in ("parameters", "flops", "structure", "resolution", "search_score")] == [
        best[k] for k in ("params", "flops", "structure", "input_image_size", "score")
    ]
    assert "did you mean resnet18" in rows["resnet19"]["error"] and rows["resnet19"]["parameters"] is None
    read = list(csv.DictReader(table.read_text().splitlines()))
    assert [row["arch"] for row in read] == list(rows)
    assert [row["parameters"] for row in read] == [str(row["parameters"] or "") for row in rows.values()]


def test_a_wrong_structure_is_shown_with_the_place(capsys):
    """As every other command shows it; a row of a table has one line."""
    wrong = STRUCTURE.replace("SuperConvK3BNRELU", "SuperConvK4BNRELU")
    status, printed = run(capsys, STRUCTURE, wrong)
    with pytest.raises(StructureError) as caught:
        parse(wrong)
    assert status == 0 and str(caught.value) in printed.out and "^" in str(caught.value)
    _, printed = run(capsys, STRUCTURE, wrong, "--json")
    (_, row) = json.loads(printed.out)["networks"]
    assert row["arch"] == wrong and row["error"] == str(caught.value).splitlines()[0]


def test_an_ensemble_ranks_the_networks_among_each_other(capsys):
    """OTHER is second of three by both costs, DEEPER first and STRUCTURE last; what has no score takes no part."""
    asked = ("--zero_shot_score", "Ensemble", "--ensemble", "Flops,Params", "--json", *SMALL)
    _, printed = run(capsys, STRUCTURE, "resnet19", OTHER, DEEPER, *asked)
    told = json.loads(printed.out)
    ranks = {row["arch"]: row["Ensemble"] for row in told["networks"]}
    assert list(ranks) == [DEEPER, OTHER, STRUCTURE, "resnet19"]
    assert ranks.pop("resnet19") is None
    assert [math.exp(rank) for rank in ranks.values()] == pytest.approx([1, (2 / 3) ** 2, (1 / 3) ** 2])
    assert any("the sum of log(place / 3) by Flops, Params" in note for note in told["notes"])
    assert told["notes"][-1] == "Networks are in the order of Ensemble, the best first."
    usual = gsnet.compare(
        STRUCTURE, OTHER, proxies="Ensemble", ensemble=("Flops", "Params"), resolution=8, num_classes=10
    )
    assert usual["arch"] == [OTHER, STRUCTURE]
    assert [math.exp(value) for value in usual["Ensemble"]] == pytest.approx([1, 1 / 4])


def test_an_ensemble_without_members_is_what_orders_networks_best(capsys):
    """The second choice of docs/network_order.md, not what a search joins."""
    page = (Path(__file__).parent.parent / "docs/network_order.md").read_text(encoding="utf-8")
    of_both = page.split("<!-- both -->")[1].split("<!-- end of both -->")[0]
    chosen = [line for line in of_both.splitlines() if "**" in line][-1].split("**")[1].split(" + ")
    _, printed = run(capsys, STRUCTURE, DEEPER, "--zero_shot_score", "Ensemble", "--batch_size", "4", "--json", *SMALL)
    told = json.loads(printed.out)
    assert any(f"by {', '.join(chosen)}. Of the 2 networks" in note for note in told["notes"])
    assert all(isinstance(row[name], float) for row in told["networks"] for name in chosen)


def test_networks_that_no_member_can_score_have_no_order(capsys):
    """Closed forms read structures: before, their places were said to be of 0 networks, which were in order."""
    asked = ("--zero_shot_score", "Ensemble", "--ensemble", "Flops,PerturbationClosedForm", "--json", *SMALL)
    _, printed = run(capsys, "myresnet18", "myresnet34", *asked)
    told = json.loads(printed.out)
    assert [row["arch"] for row in told["networks"]] == ["myresnet18", "myresnet34"]
    assert told["notes"][-1].startswith("Ensemble: no network has a score by each of Flops, PerturbationClosedForm")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        # Closed forms, and what any network is scored by.
        (
            ("Ensemble",),
            "PerturbationClosedForm, GrowthMarginClosedForm score structures alone, and 1 network has none: "
            "--ensemble MeCo,SWAP,Syncflow-log ranks all.",
        ),
        (
            ("Ensemble", "--ensemble", "Flops,MeCo"),
            "Flops scores structures alone, and 1 network has none: --ensemble MeCo,SWAP,Syncflow-log ranks all.",
        ),
    ],
)
def test_an_ensemble_says_which_members_rank_networks_without_structures(capsys, asked, told):
    more = ("--batch_size", "2", "--json", *SMALL)
    _, printed = run(capsys, "myresnet18", STRUCTURE, "resnet19", "--zero_shot_score", *asked, *more)
    found = json.loads(printed.out)
    (note,) = [note for note in found["notes"] if note.startswith("Ensemble: ")]
    assert note.endswith(told)
    # There is no other to be first or last of.
    assert "The one network that has all of these scores has no other beside it" in note and "1 networks" not in note
    # As it is advised, all have a place.
    advised = told.split("--ensemble ")[1].split()[0]
    more = ("--ensemble", advised, *more)
    _, printed = run(capsys, "myresnet18", STRUCTURE, "--zero_shot_score", "Ensemble", *more)
    assert all(row["Ensemble"] is not None for row in json.loads(printed.out)["networks"])


def test_networks_of_other_numbers_of_classes_are_said_to_be_such(capsys, folders):
    """The search's have 10 at 8 pixels; the structure alone has the usual ones."""
    asked = ("--zero_shot_score", "Ensemble", "--ensemble", "Flops,Params", "--json")
    both = "Networks have 10 and 1000 classes, each its own, unless one number is given for all."
    _, printed = run(capsys, folders / "first", STRUCTURE, *asked)
    notes = json.loads(printed.out)["notes"]
    assert both in notes and any(note.startswith("Networks are looked at with 8 and 224 pixels") for note in notes)
    _, printed = run(capsys, folders / "first", STRUCTURE, *asked, *SMALL)
    assert not any(word in note for note in json.loads(printed.out)["notes"] for word in ("classes", "pixels"))


def test_networks_that_all_fail_are_bad_input(capsys, tmp_path):
    status, printed = run(capsys, "resnet19", tmp_path, "no_such.txt", "SuperConvK3BNRELU(3,8")
    assert status == 2
    assert printed.out.count("error: ") >= 4
    assert "holds no results" in printed.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--zero_shot_score", "Zne"), "did you mean Zen"),
        (
            ("--zero_shot_score", "Flops", "--ensemble", "Flops,Params"),
            "Ensemble is not among the proxies",
        ),
        (("--zero_shot_score", "Ensemble", "--ensemble", "Flops"), "needs at least two proxies"),
        (
            ("--zero_shot_score", "Ensemble", "--ensemble", "Flops,GradientGrowth"),
            "of GradientGrowth more is not better",
        ),
        (("--time", "--backend", "onxruntime"), "did you mean onnxruntime"),
        (("--backend", "torch"), None),
        (("--fp16",), "--fp16 does nothing without --time or --latency_table"),
        (("--device", "cuda"), "--device does nothing without --time or --zero_shot_score"),
        (("--zero_shot_score", ""), "No proxy is named"),
        (("--latency_table", "none.db"), "There is no file none.db"),
        (("--latency_table", __file__), "is no latency table"),
    ],
)
def test_bad_input_is_told_in_a_sentence(monkeypatch, capsys, arguments, told):
    monkeypatch.setattr(sys, "argv", ["compare.py", STRUCTURE, *SMALL, *arguments])
    assert script.command() == (0 if told is None else 2)
    if told:
        err = capsys.readouterr().err
        assert told in err and err.count("\n") == 1


def test_scores_failures_and_a_proxy_of_ones_own():
    class Named(nn.Sequential):
        pass

    def width(network):
        return network.out_channels

    module = Named(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))
    module.train()
    found = gsnet.compare(
        STRUCTURE, parse(DEEPER), module, proxies=["Params,Flops", width], resolution=8, num_classes=10
    )
    assert found["Params"][:2] == found["parameters"][:2] == [322, 2354]
    assert found["width"] == [8, 16, None]
    assert found["error"] == [None, None, "Params, Flops, width: scores structure strings only"]
    assert module.training and found["arch"][2] == "Named 3"
    assert list(pandas.DataFrame(found).Params[:2]) == [322, 2354]
    assert polars.DataFrame(found)["flops"].to_list() == found["flops"]


def test_no_column_holds_the_figures_of_two():
    def flops(network):
        return 7.0

    with pytest.raises(gsnet.InputError, match="2 proxies are called <lambda>"):
        gsnet.compare(STRUCTURE, proxies=[lambda network: 1.0, lambda network: 2.0])
    with pytest.raises(gsnet.InputError, match="cannot be called flops here"):
        gsnet.compare(STRUCTURE, proxies=flops)
    assert gsnet.compare(STRUCTURE, proxies=["Params", "Flops,Params"], num_classes=10)["Params"] == [322]


def test_candidates_of_several_searches_are_all_compared(folders):
    first, second = (gsnet.load(folders / name).pareto for name in ("first", "second"))
    candidates = [*first, *second]
    found = gsnet.compare(*candidates, *first, resolution=8, num_classes=10)
    # Iterations count from 0 in every search.
    assert len({row.iteration for row in candidates}) < len({(row.iteration, row.structure) for row in candidates})
    assert set(found["structure"]) == {row.structure for row in candidates}
    assert len(set(found["arch"])) == len(found["arch"])


def test_scores_are_those_of_the_other_command():
    found = gsnet.compare(DEEPER, proxies="NASWOT", resolution=16, num_classes=10, batch_size=4, seed=3, repeats=2)
    alone = [gsnet.score(DEEPER, "NASWOT", resolution=16, num_classes=10, batch_size=4, seed=seed) for seed in (3, 4)]
    assert found["NASWOT"] == [sum(alone) / 2]


def test_latency_by_a_table_is_the_sum_of_its_layers(tmp_path):
    network = parse(DEEPER)
    layers = list_layers(network, batch=2, resolution=8, num_classes=10, style=PLAIN, fuses=True)
    with LatencyTable.create(tmp_path / "device.db", Origin("some device", ""), fuses=True) as table:
        table.add_layers("fp32", [(layer, 1e-3) for layer in set(layers)])
    found = gsnet.compare(
        network, resolution=8, num_classes=10, latency_table=tmp_path / "device.db", latency_batch_size=2
    )
    assert found["latency_table"] == [pytest.approx(1e-3 * len(layers) / 2)]
    assert "Latency by table: predicted for some device, fp32, batch 2." in found.notes


def test_latency_is_measured_here_by_several_runtimes():
    found = gsnet.compare(STRUCTURE, resolution=8, num_classes=10, time=("torch", "onnxruntime"))
    assert all(0 < found[f"latency_{name}"][0] < 1 for name in ("torch", "onnxruntime")), found["error"]


def test_rank_correlations_and_fronts_by_hand():
    # Ranks 1 2 3 4 and 1 3 2 4: rho = 1 - 6 * 2 / (4 * 15), and 5 of 6 pairs agree. The fifth has one figure alone.
    found = correlations({"a": [10, 20, 30, 40, 50], "b": [1, 3, 2, 4, None], "c": [1, 1, 1, 1, 1]})
    assert found.spearman[0] == [pytest.approx(1), pytest.approx(0.8), None]
    assert found.kendall[0] == [pytest.approx(1), pytest.approx(4 / 6), None]
    assert found.networks[1] == [4, 4, 4]
    assert correlations({"a": [1, 2], "b": [1, 2]}).spearman == [[None, None]] * 2
    assert front([1, 2, 2, 3, None, 0.5], [1, 3, 2, 3, 9, None]) == [0, 1]
    assert front([1, 2, 3], [5, 6, 4], better=-1) == [0, 2]


def test_two_networks_have_no_correlations_and_three_do():
    few = gsnet.compare(STRUCTURE, OTHER, proxies="Params", resolution=8, num_classes=10)
    assert few.correlations is None
    found = gsnet.compare(STRUCTURE, OTHER, DEEPER, proxies="Params,Flops", resolution=8, num_classes=10)
    assert found.correlations.names == ["parameters", "FLOPs", "Params", "Flops"]
    assert found.correlations.spearman[0][2] == pytest.approx(1)
    assert "Spearman" in str(found) and "Kendall" in str(found)


def test_searches_and_trainings_of_folders(folders):
    found = gsnet.compare(folders / "first", folders / "second")
    assert [search.name for search in found.searches] == [str(folders / "first"), str(folders / "second")]
    for search, name in zip(found.searches, ("first", "second"), strict=True):
        result = gsnet.load(folders / name)
        # The running maximum, worked out anew.
        rises, best = [], float("-inf")
        for row in pandas.DataFrame(result.history).itertuples():
            if row.outcome == "scored" and row.score > best:
                best = row.score
                rises.append((row.iteration, row.score, row.structure))
        assert search.rises == rises and search.iterations == 60
        assert search.front["structure"] == [row.structure for row in result.pareto]
    (training,) = found.trainings
    assert training.epochs["train_loss"] == [2.2, 1.9, None]
    assert (training.epochs["epoch"], training.epochs["val_acc1"]) == ([1, 2, 3], [30.0, 42.5, 41.0])
    assert (found["top1"], found["epochs"]) == ([None, 42.5], [None, 3])


def test_ctrl_c_keeps_what_was_compared(tmp_path, capsys, monkeypatch):
    def interrupting(network, context):
        if network.out_channels == 16:
            raise KeyboardInterrupt
        return 1.0

    proxy = Proxy("Interrupting", interrupting, Needs.VALUE)
    monkeypatch.setattr(script, "proxies_named", lambda text: ["Interrupting"])
    monkeypatch.setattr(script, "get_proxy", lambda name: proxy)
    table = tmp_path / "table.csv"
    status, _ = run(capsys, STRUCTURE, OTHER, *SMALL, "--zero_shot_score", "Interrupting", "--csv", table)
    assert status == 130
    assert [row["Interrupting"] for row in csv.DictReader(table.read_text().splitlines())] == ["1.0"]


def test_without_plotly_one_sentence_names_it_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    monkeypatch.setattr(sys, "argv", ["compare.py", STRUCTURE, *SMALL, "--html", str(tmp_path / "page.html")])
    assert script.command() == 2
    printed = capsys.readouterr()
    assert "pip install plotly" in printed.err and printed.out == "" and not (tmp_path / "page.html").exists()


def compared(folders):
    """Two searches, a training, strings, one that fails, and a name that would break a careless page."""
    with_markup = type("<img src=x>", (nn.Sequential,), {})(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    sources = (folders / "first", folders / "second", STRUCTURE, DEEPER, with_markup, "resnet19", "</script><b>no")
    return gsnet.compare(*sources, proxies="ZenClosedForm,Flops", resolution=8, num_classes=10)


def test_a_page_names_no_address_but_those_inside_its_library(folders):
    text = page(compared(folders))
    ours = text.replace(plotly_library(), "")
    assert len(ours) < 200_000
    assert not re.search(r"https?:|//[a-z]+\.|<(?:script|link|img|iframe)[^>]+(?:src|href)=\"(?!data:)", ours)
    assert "</script><b>" not in ours and "/*data*/" not in ours


class Elements(html.parser.HTMLParser):
    """What the browser's document holds: rows of the table, points by figure, lines by figure, what figures' buttons do."""

    def __init__(self, text):
        super().__init__()
        self.figure, self.rows, self.points, self.lines, self.cells, self.buttons = None, 0, {}, {}, {}, set()
        self._part = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        classes = (named.get("class") or "").split()
        if "figure" in classes:
            self.figure = named["id"]
        if tag in ("thead", "tbody"):
            self._part = tag
        self.rows += tag == "tr" and self._part == "tbody"
        if "point" in classes:
            self.points[self.figure] = self.points.get(self.figure, 0) + 1
        if "js-line" in classes:
            self.lines[self.figure] = self.lines.get(self.figure, 0) + 1
        if "heatmaplayer" in classes:
            self.cells[self.figure] = True
        if "data-title" in named:
            self.buttons.add(named["data-title"].lower())


@pytest.mark.skipif(BROWSER is None, reason="no chromium or chrome is on the PATH")
def test_a_page_is_drawn_by_a_real_browser(tmp_path, folders):
    found = compared(folders)
    found.to_html(tmp_path / "page.html")
    quiet = [
        "gpu",
        "quic",
        "background-networking",
        "component-update",
        "sync",
        "extensions",
        "default-apps",
        "dev-shm-usage",
    ]
    command = [BROWSER, "--headless", "--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--virtual-time-budget=10000"]
    # Nothing outside can be reached, and the page's own policy reports whatever is tried.
    command += ["--host-resolver-rules=MAP * ~NOTFOUND", "--window-size=1200,900", "--dump-dom"]
    shown = subprocess.run(
        [*command, (tmp_path / "page.html").as_uri()], capture_output=True, text=True, check=False, timeout=120
    )
    assert shown.returncode == 0, shown.stderr
    assert "CONSOLE" not in shown.stderr, shown.stderr
    elements = Elements(shown.stdout)
    assert elements.rows == len(found["arch"]) == 7
    # A point for each network that could be looked at and has the first score, of which modules have none.
    assert elements.points["front"] == sum(score is not None for score in found["ZenClosedForm"]) == 4
    assert elements.points["search-front-0"] == sum(len(search.front["structure"]) for search in found.searches)
    # Two searches; training and validation of one training; each once in the figure and once in its legend.
    assert elements.lines["rises-0"] == elements.lines["training-0"] == elements.lines["training-1"] == 4
    assert set(elements.cells) >= {"spearman", "kendall"}
    # None that sends the figures anywhere.
    assert elements.buttons == {"download plot as a png", "zoom", "pan", "zoom in", "zoom out", "reset axes"}
    assert "<title>7 networks compared</title>" in shown.stdout
