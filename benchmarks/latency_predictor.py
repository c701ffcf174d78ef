"""How well latencies are predicted: on the processor at hand for held-out networks, and on a V100's table for published ones.

    python -m benchmarks.latency_predictor --table save_dir/latency_predictor.db --seconds 140    (repeat until it reports)
    python -m benchmarks.latency_predictor --report --table save_dir/latency_predictor.db --output docs/latency_predictor.csv
    python -m benchmarks.latency_predictor --backend onnxruntime --settings 32:1,224:1    (a table of its own, likewise)

Measuring continues where it stopped, so that it can be done in pieces of --seconds while nothing else runs. Three kinds of
networks come from three different seeds in each of the three spaces: those whose layers fill the table, those that
calibrate, and those held out, which nothing but the last comparison sees. For a runtime other than torch the first two are
parts of one draw, and all have fewer parameters than BUDGET_PARAMETERS: what is deployed, not what streams its weights from
memory. The V100 part reads TinyNAS's table below GSNET_DATA, and is left out where there is none, or with --backend.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

import PlainNet
import ZenNet
from gsnet.interface.running import run
from benchmarks.comma_lists import values_of
from benchmarks.data_folder import data_folder
from gsnet.interface.files import written_whole
from gsnet.interface.options import positive_int
from gsnet.latency.building import calibrate, measure_layers, open_at_hand
from gsnet.latency.calibration import fit_few, leave_one_out
from gsnet.latency.device import TORCH
from gsnet.latency.predictor import LatencyModel
from gsnet.latency.records import CALIBRATION, TABLE, Conditions, Origin
from gsnet.latency.rounds import ROUNDS, profile_networks, remove_files, settle_networks, time_networks
from gsnet.latency.setting import Setting
from gsnet.latency.table import LatencyTable
from gsnet.latency.tinynas import read_tinynas
from gsnet.latency.visited import random_networks
from PlainNet import Network, Style
from SearchSpace import load_search_space

HELD_OUT = "held out"
CLASSES = 10
MAX_LAYERS = 25
# Networks of one space for the table, for calibration and held out; and their seeds.
COUNTS = {TABLE: 40, CALIBRATION: 14, HELD_OUT: 20}
SEEDS = {TABLE: 1, CALIBRATION: 2, HELD_OUT: 3}
# The same for runtimes, whose networks for the table and, behind them, for calibration are one draw.
OF_A_RUNTIME = {TABLE: 30, CALIBRATION: 10, HELD_OUT: 30}
SEEDS_OF_A_RUNTIME = {TABLE: 2, CALIBRATION: 2, HELD_OUT: 5}
BUDGET_FLOPS = {32: 4e8, 224: 6e8}
BUDGET_PARAMETERS = {32: 5e6, 224: 1e7}
_CIFAR = {
    "XXBL": "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperResK3K3(32,64,2,32,1)"
    "SuperResK3K3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)",
    "ghostshuffle": "SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,16,1,8,1)SuperGhostShuffleK3(16,32,2,16,1)"
    "SuperGhostShuffleK3(32,64,2,32,1)SuperGhostShuffleK3(64,64,2,32,1)SuperConvK1BNRELU(64,128,1,1)",
}
_IDW = (
    "SuperConvK3BNRELU(3,8,2,1)SuperResIDWE6K3(8,32,2,8,1)SuperResIDWE6K3(32,48,2,32,1)SuperResIDWE6K3(48,96,2,48,1)"
    "SuperResIDWE6K3(96,128,2,96,1)SuperConvK1BNRELU(128,2048,1,1)"
)
_IMAGENET = {
    "XXBL": "SuperConvK3BNRELU(3,32,2,1)SuperResK3K3(32,64,2,32,1)SuperResK3K3(64,128,2,64,1)"
    "SuperResK3K3(128,256,2,128,1)SuperResK3K3(256,512,2,256,1)SuperConvK1BNRELU(512,512,1,1)",
    "ghostshuffle": "SuperConvK3BNRELU(3,32,2,1)SuperGhostShuffleK3(32,64,2,32,1)SuperGhostShuffleK3(64,128,2,64,1)"
    "SuperGhostShuffleK3(128,256,2,128,1)SuperGhostShuffleK3(256,512,2,256,1)SuperConvK1BNRELU(512,128,1,1)",
}
STARTS = {32: _CIFAR | {"IDW_fixfc": _IDW}, 224: _IMAGENET | {"IDW_fixfc": _IDW}}
# Milliseconds an image on a V100, batch 64, half precision, as published.
PUBLISHED = {
    "zennet_imagenet1k_latency01ms_res224": 0.1,
    "zennet_imagenet1k_latency02ms_res224": 0.2,
    "zennet_imagenet1k_latency03ms_res224": 0.3,
    "zennet_imagenet1k_latency05ms_res224": 0.5,
    "zennet_imagenet1k_latency08ms_res224": 0.8,
    "zennet_imagenet1k_latency12ms_res224": 1.2,
    "zennet_imagenet1k_flops400M_SE_res224": 0.25,
    "zennet_imagenet1k_flops600M_SE_res224": 0.36,
    "zennet_imagenet1k_flops900M_SE_res224": 0.55,
}
V100 = "tinynas_v100_conv.fp16.txt.gz"
COLUMNS = (
    *("device", "conditions", "networks", "spearman", "median_error", "error_90", "spread"),
    *("within_bar", "within_two_bars", "microseconds", "agreement", "agreement_90"),
)


@dataclass(frozen=True)
class Row:
    """One line of the report: errors are relative; within_bar: which part of the networks lies within the error bar.

    agreement: by which part the second least time of a network is more than its least, the median and what nine in ten are
    below: what the computer lets a prediction be measured to.
    """

    device: str
    conditions: str
    networks: int
    spearman: float
    median_error: float
    error_90: float
    spread: float = math.nan
    within_bar: float = math.nan
    within_two_bars: float = math.nan
    microseconds: float = math.nan
    agreement: float = math.nan
    agreement_90: float = math.nan


def networks_of(
    resolution: int, kind: str, backend: str = TORCH, counts: Mapping[str, int] | None = None
) -> list[Network]:
    """Networks of all spaces in turns, of a kind of COUNTS; no two kinds share one. counts: a space, in place of the usual."""
    found = []
    counts = counts or (COUNTS if backend == TORCH else OF_A_RUNTIME)
    before = counts[TABLE] if kind == CALIBRATION and backend != TORCH else 0
    part = slice(before, before + counts[kind])
    seed = SEEDS[kind] if backend == TORCH else SEEDS_OF_A_RUNTIME[kind]
    most = math.inf if backend == TORCH else BUDGET_PARAMETERS[resolution]
    for name, start in STARTS[resolution].items():
        space = load_search_space(f"SearchSpace/search_space_{name}.py")

        def admits(network: Network) -> bool:
            cost = network.cost(resolution, CLASSES)
            small = cost.flops <= BUDGET_FLOPS[resolution] and cost.parameters <= most
            return small and network.layers <= MAX_LAYERS

        found.append(random_networks(space, PlainNet.parse(start), part.stop, seed, admits)[part])
    return [network for together in zip(*found, strict=True) for network in together]


def measure(table: LatencyTable, setting: Setting, end: float, counts: Mapping[str, int]) -> int:
    """Measure until `end`; returns how much is left. counts: networks of a space."""
    resolution, backend = setting.conditions.resolution, setting.backend
    left, roles = 0, [CALIBRATION, HELD_OUT]
    if backend == TORCH:
        networks = networks_of(resolution, TABLE, counts=counts)
        left = measure_layers(table, networks, setting, more=lambda: time.monotonic() < end)
    else:
        roles.append(TABLE)
    # All kinds in the same rounds: none has the computer to itself at a better hour.
    for number in range(1, ROUNDS + 1):
        for role in roles:
            networks = networks_of(resolution, role, backend, counts)
            left += time_networks(
                table, networks, setting, role=role, rounds=number, more=lambda: time.monotonic() < end
            )
    for role in roles:
        left += settle_networks(table, setting, role=role, more=lambda: time.monotonic() < end)
    for role in (CALIBRATION, TABLE):
        left += profile_networks(table, setting, role=role, more=lambda: time.monotonic() < end)
    if not left:
        remove_files(table)
    return left


def report_held_out(table: LatencyTable, setting: Setting) -> Row:
    """Predict the held-out networks after a calibration on the others."""
    calibration = calibrate(table, setting)
    model = LatencyModel(table, setting.conditions, num_classes=CLASSES, calibration=calibration)
    timed = table.networks(setting.conditions, HELD_OUT)
    networks = [PlainNet.parse(one.structure) for one in timed]
    predicted, spreads = (np.array(column) for column in zip(*(model.predict(one) for one in networks), strict=True))
    start = time.perf_counter()
    for _ in range(10):
        for network in networks:
            model.seconds(network)
    each = (time.perf_counter() - start) / 10 / len(networks)
    measured = np.array([one.seconds for one in timed])
    bars = np.abs(np.log(predicted / measured)) / spreads
    least = [sorted(rounds)[:2] for rounds in table.timings(setting.conditions, HELD_OUT).values()]
    apart = [two[-1] / two[0] - 1 for two in least]
    return replace(
        _row(str(table.origin), str(setting.conditions), predicted, measured),
        spread=calibration.spread,
        within_bar=float(np.mean(bars <= 1)),
        within_two_bars=float(np.mean(bars <= 2)),
        microseconds=each * 1e6,
        agreement=float(np.median(apart)),
        agreement_90=float(np.quantile(apart, 0.9)),
    )


def report_published(library: Path, folder: Path) -> list[Row]:
    """The plain sums of a V100's table against published latencies, and after a calibration of either block family."""
    path = folder / "v100.db"
    if not path.is_file():
        with LatencyTable.create(path, Origin("Tesla V100", "TensorRT"), fuses=True) as table:
            table.add_layers("fp16", read_tinynas(library))
    conditions = Conditions("fp16", 64, 224)
    measured = np.array([milliseconds / 1e3 for milliseconds in PUBLISHED.values()])
    with LatencyTable.open(path) as table:
        terms = np.array([_published_terms(table, conditions, name) for name in PUBLISHED]) / conditions.batch
    sums = terms[:, :3].sum(axis=1)
    latency_models = np.array(["latency" in name for name in PUBLISHED])
    device = "V100 table"
    rows = [
        _row(device, "plain sums, six latency models", sums[latency_models], measured[latency_models]),
        _row(device, "plain sums, all nine", sums, measured),
    ]
    predicted = np.empty(len(measured))
    for family in (latency_models, ~latency_models):
        errors = leave_one_out(terms[family], measured[family], fit_few)
        predicted[family] = measured[family] * np.exp(errors)
    rows.append(_row(device, "two coefficients a family, leave-one-out", predicted, measured))
    for name, sum_, guess, truth in zip(PUBLISHED, sums, predicted, measured, strict=True):
        print(
            f"  {name}: sum {sum_ * 1e3:.3f} ms, left out and predicted {guess * 1e3:.3f}, published {truth * 1e3:.2f}"
        )
    return rows


