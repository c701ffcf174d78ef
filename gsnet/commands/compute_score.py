"""Score networks with a zero-shot proxy, without training them. Larger is better.

    python compute_score.py --zero_shot_score Zen --plainnet_struct_txt best_structure.txt --repeat_times 8
    python compute_score.py --zero_shot_score NASWOT --arch resnet18 --batch_size 64 --json

A structure file holds one network a line; blank lines and lines that begin with # are skipped. Every repeat has weights,
images and batch-normalisation statistics of its own, from the seeds SEED, SEED + 1, and so on.
"""

from __future__ import annotations

import difflib
import json
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import PlainNet
from gsnet.interface.running import FAILED, run
from gsnet.evolution.ensemble import ENSEMBLE, NAMED_ENSEMBLES
from gsnet.interface.options import InputError, OptionParser, device_name, positive_float, positive_int
from PlainNet import Network, StructureError, Style
from ZeroShotProxy import (
    Needs,
    ProxyFailure,
    ScoringSettings,
    UnknownProxyError,
    get_proxy,
    list_proxies,
    repeated_score,
)

if TYPE_CHECKING:
    from torch import nn

_MASTERNET = "Masternet.py:MasterNet"


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = OptionParser(__doc__ or "")
    proxy = parser.add_argument_group("proxy")
    proxy.add_argument("--zero_shot_score", default="Zen", metavar="NAME", help=f"one of {', '.join(list_proxies())}")
    proxy.add_argument("--repeat_times", type=positive_int, default=1, metavar="N", help="independent repeats")
    proxy.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the first repeat")
    proxy.add_argument("--batch_size", type=positive_int, default=16, metavar="N", help="images in a batch")
    proxy.add_argument("--input_image_size", type=positive_int, default=224, metavar="PIXELS", help="height and width")
    proxy.add_argument("--gamma", type=positive_float, default=1e-2, metavar="X", help="size of Zen's perturbation")
    proxy.add_argument("--gpu", type=int, metavar="N", help="GPU to score on; the CPU without it")

    network = parser.add_argument_group("network")
    network.add_argument("--plainnet_struct", metavar="TEXT", help="structure string")
    network.add_argument("--plainnet_struct_txt", type=Path, metavar="FILE", help="file with a structure string a line")
    network.add_argument(
        "--arch", default=_MASTERNET, metavar="NAME", help="what is built, or a torchvision classifier"
    )
    network.add_argument("--num_classes", type=positive_int, default=1000, metavar="N", help="classes")
    network.add_argument("--use_se", action="store_true", help="with squeeze-and-excitation in super-blocks")
    links = network.add_mutually_exclusive_group()
    links.add_argument("--keep_reslink", dest="keep_links", action="store_true", default=None,
                       help="with residual links (default: the proxy's choice, for Zen without)")  # fmt: skip
    links.add_argument("--no_reslink", dest="keep_links", action="store_false", default=None,
                       help="without residual links")  # fmt: skip

    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object a network on standard output")
    return parser.parse_args(argv)


def load_networks(options: Namespace) -> list[tuple[str, Network | nn.Module]]:
    """The networks that the options name, each with its structure string or torchvision name."""
    if options.arch != _MASTERNET:
        return [(options.arch, torchvision_network(options))]
    if bool(options.plainnet_struct) == bool(options.plainnet_struct_txt):
        raise InputError("Give one of --plainnet_struct and --plainnet_struct_txt, or --arch with a torchvision name")
    if options.plainnet_struct:
        structures = [PlainNet.parse(options.plainnet_struct)]
    else:
        structures = read_structures(options.plainnet_struct_txt)
    return [(str(structure), structure) for structure in structures]


def read_structures(path: Path) -> list[Network]:
    """One network for every line of a file that is neither blank nor a comment."""
    structures = []
    lines = PlainNet.read_structure_text(path, largest=1 << 30).splitlines()
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        try:
            structures.append(PlainNet.parse(text))
        except StructureError as error:
            raise InputError(f"{path}, line {number}: {error}") from error
    if not structures:
        raise InputError(f"{path} holds no structure string")
    return structures


def torchvision_network(options: Namespace) -> nn.Module:
    """An untrained classifier of torchvision."""
    if options.plainnet_struct or options.plainnet_struct_txt:
        raise InputError(f"--arch {options.arch} takes no structure: leave it or --plainnet_struct out")
    if options.use_se or options.keep_links is not None:
        raise InputError(
            f"--arch {options.arch} is fixed: --use_se, --keep_reslink and --no_reslink are for structures"
        )
    if get_proxy(options.zero_shot_score).needs is Needs.VALUE:
        raise InputError(f"{options.zero_shot_score} scores structure strings only: give --plainnet_struct")
    from torchvision import models

    names = models.list_models(module=models)
    if options.arch not in names:
        nearest = difflib.get_close_matches(options.arch, names, n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise InputError(f"--arch {options.arch} is neither {_MASTERNET} nor a classifier of torchvision{hint}")
    return models.get_model(options.arch, weights=None, num_classes=options.num_classes)


def score_network(name: str, network: Network | nn.Module, options: Namespace, settings: ScoringSettings) -> dict:
    """The result of one network, as --json prints it. Raises ProxyFailure."""
    seeds = range(options.seed, options.seed + options.repeat_times)
    start = time.perf_counter()
    result = repeated_score(network, options.zero_shot_score, settings, seeds)
    return {
        "proxy": options.zero_shot_score,
        "score": result.mean,
        "std": result.std,
        "repeats": len(seeds),
        "seconds_per_score": (time.perf_counter() - start) / len(seeds),
        "structure": name,
    }


def as_text(result: dict) -> str:
    """The result for a person."""
    spread = f" +- {result['std']:.2g} over {result['repeats']} repeats" if result["repeats"] > 1 else ""
    head = f"{result['proxy']} {result['score']:.6g}{spread}, {result['seconds_per_score']:.3g} s a score"
    return f"{head}: {result['structure']}"


def main(argv: Sequence[str] | None = None) -> int:
    """Score every network; a network that cannot be scored is reported, and the others are scored all the same."""
    options = parse_options(argv)
    if options.zero_shot_score in (ENSEMBLE, *NAMED_ENSEMBLES):
        members = ", ".join(NAMED_ENSEMBLES.get(options.zero_shot_score, ())) or "those of --ensemble"
        raise InputError(
            f"{options.zero_shot_score} ranks the networks of a search by several proxies ({members}): give it to "
            "evolution_search.py, or one of those proxies to this script"
        )
    get_proxy(options.zero_shot_score)
    settings = ScoringSettings(
        resolution=options.input_image_size,
        batch_size=options.batch_size,
        num_classes=options.num_classes,
        gamma=options.gamma,
        device=device_name(options.gpu),
        keep_links=options.keep_links,
        style=Style(use_se=options.use_se),
    )
    status = 0
    for name, network in load_networks(options):
        try:
            result = score_network(name, network, options, settings)
        except ProxyFailure as failure:
            reason = " ".join(str(failure).split())
            sys.stderr.write(f"compute_score.py: {options.zero_shot_score} cannot score {name}: {reason}\n")
            status = FAILED
            continue
        sys.stdout.write((json.dumps(result) if options.json else as_text(result)) + "\n")
        sys.stdout.flush()
    return status


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main, (UnknownProxyError,))
