"""Find the network with the best zero-shot score under budgets, by evolution.

    python evolution_search.py --zero_shot_score ZenClosedForm --origin --fix_initialize \\
        --search_space SearchSpace/search_space_ghostshuffle.py --plainnet_struct_txt init.txt \\
        --budget_model_size 1e6 --max_layers 18 --save_dir save_dir/my_search

Nothing is trained. The results folder receives best_structure.txt, best.json, history.csv, pareto.csv, search.png,
pareto.png, config.json, evolution_search.log and search.db, from which an interrupted search continues with --resume;
verified.csv with --verify_top, and curves with --log.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from gsnet.interface.running import run
from gsnet.evolution import runner
from gsnet.evolution.folder import LOG, is_done
from gsnet.evolution.judging import SearchFailed
from gsnet.evolution.latency_words import latency_lines
from gsnet.evolution.options import parse_options, run_options, settings_from
from gsnet.evolution.settings import SearchError, figure_in_words
from gsnet.interface.description import KEY
from gsnet.interface.files import begun_in
from gsnet.interface.logs import log_to
from gsnet.interface.options import FAILED
from SearchSpace import SearchSpaceError
from ZeroShotProxy import UnknownProxyError

log = logging.getLogger("evolution_search")


def main(argv: Sequence[str] | None = None) -> int:
    """Search, or report; returns the exit status."""
    options = parse_options(argv, __doc__ or "")
    if options.report:
        return report(options.report, options.json)
    settings, folder = settings_from(options), options.save_dir
    if not (options.overwrite or options.resume) and is_done(settings, folder):
        print(
            f"skip: {folder / 'best_structure.txt'} is this search's result (--overwrite starts anew)", file=sys.stderr
        )
        return 0
    with begun_in(folder, LOG):
        log_to(folder / LOG, quiet=options.json)
        try:
            summary = runner.run_search(settings, folder, run_options(options), sys.argv)
        except runner.Interrupted as interruption:
            log.warning("%s", interruption)
            return interruption.status
        except SearchFailed as failure:
            log.error("%s", failure)
            return FAILED
    show(summary, folder, options.json)
    return 0


def report(folder: Path, as_json: bool) -> int:
    """Make the outputs of a folder again, and print the winner; returns the exit status."""
    try:
        summary = runner.report(folder)
    except SearchFailed as failure:
        print(f"{Path(sys.argv[0]).name}: {failure}", file=sys.stderr)
        return FAILED
    show(summary, folder, as_json)
    return 0


def show(summary: dict, folder: Path, as_json: bool) -> None:
    """Print the winner."""
    if as_json:
        print(json.dumps(summary))
        return
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in summary["outcomes"].items())
    print(
        f"best {summary['zero_shot_score']} score {summary['score']:.6g} at iteration {summary['iteration']:,}: "
        f"{summary['params'] / 1e6:.3f}M parameters, {summary['flops'] / 1e6:.1f}M FLOPs, "
        f"{summary['mac'] / 1e6:.2f}M memory access, {summary['layers']} layers\n"
        f"{summary['structure']}\n{summary['iterations']:,} iterations: {counts}\nresults in {folder}"
    )
    if figures := summary.get("figures"):
        print(
            ", ".join(f"{name} {figure_in_words(name, value)}" for name, value in figures.items())
            + precision_of(summary)
        )
    if front := summary.get("pareto"):
        print(
            f"Pareto front in {', '.join(front['objectives'])}: {front['networks']:,} networks, among the "
            f"{front['networks_over_all_costs']:,} over score and all costs in {folder / 'pareto.csv'} and pareto.png"
        )
    if summary.get("exhausted"):
        print("the search space is exhausted: proposals bring nothing new any more, and the search ended there")
    if latency := summary.get("latency"):
        print("\n".join(latency_lines(latency)))
    if verified := summary.get("verified"):
        print("Monte-Carlo Zen of the winner: {zen_mean:.4g} +- {zen_std:.2g} over {seeds} seeds".format(**verified))


def precision_of(summary: dict) -> str:
    """What bytes are of, where there are any."""
    precision = summary[KEY]["search"].get("memory_precision")
    return f" in {precision}" if precision else ""


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main, (SearchError, SearchSpaceError, UnknownProxyError))
