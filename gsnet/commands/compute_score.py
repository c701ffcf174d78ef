"""Score networks with a zero-shot proxy, without training them.

    python compute_score.py --zero_shot_score Zen --plainnet_struct_txt best_structure.txt --repeat_times 8
    python compute_score.py --zero_shot_score NASWOT --arch 'resnet18,zennet_cifar10*,mine.py:Network' --batch_size 64 --json
    python compute_score.py --zero_shot_score NASWOT,Zen,'TE-NAS*' --plainnet_struct_txt networks.txt --csv scores.csv

A structure file holds one network a line; blank lines and lines that begin with # are skipped. Every repeat has weights,
images and batch-normalisation statistics of its own, from the seeds SEED, SEED + 1, and so on.

Larger is better, but of GradientGrowth, GradientSpread, GradientGrowthClosedForm and GradientSpreadClosedForm: networks train
badly where these are large, and small ones are not better for it. They are limits and no aims.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from gsnet.interface.running import run
from gsnet.comparing.measuring import FAILURES, Answers
from gsnet.comparing.score_words import MADE_WITH, as_text, built_with, made_with
from gsnet.comparing.timed_score import prepare, timed_score
from gsnet.evolution.ensemble import refuse_ensembles
from gsnet.interface.logs import log_to
from gsnet.interface.options import (
    FAILED,
    InputError,
    add_device_options,
    device_name,
    positive_float,
    positive_int,
    seed,
)
from gsnet.interface.path_options import new_file, path, structure
from gsnet.interface.rows import say_csv, write_csv
from gsnet.interface.script_options import script_parser
from gsnet.models.described import described
from gsnet.models.named import BUILT_AS, MASTER_NET, names_of, read_structures, structure_of
from gsnet.models.options import ARCH_HELP, CLASSES, RESOLUTION, size_and_classes
from PlainNet import Network, Style
from ZenNet.catalogue import list_models
from ZeroShotProxy import (
    Needs,
    ProxyFailure,
    ScoringSettings,
    UnknownProxyError,
    get_proxy,
    list_proxies,
    proxies_named,
)

if TYPE_CHECKING:
    from torch import nn


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = script_parser(__doc__ or "", argv)
    parser.alternatives += [("plainnet_struct", "plainnet_struct_txt"), ("gpu", "device")]
    proxy = parser.add_argument_group("proxy")
    proxy.add_argument(
        "--zero_shot_score",
        default="Zen",
        metavar="NAME",
        help=f"one, several between commas, a pattern, or all, of {', '.join(list_proxies())}",
    )
    proxy.add_argument("--repeat_times", type=positive_int, default=1, metavar="N", help="independent repeats")
    proxy.add_argument("--seed", type=seed, default=0, metavar="N", help="seed of the first repeat")
    proxy.add_argument("--batch_size", type=positive_int, default=16, metavar="N", help="images in a batch")
    proxy.add_argument(
        "--input_image_size", type=positive_int, metavar="PIXELS", help="side (default: the network's own, else 224)"
    )
    proxy.add_argument("--gamma", type=positive_float, default=1e-2, metavar="X", help="size of Zen's perturbation")
    add_device_options(proxy)

    network = parser.add_argument_group("network")
    network.add_argument("--plainnet_struct", type=structure, metavar="TEXT", help="structure string")
    network.add_argument("--plainnet_struct_txt", type=path, metavar="FILE", help="file with a structure string a line")
    network.add_argument(
        "--arch",
        default=MASTER_NET,
        metavar="NAME",
        help=ARCH_HELP,
    )
    network.add_argument(
        "--num_classes", type=positive_int, metavar="N", help="classes (default: the network's own, else 1000)"
    )
    network.add_argument("--use_se", action="store_true", help="with squeeze-and-excitation in super-blocks")
    network.add_argument("--no_BN", action="store_true", help="without batch normalisation")
    links = network.add_mutually_exclusive_group()
    links.add_argument("--keep_reslink", dest="keep_links", action="store_true", default=None,
                       help="with residual links (default: the proxy's choice, for Zen without)")  # fmt: skip
    links.add_argument("--no_reslink", dest="keep_links", action="store_false", default=None,
                       help="without residual links")  # fmt: skip

    output = parser.add_argument_group("output")
    output.add_argument(
        "--json", action="store_true", help="one JSON object a network, and a proxy, on standard output"
    )
    output.add_argument(
        "--csv",
        type=new_file,
        metavar="FILE",
        help="table: a row a network, how it was scored, a column a proxy, and why there is no score",
    )
    return parser.parse_args(argv)


@dataclass(frozen=True)
class Candidate:
    """A network to score: its structure or name, its value or what builds its module, and how it is looked at."""

    name: str
    make: Callable[[], Network | nn.Module]
    settings: ScoringSettings


def attempts(options: Namespace) -> list[tuple[str, Callable[[], Candidate]]]:
    """The networks that the options name, each with what finds it. Raises InputError, StructureError."""
    if options.plainnet_struct_txt is None:
        return [(name, partial(_named, options, name)) for name in names_of(options.arch)]
    if options.arch not in BUILT_AS or options.plainnet_struct:
        raise InputError("--plainnet_struct_txt holds networks itself: leave --arch and --plainnet_struct out")
    if described(options.plainnet_struct_txt):
        # The folder of a search knows more of the structure in it.
        return [(str(options.plainnet_struct_txt), partial(_named, options, str(options.plainnet_struct_txt)))]
    settings = settings_of(options, Style(use_se=options.use_se, no_BN=options.no_BN), RESOLUTION, CLASSES)
    networks = read_structures(options.plainnet_struct_txt)
    return [(str(network), partial(_value, network, str(network), settings)) for network in networks]


def _named(options: Namespace, arch: str) -> Candidate:
    found = structure_of(arch, options.plainnet_struct, use_se=options.use_se)
    if found is not None:
        network, style = found
        style = replace(style, no_BN=options.no_BN or style.no_BN)
        size, classes = size_and_classes(arch, options.input_image_size, options.num_classes)
        name = arch if arch in list_models() else str(network)
        return _value(network, name, settings_of(options, style, size, classes))
    if options.keep_links is not None:
        raise InputError(f"--arch {arch} is fixed: --keep_reslink and --no_reslink are for structures")
    if options.no_BN:
        raise InputError(f"--arch {arch} is fixed: --no_BN is for structures")
    from gsnet.models import expected_input, load_model

    built = {"num_classes": options.num_classes, "plainnet_struct": options.plainnet_struct, "use_se": options.use_se}
    expected = expected_input(arch)
    return Candidate(
        arch, partial(load_model, arch, **built), settings_of(options, Style(), expected.resolution, expected.classes)
    )


def _value(network: Network, name: str, settings: ScoringSettings) -> Candidate:
    return Candidate(name, lambda: network, settings)


def settings_of(options: Namespace, style: Style, resolution: int, classes: int) -> ScoringSettings:
    """How a network is scored; resolution and classes: its own, which the options replace."""
    return ScoringSettings(
        resolution=options.input_image_size or resolution,
        batch_size=options.batch_size,
        num_classes=options.num_classes or classes,
        gamma=options.gamma,
        device=device_name(options.gpu, options.device),
        keep_links=options.keep_links,
        style=style,
    )


def score_network(candidate: Candidate, network: Network | nn.Module, proxy: str, options: Namespace) -> dict:
    """The result of one network by one proxy, as --json prints it. Raises ProxyFailure, InputError."""
    looks = get_proxy(proxy).needs is not Needs.VALUE
    if not looks and not isinstance(network, Network):
        raise InputError(f"{proxy} scores structure strings only, and {candidate.name} has none")
    seeds, settings = range(options.seed, options.seed + options.repeat_times), candidate.settings
    timed = timed_score(network, proxy, settings, seeds)
    result = timed.result
    return {
        "proxy": proxy,
        "score": result.mean,
        "std": result.std,
        "repeats": len(seeds),
        "seconds_per_score": timed.seconds,
        "seconds_first_score": timed.first_seconds,
        "resolution": settings.resolution,
        "classes": settings.num_classes,
        "images": "standard normal noise" if looks else None,
        "batch_size": settings.batch_size if looks else None,
        "seed": seeds[0],
        "gamma": settings.gamma,
        **built_with(network, proxy, settings),
        "structure": candidate.name,
    }


def chosen_proxies(options: Namespace) -> list[str]:
    """The proxies that --zero_shot_score names. Raises InputError, UnknownProxyError."""
    chosen = proxies_named(options.zero_shot_score)
    refuse_ensembles(chosen)
    for name in chosen:
        get_proxy(name, aggregates=())
    return chosen


def score_all(
    options: Namespace,
    proxies: Sequence[str],
    several: Sequence[tuple[str, Callable[[], Candidate]]],
    rows: list[Answers],
) -> int:
    """Score every network by every proxy, print each result and add each network's to `rows`; returns the exit status."""
    status = 0
    prepared: set[tuple[str, ScoringSettings]] = set()
    for name, find in several:
        row = Answers(name)
        rows.append(row)
        try:
            candidate = find()
            network = candidate.make()
            row.figures |= {"resolution": candidate.settings.resolution, "classes": candidate.settings.num_classes}
        except FAILURES as error:
            if len(several) == 1:
                raise
            row.failures |= dict.fromkeys(proxies, say_failure(name, proxies, error))
            status = FAILED
            continue
        results = []
        for proxy in proxies:
            if (one := (proxy, candidate.settings)) not in prepared:
                # Once, and not in the seconds of the first score.
                prepare(*one)
                prepared.add(one)
            try:
                result = score_network(candidate, network, proxy, options)
            except (ProxyFailure, InputError) as failure:
                if isinstance(failure, InputError) and len(several) == len(proxies) == 1:
                    raise
                row.failures[proxy] = say_failure(candidate.name, (proxy,), failure)
                status = FAILED
                continue
            results.append(result)
            row.figures |= {proxy: result["score"], deviation(proxy): result["std"], **made_with(results)}
            sys.stdout.write((json.dumps(result) if options.json else as_text(result)) + "\n")
            sys.stdout.flush()
    return status


