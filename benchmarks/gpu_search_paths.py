"""Paths of `benchmarks.gpu_check` that lead to a network: scores, latencies, a search."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Any

import PlainNet
from benchmarks.gpu_machine import ROOT, STRUCTURE, Machine, Seen, printed
from benchmarks.zen_monte_carlo_speed import plain_zen
from gsnet.commands import benchmark_network_latency, evolution_search
from ZeroShotProxy import ScoringSettings, repeated_score, score

_SPACE = ROOT / "SearchSpace" / "search_space_ghostshuffle.py"
_PROXIES = ("Zen", "NASWOT", "GradNorm", "Syncflow")
_SEEDS = 8


def scores(machine: Machine) -> Seen:
    """Proxies by forward and backward passes: twice with one seed, and Zen beside the published way and its closed form."""
    network, settings = PlainNet.parse(STRUCTURE), ScoringSettings(device=machine.device)
    if not machine.smoke:
        settings = ScoringSettings(device=machine.device, batch_size=64)
    repeats, words = 2 if machine.smoke else 20, []
    for name in _PROXIES:
        first, second = (score(network, name, settings, seed=3) for _ in range(2))
        if not math.isclose(first, second, rel_tol=1e-4):
            raise RuntimeError(f"{name} gives {first} and {second} with one seed")
        words.append(f"{name} {machine.milliseconds(partial(score, network, name, settings), repeats):.1f}")
    drawn = repeated_score(network, "Zen", settings, range(_SEEDS))
    expected = score(network, "ZenClosedForm", settings)
    if abs(drawn.mean - expected) > 4 * drawn.std / math.sqrt(_SEEDS) + 0.1:
        raise RuntimeError(f"Zen is {drawn.mean:.2f} +- {drawn.std:.2f} here, {expected:.2f} in closed form")
    ours = machine.milliseconds(partial(score, network, "Zen", settings), repeats)
    plain = machine.milliseconds(partial(plain_zen, network, settings, 0), repeats)
    words.append(f"Zen in the published way {plain:.1f}")
    return Seen(f"ms a score: {', '.join(words)}; as many times as fast as that", plain / ours, 1.0)


def latency(machine: Machine) -> Seen:
    """Every backend that runs on the device, outputs compared with eager torch's."""
    backends = "torch,torch.cudagraph,torch.compile,tensorrt" if machine.is_gpu else "torch"
    batches, repeats = ("1", 20) if machine.smoke else ("1,64", 200)
    network = ("--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--untrained", "--num_classes", 10)
    how = (
        "--input_image_size",
        32,
        "--backend",
        backends,
        "--batch_size_list",
        batches,
        "--repeat_times",
        repeats,
        "--json",
    )
    found = json.loads(printed(benchmark_network_latency.main, *network, *how, *machine.options))
    return Seen("ms by batch: " + "; ".join(_in_words(report) for report in found.get("backends", [found])))


def _in_words(report: dict[str, Any]) -> str:
    if "error" in report:
        return f"{report['backend']}: {report['error']}"
    return f"{report['backend']} " + ", ".join(f"{row['batch']}: {1e3 * row['median']:.3g}" for row in report["rows"])


def predicted_search(machine: Machine) -> Seen:
    """A table of the device, a search that predicts from it, and its winner measured."""
    table, folder, networks = machine.folder / "table.db", machine.folder / "search", 2 if machine.smoke else 12
    space = ("--search_space", _SPACE, "--plainnet_struct", STRUCTURE, "--max_layers", 12, "--budget_flops", "30e6")
    build = ("--build_table", "--calibrate", "--networks", networks, "--calibration_networks", 4 * networks, "--json")
    size = ("--input_image_size", 32, "--latency_table", table, *machine.options)
    printed(benchmark_network_latency.main, *build, *space, *size)
    loop = (
        "--evolution_max_iter",
        200 if machine.smoke else 20_000,
        "--origin",
        "--fix_initialize",
        "--save_dir",
        folder,
    )
    within = (
        "--budget_latency",
        1.0,
        "--latency_source",
        "predict",
        "--latency_batch_size",
        1,
        "--latency_resolution",
        32,
    )
    printed(evolution_search.main, "--zero_shot_score", "ZenClosedForm", *loop, *space, *within, *size)
    told = json.loads((folder / "best.json").read_text())["latency"]
    pair = (told["seconds_per_image"], told["measured_seconds_per_image"])
    words = "predicted {:.3g} ms, measured {:.3g} ms".format(*(1e3 * seconds for seconds in pair))
    return Seen(f"{words}; the smaller is of the larger", min(pair) / max(pair), 0.75)
