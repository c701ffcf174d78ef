"""The short form of the report: one data set a benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.nas_bench_201 import LIVE
from benchmarks.report_output import (
    best_known,
    interval_text,
    main_data_set,
    markdown,
    names,
    three_digits,
    winners_table,
)
from benchmarks.report_rows import CorrelationRow, SearchRow
from benchmarks.report_winners import WinnerRow
from gsnet.evolution.ensemble import ENSEMBLE
from gsnet.interface.files import write_text

# Spearman on CIFAR-10 as published, over all cells and over those without dead operations. Most figures are those of VKDNW's
# authors (the paper's table 1, and for all cells the notebook in their repository), who ran the others' code; AZ-NAS's own has
# .913, and MeCo's paper .89.
PUBLISHED = {
    ("NAS-Bench-201", "Flops"): (".753", ".799"),
    ("NAS-Bench-201", "GradNorm"): (".483", ".438"),
    ("NAS-Bench-201", "Syncflow-log"): (".769", ".758"),
    ("NAS-Bench-201", "Jacov"): (".712", ".800"),
    ("NAS-Bench-201", "NASWOT"): (".742", ".762"),
    ("NAS-Bench-201", "Zen"): (".321", ".103"),
    ("NAS-Bench-201", "ZiCo"): (".785", ".802"),
    ("NAS-Bench-201", "TE-NAS"): (".676", ".722"),
    ("NAS-Bench-201", "AZ-NAS"): (".912", ".892"),
    ("NAS-Bench-201", "VKDNW"): (".798", ".815"),
    ("NAS-Bench-201", "VKDNW-Aggregate"): (".911", ".919"),
    ("NAS-Bench-201", "MeCo"): (".89", ""),
    ("NAS-Bench-201", "Params"): (".753", ""),
    ("NAS-Bench-Macro", "Params"): (".318", ""),
    ("NAS-Bench-Macro", "Flops"): (".748", ""),
}


def write_summary(
    path: Path,
    correlations: Sequence[CorrelationRow],
    searches: Sequence[SearchRow],
    winners: Sequence[WinnerRow],
    notes: str,
) -> None:
    """summary.md: for each benchmark, how proxies order its networks, and what they put first."""
    parts = []
    for name in names(correlations):
        data_set = main_data_set(name, correlations)
        parts += [f"### {name}, {data_set}", _orders(name, data_set, correlations, searches)]
        first = [w for w in winners if (w.benchmark, w.data_set) == (name, data_set)]
        if first:
            parts.append(winners_table(first))
    write_text(path, "\n\n".join([*parts, notes]) + "\n")


def _orders(name: str, data_set: str, correlations: Sequence[CorrelationRow], searches: Sequence[SearchRow]) -> str:
    live = {
        r.proxy: f"{r.spearman.value:.3f}"
        for r in correlations
        if (r.benchmark, r.data_set, r.scope) == (name, data_set, LIVE)
    }
    evolved = {s.proxy: f"{s.mean:.2f}" for s in searches if (s.benchmark, s.data_set) == (name, data_set)}
    compared = any(benchmark == name for benchmark, _ in PUBLISHED)
    header = ["proxy", "Spearman", *(["Spearman, published"] if compared else [])]
    header += ["Kendall", "top 1 %", "n", "ms a network"]
    header += [f"Spearman {LIVE}", "published of these"] if live else []
    header += ["winner of an evolution"] if evolved else []
    lines = []
    for r in best_known(name, data_set, correlations):
        published = PUBLISHED.get((name, r.proxy), ("", ""))
        line = [f"**{r.proxy}**" if r.proxy == ENSEMBLE else r.proxy, interval_text(r.spearman)]
        line += published[:1] if compared else ()
        line += [f"{r.kendall.value:.3f}", f"{r.top:.2f}", f"{r.networks:,}", three_digits(r.milliseconds)]
        line += [live.get(r.proxy, ""), published[1]] if live else []
        line += [evolved.get(r.proxy, "")] if evolved else []
        lines.append(line)
    return markdown(header, lines)
