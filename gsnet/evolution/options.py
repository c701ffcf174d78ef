"""The options of evolution_search.py, and what they mean to a search."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import fields, replace

import PlainNet
from gsnet.evolution.again import options_of_search
from gsnet.evolution.budget_options import add_budget_options, objectives_from, refuse_ignored_budget_options
from gsnet.evolution.ensemble import DEFAULT_MEMBERS, ENSEMBLE, NAMED_ENSEMBLES
from gsnet.evolution.figures import figure_settings
from gsnet.evolution.folder import rule_of
from gsnet.evolution.jobs import TLS_OPTIONS, TlsFiles
from gsnet.evolution.latency_source import latency_source
from gsnet.evolution.result import load
from gsnet.evolution.session import RunOptions
from gsnet.evolution.settings import (
    DEFAULT_ITERATIONS,
    DEFAULT_MIGRATION,
    DEFAULT_POPULATION,
    EVOLUTIONS,
    FITTING,
    KNOWN_FIGURES,
    OBJECTIVES,
    PUBLISHED,
    SearchSettings,
)
from gsnet.interface import plugins
from gsnet.interface.options import (
    InputError,
    OptionParser,
    add_device_options,
    device_name,
    positive_float,
    positive_int,
    seed,
)
from gsnet.interface.path_options import path, structure
from gsnet.interface.script_options import script_parser
from gsnet.tracking import add_log
from SearchSpace import list_spaces, space_file
from ZeroShotProxy import Needs, get_proxy, list_proxies

ROUND_SIZE_OF_MODULE_PROXIES = 32
ROUNDS_BETWEEN_MIGRATIONS = 10


def parse_options(argv: Sequence[str] | None, description: str) -> Namespace:
    """The command line."""
    parser = script_parser(description, argv, {"settings": options_of_search})
    parser.alternatives += [("plainnet_struct", "plainnet_struct_txt", "start_from"), ("gpu", "device")]
    search = parser.add_argument_group("search")
    search.add_argument("--zero_shot_score", metavar="NAME", help=f"proxy: {', '.join(list_proxies())}, "
                        f"or an ensemble of them: {', '.join(NAMED_ENSEMBLES)}, or {ENSEMBLE}")  # fmt: skip
    search.add_argument("--ensemble", default="", metavar="A,B",
                        help="with Ensemble: the proxies whose log ranks in the population add up "
                        f"(default: {','.join(DEFAULT_MEMBERS)}, chosen together with --budget_growth 3.5); "
                        "scores in the log are of the population at each moment, in results of the last one")  # fmt: skip
    search.add_argument(
        "--evolution_max_iter",
        type=positive_int,
        default=DEFAULT_ITERATIONS,
        metavar="N",
        help="proposals, such as 480k",
    )
    search.add_argument(
        "--population_size", type=positive_int, default=DEFAULT_POPULATION, metavar="N", help="survivors"
    )
    search.add_argument("--seed", type=seed, default=0, metavar="N", help="same seed and options, same history")
    search.add_argument("--fix_initialize", action="store_true", help="first candidates mutate the given structure")
    search.add_argument("--origin", action="store_true", help="later candidates are mutated within --search_space")
    search.add_argument("--evolution", choices=EVOLUTIONS,
                        help=f"{FITTING}: change some properties of a block within the budgets, and cross parents that "
                        f"win a tournament; {PUBLISHED}: replace whole blocks of any parent, as Zen-NAS does "
                        f"(default: {FITTING}, or what the search in --save_dir began with)")  # fmt: skip
    search.add_argument(
        "--search_space",
        metavar="FILE",
        help=f"{', '.join(list_spaces())}, or a Python file with gen_search_space(block_list, block_id)",
    )
    search.add_argument("--search_space_list", nargs="+", default=[], metavar="FILE", help="PlainNet block files")
    search.add_argument("--round_size", type=positive_int, metavar="N",
                        help="candidates drawn from one population (default: 1 for value-only proxies, else 32)")  # fmt: skip

    search.add_argument("--islands", type=positive_int, default=1, metavar="N",
                        help="populations of --population_size each that exchange their best now and then; --workers and "
                        "--scheduler have them live in several processes, to the same result")  # fmt: skip
    search.add_argument("--migration", type=positive_int, metavar="N",
                        help=f"proposals of an island between two exchanges (default: {DEFAULT_MIGRATION:,} for value-only "
                        f"proxies, else {ROUNDS_BETWEEN_MIGRATIONS} rounds)")  # fmt: skip
    search.add_argument("--objectives", default="score", metavar="A,B",
                        help="survive by score alone, or by several of " + ", ".join((*OBJECTIVES, *KNOWN_FIGURES))
                        + "; the front is in pareto.csv")  # fmt: skip

    network = parser.add_argument_group("networks")
    network.add_argument("--plainnet_struct", type=structure, metavar="TEXT", help="structure to start from")
    network.add_argument(
        "--plainnet_struct_txt", type=path, metavar="FILE", help="file with that structure, or with several, one a line"
    )
    network.add_argument("--start_from", type=path, metavar="FOLDER",
                         help="start from the Pareto front of another search's results (implies --fix_initialize)")  # fmt: skip
    network.add_argument("--num_classes", type=positive_int, default=10, metavar="N", help="classes")
    network.add_argument(
        "--input_image_size", type=positive_int, default=32, metavar="PIXELS", help="image height and width"
    )
    network.add_argument("--use_se", action="store_true", help="squeeze-and-excitation in super-blocks")
    network.add_argument("--no_BN", action="store_true", help="without batch normalisation")

    add_budget_options(parser)

    scoring = parser.add_argument_group("scoring")
    scoring.add_argument("--batch_size", type=positive_int, default=16, metavar="N", help="images per score")
    scoring.add_argument("--gamma", type=positive_float, default=0.01, metavar="X", help="size of Zen's perturbation")
    links = scoring.add_mutually_exclusive_group()
    links.add_argument("--no_reslink", dest="keep_links", action="store_false", default=None,
                       help="score without residual links (default for Zen)")  # fmt: skip
    links.add_argument("--keep_reslink", dest="keep_links", action="store_true", default=None,
                       help="score with residual links")  # fmt: skip
    add_device_options(scoring)
    scoring.add_argument(
        "--workers", type=positive_int, default=1, metavar="N", help="processes that score, or that islands live in"
    )
    scoring.add_argument(
        "--scheduler", metavar="ADDRESS", help="Dask scheduler to score on, or for islands, such as tcp://HOST:8786"
    )
    scoring.add_argument(
        "--tls_ca_file", metavar="FILE", help="certificate authority of that scheduler (tls://HOST:8786)"
    )
    scoring.add_argument("--tls_cert", metavar="FILE", help="our certificate")
    scoring.add_argument("--tls_key", metavar="FILE", help="our key")

    results = parser.add_argument_group("results")
    results.add_argument("--save_dir", type=path, metavar="FOLDER", help="results folder")
    results.add_argument("--resume", action="store_true", help="continue the search in --save_dir")
    results.add_argument("--overwrite", action="store_true", help="discard what --save_dir holds")
    results.add_argument(
        "--report", type=path, metavar="FOLDER", help="only re-make a folder's outputs from its database"
    )
    results.add_argument("--verify_top", type=positive_int, default=0, metavar="N",
                         help="re-score the N best by Monte-Carlo Zen at the end: verified.csv (default: none)")  # fmt: skip
    add_log(
        results,
        "log the search while it runs: csv (curves.csv), tensorboard (curves/), wandb, mlflow; several with commas",
    )
    results.add_argument("--tensorboard", action="store_true", help="the same as --log tensorboard")
    results.add_argument("--json", action="store_true", help="print best.json on standard output, nothing else there")
    options = parser.parse_args(argv)
    _refuse_ignored(parser, options)
    return options


def _refuse_ignored(parser: OptionParser, options: Namespace) -> None:
    """What other options leave without effect. Raises InputError."""
    if options.report:
        parser.refuse_all_but(options, "with --report", ("report", "json", "plugin"))
        return
    if options.overwrite and options.resume:
        raise InputError("--overwrite and --resume contradict each other: use one of them")
    refuse_ignored_budget_options(parser, options)
    if options.scheduler is None:
        parser.refuse_ignored(options, "without --scheduler", TLS_OPTIONS)
    else:
        parser.refuse_ignored(options, "with --scheduler, which has workers of its own", ("workers",))
    if options.islands == 1:
        parser.refuse_ignored(options, "without --islands", ("migration",))
    if options.fix_initialize and options.origin:
        parser.refuse_ignored(options, "with --fix_initialize and --origin", ("search_space_list",))
    if not (options.fix_initialize or options.start_from) and (options.plainnet_struct or options.plainnet_struct_txt):
        raise InputError(
            "Without --fix_initialize first candidates are random networks: add it, or leave the structure to start from out"
        )


def settings_from(options: Namespace) -> SearchSettings:
    """The settings of the search that the options describe."""
    if options.zero_shot_score is None or options.save_dir is None:
        raise InputError(f"--{'save_dir' if options.zero_shot_score else 'zero_shot_score'} is required")
    objectives = objectives_from(options.objectives)
    proxies = ensemble_from(options.ensemble, options.zero_shot_score, objectives) or (options.zero_shot_score,)
    needs = {get_proxy(name).needs for name in proxies}
    round_size = options.round_size or (1 if needs == {Needs.VALUE} else ROUND_SIZE_OF_MODULE_PROXIES)
    known = {field.name for field in fields(SearchSettings)}
    given = {name: value for name, value in vars(options).items() if name in known}
    figures, limits = figure_settings({name: getattr(options, f"budget_{name}") for name in KNOWN_FIGURES}, objectives)
    worked_out = {
        "figures": figures,
        "limits": limits,
        "round_size": round_size,
        "migration": options.migration or migration_of(options.islands, round_size, needs == {Needs.VALUE}),
        "evolution": options.evolution or rule_of(options.save_dir, options.overwrite),
        "search_space_list": tuple(options.search_space_list),
        "plainnet_struct": starting_text(options),
        "search_space": space_file(options.search_space) if options.search_space else None,
        "fix_initialize": options.fix_initialize or options.start_from is not None,
        "objectives": objectives,
        "ensemble": proxies if options.zero_shot_score == ENSEMBLE else (),
        "device": device_name(options.gpu, options.device),
        "latency_table": None,
        "plugins": plugins.recorded(),
    }
    settings = SearchSettings(**given | worked_out)
    return replace(settings, **latency_source(settings, options.latency_table))


def migration_of(islands: int, round_size: int, value_only: bool) -> int:
    """How many proposals of an island lie between two migrations where nobody says it: whole rounds, and some time."""
    if islands == 1:
        return DEFAULT_MIGRATION
    rounds = DEFAULT_MIGRATION // round_size if value_only else ROUNDS_BETWEEN_MIGRATIONS
    return round_size * max(1, rounds)


def starting_text(options: Namespace) -> str | None:
    """The structures to start from, one a line. Raises InputError."""
    given = ("plainnet_struct", "plainnet_struct_txt", "start_from")
    names = [f"--{name}" for name in given if getattr(options, name) is not None]
    if len(names) > 1:
        raise InputError(f"Give {' or '.join(names)}, not {'both' if len(names) == 2 else 'all'}")
    if options.plainnet_struct_txt:
        return PlainNet.read_structure_text(options.plainnet_struct_txt)
    if options.start_from is None:
        return options.plainnet_struct
    front = load(options.start_from).pareto
    if not front:
        raise InputError(f"{options.start_from} holds no scored candidate to start from")
    # More than survive need not be proposed; the best come first.
    return "\n".join(row.structure for row in front[: options.population_size])


def ensemble_from(text: str, zero_shot_score: str, objectives: tuple[str, ...]) -> tuple[str, ...]:
    """The members of an ensemble; none where a single proxy scores. Raises InputError and UnknownProxyError."""
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if zero_shot_score != ENSEMBLE and names:
        raise InputError(f"--ensemble goes with --zero_shot_score {ENSEMBLE}, not {zero_shot_score}")
    if zero_shot_score not in (ENSEMBLE, *NAMED_ENSEMBLES):
        return ()
    names = NAMED_ENSEMBLES.get(zero_shot_score, names or DEFAULT_MEMBERS)
    if len(names) < 2:
        raise InputError(f"--zero_shot_score {ENSEMBLE} needs at least two proxies in --ensemble A,B")
    if objectives != ("score",):
        raise InputError(f"--objectives go with a single proxy: the ranks of an {ENSEMBLE} are its objectives")
    for name in names:
        get_proxy(name, aggregates=())
    return names


def check_verified(verify_top: int, zero_shot_score: str) -> None:
    """Raise InputError where the best were scored by something else than what they would be re-scored by."""
    if verify_top and not zero_shot_score.startswith("Zen"):
        raise InputError("--verify_top re-scores by Monte-Carlo Zen: it goes with ZenClosedForm and Zen")


def run_options(options: Namespace) -> RunOptions:
    """How the search runs."""
    tls = (options.tls_ca_file, options.tls_cert, options.tls_key)
    if any(tls) and not all(tls):
        raise InputError("--tls_ca_file, --tls_cert and --tls_key belong together")
    check_verified(options.verify_top, options.zero_shot_score)
    return RunOptions(
        resume=options.resume,
        overwrite=options.overwrite,
        workers=options.workers,
        scheduler=options.scheduler,
        tls=TlsFiles(*tls) if all(tls) else None,
        log=tuple(dict.fromkeys((*options.log, *(("tensorboard",) if options.tensorboard else ())))),
        verify_top=options.verify_top,
        quiet=options.json,
    )
