"""The CIFAR searches with the closed form, three seeds each, beside the published networks' scores.

    python -m benchmarks.search_results --output docs/results.csv

Wall-clock is the search alone, from the first to the last iteration; the score over 24 seeds is by forward passes.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

import PlainNet
from ZeroShotProxy import ScoringSettings, repeated_score

ROOT = Path(__file__).parent.parent
SEEDS_OF_SCORES = range(24)
PUBLISHED = {
    "zennet_cifar_model_size1M": "SuperConvK3BNRELU(3,88,1,1)SuperResK1K7K1(88,120,1,16,1)SuperResK1K7K1(120,192,2,16,3)"
    "SuperResK1K5K1(192,224,1,24,4)SuperResK1K5K1(224,96,2,24,2)SuperResK1K3K1(96,168,2,40,3)"
    "SuperResK1K3K1(168,112,1,48,3)SuperConvK1BNRELU(112,512,1,1)",
    "zennet_cifar_model_size2M": "SuperConvK3BNRELU(3,32,1,1)SuperResK1K5K1(32,120,1,40,1)SuperResK1K5K1(120,176,2,32,3)"
    "SuperResK1K7K1(176,272,1,24,3)SuperResK1K3K1(272,176,1,56,3)SuperResK1K3K1(176,176,1,64,4)"
    "SuperResK1K5K1(176,216,2,40,2)SuperResK1K3K1(216,72,2,56,2)SuperConvK1BNRELU(72,512,1,1)",
}


@dataclass(frozen=True)
class Setting:
    """A search script, the classes of its data set, and the published network under the same budgets."""

    script: str
    published: str | None


SETTINGS = (
    Setting("Zen_NAS_cifar_params1M_search", "zennet_cifar_model_size1M"),
    Setting("Zen_NAS_cifar_params2M", "zennet_cifar_model_size2M"),
    Setting("GhostShuffle_cifar_params1M_search", None),
    Setting("GhostShuffle_cifar_params2M_search", None),
)


def run(script: str, seed: int, iterations: int, folder: Path) -> dict:
    """One search; returns the content of its best.json with the seconds it took and its forward-pass score."""
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHON": sys.executable,
        "SAVE_DIR": str(folder),
        "SEED": str(seed),
        "EVOLUTION_MAX_ITER": str(iterations),
        "ZERO_SHOT_SCORE": "ZenClosedForm",
        "BATCH_SIZE": "16",
    }
    command = ["bash", str(ROOT / "scripts" / f"{script}.sh")]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    best = json.loads((folder / "best.json").read_text())
    hours = [line.split("time=")[1].split("h")[0] for line in (folder / "evolution_search.log").read_text().splitlines()
             if "time=" in line]  # fmt: skip
    return best | {"seconds": 3600 * float(hours[-1]), **_scores(best["structure"])}


def _scores(structure: str) -> dict[str, float]:
    result = repeated_score(PlainNet.parse(structure), "Zen", ScoringSettings(), SEEDS_OF_SCORES)
    return {"zen_mean": result.mean, "zen_error": result.std / len(result.scores) ** 0.5}


def main() -> None:
    """Run everything and write one row a search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=480_000)
    parser.add_argument("--output", type=Path, default=ROOT / "docs/results.csv")
    options = parser.parse_args()
    torch.set_num_threads(1)
    columns = (
        "script",
        "seed",
        "seconds",
        "score",
        "zen_mean",
        "zen_error",
        "published_zen",
        "params",
        "flops",
        "layers",
    )
    with options.output.open("w", newline="") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for setting in SETTINGS:
            published = _scores(PUBLISHED[setting.published])["zen_mean"] if setting.published else ""
            for seed in range(options.seeds):
                with tempfile.TemporaryDirectory() as folder:
                    best = run(setting.script, seed, options.iterations, Path(folder))
                row = best | {"script": setting.script, "seed": seed, "published_zen": published}
                table.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
                file.flush()
                print(
                    setting.script,
                    seed,
                    {k: row[k] for k in ("seconds", "score", "zen_mean", "published_zen")},
                    flush=True,
                )


if __name__ == "__main__":
    main()