def say_failure(name: str, proxies: Sequence[str], failure: Exception) -> str:
    """One line on standard error for what has failed; returns the reason."""
    reason = " ".join(str(failure).split())
    subject = f"{proxies[0]} cannot score {name}" if len(proxies) == 1 else f"{name} cannot be scored"
    sys.stderr.write(f"compute_score.py: {subject}: {reason}\n")
    return reason


def deviation(proxy: str) -> str:
    """The column of a proxy's standard deviation over repeats."""
    return f"{proxy} std"


def table_of(rows: Sequence[Answers], proxies: Sequence[str], repeats: int) -> list[dict[str, object]]:
    """A row a network: how it was scored, a column a proxy, with repeats one of deviations too, and last why some failed."""
    scores = [name for proxy in proxies for name in ((proxy, deviation(proxy)) if repeats > 1 else (proxy,))]
    columns = ("resolution", "classes", *MADE_WITH, *scores)
    return [
        {"arch": row.name, **{name: row.figures.get(name) for name in columns}, "error": row.reasons()} for row in rows
    ]


def main(argv: Sequence[str] | None = None) -> int:
    """Score every network; a network that cannot be scored is reported, and the others are scored all the same."""
    options = parse_options(argv)
    log_to(quiet=options.json)
    proxies = chosen_proxies(options)
    several = attempts(options)
    rows: list[Answers] = []
    try:
        return score_all(options, proxies, several, rows)
    finally:
        # After an interrupt too: what was scored until then. A refusal before any leaves an older table as it is.
        if any(row.figures or row.failures for row in rows):
            write_csv(options.csv, table_of(rows, proxies, options.repeat_times))
            say_csv(options.csv)


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main, (UnknownProxyError,))