def _published_terms(table: LatencyTable, conditions: Conditions, name: str) -> tuple[float, ...]:
    entry = ZenNet.published(name)
    style = Style(use_se=entry.se, se_activation="relu")
    return LatencyModel(table, conditions, num_classes=1000, style=style).terms(PlainNet.parse(entry.structure))


def _row(device: str, conditions: str, predicted: np.ndarray, measured: np.ndarray) -> Row:
    errors = np.abs(predicted / measured - 1)
    quantile = float(np.quantile(errors, 0.9))
    return Row(device, conditions, len(measured), _spearman(predicted, measured), float(np.median(errors)), quantile)


def _spearman(a: np.ndarray, b: np.ndarray) -> float:
    first, second = (np.argsort(np.argsort(values)).astype(float) for values in (a, b))
    return float(np.corrcoef(first, second)[0, 1])


def write(rows: list[Row], output: Path | None) -> None:
    """Print the rows, and write them as CSV."""
    for row in rows:
        text = f"{row.device}, {row.conditions}: {row.networks} networks, Spearman {row.spearman:.3f}, median error "
        text += f"{row.median_error:.1%}, 90 % below {row.error_90:.1%}"
        if not math.isnan(row.spread):
            text += f"; {row.within_bar:.0%} within the error bar, {row.within_two_bars:.0%} within two"
            text += f"; {row.microseconds:.0f} microseconds each"
            text += f"; the two least times of one are {row.agreement:.0%} apart, of nine in ten below {row.agreement_90:.0%}"
        print(text)
    if output is None:
        return
    with written_whole(output) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for row in rows:
            table.writerow([_written(getattr(row, column)) for column in COLUMNS])


