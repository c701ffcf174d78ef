"""What a search by ONNX Runtime's latencies finds that one by torch's does not, where both winners are as fast in ONNX Runtime.

    python -m benchmarks.runtime_searches               # searches what docs/runtime_searches.csv lacks, writes the page
    python -m benchmarks.runtime_searches --report      # writes the page's section from that file alone
    python -m benchmarks.runtime_searches --spaces XXBL --seeds 0 --iterations 2000 --output /tmp/searches.csv --no_page

Of each space two latency tables are built, one of torch and one of ONNX Runtime: 32 pixels, one image, one thread. A search by
the table of ONNX Runtime has a budget of --budget seconds. The search by torch's table that it is compared with has the torch
budget that makes its winner as fast in ONNX Runtime, measured. That is found by trial: first what torch's table gives for the
winner by ONNX Runtime; then the budget is divided by the ratio of both winners' measured times, or, once one trial was too
fast and another too slow, interpolated between the two (logarithms), until the times agree within 3 %, or --trials times.
The trial counts that comes nearest. Both winners of a trial are run in turns, as `gsnet export` writes them, by processor
time (lower quartile): other programs slow both alike. Each trial is kept when it is done; what is interrupted goes on there.
"""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean

import numpy as np

import gsnet
import PlainNet
from gsnet.interface.running import run
from benchmarks.comma_lists import values_of
from benchmarks.fused_graph import times_in_turns
from benchmarks.pages import replace_section
from benchmarks.saved_rows import Row, Rows, read_rows, save_rows
from benchmarks.searches import ROOT, STARTS
from gsnet.interface.options import InputError, not_negative, positive_int, seconds
from gsnet.latency.building import calibrate, measure_layers, open_at_hand
from gsnet.latency.device import TORCH
from gsnet.latency.predictor import LatencyModel
from gsnet.latency.records import TABLE, Conditions
from gsnet.latency.rounds import profile_networks, remove_files, settle_networks, time_networks
from gsnet.latency.setting import Setting
from gsnet.latency.timed_networks import settings_of, written
from gsnet.latency.visited import covering_networks, drawn_networks, random_networks
from gsnet.runtimes import runtime
from PlainNet import Network
from SearchSpace import load_search_space

log = logging.getLogger(__name__)

ONNX = "onnxruntime"
RESOLUTION, CLASSES = 32, 10
PARAMETERS, LAYERS = 1_000_000, 18
# Random networks for a table, beside one of each block type, and those that calibrate it; rounds in which they are timed.
NETWORKS, CALIBRATING, ROUNDS = 30, 12, 3
AS_FAST = 0.03
_TURNS = 60
KEY = ("space", "seed", "trial")
# The trial 0 is the search by ONNX Runtime. Budgets and predictions of the search's own table, times, in milliseconds.
FIELDS = (
    *(*KEY, "table", "budget_ms", "predicted_ms", "torch_table_ms", "measured_ms", "ratio"),
    *("score", "params", "flops", "layers", "structure"),
)
PAGE, SECTION, SAVED = ROOT / "docs/latency.md", "searches by two tables", ROOT / "docs/runtime_searches.csv"
HEAD = """| space | seed | score | | ms in ONNX Runtime | | ms by torch's table | | million operations | |
|---|---|---|---|---|---|---|---|---|---|"""


def setting_of(backend: str) -> Setting:
    """What networks are timed as."""
    return Setting(Conditions("fp32", 1, RESOLUTION), CLASSES, backend=backend)


def model_of(space: str, backend: str, folder: Path) -> tuple[Path, LatencyModel]:
    """The calibrated table of a space and a runtime, built unless it is there."""
    setting, path = setting_of(backend), folder / f"{space}_{backend}.db"
    known, start = load_search_space(space), PlainNet.parse(STARTS[space])

    def admits(network: Network) -> bool:
        return network.layers <= LAYERS and network.cost(RESOLUTION, CLASSES).parameters <= PARAMETERS

    with open_at_hand(path, "cpu", backend) as table:
        calibration = table.calibration(setting.conditions)
        if calibration is None:
            networks = covering_networks(known, start, 0)
            networks += random_networks(known, start, NETWORKS, 0, admits)
            draw = drawn_networks(known, start, 1, admits, networks)
            if backend == TORCH:
                measure_layers(table, networks, setting)
            else:
                time_networks(table, networks, setting, role=TABLE, rounds=ROUNDS)
                settle_networks(table, setting, role=TABLE)
                profile_networks(table, setting, role=TABLE)
            time_networks(table, [next(draw) for _ in range(CALIBRATING)], setting, rounds=ROUNDS)
            settle_networks(table, setting)
            profile_networks(table, setting)
            remove_files(table)
            calibration = calibrate(table, setting)
            log.info("%s by %s: error bar %.1f %%", space, backend, 100 * calibration.spread)
        return path, LatencyModel(table, setting.conditions, num_classes=CLASSES, calibration=calibration)


