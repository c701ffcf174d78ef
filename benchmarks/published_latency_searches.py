"""The published ImageNet searches under a latency budget, again: 50,000 iterations each, with a V100's latency table.

    GSNET_DATA=FOLDER python -m benchmarks.published_latency_searches --output docs/latency_searches.csv
    GSNET_DATA=FOLDER python -m benchmarks.published_latency_searches --like_for_like --output docs/latency_like_for_like.csv

Four budgets, with the original mutation (of the search space) and the modified one (search_choice), scored by ZenClosedForm.
A winner is scored by forward passes as the published ones were: residual links off, one repeat with fresh statistics, 224
pixels (--zen_batch images; mean over --zen_seeds). What is below --folder already is not searched
again. Latencies are sums over TinyNAS's table of a V100, not measured on one. Its kernels are faster than the published
latencies: with --like_for_like a budget is what the published network itself takes by the table, and scores are in closed form.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from pathlib import Path

import PlainNet
from gsnet.interface.running import run
from benchmarks.data_folder import data_file
from gsnet.interface.files import write_text, written_whole
from ZenNet.catalogue import published

ROOT = Path(__file__).parent.parent
LIBRARY = "tinynas_v100_conv.fp16.txt.gz"
# Milliseconds: layers, then hours and score as published for the original and the modified mutation.
BUDGETS = {
    0.1: (10, {"original": (98.4, 126.0), "modified": (65.0, 134.9)}),
    0.5: (20, {"original": (22.0, 243.1), "modified": (21.0, 245.7)}),
    0.8: (25, {"original": (28.6, 304.3), "modified": (25.0, 310.6)}),
    1.2: (30, {"original": (44.6, 375.0), "modified": (43.2, 386.7)}),
}
START = (
    "SuperConvK3BNRELU(3,32,2,1)SuperResK3K3(32,64,2,32,1)SuperResK3K3(64,128,2,64,1)SuperResK3K3(128,256,2,128,1)"
    "SuperResK3K3(256,512,2,256,1)SuperConvK1BNRELU(512,512,1,1)"
)
COLUMNS = (
    *("budget_ms", "mutation", "seconds", "published_hours", "closed_form", "zen", "published_zen"),
    *("table_ms", "parameters", "flops", "layers", "structure"),
)


def search(milliseconds: float, budget: float, mutation: str, iterations: int, table: Path, folder: Path) -> dict:
    """One search; returns the content of its best.json and the seconds it took, start-up included. budget: seconds an image."""
    timing = folder / "seconds.json"
    if not timing.is_file():
        mode = ["--fix_initialize", *(["--origin"] if mutation == "original" else [])]
        command = [
            *(sys.executable, str(ROOT / "evolution_search.py"), "--zero_shot_score", "ZenClosedForm", *mode),
            *("--evolution", "published"),
            *("--search_space", str(ROOT / "SearchSpace/search_space_XXBL.py"), "--plainnet_struct", START),
            *("--evolution_max_iter", str(iterations), "--population_size", "512", "--num_classes", "1000"),
            *("--input_image_size", "224", "--max_layers", str(BUDGETS[milliseconds][0]), "--overwrite"),
            *("--budget_latency", str(budget), "--latency_batch_size", "64", "--fp16"),
            *("--latency_source", "table", "--latency_table", str(table), "--save_dir", str(folder)),
        ]
        start = time.monotonic()
        subprocess.run(command, check=True, capture_output=True)
        write_text(timing, json.dumps(time.monotonic() - start))
    return json.loads((folder / "best.json").read_text()) | {"seconds": json.loads(timing.read_text())}


def forward_passes(structure: str, batch: int, seeds: int, folder: Path) -> float:
    """Monte-Carlo Zen-Score of a winner; kept in its folder."""
    from ZeroShotProxy import ScoringSettings, repeated_score

    kept = folder / f"zen_{batch}_{seeds}.json"
    if not kept.is_file():
        settings = ScoringSettings(resolution=224, batch_size=batch, num_classes=1000)
        result = repeated_score(PlainNet.parse(structure), "Zen", settings, range(seeds))
        write_text(kept, json.dumps(result.mean))
    return json.loads(kept.read_text())


def rows_of(options: argparse.Namespace, table: Path) -> list[dict]:
    """All searches, then all scores by forward passes."""
    rows = []
    for milliseconds, (_, mutations) in BUDGETS.items():
        for mutation, (hours, score) in mutations.items():
            folder = options.folder / f"{milliseconds}ms_{mutation}"
            best = search(milliseconds, milliseconds / 1e3, mutation, options.iterations, table, folder)
            rows.append({
                "budget_ms": milliseconds, "mutation": mutation, "seconds": round(best["seconds"], 1),
                "published_hours": hours, "closed_form": round(best["score"], 2), "published_zen": score,
                "table_ms": round(best["latency"]["seconds_per_image"] * 1e3, 4), "parameters": best["params"],
                "flops": best["flops"], "layers": best["layers"], "structure": best["structure"], "folder": folder,
            })  # fmt: skip
            print({key: value for key, value in rows[-1].items() if key != "folder"}, flush=True)
    for row in rows:
        folder = row.pop("folder")
        zen = (
            forward_passes(row["structure"], options.zen_batch, options.zen_seeds, folder)
            if options.zen_seeds
            else None
        )
        row["zen"] = "" if zen is None else round(zen, 2)
        print(row["budget_ms"], row["mutation"], row["zen"], flush=True)
    return rows


def like_for_like(options: argparse.Namespace, table: Path) -> list[dict]:
    """Searches whose budget is the published network's own latency by the table; both scores in closed form."""
    from gsnet.latency.predictor import open_model
    from gsnet.latency.records import Conditions
    from ZeroShotProxy import ScoringSettings, repeated_score

    model = open_model(str(table), "table", Conditions("fp16", 64, 224), num_classes=1000)
    settings, rows = ScoringSettings(resolution=224, num_classes=1000), []
    for milliseconds, (_, mutations) in BUDGETS.items():
        name = f"zennet_imagenet1k_latency{round(milliseconds * 10):02d}ms_res224"
        network = PlainNet.parse(published(name).structure)
        budget = model.seconds_per_image(network)
        score = repeated_score(network, "ZenClosedForm", settings, range(1)).mean
        for mutation in mutations:
            folder = options.folder / f"like_{name}_{mutation}"
            best = search(milliseconds, budget, mutation, options.iterations, table, folder)
            rows.append({
                "published": name, "table_ms_published": round(budget * 1e3, 4), "layers_published": network.layers,
                "closed_form_published": round(score, 2), "mutation": mutation, "seconds": round(best["seconds"], 1),
                "table_ms": round(best["latency"]["seconds_per_image"] * 1e3, 4), "layers": best["layers"],
                "closed_form": round(best["score"], 2), "structure": best["structure"],
            })  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Search, score and write the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=50_000)
    parser.add_argument("--folder", type=Path, default=ROOT / "save_dir/published_latency_searches")
    parser.add_argument("--zen_batch", type=int, default=2, help="images of a forward pass")
    parser.add_argument("--zen_seeds", type=int, default=2, help="forward passes a winner; 0 leaves them out")
    parser.add_argument("--like_for_like", action="store_true", help="budgets by the table, of the published networks")
    parser.add_argument("--output", type=Path, help="CSV file")
    options = parser.parse_args()
    library = data_file(LIBRARY)
    options.folder.mkdir(parents=True, exist_ok=True)
    table = options.folder / "v100.db"
    if not table.is_file():
        command = [sys.executable, str(ROOT / "benchmark_network_latency.py"), "--import_tinynas", str(library)]
        subprocess.run([*command, "--latency_table", str(table)], check=True)
    rows = like_for_like(options, table) if options.like_for_like else rows_of(options, table)
    if options.output:
        with written_whole(options.output) as file:
            writer = csv.DictWriter(file, list(rows[0]) if options.like_for_like else COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(run(main))
