"""Which proxies an ensemble should join, and below which growth of gradients: chosen on one half of NAS-Bench-201's cells.

    GSNET_DATA=FOLDER python -m benchmarks.choose_ensemble            # prints the tables of docs/ensemble_choice.md; a minute
    GSNET_DATA=FOLDER python -m benchmarks.choose_ensemble --write

The choice sees one random half of the cells and its CIFAR-10 accuracies alone: the highest mean accuracy of the winners among
300, 1,000 and 3,000 drawn cells, over all sets of up to three proxies and all limits. It is reported on the other half, on the
other data sets, and on NAS-Bench-Macro. Proxies are those of which all scores are at hand: costs, closed forms, complete tables
of benchmarks/scores, and two reference scores that the benchmark's file brings. A cell beyond the limit counts as drawn.
"""

from __future__ import annotations

import itertools
import math
import sys
from argparse import Namespace
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

from gsnet.interface.running import run
from benchmarks import nas_bench_macro, score_tables
from benchmarks.data_folder import data_file
from benchmarks.nas_bench_201 import FILE
from benchmarks.pages import show_sections
from benchmarks.report_benchmarks import MODULE_PROXIES
from benchmarks.report_output import markdown, winners_columns
from benchmarks.report_winners import LENGTHS, ORACLE, RANDOM
from benchmarks.scored_networks import LOG_SYNFLOW, NASWOT, Networks, read_cells, read_macro
from gsnet.evolution.ensemble import DEFAULT_MEMBERS, log_rank_sums
from gsnet.interface.options import OptionParser, positive_int

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/ensemble_choice.md"
LIMITS = (math.inf, 3.0, 3.5, 4.0, 4.5, 5.0, 6.0)
CHOSEN_BY = LENGTHS[1:]
LARGEST_SET = 3
SHOWN = 8
# Draws after which means are known to some hundredths of a point.
MANY = 400


@dataclass(frozen=True)
class Choice:
    """Proxies whose log ranks add up, among networks whose gradients grow by no more than a limit."""

    members: tuple[str, ...]
    limit: float

    def __str__(self) -> str:
        joined = " + ".join(self.members)
        return joined if math.isinf(self.limit) else f"{joined}, growth up to {self.limit:g}"


class Draws:
    """Searches that draw networks at random: the same for every choice, each member ranked once."""

    def __init__(self, networks: Networks, count: int, seeds: int) -> None:
        self.networks, size = networks, len(networks.growth)
        draws = [np.random.default_rng(seed).permutation(size)[:count] for seed in range(seeds)]
        self.draws = draws if count < size else [np.arange(size)]
        self._ranks = {
            name: [log_rank_sums(values[draw][:, None]) for draw in self.draws]
            for name, values in networks.scores.items()
        }

    def winners(self, choice: Choice) -> list[np.ndarray]:
        """What each search ends with; more than one network where they are equal."""
        found = []
        for place, draw in enumerate(self.draws):
            joined = sum(self._ranks[member][place] for member in choice.members)
            joined = np.where(self.networks.growth[draw] <= choice.limit, joined, -np.inf)
            # Equal ranks that were added up in another order may differ by rounding.
            found.append(draw[joined >= joined.max() - 1e-12])
        return found

    def accuracies(self, choice: Choice, data_set: str) -> np.ndarray:
        """Of the winners in percent: (seeds,)."""
        values = self.networks.accuracies[data_set]
        return np.array([values[winner].mean() for winner in self.winners(choice)])

    def oracle(self, data_set: str) -> np.ndarray:
        """Of the best drawn network: (seeds,)."""
        return np.array([self.networks.accuracies[data_set][draw].max() for draw in self.draws])

    def chance(self, data_set: str) -> np.ndarray:
        """The mean of the drawn networks: (seeds,)."""
        return np.array([self.networks.accuracies[data_set][draw].mean() for draw in self.draws])


def halves(networks: Networks) -> tuple[Networks, Networks]:
    """One half to choose on, and the other."""
    order = np.random.default_rng(0).permutation(len(networks.growth))
    middle = len(order) // 2
    return networks.part(order[:middle]), networks.part(order[middle:])


def ranked(
    half: Networks, members: Iterable[str], seeds: int, data_set: str = "CIFAR-10"
) -> list[tuple[float, Choice]]:
    """All choices among some proxies, the best mean of winners first."""
    names = list(members)
    draws = [Draws(half, count, seeds) for count in CHOSEN_BY]
    sets = [s for size in range(1, LARGEST_SET + 1) for s in itertools.combinations(names, size)]
    choices = [Choice(s, limit) for s in sets for limit in LIMITS]
    found = [(float(np.mean([d.accuracies(c, data_set).mean() for d in draws])), c) for c in choices]
    return sorted(found, key=lambda pair: -pair[0])


def groups(scores: Iterable[str]) -> dict[str, list[str]]:
    """What choices are made among: more and more scores."""
    # FLOPs put cells in the order of their parameters.
    names = [name for name in scores if name not in ("Flops", NASWOT, LOG_SYNFLOW)]
    closed = [name for name in names if name not in MODULE_PROXIES]
    found = {"costs and closed forms": closed}
    if len(names) > len(closed):
        found["and proxies by forward passes"] = names
    # On real images in place of noise.
    others = [name for name in names if name != "NASWOT"]
    found["and NASWOT (reference)"] = [*others, NASWOT]
    found["and log-SynFlow (reference)"] = [*others, NASWOT, LOG_SYNFLOW]
    return found


