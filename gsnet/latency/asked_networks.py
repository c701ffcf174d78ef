"""The networks that a table is made from: drawn, and enough for it, before the first of them is timed."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from gsnet.interface.options import InputError
from gsnet.latency.calibration import FEWEST_NETWORKS as FEWEST_TO_CALIBRATE
from gsnet.latency.device import TORCH
from gsnet.latency.inference import FEWEST_NETWORKS as FEWEST_TO_INFER
from gsnet.latency.records import CALIBRATION, TABLE
from gsnet.latency.setting import Setting
from gsnet.latency.space import admitting, space_of
from gsnet.latency.table import LatencyTable
from gsnet.latency.visited import covering_networks, drawn_networks
from PlainNet import Network

# One network in so many may turn out not to run, and another is drawn in its place.
_IN_PLACE = 4


@dataclass(frozen=True)
class Drawn:
    """Different networks, and more of the same draw in place of those that cannot run."""

    networks: list[Network]
    others: Iterator[Network]


def networks_of_layers(options: Namespace, setting: Setting, table: Path | None = None) -> Drawn:
    """One network for each block type, and as many random ones as --networks says.

    table: the file that they are for, which may have others. Raises InputError where a runtime's layers could not be inferred
    from so few.
    """
    space, start = space_of(options)
    covering = covering_networks(space, start, options.seed)
    drawn = _drawn(options, setting, "networks", 2 * options.seed, covering)
    if setting.backend != TORCH:
        known = _known(table, setting, TABLE) | {network.text for network in drawn.networks}
        with_types = f" and one for each of {len(covering)} block types"
        _check(options, "networks", known, FEWEST_TO_INFER, f"{with_types} say too little of their layers")
    return drawn


def networks_to_calibrate(options: Namespace, setting: Setting, table: Path | None = None) -> Drawn:
    """As many random networks as --calibration_networks says. Raises InputError where they are too few; see above."""
    drawn = _drawn(options, setting, "calibration_networks", 2 * options.seed + 1)
    known = _known(table, setting, CALIBRATION) | {network.text for network in drawn.networks}
    _check(options, "calibration_networks", known, FEWEST_TO_CALIBRATE, " cannot calibrate a predictor")
    return drawn


def _drawn(options: Namespace, setting: Setting, option: str, seed: int, besides: Collection[Network] = ()) -> Drawn:
    """The networks `besides` and random ones, none of which is among them."""
    space, start = space_of(options)
    count = getattr(options, option)
    draw = drawn_networks(space, start, seed, admitting(options, setting), besides)
    random = list(islice(draw, count))
    if len(random) < count:
        plural = "s" * (len(random) != 1)
        raise InputError(
            f"--{option} {count}: {space.name} has only {len(random)} such network{plural} within --max_layers and the budgets"
        )
    return Drawn([*besides, *random], islice(draw, 1 + count // _IN_PLACE))


def _known(table: Path | None, setting: Setting, role: str) -> set[str]:
    """The networks that a table has already."""
    if table is None or not table.is_file():
        return set()
    with LatencyTable.open(table) as opened:
        return {network.structure for network in opened.networks(setting.conditions, role)}


def _check(options: Namespace, option: str, networks: Collection[str], fewest: int, why: str) -> None:
    missing = fewest - len(networks)
    if missing > 0:
        count = getattr(options, option)
        raise InputError(f"--{option} {count}: {count}{why}, give at least {count + missing}")
