"""Find the network with the best zero-shot score under budgets, by evolution.

    python evolution_search.py --zero_shot_score Zen --origin --fix_initialize \\
        --search_space SearchSpace/search_space_ghostshuffle.py --plainnet_struct_txt init.txt \\
        --budget_model_size 1e6 --max_layers 18 --save_dir save_dir/my_search

Nothing is trained. The results folder receives best_structure.txt, best.json, history.csv, pareto.csv, search.png,
pareto.png, config.json, evolution_search.log and search.db, from which an interrupted search continues with --resume.
"""

from __future__ import annotations

import json
import logging
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from Evolution import runner
from Evolution.search import SearchFailed
from Evolution.settings import DEFAULT_ITERATIONS, DEFAULT_POPULATION, SearchError, SearchSettings
from Interface.options import InputError, OptionParser, device_name, positive_float, positive_int
from Interface.running import FAILED, log_to, run
from SearchSpace import SearchSpaceError
from ZeroShotProxy import Needs, UnknownProxyError, get_proxy, list_proxies

log = logging.getLogger("evolution_search")
ROUND_SIZE_OF_MODULE_PROXIES = 32


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = OptionParser(__doc__ or "")
    search = parser.add_argument_group("search")
    search.add_argument("--zero_shot_score", metavar="NAME", help=f"proxy: {', '.join(list_proxies())}")
    search.add_argument(
        "--evolution_max_iter", type=positive_int, default=DEFAULT_ITERATIONS, metavar="N", help="proposals"
    )
    search.add_argument(
        "--population_size", type=positive_int, default=DEFAULT_POPULATION, metavar="N", help="survivors"
    )
    search.add_argument("--seed", type=int, default=0, metavar="N", help="same seed and options, same history")
    search.add_argument("--fix_initialize", action="store_true", help="first candidates mutate the given structure")
    search.add_argument("--origin", action="store_true", help="later candidates are mutated within --search_space")
    search.add_argument(
        "--search_space", metavar="FILE", help="Python file with gen_search_space(block_list, block_id)"
    )
    search.add_argument("--search_space_list", nargs="+", default=[], metavar="FILE", help="PlainNet block files")
    search.add_argument("--round_size", type=positive_int, metavar="N",
                        help="candidates drawn from one population (default: 1 for value-only proxies, else 32)")  # fmt: skip

    network = parser.add_argument_group("networks")
    network.add_argument("--plainnet_struct", metavar="TEXT", help="structure to start from")
    network.add_argument("--plainnet_struct_txt", type=Path, metavar="FILE", help="file with that structure")
    network.add_argument("--num_classes", type=positive_int, default=10, metavar="N", help="classes")
    network.add_argument(
        "--input_image_size", type=positive_int, default=32, metavar="PIXELS", help="image height and width"
    )
    network.add_argument("--use_se", action="store_true", help="squeeze-and-excitation in super-blocks")
    network.add_argument("--no_BN", action="store_true", help="without batch normalisation")

    budgets = parser.add_argument_group("budgets (none unless given)")
    budgets.add_argument("--max_layers", type=positive_int, metavar="N", help="sum of sub-layers")
    budgets.add_argument("--budget_model_size", type=positive_float, metavar="N", help="parameters")
    budgets.add_argument("--budget_flops", type=positive_float, metavar="N", help="multiply-accumulates of one image")
    budgets.add_argument(
        "--budget_mac", type=positive_float, metavar="N", help="memory access cost of one image, in elements"
    )
    budgets.add_argument(
        "--budget_latency", type=positive_float, metavar="SECONDS", help="measured seconds for one batch"
    )
    budgets.add_argument(
        "--latency_batch_size", type=positive_int, default=1, metavar="N", help="batch of that measurement"
    )
    budgets.add_argument("--latency_resolution", type=positive_int, metavar="PIXELS",
                         help="resolution of that measurement (default: --input_image_size)")  # fmt: skip
    budgets.add_argument("--fp16", action="store_true", help="measure latency in half precision")

    scoring = parser.add_argument_group("scoring")
    scoring.add_argument("--batch_size", type=positive_int, default=16, metavar="N", help="images per score")
    scoring.add_argument("--gamma", type=positive_float, default=0.01, metavar="X", help="size of Zen's perturbation")
    links = scoring.add_mutually_exclusive_group()
    links.add_argument("--no_reslink", dest="keep_links", action="store_false", default=None,
                       help="score without residual links (default for Zen)")  # fmt: skip
    links.add_argument("--keep_reslink", dest="keep_links", action="store_true", help="score with residual links")
    scoring.add_argument("--gpu", type=int, metavar="N", help="score and time on this GPU (default: on the CPU)")
    scoring.add_argument("--device", metavar="NAME", help="torch device name, in place of --gpu")
    scoring.add_argument("--workers", type=positive_int, default=1, metavar="N", help="scoring processes")

    results = parser.add_argument_group("results")
    results.add_argument("--save_dir", type=Path, metavar="FOLDER", help="results folder")
    results.add_argument("--resume", action="store_true", help="continue the search in --save_dir")
    results.add_argument("--overwrite", action="store_true", help="discard what --save_dir holds")
    results.add_argument(
        "--report", type=Path, metavar="FOLDER", help="only re-make a folder's outputs from its database"
    )
    results.add_argument("--json", action="store_true", help="print best.json on standard output, nothing else there")
    return parser.parse_args(argv)