class Cell:
    """The searches of one space and one seed."""

    def __init__(self, options: argparse.Namespace, space: str, seed: int, rows: Rows) -> None:
        self.options, self.space, self.seed, self.rows = options, space, seed, rows

    def run(self) -> None:
        """Search and compare what the rows have not yet."""
        if self._row(0) is None:
            self._keep(0, ONNX, self.options.budget, self.search(ONNX, self.options.budget), {})
        for trial in range(1, self.options.trials + 1):
            if self._row(trial) is None and not self.is_done():
                budget = next_budget(self.trials())
                found = self.search(TORCH, budget)
                self._keep(trial, TORCH, budget, found, self.compared(found[0]))

    def is_done(self) -> bool:
        """Whether a trial's winner is as fast as the one by ONNX Runtime."""
        return any(row["ratio"] and abs(math.log(float(row["ratio"]))) < AS_FAST for row in self.trials())

    def trials(self) -> list[Row]:
        """The search by ONNX Runtime and those by torch so far."""
        return [row for trial in range(self.options.trials + 1) if (row := self._row(trial))]

    def search(self, backend: str, budget: float) -> tuple[Network, float]:
        """The winner and its score under so many seconds by a runtime's table."""
        path, _ = model_of(self.space, backend, self.options.folder)
        best = gsnet.search(
            STARTS[self.space],
            space=self.space,
            proxy="ZenClosedForm",
            budgets={"params": PARAMETERS, "layers": LAYERS, "latency": budget},
            iterations=self.options.iterations,
            population_size=self.options.population_size,
            resolution=RESOLUTION,
            num_classes=CLASSES,
            seed=self.seed,
            latency_source="predict",
            latency_table=path,
            latency_backend=None if backend == TORCH else backend,
        ).best
        if best is None or best.score is None:
            raise InputError(
                f"{self.space} has no network within {budget * 1e3:.3g} ms by {backend}: give more --budget"
            )
        return best.network, best.score

    def compared(self, network: Network) -> dict[str, float]:
        """A network's time and how many times as long it takes as the winner by ONNX Runtime, in turns."""
        winner = PlainNet.parse(self.rows[self.space, str(self.seed), "0"]["structure"])
        setting, program = setting_of(ONNX), runtime(ONNX)
        images = np.random.default_rng(0).standard_normal((1, 3, RESOLUTION, RESOLUTION), dtype=np.float32)
        folder = self.options.folder / "winners"
        folder.mkdir(parents=True, exist_ok=True)
        calls = [
            program.load(written(one, setting, program, folder), settings_of(setting)).ready(images)
            for one in (network, winner)
        ]
        own, others = times_in_turns(*calls, rounds=_TURNS)
        return {"measured_ms": own * 1e3, "ratio": own / others}

    def _row(self, trial: int) -> Row | None:
        return self.rows.get((self.space, str(self.seed), str(trial)))

    def _keep(
        self, trial: int, backend: str, budget: float, found: tuple[Network, float], compared: Mapping[str, float]
    ) -> None:
        models = {name: model_of(self.space, name, self.options.folder)[1] for name in (TORCH, backend)}
        network, score = found
        cost = network.cost(RESOLUTION, CLASSES)
        values: dict[str, object] = {"space": self.space, "seed": self.seed, "trial": trial, "table": backend}
        figures = {"budget_ms": budget * 1e3, "predicted_ms": models[backend].seconds(network) * 1e3}
        figures |= {"torch_table_ms": models[TORCH].seconds(network) * 1e3, **compared, "score": score}
        values |= {name: f"{value:.5g}" for name, value in figures.items()}
        values |= {"params": cost.parameters, "flops": round(cost.flops), "layers": network.layers}
        values["structure"] = network.text
        key = (self.space, str(self.seed), str(trial))
        self.rows[key] = {name: str(values.get(name, "")) for name in FIELDS}
        save_rows(self.options.output, FIELDS, self.rows, sorted(self.rows))
        log.info("%s", ", ".join(f"{name} {self.rows[key][name]}" for name in FIELDS[:-1]))


