"""compute_score.py as a person runs it: results, statuses, one sentence for an error."""

import csv
import json
import os
import pkgutil
import re
import statistics
import subprocess
from pathlib import Path

import pytest

import PlainNet
from gsnet.commands import compute_score
from gsnet.comparing import timed_score
from gsnet.interface.options import InputError
from ZeroShotProxy import ScoringSettings, UnknownProxyError, get_proxy, list_proxies, proxies_named, score

pytestmark = pytest.mark.usefixtures("warm_python")
ROOT = Path(__file__).parent.parent
STRUCTURE = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)"
SMALL = ("--input_image_size", "16", "--batch_size", "4", "--num_classes", "10")


def run(*arguments):
    """Run the script; the completed process."""
    command = [os.environ["WARM_PYTHON"], ROOT / "compute_score.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)


def test_repeats_are_independent_and_their_mean_and_spread_are_printed():
    done = run("--plainnet_struct", STRUCTURE, *SMALL, "--repeat_times", "3", "--seed", "5", "--keep_reslink", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    settings = ScoringSettings(resolution=16, batch_size=4, keep_links=True)
    scores = [score(PlainNet.parse(STRUCTURE), "Zen", settings, seed) for seed in (5, 6, 7)]
    keys = {"proxy", "score", "std", "repeats", "structure", "resolution", "classes", "images"}
    seen = {"batch_size": 4, "seed": 5, "gamma": 0.01, "use_se": False, "no_BN": False, "no_reslink": False}
    assert set(result) == keys | {"seconds_per_score", "seconds_first_score"} | set(seen)
    assert {name: result[name] for name in seen} == seen
    assert (result["resolution"], result["classes"], result["images"]) == (16, 10, "standard normal noise")
    assert result["score"] == pytest.approx(statistics.fmean(scores), abs=1e-3)
    assert result["std"] == pytest.approx(statistics.stdev(scores), abs=1e-3)
    assert (result["proxy"], result["repeats"], result["structure"]) == ("Zen", 3, STRUCTURE)


@pytest.mark.parametrize(
    ("proxy", "place"),
    [
        ("ZenClosedForm", "ZeroShotProxy.compute_zen_closed_form.ClosedForm.parts"),
        ("Zen", "ZeroShotProxy.scoring.build"),
    ],
)
def test_seconds_are_of_scores_alone(proxy, place, monkeypatch, capsys):
    """A closed form that is loaded or compiled, and torch that is loaded, at the first score, are no part of its time.

    What only the network itself brings, the first score takes longer for, and is told apart.
    """
    events = []
    module, _, name = place.rpartition(".")
    original = pkgutil.resolve_name(place)

    def noting(*arguments, **options):
        events.append("score")
        return original(*arguments, **options)

    times = iter([0.0, 7.0, 7.5, 9.0])

    def clock():
        events.append("clock")
        return next(times)

    monkeypatch.setattr(pkgutil.resolve_name(module), name, noting)
    monkeypatch.setattr(timed_score.time, "perf_counter", clock)
    asked = ["--plainnet_struct", STRUCTURE, *SMALL, "--zero_shot_score", proxy]
    assert compute_score.main([*asked, "--repeat_times", "3"]) == 0
    assert events == ["score", "clock", *["score", "clock"] * 3]
    assert ", 1 s a score after 7 s for the first score at" in capsys.readouterr().out
    times = iter([0.0, 7.0])
    assert compute_score.main(asked) == 0
    assert ", 7 s for the first score at" in capsys.readouterr().out


def test_a_file_of_networks(tmp_path):
    path = tmp_path / "networks.txt"
    path.write_text(f"# two networks\n{STRUCTURE}\n\nSuperConvK3BNRELU(3,8,1,1)\n")
    done = run("--plainnet_struct_txt", path, "--zero_shot_score", "Params", "--num_classes", "10", "--json")
    assert [json.loads(line)["score"] for line in done.stdout.splitlines()] == [2354, 322]


def test_a_torchvision_network():
    done = run("--arch", "mobilenet_v3_small", "--zero_shot_score", "NASWOT", *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("NASWOT ")


def test_a_network_that_cannot_be_scored_ends_in_status_1_and_one_sentence():
    done = run("--plainnet_struct", STRUCTURE, "--input_image_size", "2", "--batch_size", "1")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "more than 1 value per channel" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--plainnet_struct", STRUCTURE, "--zero_shot_score", "Zne"), "did you mean Zen"),
        (("--plainnet_struct", STRUCTURE, "--repeat_time", "3"), "did you mean --repeat_times"),
        (("--plainnet_struct", STRUCTURE, "--batch_size", "0"), "at least 1"),
        (("--plainnet_struct", STRUCTURE, "--keep_reslink", "--no_reslink"), "not allowed with"),
        (("--plainnet_struct", STRUCTURE, "--arch", "resnet18"), "has a structure of its own"),
        (("--plainnet_struct", "SuperConvK3BNRELU(3,8,1"), "position"),
        (("--plainnet_struct_txt", "no_such_file.txt"), "no_such_file.txt"),
        (("--arch", "resnet19"), "did you mean resnet18"),
        (("--arch", "resnet18", "--zero_shot_score", "Flops"), "structure strings only"),
        (("--arch", "resnet18", "--no_BN"), "--no_BN is for structures"),
        (("--plainnet_struct", STRUCTURE, "--zero_shot_score", "Zen,Ensembel"), "No proxy is called 'Ensembel' (there"),
        ((), "Give one of"),
    ],
)
def test_bad_input_ends_in_status_2_and_no_traceback(arguments, message):
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


# Parameters by hand: 3*8*9 + 2*8 = 232, and a classifier of 8*10 + 10 = 90.
TABLE = "SuperConvK3BNRELU(3,8,1,1)"


def scored(capsys, *arguments):
    """The script in this process: its status, results by proxy, and standard error."""
    status = compute_score.main([*arguments, "--json"])
    printed = capsys.readouterr()
    return status, [json.loads(line) for line in printed.out.splitlines()], printed.err


def test_without_batch_normalisation(capsys):
    """BN's parameters, 2 a channel, are not there; and what needs it says so, with the structure once."""
    common = ("--zero_shot_score", "Params", "--num_classes", "10")
    status, (found,), _ = scored(capsys, "--plainnet_struct", TABLE, "--no_BN", *common)
    assert (status, found["score"]) == (0, 232 - 16 + 90)
    for option, told in (("--no_BN", "networks with batch normalisation"), ("--use_se", "squeeze-and-excitation")):
        asked = ["--plainnet_struct", STRUCTURE, option, "--zero_shot_score", "GradNormClosedForm"]
        assert compute_score.main(asked) == 1
        error = capsys.readouterr().err
        assert told in error and error.count(STRUCTURE) == 1


@pytest.mark.parametrize(
    ("proxy", "options", "words"),
    [
        ("Params", ["--no_BN"], "10 classes, without batch normalisation: "),
        ("Params", ["--use_se", "--no_reslink"], "10 classes, with squeeze-and-excitation, without residual links: "),
        ("Params", [], "10 classes: "),
        ("ZenClosedForm", [], "10 classes, without residual links: "),
        ("ZenClosedForm", ["--gamma", "0.1", "--keep_reslink"], "at 16 x 16 pixels, gamma 0.1, 10 classes: "),
        ("NASWOT", ["--seed", "3"], "standard normal noise, batch 4, seed 3, 10 classes: "),
    ],
)
def test_a_result_says_what_it_is_of(capsys, proxy, options, words):
    """What options leave out or add, and what the proxy leaves out by itself: else two runs that differ look alike."""
    asked = ("--zero_shot_score", proxy, "--plainnet_struct", STRUCTURE, *SMALL, *options)
    assert compute_score.main(asked) == 0
    assert f"{words}{STRUCTURE}" in capsys.readouterr().out


def test_several_proxies_and_networks_in_one_table(tmp_path, capsys):
    networks, table = tmp_path / "networks.txt", tmp_path / "new/scores.csv"
    networks.write_text(f"{TABLE}\n{STRUCTURE}\n")
    chosen = ("--zero_shot_score", "Params,NASWOT,TE-NAS-L*", "--plainnet_struct_txt", str(networks))
    status, results, _ = scored(capsys, *chosen, *SMALL, "--csv", str(table))
    assert status == 0
    rows = list(csv.DictReader(table.read_text().splitlines()))
    made_with = ["batch_size", "seed", "gamma", "use_se", "no_BN", "no_reslink"]
    columns = ["arch", "resolution", "classes", *made_with, "Params", "NASWOT", "TE-NAS-LR", "error"]
    assert list(rows[0]) == columns
    assert [rows[0][name] for name in made_with] == ["4", "0", "0.01", "False", "False", "False"]
    assert [row["arch"] for row in rows] == [TABLE, STRUCTURE]
    assert [float(row["Params"]) for row in rows] == [322, 2354]
    # What each proxy says alone, from the same seeds.
    alone = [scored(capsys, "--zero_shot_score", "NASWOT", *chosen[2:], *SMALL)[1][i]["score"] for i in (0, 1)]
    assert [float(row["NASWOT"]) for row in rows] == alone
    assert [result["proxy"] for result in results] == ["Params", "NASWOT", "TE-NAS-LR"] * 2


def test_a_table_says_how_each_proxy_scored(tmp_path, capsys):
    """Zen leaves residual links out by itself; a proxy that looks at no images has no batch."""
    table = tmp_path / "scores.csv"
    asked = ("--plainnet_struct", STRUCTURE, *SMALL, "--csv", str(table))
    for proxies, batch, links in (
        ("Zen,NASWOT", "4", '{"Zen": true, "NASWOT": false}'),
        ("Params,ZenClosedForm", "", '{"Params": false, "ZenClosedForm": true}'),
    ):
        options = ("--zero_shot_score", proxies, "--use_se", "--gamma", "0.1", "--seed", "3")
        assert compute_score.main([*asked, *options]) == 0
        assert capsys.readouterr().err == f"{table}: the table\n"
        (row,) = csv.DictReader(table.read_text().splitlines())
        assert (row["batch_size"], row["no_reslink"]) == (batch, links)
        assert (row["seed"], row["gamma"], row["use_se"], row["no_BN"]) == ("3", "0.1", "True", "False")


def test_a_table_says_why_there_is_no_score(tmp_path, capsys):
    table = tmp_path / "scores.csv"
    status, results, err = scored(
        capsys,
        "--zero_shot_score",
        "Params,NASWOT",
        "--arch",
        "resnet19,mobilenet_v3_small",
        *SMALL,
        "--csv",
        str(table),
    )
    assert status == 1
    first, second = csv.DictReader(table.read_text().splitlines())
    assert first["error"].startswith("Params, NASWOT: There is no network 'resnet19'")
    assert second["error"] == "Params: Params scores structure strings only, and mobilenet_v3_small has none"
    assert (first["NASWOT"], second["Params"], float(second["NASWOT"])) == ("", "", results[0]["score"])
    assert err.count("\n") == 2


def test_a_structure_that_is_wrong_costs_the_others_nothing(tmp_path, capsys):
    (tmp_path / "first.txt").write_text("SuperConvK3BNRELU(3,8)")
    (tmp_path / "second.txt").write_text(STRUCTURE)
    (tmp_path / "third.py").write_text("def Network():\n    raise ValueError('no such width')\n")
    arch = f"{tmp_path}/third.py:Network,{tmp_path}/first.txt,{tmp_path}/second.txt"
    status, results, err = scored(capsys, "--zero_shot_score", "Params", "--arch", arch, *SMALL)
    assert (status, [result["score"] for result in results]) == (1, [2354])
    assert "no such width" in err and "SuperConvK3BNRELU" in err


@pytest.mark.parametrize("option", ["--plainnet_struct_txt", "--arch"])
def test_a_refusal_names_the_file_and_leaves_an_older_table(tmp_path, option):
    networks, table = tmp_path / "networks.txt", tmp_path / "scores.csv"
    networks.write_text(f"{STRUCTURE}\nSuperConvK3BNRELU(3,8)\n")
    table.write_text("what was scored before")
    with pytest.raises((InputError, PlainNet.StructureError), match=r"networks\.txt"):
        compute_score.main(["--zero_shot_score", "Params", option, str(networks), *SMALL, "--csv", str(table)])
    assert table.read_text() == "what was scored before"


def test_a_proxy_that_returns_no_number_fails(tmp_path, capsys, registries):
    (tmp_path / "mine.py").write_text(
        "from ZeroShotProxy import Needs, proxy\n\n\n"
        "@proxy('Forgetful', needs=Needs.VALUE)\ndef forgetful(network, context):\n    len(network.blocks)\n"
    )
    chosen = ("--plugin", str(tmp_path / "mine.py"), "--zero_shot_score", "Forgetful")
    status, results, err = scored(capsys, *chosen, "--plainnet_struct", STRUCTURE)
    assert (status, results) == (1, []) and "the score is None, which is no number" in err


def test_help_names_the_proxies_of_which_more_is_not_better():
    said = next(line for line in compute_score.__doc__.split("\n\n") if line.startswith("Larger is better, but"))
    named = {name for name in list_proxies() if name in re.split(r"\W+", said)}
    assert named == {name for name in list_proxies() if not get_proxy(name).larger_is_better} != set()


def test_all_proxies_are_meant_by_all():
    assert proxies_named("all") == list_proxies()
    assert proxies_named("Zen, all")[0] == "Zen" and sorted(proxies_named("Zen, all")) == list_proxies()
    with pytest.raises(UnknownProxyError, match="No proxy is called"):
        proxies_named("Zne*")
