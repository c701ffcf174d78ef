"""The CIFAR searches with the closed form, three seeds each, beside the published networks' scores.

    python -m benchmarks.search_results --output docs/cifar_searches.csv

Wall-clock is the search alone, from the first to the last iteration; the score over 24 seeds is by forward passes. Beside the
CSV file the section of docs/results.md with the same rows is written.
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
import ZenNet
from gsnet.interface.running import run as run_command
from benchmarks.pages import replace_section
from gsnet.evolution.settings import EVOLUTIONS, FITTING
from ZeroShotProxy import ScoringSettings, repeated_score

ROOT = Path(__file__).parent.parent
SEEDS_OF_SCORES = range(24)


@dataclass(frozen=True)
class Setting:
    """A search script, and the published network under the same budgets."""

    script: str
    published: str | None


SETTINGS = (
    Setting("Zen_NAS_cifar_params1M_search", "zennet_cifar10_model_size1M_res32"),
    Setting("Zen_NAS_cifar_params2M", "zennet_cifar100_model_size2M_res32"),
    Setting("GhostShuffle_cifar_params1M_search", None),
    Setting("GhostShuffle_cifar_params2M_search", None),
)


def run(script: str, rule: str, seed: int, iterations: int, folder: Path) -> dict:
    """One search; returns the content of its best.json with the seconds it took and its forward-pass score."""
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "PYTHON": sys.executable,
        "SAVE_DIR": str(folder),
        "SEED": str(seed),
        "EVOLUTION": rule,
        "EVOLUTION_MAX_ITER": str(iterations),
        "ZERO_SHOT_SCORE": "ZenClosedForm",
        "BATCH_SIZE": "16",
        "ONLY_SEARCH": "1",
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


SECTION = """`python -m benchmarks.search_results --evolution {rule}`: {iterations:,} iterations.
Each row is one of the scripts in `scripts/` with its own start and budgets (parameters and layers; FLOPs are free),
`ZenClosedForm` and another seed. Seconds are wall-clock, from the first to the last iteration, on one core of a 2-core cloud
machine. Both Zen-Scores are the winner's: in closed form, and by forward passes (mean and standard error over 24 seeds). Last
stands the score, by the same forward passes, of the network that was published for the same budgets; there is none for
GhostShuffle.

| script | seed | seconds | closed form | forward passes | parameters | FLOPs | published network |
|---|---|---|---|---|---|---|---|
{table}
"""


def _line(row: dict) -> str:
    published = f"{row['published_zen']:.2f}" if row["published_zen"] else "-"
    scores = f"{row['score']:.2f} | {row['zen_mean']:.2f} ± {row['zen_error']:.2f}"
    costs = f"{row['params'] / 1e6:.2f}M | {row['flops'] / 1e6:,.0f}M"
    return f"| `{row['script']}` | {row['seed']} | {row['seconds']:.1f} | {scores} | {costs} | {published} |"


def main() -> None:
    """Run everything and write one row a search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--evolution", default=FITTING, choices=EVOLUTIONS)
    parser.add_argument("--iterations", type=int, default=480_000)
    parser.add_argument("--output", type=Path, default=ROOT / "docs/cifar_searches.csv")
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
    lines: list[str] = []
    with options.output.open("w", newline="") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        table.writeheader()
        for setting in SETTINGS:
            published = _scores(ZenNet.published(setting.published).structure)["zen_mean"] if setting.published else ""
            for seed in range(options.seeds):
                with tempfile.TemporaryDirectory() as folder:
                    best = run(setting.script, options.evolution, seed, options.iterations, Path(folder))
                row = best | {"script": setting.script, "seed": seed, "published_zen": published}
                table.writerow({k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()})
                file.flush()
                lines.append(_line(row))
                print(
                    setting.script,
                    seed,
                    {k: row[k] for k in ("seconds", "score", "zen_mean", "published_zen")},
                    flush=True,
                )
    section = SECTION.format(rule=options.evolution, iterations=options.iterations, table="\n".join(lines))
    replace_section(ROOT / "docs/results.md", "cifar searches", section)


if __name__ == "__main__":
    sys.exit(run_command(main))
