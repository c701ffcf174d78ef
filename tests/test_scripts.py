"""Every script of searches and trainings runs to its last line, from any folder, and passes shellcheck."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from Training import options
from Training.distillation_options import add_distillation_options

ROOT = Path(__file__).parent.parent
NAMES = sorted(path.stem for path in (ROOT / "scripts").glob("*_NAS_*.sh") if "_train_" not in path.stem)
SEARCHES = sorted(path.stem for path in (ROOT / "scripts").glob("*_cifar_*.sh") if "_train_" not in path.stem)
# Those that do more than search: how many trainings, and by which script.
TRAININGS = {name: 2 for name in NAMES if "cifar" in name and not name.endswith("_search")}
TRAININGS |= {name: 1 for name in NAMES if "ImageNet" in name}
# Stands for Python: writes down what it is called with.
RECORDER = """#!/usr/bin/env bash
printf '%s\\n' "$@" >"$RECORD/$(ls "$RECORD" | wc -l)"
"""


def run(arguments, folder, **environment):
    return subprocess.run(
        arguments, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", SEARCHES)
def test_search_scripts_run_to_their_last_line(name, tmp_path):
    overrides = {"SMOKE": "1", "ONLY_SEARCH": "1", "SAVE_DIR": str(tmp_path / "out"), "PYTHON": sys.executable}
    result = run(["bash", str(ROOT / "scripts" / f"{name}.sh")], tmp_path, **overrides)
    assert result.returncode == 0, result.stderr
    best = json.loads((tmp_path / "out/best.json").read_text())
    settings = json.loads((tmp_path / "out/config.json").read_text())["settings"]
    assert best["params"] <= settings["budget_model_size"]
    assert best["layers"] <= settings["max_layers"]
    assert "the rest agrees exactly" in (tmp_path / "out/analyze_model.txt").read_text()


def recorded(name, folder, **environment):
    """Options of every Python script that a shell script calls, by the script's name."""
    recorder, record = folder / "python", folder / "record"
    recorder.write_text(RECORDER)
    recorder.chmod(0o755)
    record.mkdir()
    (folder / "out").mkdir()
    for name_of_set in ("pytorch_cifar10", "pytorch_cifar100"):
        (folder / "data" / name_of_set).mkdir(parents=True)
    overrides = {"SAVE_DIR": str(folder / "out"), "PYTHON": str(recorder), "RECORD": str(record)} | environment
    # With a table of another device, nothing is measured before the search.
    overrides |= {"DATA_DIR": str(folder / "data"), "LATENCY_TABLE": "v100.db"}
    result = run(["bash", str(ROOT / "scripts" / f"{name}.sh")], folder, **overrides)
    assert result.returncode == 0, result.stderr
    calls = [path.read_text().splitlines() for path in sorted(record.iterdir(), key=lambda path: int(path.name))]
    return [(Path(script).stem, arguments) for script, *arguments in calls]


@pytest.mark.parametrize("environment", [{}, {"SMOKE": "1"}, {"GPU": "0", "EPOCHS": "3"}])
@pytest.mark.parametrize("name", TRAININGS)
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


def test_a_latency_script_searches_with_a_table_of_this_device(tmp_path):
    overrides = {"SMOKE": "1", "ONLY_SEARCH": "1", "SAVE_DIR": str(tmp_path / "out"), "PYTHON": sys.executable}
    overrides |= {"GSNET_LATENCY": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    result = run(["bash", str(ROOT / "scripts/Zen_NAS_ImageNet_latency0.1ms.sh")], tmp_path, **overrides)
    assert result.returncode == 0, result.stderr
    assert "seconds an image that zennet_imagenet1k_latency01ms_res224 takes on this device" in result.stderr
    latency = json.loads((tmp_path / "out/best.json").read_text())["latency"]
    budget = json.loads((tmp_path / "out/config.json").read_text())["settings"]["budget_latency"]
    assert latency["source"] == "predict" and 0 < latency["seconds_per_image"] <= budget
    assert latency["measured_seconds_per_image"] > 0
    assert Path(latency["table"]).parent == tmp_path / "cache/gsnet/latency"
    assert (tmp_path / "out/analyze_model.txt").is_file()


@pytest.mark.parametrize(
    ("name", "results"),
    [
        ("Params_NAS_cifar_params1M", ["cifar10_1440epochs", "cifar100_1440epochs"]),
        ("Zen_NAS_ImageNet_flops400M", ["ts_effnet_b3ns_epochs480"]),
    ],
)
def test_scripts_train_to_their_last_line(name, results, tmp_path):
    overrides = {"SMOKE": "1", "SAVE_DIR": str(tmp_path / "out"), "PYTHON": sys.executable}
    result = run(["bash", str(ROOT / "scripts" / f"{name}.sh")], tmp_path, **overrides)
    assert result.returncode == 0, result.stderr
    for folder in results:
        assert (tmp_path / "out" / folder / "best-params_rank0.pth").is_file()
        assert (tmp_path / "out" / folder / "curves.png").is_file()


def test_overrides_reach_the_search(tmp_path):
    overrides = {
        "SAVE_DIR": str(tmp_path / "out"),
        "PYTHON": sys.executable,
        "EVOLUTION_MAX_ITER": "200",
        "POPULATION_SIZE": "20",
        "ZERO_SHOT_SCORE": "Params",
        "GPU": "",
        "SEED": "5",
        "MAX_LAYERS": "",
    }
    result = run(["bash", str(ROOT / "scripts/GhostShuffle_cifar_params1M_search.sh")], tmp_path, **overrides)
    assert result.returncode == 0, result.stderr
    settings = json.loads((tmp_path / "out/config.json").read_text())["settings"]
    chosen = ("evolution_max_iter", "population_size", "zero_shot_score", "seed", "max_layers", "device")
    assert [settings[name] for name in chosen] == [200, 20, "Params", 5, None, "cpu"]


SHELLCHECK = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.skipif(not SHELLCHECK, reason="shellcheck is not installed")
def test_shellcheck():
    scripts = [str(path) for path in (ROOT / "scripts").glob("*.sh")]
    result = run([SHELLCHECK, "-x", *scripts, str(ROOT / ".ci/run")], ROOT)
    assert result.returncode == 0, result.stdout
