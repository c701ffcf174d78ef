"""The rules of evolution beside each other: best score at equal numbers of proposals and at equal processor time.

    python -m benchmarks.evolution_rules
    python -m benchmarks.evolution_rules --rules islands --spaces XXBL

Searches as in the scripts for CIFAR under 1M parameters and for ImageNet under 400M FLOPs, and one of random networks from
--search_space_list, all with `ZenClosedForm` and a history in memory, on one core. Each finished search is a row of the CSV
file, which a run that was stopped goes on from; the section of docs/results.md is written from it.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gsnet.interface.running import run as run_command
from benchmarks.pages import replace_section
from benchmarks.saved_rows import Row, Rows, read_rows, save_rows
from benchmarks.searches import XX_START
from gsnet.evolution.runner import without_collector
from gsnet.evolution.session import Session
from gsnet.evolution.settings import DEFAULT_MIGRATION, EVOLUTIONS, FITTING, PUBLISHED, SearchSettings

ROOT = Path(__file__).parent.parent
MARK = 10_000
EARLY = 60_000
WARM_UP = 2_000
# So many populations of the fitting rule in place of one, with as many proposals in all.
ISLANDS = 4
ON_ISLANDS = "islands"
RULES = (*EVOLUTIONS, ON_ISLANDS)
KEY = ("space", "rule", "seed", "iterations")
FIELDS = (*KEY, "scores", "seconds", "scored")

_SMALL = SearchSettings(
    "ZenClosedForm", fix_initialize=True, origin=True, max_layers=18, budget_model_size=1e6, evolution=PUBLISHED
)
GHOSTSHUFFLE_START = (
    "SuperConvK3BNRELU(3,32,2,1)SuperGhostShuffleK3(32,64,2,32,1)SuperGhostShuffleK3(64,128,2,64,1)"
    "SuperGhostShuffleK3(128,256,2,128,1)SuperGhostShuffleK3(256,512,2,256,1)SuperConvK1BNRELU(512,128,1,1)"
)
IDW_START = (
    "SuperConvK3BNRELU(3,8,2,1)SuperResIDWE6K3(8,32,2,8,1)SuperResIDWE6K3(32,48,2,32,1)SuperResIDWE6K3(48,96,2,48,1)"
    "SuperResIDWE6K3(96,128,2,96,1)SuperConvK1BNRELU(128,2048,1,1)"
)


def _space_file(name: str) -> str:
    return str(ROOT / f"SearchSpace/search_space_{name}.py")


SEARCHES = {
    "XXBL": replace(_SMALL, search_space=_space_file("XXBL"), plainnet_struct=XX_START),
    "ghostshuffle": replace(_SMALL, search_space=_space_file("ghostshuffle"), plainnet_struct=GHOSTSHUFFLE_START),
    "IDW_fixfc": replace(
        _SMALL,
        search_space=_space_file("IDW_fixfc"),
        plainnet_struct=IDW_START,
        max_layers=14,
        budget_model_size=None,
        budget_flops=400e6,
        input_image_size=224,
        num_classes=1000,
    ),
    "--search_space_list": replace(
        _SMALL,
        origin=False,
        fix_initialize=False,
        search_space_list=tuple(str(ROOT / f"PlainNet/{name}.py") for name in ("SuperResKXKX", "SuperResK1KXK1")),
    ),
}


def measure(settings: SearchSettings) -> tuple[list[float], list[float], int]:
    """Best score and processor seconds after every `MARK` proposals of a search; how many of them were scored.

    Compiled code reports about a thousand proposals at once: where they go beyond a mark, the report before it counts.
    """
    session = Session(settings)
    search = session.search
    scores: list[float] = []
    seconds: list[float] = []
    try:
        begun, before = time.process_time(), -math.inf
        with without_collector():
            while not search.finished:
                search.advance()
                found = search.best.score if search.best else -math.inf
                marks, beyond = divmod(search.progress.next_iteration, MARK)
                if marks > len(scores):
                    scores.append(before if beyond else found)
                    seconds.append(time.process_time() - begun)
                before = found
        return scores, seconds, search.progress.outcomes["scored"]
    finally:
        session.close()


def run(space: str, rule: str, seed: int, iterations: int) -> Row:
    """One search as a row of the CSV file."""
    settings = replace(SEARCHES[space], seed=seed, evolution_max_iter=iterations)
    if rule == ON_ISLANDS:
        settings = replace(settings, evolution=FITTING, islands=ISLANDS)
    else:
        settings = replace(settings, evolution=rule)
    # What is compiled or loaded once only lies before the clock starts.
    measure(replace(settings, evolution_max_iter=WARM_UP))
    scores, seconds, scored = measure(settings)
    return dict(zip(KEY, (space, rule, str(seed), str(iterations)), strict=True)) | {
        "scores": json.dumps([round(score, 4) for score in scores]),
        "seconds": json.dumps([round(second, 2) for second in seconds]),
        "scored": str(scored),
    }


def best_after(row: Row, proposals: int) -> float:
    """The best score after so many proposals."""
    return json.loads(row["scores"])[proposals // MARK - 1]


def best_within(row: Row, seconds: float) -> float:
    """The best score at the last mark within so many seconds of processor time."""
    marks = zip(json.loads(row["scores"]), json.loads(row["seconds"]), strict=True)
    return [score for score, second in marks if second <= seconds][-1]


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error."""
    return statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))


