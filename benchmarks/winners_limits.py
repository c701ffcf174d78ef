"""What a least width and a limit of the gradient's growth cost: best scores with and without them, and the winners themselves.

    python -m benchmarks.winners_limits

The searches of `benchmarks.evolution_rules` that have a space, by the fitting rule, a history in memory. Each finished one is
a row of the CSV file, which a run that was stopped goes on from; the section of docs/results.md is written from it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import PlainNet
from gsnet.interface.running import run as run_command
from benchmarks.evolution_rules import SEARCHES, difference, mean_and_error
from benchmarks.pages import replace_section
from benchmarks.saved_rows import Row, Rows, read_rows, save_rows
from gsnet.evolution.runner import without_collector
from gsnet.evolution.session import Session
from gsnet.evolution.settings import FITTING, GROWTH, SearchSettings
from SearchSpace.least_width import narrowest, narrowest_block, widened
from ZeroShotProxy.gradient_growth import GradientGrowth

ROOT = Path(__file__).parent.parent
SPACES = ("XXBL", "IDW_fixfc", "ghostshuffle")
KEY = ("space", "limits", "seed", "iterations")
FIELDS = (*KEY, "score", "growth", "structure")
NO_LIMIT = "none"


def _growth(limit: float) -> dict[str, Any]:
    return {"figures": (GROWTH,), "limits": ((GROWTH, limit),)}


# As they are typed -> the settings that they are.
LIMITS: dict[str, dict[str, Any]] = {
    NO_LIMIT: {},
    "--min_width 16": {"min_width": 16},
    "--min_width 32": {"min_width": 32},
    "--budget_growth 4": _growth(4.0),
    "--budget_growth 3.5": _growth(3.5),
    "--min_width 32 --budget_growth 3.5": {"min_width": 32, **_growth(3.5)},
}


def settings_of(space: str, limits: str, seed: int, iterations: int) -> SearchSettings:
    """A search; what it starts from is as wide as it asks for."""
    settings = replace(SEARCHES[space], evolution=FITTING, seed=seed, evolution_max_iter=iterations, **LIMITS[limits])
    start = widened(PlainNet.parse(settings.plainnet_struct or ""), settings.min_width or 1)
    return replace(settings, plainnet_struct=start.text)


def run(space: str, limits: str, seed: int, iterations: int) -> Row:
    """One search as a row of the CSV file."""
    settings = settings_of(space, limits, seed, iterations)
    with closing(Session(settings)) as session, without_collector():
        while not session.search.finished:
            session.search.advance()
        best = session.search.best
    if best is None:
        raise RuntimeError(f"Nothing was scored in {space} with {limits}")
    growth = GradientGrowth(settings.input_image_size).growth(best.network)
    return dict(zip(KEY, (space, limits, str(seed), str(iterations)), strict=True)) | {
        "score": f"{best.score:.4f}",
        "growth": f"{growth:.3f}",
        "structure": best.network.text,
    }


SECTION = """`python -m benchmarks.winners_limits --seeds {seeds} --iterations {iterations}` (`{file}` has its rows):
best `ZenClosedForm` score after {iterations:,} proposals by `--evolution fitting`, mean ± standard error over seeds, and the
difference to searches without such a limit, ± 1.96 standard errors. Starts and budgets are those of the scripts named above,
the start as wide as is asked for. Least width: of the winners' outputs and bottlenecks, by seed. Growth: of the gradient in the
winners, as [its page](gradient_growth.md) defines it, mean.

| space | limits | seeds | score | difference | least width | growth |
|---|---|---|---|---|---|---|
{table}

The best of these winners, by space and limits:

```
{winners}
```
"""


def _of(rows: Rows, space: str, limits: str, iterations: int) -> list[Row]:
    return [row for key, row in rows.items() if key[:2] == (space, limits) and key[3] == str(iterations)]


def _least_width(row: Row) -> int:
    return narrowest(narrowest_block(PlainNet.parse(row["structure"])))


def _lines(rows: Rows, iterations: int) -> tuple[list[str], list[str]]:
    """Of the table, and of the winners."""
    table, winners = [], []
    for space in SPACES:
        base = [float(row["score"]) for row in _of(rows, space, NO_LIMIT, iterations)]
        for limits in LIMITS:
            found = _of(rows, space, limits, iterations)
            if len(found) < 2 or len(base) < 2:
                continue
            scores = [float(row["score"]) for row in found]
            less, error = difference(scores, base)
            cells = [
                *(space, f"`{limits}`" if LIMITS[limits] else limits, str(len(found))),
                "{:.2f} ± {:.2f}".format(*mean_and_error(scores)),
                f"{less:+.2f} ± {1.96 * error:.2f}" if LIMITS[limits] else "",
                "/".join(str(_least_width(row)) for row in found),
                f"{statistics.fmean(float(row['growth']) for row in found):.2f}",
            ]
            table.append(f"| {' | '.join(cells)} |")
            best = max(found, key=lambda row: float(row["score"]))
            winners.append(f"{space}, {limits}: {float(best['score']):.2f}\n{best['structure']}")
    return table, winners


def main() -> None:
    """Run what the CSV file lacks, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--iterations", type=int, default=60_000)
    parser.add_argument("--spaces", nargs="+", default=list(SPACES), choices=SPACES)
    parser.add_argument(
        "--limits", action="append", choices=list(LIMITS), help='such as --limits="--min_width 16"; all unless given'
    )
    parser.add_argument("--output", type=Path, default=ROOT / "docs/winners_limits.csv")
    options = parser.parse_args()
    rows = read_rows(options.output, KEY)
    for seed in range(options.seeds):
        for limits in options.limits or LIMITS:
            for space in options.spaces:
                key = (space, limits, str(seed), str(options.iterations))
                if key in rows:
                    continue
                rows[key] = run(space, limits, seed, options.iterations)
                save_rows(options.output, FIELDS, rows, sorted(rows))
                print(*key, rows[key]["score"], rows[key]["growth"], flush=True)
    table, winners = _lines(rows, options.iterations)
    section = SECTION.format(
        file=options.output.name,
        seeds=options.seeds,
        iterations=options.iterations,
        table="\n".join(table),
        winners="\n".join(winners),
    )
    replace_section(ROOT / "docs/results.md", "winners' limits", section)


if __name__ == "__main__":
    sys.exit(run_command(main))
