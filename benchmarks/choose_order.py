"""Which proxies together put networks in the order of their accuracies: chosen on one half of NAS-Bench-201's cells.

    GSNET_DATA=FOLDER python -m benchmarks.choose_order              # prints the tables of docs/network_order.md; a minute
    GSNET_DATA=FOLDER python -m benchmarks.choose_order --write

What is best for a search, whose winner alone counts, is the question of `benchmarks.choose_ensemble`; here all networks count.
The choice sees one random half of the cells and its CIFAR-10 accuracies alone: the highest rank correlation (Spearman) of the
sum of log ranks, over all sets of up to six proxies. It is reported on the other half, on the other data sets, and on
NAS-Bench-Macro, whose scores are ranked for themselves. A second choice, for networks that are neither's, sees one half of
each benchmark: the highest mean of both correlations. Proxies are those of which all scores of both benchmarks are at hand:
costs, closed forms, and complete tables of benchmarks/scores. A network without a score is behind all that have one.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from gsnet.interface.running import run
from benchmarks import nas_bench_201, nas_bench_macro
from benchmarks.choose_ensemble import ROOT, halves, parser_of
from benchmarks.data_folder import data_file
from benchmarks.nas_bench_201 import FILE
from benchmarks.pages import show_sections
from benchmarks.report_benchmarks import CLOSED_FORM_PROXIES
from benchmarks.report_output import markdown
from benchmarks.scored_networks import Networks, read_cells, read_macro
from gsnet.evolution.ensemble import DEFAULT_MEMBERS, log_rank_sums
from ZeroShotProxy.compute_gradient_growth import LIMIT

PAGE = ROOT / "docs/network_order.md"
MARGIN = "GrowthMarginClosedForm"
LARGEST_SET = 6
SHOWN = 6
CLOSED, ALL = "costs and closed forms", "and proxies of modules"
Members = tuple[str, ...]
CHOSEN_BY = "CIFAR-10"
# What searches' winners are best by, and single proxies, the first on each benchmark among them.
ALSO_SHOWN = (
    *(DEFAULT_MEMBERS, ("MeCo-Rectified", "NASWOT", "Syncflow-log")),
    *((name,) for name in ("MeCo-Rectified", "PerturbationClosedForm", "Params")),
)
# Tybl and Neumann 2025: the aggregate of VKDNW, over all cells and over those without dead operations.
PUBLISHED = ("VKDNW-Aggregate, as published", "0.911 / 0.919", "0.905 / 0.919", "0.893 / 0.906")


class Order:
    """Log ranks of some networks by each proxy, which sums of several are made of, and the ranks of their accuracies."""

    def __init__(self, networks: Networks) -> None:
        # Of a network whose growth is not known, minus infinity.
        scores = networks.scores | {MARGIN: np.minimum(0.0, LIMIT - networks.growth)}
        self._log_ranks = {name: log_rank_sums(values[:, None]) for name, values in scores.items()}
        self._accuracies = networks.accuracies
        self._accuracy_ranks = {name: rankdata(values) for name, values in networks.accuracies.items()}

    def has(self, members: Iterable[str]) -> bool:
        """Whether all of these proxies have scored the networks."""
        return self._log_ranks.keys() >= set(members)

    def correlation(self, members: Iterable[str], data_set: str = CHOSEN_BY) -> float:
        """Spearman's, of the sum of log ranks with accuracies; 0 where all sums are equal."""
        joined = self._joined(members)
        if joined.min() == joined.max():
            return 0.0
        return float(np.corrcoef(rankdata(joined), self._accuracy_ranks[data_set])[0, 1])

    def correlations(self, members: Iterable[str]) -> list[str]:
        """On every data set, as a table has them."""
        known = list(members)
        return [f"{self.correlation(known, data_set):.3f}" for data_set in self._accuracies]

    def first(self, members: Iterable[str]) -> float:
        """CIFAR-10 accuracy, in percent, of the network that comes first; the mean of several that are equal."""
        joined = self._joined(members)
        return float(self._accuracies[CHOSEN_BY][joined == joined.max()].mean())

    def _joined(self, members: Iterable[str]) -> np.ndarray:
        # Equal ranks that were added up in another order may differ by rounding.
        return np.sum([self._log_ranks[member] for member in members], axis=0).round(12)


