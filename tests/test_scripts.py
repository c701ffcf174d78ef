"""Every shell script runs to its last line on next to nothing, from any folder, by its overrides, and passes shellcheck."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gpu_check
from benchmarks.gpu_check import PATHS
from benchmarks.gpu_machine import LeftOutError, Machine, Seen
from gsnet import runtimes
from gsnet.runtimes import MissingLibraryError
from gsnet.training import options
from gsnet.training.distillation_options import add_distillation_options

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("GSNET_DATA", ROOT.parent / "shared/data"))
TABLE = DATA / "tinynas_v100_conv.fp16.txt.gz"
# Parts of others, the command that runs these tests, and a build of half an hour.
NOT_RUN = {"environment", "test", "test_lower_bounds", "install_horovod"}
SCRIPTS = {path.stem for path in (ROOT / "scripts").glob("*.sh") if not path.stem.endswith("_common")} - NOT_RUN
# Those that train in several processes are run by test_distributed_scripts.py.
DISTRIBUTED = {name for name in SCRIPTS if "_train" in name}
LATENCY = sorted(name for name in SCRIPTS if "_latency" in name and "_train" not in name)
# Search, analysis, then how many trainings.
TRAININGS = {
    name: 1 if "ImageNet" in name else 0 if name.endswith("_search") else 2
    for name in sorted(SCRIPTS)
    if ("_cifar_" in name or "_ImageNet_" in name) and "_train" not in name
}
OTHERS = {"quickstart", "cifar_sample_end_to_end", "gpu_check", "proxy_report", "GSNet_VisDrone_params1.5M"}
# Stands for Python: writes down what it is called with, and says what scripts ask of a network.
RECORDER = f"""#!/usr/bin/env bash
[[ $1 == -c ]] && exec {sys.executable} "$@"
printf '%s\\n' "$@" >"$RECORD/$(ls "$RECORD" | wc -l)"
echo '{{"flops": 2e6, "rows": [{{"seconds_per_image": 0.002}}]}}'
"""


def run(name, folder, **environment):
    """A script from a folder that is not the project's, in which nothing that it needs can be found by chance."""
    own = {name: value for name, value in os.environ.items() if name not in ("GPU", "DATA_DIR", "SEED")}
    own |= {"HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", "SAVE_DIR": str(folder / "out")}
    command = ["bash", str(ROOT / "scripts" / f"{name}.sh")]
    return subprocess.run(
        command, cwd=folder, env=own | environment, capture_output=True, text=True, check=False, timeout=600
    )


def smoke(name, folder, python, **environment):
    result = run(name, folder, SMOKE="1", PYTHON=str(python), **environment)
    assert result.returncode == 0, f"{result.stdout[-2000:]}\n{result.stderr[-4000:]}"
    assert "Traceback" not in result.stderr
    return result


@pytest.mark.parametrize(
    ("override", "value"),
    [
        ("EPOCHS", "abc"),
        ("EVOLUTION_MAX_ITER", "-1"),
        ("POPULATION_SIZE", "1.5"),
        ("GPU", "x"),
        ("SAVE_DIR", "file"),
        ("SAVE_DIR", "file/below"),
    ],
)
@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_an_override_that_cannot_be_is_named(name, override, value, tmp_path):
    (tmp_path / "file").write_text("")
    result = run(name, tmp_path, **{override: value})
    assert result.returncode == 2 and not result.stdout
    assert result.stderr.startswith(f"{name}.sh: {override} is {value}") and result.stderr.count("\n") == 1


@pytest.mark.parametrize("name", [name for name, count in TRAININGS.items() if not count])
def test_an_option_that_is_not_there_is_named(name, tmp_path, warm_python):
    command = ["bash", str(ROOT / f"scripts/{name}.sh"), "--sede", "1"]
    own = os.environ | {"PYTHON": str(warm_python), "SMOKE": "1", "SAVE_DIR": str(tmp_path / "out")}
    result = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
    assert (
        result.returncode == 2 and "there is no option --sede; did you mean --seed?" in result.stderr.splitlines()[-1]
    )
    assert not (tmp_path / "out").exists()