def difference(values: Sequence[float], others: Sequence[float]) -> tuple[float, float]:
    """Difference of two means and its standard error (Welch)."""
    (mean, error), (other, other_error) = mean_and_error(values), mean_and_error(others)
    return mean - other, math.hypot(error, other_error)


SECTION = """`python -m benchmarks.evolution_rules --seeds {seeds} --iterations {iterations}` (`{file}` has the rows): best
`ZenClosedForm` score, mean ± standard error over seeds. Searches have the starts and budgets of
`Zen_NAS_cifar_params1M_search.sh`, `GhostShuffle_cifar_params1M_search.sh` and `Zen_NAS_ImageNet_flops400M.sh`;
`--search_space_list` has the ResNet-like blocks, random first networks and 1M parameters in 18 layers. Its time: the processor
time that the {published} rule takes for {iterations:,} proposals, history in memory. Differences are to
`--evolution {published}`, ± 1.96 standard errors. Scored: share of the proposals. Islands: the fitting rule with
`--islands {islands}` in one process, of a share of the proposals each, which exchange their best every {migration:,} of them.

| space | rule | seeds | after {early:,} proposals | after {iterations:,} | difference | in its time | difference | scored |
|---|---|---|---|---|---|---|---|---|
{table}
"""


def _lines(rows: Rows, iterations: int) -> list[str]:
    lines = []
    for space in SEARCHES:
        by_rule = {
            rule: [row for key, row in rows.items() if key[:2] == (space, rule) and key[3] == str(iterations)]
            for rule in RULES
        }
        by_rule = {rule: of_rule for rule, of_rule in by_rule.items() if len(of_rule) > 1}
        if PUBLISHED not in by_rule:
            continue
        seconds = statistics.fmean(json.loads(row["seconds"])[-1] for row in by_rule[PUBLISHED])
        base = [best_after(row, iterations) for row in by_rule[PUBLISHED]]
        for rule, of_rule in by_rule.items():
            early, late = ([best_after(row, count) for row in of_rule] for count in (EARLY, iterations))
            in_time = late if rule == PUBLISHED else [best_within(row, seconds) for row in of_rule]
            more = ["", ""]
            if rule != PUBLISHED:
                more = [f"{d:+.2f} ± {1.96 * e:.2f}" for d, e in (difference(v, base) for v in (late, in_time))]
            shown = [f"{m:.2f} ± {e:.2f}" for m, e in map(mean_and_error, (early, late, in_time))]
            scored = statistics.fmean(int(row["scored"]) for row in of_rule) / iterations
            cells = (space, rule, str(len(of_rule)), *shown[:2], more[0], shown[2], more[1], f"{scored:.0%}")
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Run what the CSV file lacks, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=480_000)
    parser.add_argument("--spaces", nargs="+", default=list(SEARCHES), choices=list(SEARCHES))
    parser.add_argument("--rules", nargs="+", default=list(EVOLUTIONS), choices=RULES)
    parser.add_argument("--output", type=Path, default=ROOT / "docs/evolution_rules.csv")
    options = parser.parse_args()
    wanted = [
        (space, rule, str(seed), str(options.iterations))
        for seed in range(options.seeds)
        for space in options.spaces
        for rule in options.rules
    ]
    rows = read_rows(options.output, KEY)
    for key in wanted:
        if key in rows:
            continue
        space, rule, seed, iterations = key
        rows[key] = run(space, rule, int(seed), int(iterations))
        save_rows(options.output, FIELDS, rows, sorted(rows))
        print(space, rule, seed, json.loads(rows[key]["scores"])[-1], rows[key]["scored"], flush=True)
    section = SECTION.format(
        file=options.output.name,
        seeds=options.seeds,
        published=PUBLISHED,
        iterations=options.iterations,
        early=EARLY,
        islands=ISLANDS,
        migration=DEFAULT_MIGRATION,
        table="\n".join(_lines(rows, options.iterations)),
    )
    replace_section(ROOT / "docs/results.md", "evolution rules", section)


if __name__ == "__main__":
    sys.exit(run_command(main))
