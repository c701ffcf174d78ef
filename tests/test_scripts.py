"""Every search script runs to its last line, from any folder, and passes shellcheck."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SEARCHES = sorted(path.stem for path in (ROOT / "scripts").glob("*_cifar_*.sh") if "_train" not in path.stem)


def run(arguments, folder, **environment):
    return subprocess.run(
        arguments, cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", SEARCHES)
def test_search_scripts_run_to_their_last_line(name, tmp_path):
    overrides = {"SMOKE": "1", "SAVE_DIR": str(tmp_path / "out"), "PYTHON": sys.executable}
    result = run(["bash", str(ROOT / "scripts" / f"{name}.sh")], tmp_path, **overrides)
    assert result.returncode == 0, result.stderr
    best = json.loads((tmp_path / "out/best.json").read_text())
    settings = json.loads((tmp_path / "out/config.json").read_text())["settings"]
    assert best["params"] <= settings["budget_model_size"]
    assert best["layers"] <= settings["max_layers"]
    assert "the rest agrees exactly" in (tmp_path / "out/analyze_model.txt").read_text()


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


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck():
    scripts = [str(path) for path in (ROOT / "scripts").glob("*.sh")]
    result = run(["shellcheck", "-x", *scripts, str(ROOT / ".ci/run")], ROOT)
    assert result.returncode == 0, result.stdout