def test_what_is_given_holds_in_a_smoke_run_too(tmp_path, warm_python):
    smoke("Params_NAS_cifar_params1M", tmp_path, warm_python, EVOLUTION_MAX_ITER="24", POPULATION_SIZE="20", EPOCHS="1")
    settings = json.loads((tmp_path / "out/config.json").read_text())["settings"]
    assert (settings["evolution_max_iter"], settings["population_size"]) == (24, 20)
    assert len((tmp_path / "out/cifar10_1440epochs/log.csv").read_text().splitlines()) == 2


def files(folder, *names):
    missing = [name for name in names if not (folder / "out" / name).is_file()]
    assert not missing


def test_every_script_is_tested():
    assert {*TRAININGS, *DISTRIBUTED, *OTHERS} == SCRIPTS


@pytest.mark.parametrize("name", TRAININGS)
def test_searches_and_trainings_run_to_their_last_line(name, tmp_path, warm_python):
    if name in LATENCY and not TABLE.is_file():
        pytest.skip(f"{TABLE} is not there")
    smoke(name, tmp_path, warm_python, **({"LATENCY_TABLE": str(TABLE)} if name in LATENCY else {}))
    best = json.loads((tmp_path / "out/best.json").read_text())
    settings = json.loads((tmp_path / "out/config.json").read_text())["settings"]
    assert best["params"] <= (settings["budget_model_size"] or float("inf"))
    assert best["flops"] <= (settings["budget_flops"] or float("inf"))
    assert best["layers"] <= settings["max_layers"]
    if name in LATENCY:
        published = float(name.removeprefix("Zen_NAS_ImageNet_latency").removesuffix("ms")) / 1e3
        assert 0 < best["latency"]["seconds_per_image"] <= published
    assert "the rest agrees exactly" in (tmp_path / "out/analyze_model.txt").read_text()
    results = ["ts_effnet_b3ns_epochs480"] if "ImageNet" in name else ["cifar10_1440epochs", "cifar100_1440epochs"]
    for folder in results[: TRAININGS[name]]:
        files(tmp_path, f"{folder}/best-params_rank0.pth", f"{folder}/curves.png")


