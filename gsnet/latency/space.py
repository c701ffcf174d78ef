"""Which networks are measured, and as what, from options."""

from __future__ import annotations

import logging
import math
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable

import PlainNet
from gsnet.interface.options import InputError, positive_int
from gsnet.latency.device import precision_of
from gsnet.latency.records import Conditions
from gsnet.latency.setting import Setting
from gsnet.runtimes import runtimes_named
from gsnet.runtimes.registry import ALL
from PlainNet import Network, Style
from SearchSpace import SearchSpace, load_search_space

_LOG = logging.getLogger(__name__)
RESOLUTION, CLASSES = 32, 10


def batch_sizes(options: Namespace) -> list[int]:
    """--batch_size_list, else --batch_size. Raises InputError."""
    if not options.batch_size_list:
        return [options.batch_size]
    try:
        return [positive_int(text) for text in options.batch_size_list.split(",")]
    except ArgumentTypeError as error:
        raise InputError(f"--batch_size_list {options.batch_size_list}: {error}") from error


def setting_of(options: Namespace, backend: str) -> Setting:
    """What the networks of a table are timed as. Raises InputError."""
    sizes = batch_sizes(options)
    if len(sizes) > 1:
        raise InputError("A table is built for one --batch_size at a time")
    precision = precision_of(options.device, options.fp16, backend)
    conditions = Conditions(precision, sizes[0], options.input_image_size or RESOLUTION)
    style = Style(use_se=options.use_se)
    return Setting(conditions, options.num_classes or CLASSES, style, options.device, backend, options.threads)


def space_of(options: Namespace) -> tuple[SearchSpace, Network | None]:
    """The search's space, and where it starts."""
    if not options.search_space:
        raise InputError("A latency table needs --search_space FILE: the search whose networks are measured")
    start = PlainNet.parse(options.plainnet_struct) if options.plainnet_struct else None
    return load_search_space(options.search_space, (start,) if start else ()), start


def say_start(options: Namespace) -> None:
    """Where the networks of a table come from, if the options leave it open. Raises InputError."""
    space, start = space_of(options)
    if start is None:
        _LOG.info(
            "no structure to start from: networks are changed from random ones of %s; a search's is taken by --plainnet_struct",
            space.name,
        )


def admitting(options: Namespace, setting: Setting) -> Callable[[Network], bool]:
    """Which networks may be measured, by --max_layers, --budget_flops and --budget_model_size."""
    resolution = setting.conditions.resolution

    def admits(network: Network) -> bool:
        return (
            network.layers <= options.max_layers
            and (cost := network.cost(resolution, setting.num_classes, setting.style)).flops <= options.budget_flops
            and cost.parameters <= (options.budget_model_size or math.inf)
        )

    return admits


def asked_backend(options: Namespace) -> str | None:
    """The one runtime that --backend names for a table; None where it was left out. Raises InputError for several."""
    if not options.backend:
        return None
    if len(options.backend) > 1 or options.backend == (ALL,):
        raise InputError("A table is of one --backend at a time")
    return runtimes_named(options.backend)[0]
