"""Paths of `benchmarks.gpu_check` that lead to a network: scores, latencies, a search."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import Any

import PlainNet
from benchmarks.collected_networks import network_of
from benchmarks.gpu_machine import ROOT, STRUCTURE, Machine, Seen, printed
from benchmarks.gpu_scores import NETWORK, PUBLISHED, milliseconds
from benchmarks.gpu_searches import CIFAR, MEASURED, our_rate, rates, searches
from gsnet.commands import benchmark_network_latency, evolution_search
from gsnet.latency.runtime_report import ERROR, PACKAGES
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
    plain, ours = milliseconds(machine, "Zen", network, settings, repeats)
    words.append(f"Zen in the published way {plain:.1f}")
    return Seen(f"ms a score: {', '.join(words)}; as many times as fast as that", plain / ours, 1.0, compared=True)


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
    reports = found.get("backends", [found])
    if failed := [report for report in reports if ERROR in report and PACKAGES not in report]:
        raise RuntimeError("; ".join(map(_in_words, failed)))
    others = [report for report in reports if ERROR not in report and report["backend"] != "torch"]
    return Seen("ms by batch: " + "; ".join(map(_in_words, reports)), compared=bool(others))


def published_scores(machine: Machine) -> Seen:
    """Every score that has a published way here, building counted in both."""
    network = PlainNet.parse(STRUCTURE) if machine.smoke else network_of(NETWORK)
    batch, repeats = (4, 1) if machine.smoke else (64, 10)
    settings = ScoringSettings(batch_size=batch, device=machine.device)
    ratios = {}
    for name in PUBLISHED:
        plain, ours = milliseconds(machine, name, network, settings, repeats)
        ratios[name] = plain / ours
    words = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    return Seen(f"times as fast: {words}; the least", min(ratios.values()), 1.0)


def _search(machine: Machine, name: str) -> Seen:
    """Iterations a second beside a plain loop."""
    few = (2, 32, 2, 4) if machine.smoke else (96, 224, 64, 64)
    plain, ours = rates(searches(machine.device, *few)[name])
    return Seen(f"{ours:.1f} iterations a second, {plain:.1f} in the published way; times as many", ours / plain, 4.0)


def search(machine: Machine) -> Seen:
    """Zen-Score for CIFAR under a million parameters."""
    return _search(machine, CIFAR)


def measured_search(machine: Machine) -> Seen:
    """Zen-Score at 224 pixels, each candidate being timed."""
    return _search(machine, MEASURED)


def scoring_processes(machine: Machine) -> Seen:
    """--workers 2 beside 1: on a GPU, where one process scores all the same, never slower.

    Of a processor `benchmarks.executor_overhead` tells.
    """
    machine.needs_gpu()
    settings = searches(machine.device, 2 if machine.smoke else 96, images=4 if machine.smoke else 64)[CIFAR]
    one, two = (our_rate(settings, workers) for workers in (1, 2))
    return Seen(f"{one:.1f} and {two:.1f} iterations a second; two of one", two / one, 0.9)


def _in_words(report: dict[str, Any]) -> str:
    if ERROR in report:
        return f"{report['backend']}: {report[ERROR]}"
    times = ", ".join(f"{row['batch']}: {1e3 * row['median']:.3g}" for row in report["rows"])
    return f"{report['backend']} in {report['precision']} {times}"


def predicted_search(machine: Machine) -> Seen:
    """A table of the device, a search that predicts from it, and its winner measured."""
    return _predicted(machine, "torch", *((2, 6) if machine.smoke else (12, 48)))


def recorded_search(machine: Machine) -> Seen:
    """The same by CUDA graphs, of which only a GPU has any."""
    machine.needs_gpu()
    return _predicted(machine, "torch.cudagraph", 12, 6 if machine.smoke else 12)


def _predicted(machine: Machine, backend: str, networks: int, whole: int) -> Seen:
    table, folder = machine.folder / f"{backend}.db", machine.folder / f"search_{backend}"
    space = ("--search_space", _SPACE, "--plainnet_struct", STRUCTURE, "--max_layers", 12, "--budget_flops", "30e6")
    counts = ("--networks", networks, "--calibration_networks", whole)
    build = ("--build_table", "--calibrate", *counts, "--json", "--backend", backend)
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
        "--latency_backend",
        backend,
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
