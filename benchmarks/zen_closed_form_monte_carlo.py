"""Monte-Carlo Zen-Scores that the closed form is compared with; slow, run once, resumable.

    python -m benchmarks.zen_closed_form_monte_carlo --output tests/golden/zen_monte_carlo.json --seeds 24

Every network is scored with seeds 0, 1, 2, ..., in passes of a few seeds over all networks, and the file is rewritten after
every network; a second run adds the seeds that are missing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch

import PlainNet
from gsnet.interface.running import run
from benchmarks.zen_closed_form_networks import CASES, sample_networks
from ZeroShotProxy import Needs, Proxy, ScoringSettings, get_proxy, score
from ZeroShotProxy.compute_zen_score import running_variances

PASS = 4


def main() -> int:
    options = parse_options()
    torch.set_num_threads(1)
    rows = load(options)
    start = time.perf_counter()
    for seeds in range(PASS, options.seeds + 1, PASS):
        for row in rows:
            extend(row, seeds)
            write(options.output, rows)
        print(f"{seeds} seeds, {time.perf_counter() - start:.0f} s", flush=True)
    return 0


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--networks_seed", type=int, default=1, help="seed of the searches that give the networks")
    parser.add_argument("--count_32", type=int, default=60, help="networks per space at 32 x 32")
    parser.add_argument("--count_224", type=int, default=20, help="networks per space at 224 x 224")
    return parser.parse_args()


def load(options: argparse.Namespace) -> list[dict]:
    """The rows of the file, or new ones without scores."""
    if options.output.exists():
        return json.loads(options.output.read_text())["rows"]
    rows = []
    for name, case in CASES.items():
        count = options.count_224 if case.resolution == 224 else options.count_32
        networks = sample_networks(case, count, options.networks_seed) if count else []
        for links in (False,) if case.space == "ghostshuffle" else (False, True):
            rows += [
                {
                    "case": name,
                    "links": links,
                    "resolution": case.resolution,
                    "batch_size": case.batch_size,
                    "structure": network.text,
                    "zen": [],
                    "perturbation": [],
                }
                for network in networks
            ]
    return rows


def extend(row: dict, seeds: int) -> None:
    """Score the row's network with the seeds it lacks."""
    settings = ScoringSettings(row["resolution"], row["batch_size"], keep_links=row["links"])
    network = PlainNet.parse(row["structure"])
    zen = get_proxy("Zen").compute
    scale = 0.0

    def both(module: torch.nn.Module, context: object) -> float:
        nonlocal scale
        total = zen(module, context)
        scale = sum(float(v.mean().log()) / 2 for v in running_variances(module))
        return total

    for seed in range(len(row["zen"]), seeds):
        total = score(network, Proxy("Zen", both, Needs.MODULE), settings, seed)
        row["zen"].append(round(total, 4))
        row["perturbation"].append(round(total - scale, 4))


def write(path: Path, rows: list[dict]) -> None:
    """One row a line, replaced at once."""
    text = '{"rows": [\n' + ",\n".join(json.dumps(row) for row in rows) + "\n]}\n"
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(run(main))