def settings_from(options: Namespace) -> SearchSettings:
    """The settings of the search that the options describe."""
    if options.zero_shot_score is None or options.save_dir is None:
        raise InputError(f"--{'save_dir' if options.zero_shot_score else 'zero_shot_score'} is required")
    if options.plainnet_struct and options.plainnet_struct_txt:
        raise InputError("Give --plainnet_struct or --plainnet_struct_txt, not both")
    proxy = get_proxy(options.zero_shot_score)
    structure = options.plainnet_struct
    if options.plainnet_struct_txt:
        structure = options.plainnet_struct_txt.read_text(encoding="utf-8").strip()
    round_size = options.round_size or (1 if proxy.needs is Needs.VALUE else ROUND_SIZE_OF_MODULE_PROXIES)
    kept = ["zero_shot_score", "evolution_max_iter", "population_size", "seed", "fix_initialize", "origin", "search_space", "batch_size", "input_image_size", "num_classes", "gamma", "use_se", "no_BN", "keep_links", "max_layers", "budget_model_size", "budget_flops", "budget_mac", "budget_latency", "latency_batch_size", "latency_resolution", "fp16"]  # fmt: skip
    return SearchSettings(
        **{name: getattr(options, name) for name in kept},
        round_size=round_size,
        search_space_list=tuple(options.search_space_list),
        plainnet_struct=structure,
        device=options.device or device_name(options.gpu),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Search, or report; returns the exit status."""
    options = parse_options(argv)
    if options.report:
        show(runner.report(options.report), options.report, options.json)
        return 0
    settings, folder = settings_from(options), options.save_dir
    if runner.has_result(folder) and not (options.overwrite or options.resume):
        print(f"skip: {folder / 'best_structure.txt'} exists already (--overwrite starts anew)", file=sys.stderr)
        return 0
    folder.mkdir(parents=True, exist_ok=True)
    if options.overwrite:
        runner.clear(folder)
    log_to(folder / "evolution_search.log", quiet=options.json)
    try:
        summary = runner.run_search(
            settings, folder, resume=options.resume, workers=options.workers, arguments=sys.argv, quiet=options.json
        )
    except runner.Interrupted as interruption:
        log.warning("%s", interruption)
        return interruption.status
    except SearchFailed as failure:
        log.error("%s", failure)
        return FAILED
    show(summary, folder, options.json)
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


if __name__ == "__main__":
    sys.exit(run(main, (SearchError, SearchSpaceError, UnknownProxyError)))