def choice_table(cells: Networks, seeds: int) -> tuple[str, list[Choice]]:
    """What is chosen in each group on one half, and how it does on the other; and the choices."""
    first, second = halves(cells)
    other = Draws(second, 1_000, seeds)
    lines, chosen = [], []
    for name, members in groups(cells.scores).items():
        for place, (mean, choice) in enumerate(ranked(first, members, seeds)[:SHOWN]):
            figures = [f"{other.accuracies(choice, data_set).mean():.2f}" for data_set in cells.accuracies]
            label = f"**{choice}**" if place == 0 else str(choice)
            lines.append((name if place == 0 else "", label, f"{mean:.3f}", *figures))
            chosen += [choice] if place == 0 else []
    best = [f"{other.oracle(data_set).mean():.2f}" for data_set in cells.accuracies]
    lines.append(("", ORACLE, "", *best))
    header = ("chosen among", "log ranks of", "first half, CIFAR-10", *(f"other half, {d}" for d in cells.accuracies))
    return markdown(header, lines), chosen


def winners_table(networks: Networks, choices: Sequence[Choice], seeds: int, data_set: str) -> str:
    """Winners by length beside an oracle's and chance, with Spearman's correlation over all networks without the limit."""
    size = len(networks.growth)
    lengths = (*(n for n in LENGTHS if n < size), size)
    draws = [Draws(networks, count, seeds) for count in lengths]
    values = networks.accuracies[data_set]
    rows = {ORACLE: [d.oracle(data_set) for d in draws]}
    rows |= {str(choice): [d.accuracies(choice, data_set) for d in draws] for choice in choices}
    rows[RANDOM] = [d.chance(data_set) for d in draws]
    judged = len([n for n in lengths[:-1] if n <= 1_000]) - 1
    too_few = values.max() - rows[ORACLE][judged].mean()
    correlations = {ORACLE: "", RANDOM: ""}
    for choice in choices:
        joined = log_rank_sums(np.column_stack([networks.scores[member] for member in choice.members]))
        correlations[str(choice)] = f"{spearmanr(joined, values).statistic:.3f}"
    lines = [
        (
            name,
            *(
                f"{found.mean():.2f}" + (f" ± {found.std(ddof=1):.2f}" if n == judged else "")
                for n, found in enumerate(figures)
            ),
            *(f"{too_few:.2f}", f"{rows[ORACLE][judged].mean() - figures[judged].mean():.2f}", correlations[name]),
        )
        for name, figures in rows.items()
    ]
    columns = winners_columns(lengths, lengths[judged])
    return markdown(("log ranks of", *columns, "Spearman, no limit"), lines)


def certain_table(networks: Networks, choices: Sequence[Choice], seeds: int = MANY) -> str:
    """Winners among 1,000 drawn networks over many draws, mean and its standard error, and what an oracle finds there."""
    draws = Draws(networks, 1_000, seeds)
    rows = {ORACLE: [draws.oracle(name) for name in networks.accuracies]}
    rows |= {str(choice): [draws.accuracies(choice, name) for name in networks.accuracies] for choice in choices}
    lines = [
        (name, *(f"{found.mean():.2f} ± {found.std(ddof=1) / len(found) ** 0.5:.2f}" for found in figures))
        for name, figures in rows.items()
    ]
    return f"{seeds} draws of 1,000 cells, mean ± its standard error.\n\n" + markdown(
        ("log ranks of", *networks.accuracies), lines
    )


def on_macro(choice: Choice, macro: Networks) -> Choice | None:
    """The same choice with Macro's scores; None where a member has not been scored there."""
    names = tuple("NASWOT" if member == NASWOT else member for member in choice.members)
    return Choice(names, choice.limit) if set(names) <= set(macro.scores) else None


def macro_table(macro: Networks, compared: Sequence[Choice], seeds: int) -> str:
    """`winners_table` of the choices that can be looked up on Macro, and FLOPs."""
    found = [choice for c in compared if (choice := on_macro(c, macro))]
    # Those that differ in the reference alone are one here.
    once = {(frozenset(choice.members), choice.limit): choice for choice in reversed(found)}
    return winners_table(macro, [*reversed(once.values()), Choice(("Flops",), math.inf)], seeds, "CIFAR-10")


def parser_of(description: str, page: Path) -> OptionParser:
    """The options of what chooses by all scores, and may write a page of docs."""
    parser = OptionParser(description)
    parser.add_argument("--write", action="store_true", help=f"put the tables into {page.relative_to(ROOT)}")
    parser.add_argument(
        "--scores", type=Path, default=score_tables.FOLDER, metavar="FOLDER", help="tables of all networks' scores"
    )
    return parser


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = parser_of(__doc__ or "", PAGE)
    parser.add_argument("--seeds", type=positive_int, default=20, metavar="N", help="searches of each length")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Choose, report, and write where that is asked for."""
    options = parse_options(argv)
    cells_file, macro_file = data_file(FILE), data_file(nas_bench_macro.FILE)
    cells, macro = read_cells(cells_file, options.scores), read_macro(macro_file, options.scores)
    table, chosen = choice_table(cells, options.seeds)
    tables = {"choice": table}
    # What `Ensemble` joins, however the rule chooses by now.
    default = Choice(DEFAULT_MEMBERS, 3.5)
    if default not in chosen and set(default.members) <= set(cells.scores):
        chosen.append(default)
    compared = [
        *chosen,
        *(Choice(c.members, math.inf) for c in chosen if c.limit < math.inf),
        Choice(("Params",), math.inf),
    ]
    sections = [f"**{d}**\n\n{winners_table(cells, compared, options.seeds, d)}" for d in cells.accuracies]
    tables["winners"] = "\n\n".join(sections)
    tables["many draws"] = certain_table(cells, compared)
    tables["macro"] = macro_table(macro, compared, options.seeds)
    show_sections(PAGE, tables, write=options.write)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