def candidates(cells: Networks, macro: Networks) -> dict[str, list[str]]:
    """What choices are made among: what needs no module, and then everything, the cheapest first."""
    both = [name for name in cells.scores if name in macro.scores]
    values = [name for name in both if name in ("Params", "Flops", *CLOSED_FORM_PROXIES)] + [MARGIN]
    return {CLOSED: values, ALL: [*values, *(n for n in both if n not in values)]}


def ranked(orders: Sequence[Order], names: Iterable[str]) -> list[tuple[float, Members]]:
    """All sets of up to six proxies, the one with the best mean correlation first; among equals, the smallest."""
    known = list(names)
    sets = [s for size in range(1, LARGEST_SET + 1) for s in itertools.combinations(known, size)]
    found = ((sum(order.correlation(s) for order in orders) / len(orders), s) for s in sets)
    return sorted(found, key=lambda pair: (-round(pair[0], 6), len(pair[1])))


def choice_table(
    orders: Sequence[Order], others: Sequence[Order], columns: Sequence[str], among: dict[str, list[str]]
) -> tuple[str, list[Members]]:
    """What is chosen in each group on some halves, and how it orders the other ones; and the choices."""
    lines, chosen = [], []
    for group, names in among.items():
        for place, (found, members) in enumerate(ranked(orders, names)[:SHOWN]):
            label = " + ".join(members)
            label = f"**{label}**" if place == 0 else label
            figures = [figure for other in others for figure in other.correlations(members)]
            lines.append((group if place == 0 else "", label, f"{found:.3f}", *figures))
            chosen += [members] if place == 0 else []
    return markdown(("chosen among", "log ranks of", *columns), lines), chosen


def live_cells(path: Path) -> np.ndarray:
    """The places of cells whose operations all have a part in the output."""
    rows = nas_bench_201.read_table(path)
    return np.flatnonzero([nas_bench_201.all_operations_count(nas_bench_201.parse_cell(row.cell)) for row in rows])


def benchmarks_table(cells: Networks, live: np.ndarray, macro: Networks, compared: Sequence[Members]) -> str:
    """How some sets order all cells and those without dead operations, and all Macro networks."""
    whole, part, other = Order(cells), Order(cells.part(live)), Order(macro)
    lines = []
    for members in compared:
        if whole.has(members) and other.has(members):
            pairs = zip(whole.correlations(members), part.correlations(members), strict=True)
            label = " + ".join(members)
            firsts = (f"{order.first(members):.2f}" for order in (whole, other))
            both = (f"{all_of} / {living}" for all_of, living in pairs)
            lines.append((label, *both, *other.correlations(members), *firsts))
    header = ("log ranks of", *(f"{data_set}, all / live cells" for data_set in cells.accuracies), "Macro, CIFAR-10")
    return markdown(
        (*header, "accuracy of the first cell", "of the first on Macro"), [*lines, (*PUBLISHED, "", "", "")]
    )


def orders_of_halves(networks: Networks) -> tuple[Order, Order]:
    """What a choice sees, and what it is judged by."""
    first, second = halves(networks)
    return Order(first), Order(second)


def main(argv: Sequence[str] | None = None) -> int:
    """Choose, report, and write where that is asked for."""
    options = parser_of(__doc__ or "", PAGE).parse_args(argv)
    cells = read_cells(data_file(FILE), options.scores)
    macro = read_macro(data_file(nas_bench_macro.FILE), options.scores)
    among = candidates(cells, macro)
    (half, other), (macro_half, macro_other) = map(orders_of_halves, (cells, macro))
    columns = [f"other half, {data_set}" for data_set in cells.accuracies]
    # FLOPs put cells in the order of their parameters: together they would only be parameters twice.
    of_cells = {group: [name for name in names if name != "Flops"] for group, names in among.items()}
    table, chosen = choice_table([half], [other], ["first half, CIFAR-10", *columns], of_cells)
    columns = ["mean of first halves", *columns, "other half, Macro"]
    table_of_both, for_both = choice_table([half, macro_half], [other, macro_other], columns, among)
    chosen += for_both
    without = [tuple(member for member in members if member != MARGIN) for members in chosen if MARGIN in members]
    compared = list(dict.fromkeys([*chosen, *without, *ALSO_SHOWN]))
    tables = {
        "choice": table,
        "both": table_of_both,
        "benchmarks": benchmarks_table(cells, live_cells(data_file(FILE)), macro, compared),
    }
    show_sections(PAGE, tables, write=options.write)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