def next_budget(trials: Sequence[Row]) -> float:
    """Seconds by torch's table for the next search, from the search by ONNX Runtime and the trials after it."""
    if len(trials) == 1:
        return float(trials[0]["torch_table_ms"]) / 1e3
    points = [(math.log(float(row["budget_ms"]) / 1e3), math.log(float(row["ratio"]))) for row in trials[1:]]
    slow, fast = ([point for point in points if (point[1] > 0) == above] for above in (True, False))
    if not slow or not fast:
        budget, ratio = min(points, key=lambda point: abs(point[1]))
        return math.exp(budget - ratio)
    (low, under), (high, over) = max(fast), min(slow)
    return math.exp(low + (high - low) * under / (under - over))


def pairs(rows: Rows) -> list[tuple[Row, Row]]:
    """Of each space and seed the winner by ONNX Runtime and the one by torch that is nearest to it in time."""
    found = []
    for space in STARTS:
        for seed in sorted({int(row["seed"]) for row in rows.values() if row["space"] == space}):
            trials = [
                row for row in rows.values() if (row["space"], row["seed"]) == (space, str(seed)) and row["ratio"]
            ]
            if trials:
                nearest = min(trials, key=lambda row: abs(math.log(float(row["ratio"]))))
                found.append((rows[space, str(seed), "0"], nearest))
    return found


def table_of(rows: Rows) -> str:
    """The page's table."""
    lines, of_spaces = [HEAD], dict[str, list[float]]()
    for by_onnx, by_torch in pairs(rows):
        ratio, scores = float(by_torch["ratio"]), [float(row["score"]) for row in (by_onnx, by_torch)]
        of_spaces.setdefault(by_onnx["space"], []).append(scores[0] - scores[1])
        times = [float(by_torch["measured_ms"]) / ratio, float(by_torch["measured_ms"])]
        cells = [f"{score:.1f}" for score in scores] + [f"{time:.2f}" for time in times]
        cells += [f"{float(row['torch_table_ms']):.1f}" for row in (by_onnx, by_torch)]
        cells += [f"{float(row['flops']) / 1e6:.0f}" for row in (by_onnx, by_torch)]
        lines.append(f"| {by_onnx['space']} | {by_onnx['seed']} | {' | '.join(cells)} |")
    told = [
        f"{space} {mean(found):+.1f} ({min(found):+.1f} to {max(found):+.1f})" for space, found in of_spaces.items()
    ]
    return "\n".join(
        [*lines, "", f"Score by ONNX Runtime's table less score by torch's, mean and range: {', '.join(told)}."]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Search, compare, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", default=",".join(STARTS), help="default: %(default)s")
    parser.add_argument("--seeds", default="0,1,2", help="default: %(default)s")
    parser.add_argument("--budget", type=seconds, default=1e-3, help="seconds in ONNX Runtime (default: %(default)s)")
    parser.add_argument("--iterations", type=positive_int, default=10_000, help="of each search (default: %(default)s)")
    parser.add_argument("--population_size", type=positive_int, default=256, help="default: %(default)s")
    parser.add_argument(
        "--trials", type=positive_int, default=5, help="searches by torch, at most (default: %(default)s)"
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "save_dir/runtime_searches", help="tables and winners")
    parser.add_argument("--output", type=Path, default=SAVED, help="CSV file (default: docs/runtime_searches.csv)")
    parser.add_argument("--report", action="store_true", help="search nothing")
    parser.add_argument("--no_page", action="store_true", help="print the table only")
    options = parser.parse_args(argv)
    seeds, spaces = (
        values_of("--seeds", options.seeds, not_negative),
        values_of("--spaces", options.spaces, str, STARTS),
    )
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    rows = read_rows(options.output, KEY)
    if not options.report:
        import torch

        torch.set_num_threads(1)
        options.folder.mkdir(parents=True, exist_ok=True)
        # All spaces before the second seed: a run that ends early has a little of each.
        for number in seeds:
            for space in spaces:
                Cell(options, space, number, rows).run()
    table = table_of(rows)
    print(table)
    if not options.no_page:
        replace_section(PAGE, SECTION, table)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