def _written(value: float | str) -> str:
    if not isinstance(value, float):
        return str(value)
    return "" if math.isnan(value) else f"{value:.4g}"


def _pixels_and_batch(text: str) -> tuple[int, int]:
    pixels, colon, batch = text.partition(":")
    if not colon:
        raise argparse.ArgumentTypeError(f"{text!r} is not PIXELS:BATCH, such as 32:8")
    resolution = positive_int(pixels)
    if resolution not in STARTS:
        raise argparse.ArgumentTypeError(f"there are networks of {' and '.join(map(str, STARTS))} pixels, not {text}")
    return resolution, positive_int(batch)


def main() -> None:
    """Measure what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, help="measurements so far (default: save_dir/latency_predictor.db)")
    parser.add_argument("--backend", default=TORCH, help="runtime whose latencies are predicted (default: torch)")
    parser.add_argument("--settings", default="32:1,32:8,224:1,224:8", help="pixels:batch, ...")
    parser.add_argument(
        "--networks", type=positive_int, metavar="N", help="of each space for the table (default: 40; 30 for a runtime)"
    )
    parser.add_argument("--seconds", type=float, default=float("inf"), help="measure for so long")
    parser.add_argument("--report", action="store_true", help="measure nothing")
    parser.add_argument("--output", type=Path, help="CSV file")
    options = parser.parse_args()
    pairs = values_of("--settings", options.settings, _pixels_and_batch)

    import torch

    torch.set_num_threads(1)
    end = time.monotonic() + options.seconds
    counts = dict(COUNTS if options.backend == TORCH else OF_A_RUNTIME)
    counts[TABLE] = options.networks or counts[TABLE]
    name = "latency_predictor" if options.backend == TORCH else f"latency_predictor_{options.backend}"
    path = options.table or Path(f"save_dir/{name}.db")
    path.parent.mkdir(parents=True, exist_ok=True)
    conditions = [Conditions("fp32", batch, resolution) for resolution, batch in pairs]
    settings = [Setting(one, CLASSES, backend=options.backend) for one in conditions]
    rows = []
    with open_at_hand(path, "cpu", options.backend) as table:
        for setting in settings:
            left = 0 if options.report else measure(table, setting, end, counts)
            if left:
                print(f"{setting.conditions}: {left} measurements are left")
                return
            if table.networks(setting.conditions, HELD_OUT):
                rows.append(report_held_out(table, setting))
    library = data_folder() / V100
    if library.is_file() and options.backend == TORCH:
        rows += report_published(library, path.parent)
    write(rows, options.output)


if __name__ == "__main__":
    sys.exit(run(main))