def test_a_latency_script_searches_with_a_table_of_this_device(tmp_path, warm_python):
    overrides = {"ONLY_SEARCH": "1", "GSNET_LATENCY": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    result = smoke("Zen_NAS_ImageNet_latency0.1ms", tmp_path, warm_python, **overrides)
    assert "seconds an image that zennet_imagenet1k_latency01ms_res224 takes on this device" in result.stderr
    latency = json.loads((tmp_path / "out/best.json").read_text())["latency"]
    budget = json.loads((tmp_path / "out/config.json").read_text())["settings"]["budget_latency"]
    assert latency["source"] == "predict" and 0 < latency["seconds_per_image"] <= budget
    assert latency["measured_seconds_per_image"] > 0
    assert Path(latency["table"]).parent == tmp_path / "cache/gsnet/latency"
    files(tmp_path, "analyze_model.txt")
    # Stopped and started again: the same budget and table, and nothing is timed anew.
    (tmp_path / "out/best_structure.txt").unlink()
    again = smoke("Zen_NAS_ImageNet_latency0.1ms", tmp_path, warm_python, EVOLUTION_MAX_ITER="24", **overrides)
    assert not re.search(r"timing \d", again.stderr) and "layers of networks" not in again.stderr
    settings = json.loads((tmp_path / "out/config.json").read_text())["settings"]
    assert (settings["budget_latency"], settings["evolution_max_iter"]) == (budget, 24)


def test_the_quickstart_runs_to_its_last_line(tmp_path, warm_python):
    result = smoke("quickstart", tmp_path, warm_python)
    assert "Found: Super" in result.stdout and "Monte-Carlo Zen of the winner" in result.stdout
    assert "torch" in (tmp_path / "out/latency.txt").read_text()
    files(tmp_path, "best_structure.txt", "search.png", "pareto.png", "analyze_model.txt", "latency.txt")


def test_the_quickstart_times_the_winner_in_every_runtime_of_a_processor():
    """All but torch.compile, which compiles for a minute; the front page names them."""
    asked = re.findall(r"BACKEND:-([\w,]+)\}", (ROOT / "scripts/quickstart.sh").read_text())[-1]
    quick = [name for name in runtimes.runtime_names() if "cpu" in runtimes.runtime(name).devices]
    assert asked.split(",") == [name for name in quick if name != "torch.compile"]
    (sentence,) = re.findall(r"Last come the winner's milliseconds[^`]*`", (ROOT / "README.md").read_text())
    said = re.sub("[ .]", "", sentence).lower()
    assert [name for name in asked.split(",") if name not in said] == []


def test_the_sample_runs_to_its_last_line(tmp_path, warm_python, noise_images):
    result = smoke("cifar_sample_end_to_end", tmp_path, warm_python, DATA_DIR=str(noise_images))
    last = [line.split(":")[0] for line in result.stdout.splitlines()[-3:]]
    assert last == ["teacher/training", "student/training", "student/distillation"]
    # What is to be trained is searched for as the README and the page on deploying do.
    settings = json.loads((tmp_path / "out/student/config.json").read_text())["settings"]
    assert (settings["zero_shot_score"], dict(settings["limits"])) == ("Ensemble", {"growth": 3.5})
    for page in ("README.md", "docs/deploying.md"):
        assert "evolution_search.py --zero_shot_score Ensemble --budget_growth 3.5" in (ROOT / page).read_text()
    for name in last:
        with (tmp_path / "out" / name / "log.csv").open() as file:
            rows = list(csv.DictReader(file))
        # The best of its epochs, to the last digit.
        found = json.loads((tmp_path / "out" / name / "validation.json").read_text())
        best = max(rows, key=lambda row: float(row["val_acc1"]))
        assert (found["top1"], found["loss"]) == (float(best["val_acc1"]), float(best["val_loss"]))


def test_every_path_of_a_gpu_runs_on_a_processor(tmp_path, warm_python):
    smoke("gpu_check", tmp_path, warm_python)
    page = (tmp_path / "out/gpu_check.md").read_text()
    rows = [line.split(" | ")[:2] for line in page.splitlines() if line.startswith("| ")][1:]
    assert [name.removeprefix("| ") for name, _ in rows] == list(PATHS)
    verdicts = {name.removeprefix("| "): verdict for name, verdict in rows}
    compared = {"scores", "resume to equal bits", "validation", "detector", "export"}
    of_a_gpu = {"TensorRT", "two workers beside one", "the same by CUDA graphs"}
    for name, verdict in verdicts.items():
        assert verdict == ("right" if name in compared else "left out" if name in of_a_gpu else "not judged"), page


def raising(error):
    def path(machine):
        raise error

    return path


@pytest.mark.parametrize(
    ("path", "verdict", "words"),
    [
        (lambda _: Seen("faster", 2.0, 1.0), "right", "faster: 2.00, bar 1.0"),
        (lambda _: Seen("slower", 0.5, 1.0, compared=True), "slower", "slower: 0.50, bar 1.0"),
        (lambda _: Seen("equal bits", compared=True), "right", "equal bits"),
        (lambda _: Seen("images a second"), "not judged", "images a second"),
        (raising(LeftOutError("not of a processor")), "left out", "not of a processor"),
        (
            raising(MissingLibraryError("x", ["y"])),
            "left out",
            "x needs a library that is not installed: pip install y",
        ),
        (raising(RuntimeError("other bits")), "**wrong**", "RuntimeError: other bits"),
    ],
)
def test_what_a_gpus_page_says_of_a_path(path, verdict, words, monkeypatch, tmp_path):
    monkeypatch.setitem(gpu_check.PATHS, "a path", path)
    page, machine = tmp_path / "page.md", Machine("cpu", tmp_path, smoke=False)
    assert gpu_check.check(machine, page, 1, ["a path"]) == {"a path": verdict}
    assert f"| a path | {verdict} | {words} | 0 |" in page.read_text()
    assert gpu_check.check(machine, page, -1, ["a path"]) == {"a path": "left out"}
    assert "| a path | left out | no time was left | 0 |" in page.read_text()


@pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is not there")
def test_the_proxy_report_runs_to_its_last_line(tmp_path, warm_python):
    smoke("proxy_report", tmp_path, warm_python, GSNET_DATA=str(DATA))
    assert list((tmp_path / "out").glob("*.png")) and (tmp_path / "out/summary.md").is_file()


def test_the_detector_runs_to_its_last_line(tmp_path, warm_python):
    smoke("GSNet_VisDrone_params1.5M", tmp_path, warm_python)
    files(tmp_path, "best_structure.txt", "classifier/best-params_rank0.pth", "detector/best-params_rank0.pth")
    files(tmp_path, "evaluation.txt", "detector.onnx")
    assert list((tmp_path / "out/evaluation").rglob("*.png"))


def recorded(name, folder, **environment):
    """Options of every Python script that a shell script calls, by the script's name."""
    recorder, record = folder / "python", folder / "record"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    record.mkdir()
    (folder / "out").mkdir()
    for name_of_set in ("pytorch_cifar10", "pytorch_cifar100"):
        (folder / "data" / name_of_set).mkdir(parents=True)
    overrides = {"PYTHON": str(recorder), "RECORD": str(record), "DATA_DIR": str(folder / "data")}
    # With a table of another device, nothing is measured before the search.
    overrides["LATENCY_TABLE"] = str(folder / "v100.db")
    result = run(name, folder, **(overrides | environment))
    assert result.returncode == 0, result.stderr
    calls = [path.read_text().splitlines() for path in sorted(record.iterdir(), key=lambda path: int(path.name))]
    return [(Path(script).stem, arguments) for script, *arguments in calls]


def value(arguments, option):
    return arguments[len(arguments) - 1 - arguments[::-1].index(option) + 1]


@pytest.mark.parametrize("environment", [{}, {"SMOKE": "1"}, {"GPU": "0", "EPOCHS": "3"}])
@pytest.mark.parametrize("name", [name for name, count in TRAININGS.items() if count])
def test_trainings_take_the_searched_network_by_options_that_exist(name, environment, tmp_path):
    calls = recorded(name, tmp_path, **environment)
    assert [script for script, _ in calls[:2]] == ["evolution_search", "analyze_model"]
    assert len(calls) == 2 + TRAININGS[name]
    for script, arguments in calls[2:]:
        described = options.parser("")
        if script == "ts_train_image_classification":
            add_distillation_options(described)
        parsed = options.parse(described, arguments)
        assert parsed.plainnet_struct_txt == tmp_path / "out/best_structure.txt"
        assert parsed.save_dir.parent == tmp_path / "out" and not parsed.retired
        assert parsed.mixup and parsed.label_smoothing and parsed.nesterov and parsed.warmup < parsed.epochs
        assert (parsed.dataset == "fake") == ("SMOKE" in environment)
        assert parsed.dist_mode == ("single" if "GPU" in environment else "cpu")
        assert parsed.epochs == int(environment.get("EPOCHS", 2 if environment else parsed.epochs))
        if "SMOKE" not in environment:
            assert parsed.data_dir in (tmp_path / "data", *(tmp_path / "data").iterdir())


@pytest.mark.parametrize("name", [*TRAININGS, "quickstart"])
def test_overrides_reach_the_search(name, tmp_path):
    overrides = {"EVOLUTION_MAX_ITER": "200", "POPULATION_SIZE": "20", "ZERO_SHOT_SCORE": "Params", "GPU": "3"}
    overrides |= {"SEED": "5", "MAX_LAYERS": "7", "ONLY_SEARCH": "1"}
    script, arguments = recorded(name, tmp_path, **overrides)[0]
    assert script == "evolution_search"
    names = ("evolution_max_iter", "population_size", "zero_shot_score", "gpu", "seed", "max_layers", "save_dir")
    assert [value(arguments, f"--{option}") for option in names] == [
        *("200", "20", "Params", "3", "5", "7", str(tmp_path / "out"))
    ]


@pytest.mark.parametrize("runtime", ["", "openvino"])
def test_a_latency_is_of_the_runtime_that_is_asked_for(runtime, tmp_path):
    """In the search, and in the table that is built for it where there is none."""
    (tmp_path / "one").mkdir()
    asked = {"LATENCY_BACKEND": runtime, "LATENCY_TABLE": "", "ONLY_SEARCH": "1"}
    calls = recorded("Zen_NAS_ImageNet_latency0.1ms", tmp_path / "one", **asked)
    assert [script for script, _ in calls] == [
        *(
            "analyze_model",
            "benchmark_network_latency",
            "benchmark_network_latency",
            "evolution_search",
            "analyze_model",
        )
    ]
    (tmp_path / "two").mkdir()
    calls += recorded("GhostShuffle_cifar_params1M_search", tmp_path / "two", **asked, BUDGET_LATENCY="2ms")[:1]
    tables = [arguments for script, arguments in calls if script == "benchmark_network_latency"]
    searches = [arguments for script, arguments in calls if script == "evolution_search"]
    for arguments, option in [
        *((one, "--backend") for one in tables),
        *((one, "--latency_backend") for one in searches),
    ]:
        assert (value(arguments, option) == runtime) if runtime else option not in arguments
    # Single layers are measured in torch alone.
    assert ("--measure_missing" in tables[1]) is not bool(runtime)
    assert [value(one, "--budget_latency") for one in searches] == ["0.002", "2ms"]


def test_a_search_of_a_least_width_starts_from_as_wide_a_network(tmp_path):
    _, arguments = recorded("Zen_NAS_cifar_params1M_search", tmp_path, MIN_WIDTH="20")[0]
    assert value(arguments, "--min_width") == "20"
    assert value(arguments, "--plainnet_struct") == (
        "SuperConvK3BNRELU(3,24,1,1)SuperResK3K3(24,24,1,24,1)SuperResK3K3(24,32,2,24,1)SuperResK3K3(32,64,2,32,1)"
        "SuperResK3K3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)"
    )


def test_the_published_name_of_a_search_searches_the_same(tmp_path):
    """ZenNAS's README calls Zen_NAS_cifar_params1M.sh what is in its folder of scripts as Zen_NAS_cifar_params1M_search.sh."""
    searches = []
    for name in ("Zen_NAS_cifar_params1M", "Zen_NAS_cifar_params1M_search"):
        (tmp_path / name).mkdir()
        searches.append(recorded(name, tmp_path / name)[0])
        assert "\nsearch Zen_NAS_cifar_params1M" in (ROOT / f"scripts/{name}.sh").read_text()
    (_, one), (_, other) = searches
    assert [a.replace("params1M_search", "params1M") for a in other] == one


def test_a_budget_can_be_taken_away(tmp_path):
    taken = {"MAX_LAYERS": "", "GPU": "", "LATENCY_TABLE": ""}
    _, arguments = recorded("GhostShuffle_cifar_params1M_search", tmp_path, **taken)[0]
    assert "--max_layers" not in arguments and "--gpu" not in arguments


@pytest.mark.parametrize("name", sorted(SCRIPTS | NOT_RUN - {"environment"}))
def test_help_prints_the_head_and_runs_nothing(name, tmp_path):
    command = ["bash", str(ROOT / "scripts" / f"{name}.sh"), "--help"]
    own = os.environ | {"PYTHON": "/bin/false"}
    result = subprocess.run(command, cwd=tmp_path, env=own, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "") and not list(tmp_path.iterdir())
    first = (ROOT / "scripts" / f"{name}.sh").read_text().splitlines()[1].removeprefix("# ")
    assert result.stdout.startswith(first)
    assert ("SMOKE" in result.stdout) == (name not in NOT_RUN)


SHELLCHECK = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.skipif(not SHELLCHECK, reason="shellcheck is not installed")
def test_shellcheck():
    scripts = [str(path) for path in (ROOT / "scripts").glob("*.sh")]
    command = [SHELLCHECK, "-x", *scripts, str(ROOT / ".ci/run")]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
