"""The networks that a table is made from: drawn, and enough for it, before the first of them is timed."""

from __future__ import annotations

import logging
from argparse import Namespace
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from gsnet.interface.options import InputError
from gsnet.interface.words import counted
from gsnet.latency.calibration import FEWEST_NETWORKS as FEWEST_TO_CALIBRATE
from gsnet.latency.device import TORCH
from gsnet.latency.inference import FEWEST_NETWORKS as FEWEST_TO_INFER
from gsnet.latency.records import CALIBRATION, TABLE
from gsnet.latency.setting import Setting
from gsnet.latency.space import admitting, space_of
from gsnet.latency.table import LatencyTable
from gsnet.latency.visited import covering_networks, drawn_networks
from PlainNet import Network

_LOG = logging.getLogger(__name__)
# One network in so many may turn out not to run, and another is drawn in its place.
_IN_PLACE = 4


@dataclass(frozen=True)
class Drawn:
    """Different networks, and more of the same draw in place of those that cannot run.

    role: what they are timed for; option: which of the options says how many are random; types: of how many block types there
    is one network each besides. space: its name.
    """

    networks: list[Network]
    others: Iterator[Network]
    role: str
    option: str
    types: int = 0
    space: str = ""

    @property
    def random(self) -> int:
        """How many of the networks are random."""
        return len(self.networks) - self.types


def networks_of_layers(options: Namespace, setting: Setting) -> Drawn:
    """One network for each block type, and as many random ones as --networks says, or all that there are."""
    space, start = space_of(options)
    covering = covering_networks(space, start, options.seed)
    return _drawn(options, setting, "networks", 2 * options.seed, TABLE, covering)


def networks_to_calibrate(options: Namespace, setting: Setting) -> Drawn:
    """As many random networks as --calibration_networks says, or all that there are."""
    return _drawn(options, setting, "calibration_networks", 2 * options.seed + 1, CALIBRATION)


def say_networks(drawn: Drawn) -> None:
    """How many networks are timed, which are more than were asked for where block types have one each."""
    if drawn.types:
        _LOG.info(
            "%s: one for each of %s and %d random ones (--%s)",
            counted(len(drawn.networks), "network"),
            counted(drawn.types, "block type"),
            drawn.random,
            drawn.option,
        )


def check_enough(
    options: Namespace, setting: Setting, asked: Iterable[Drawn | None], table: Path | None = None
) -> None:
    """Raise InputError where networks are fewer than asked for, than layers are inferred from, or a table is calibrated by.

    table: the file that they are for, which may have others.
    """
    drawn = [one for one in asked if one is not None]
    if few := [
        f"--{one.option} {getattr(options, one.option)}: {one.space} has only {counted(one.random, 'such network')}"
        for one in drawn
        if one.random < getattr(options, one.option)
    ]:
        raise InputError(f"{' and '.join(few)} within --max_layers and the budgets")
    said, enough = [], []
    for one in drawn:
        # Layers of torch are timed one by one.
        if one.role == TABLE and setting.backend == TORCH:
            continue
        fewest = FEWEST_TO_INFER if one.role == TABLE else FEWEST_TO_CALIBRATE
        have = len(_known(table, setting, one.role) | {network.text for network in one.networks})
        if have >= fewest:
            continue
        does = "tell the times of layers" if one.role == TABLE else "calibrate a table"
        number = getattr(options, one.option)
        types = f", with one for each of {counted(one.types, 'block type')}," if one.types else ""
        said.append(f"{fewest} {does}, and --{one.option} {number}{types} makes {have}")
        enough.append(f"--{one.option} {number + fewest - have}")
    if said:
        raise InputError(f"Too few networks: at least {'; at least '.join(said)}. Give {' '.join(enough)}, or more")


def _drawn(
    options: Namespace, setting: Setting, option: str, seed: int, role: str, besides: Collection[Network] = ()
) -> Drawn:
    """The networks `besides` and random ones, none of which is among them."""
    space, start = space_of(options)
    count = getattr(options, option)
    draw = drawn_networks(space, start, seed, admitting(options, setting), besides)
    random = list(islice(draw, count))
    others = islice(draw, 1 + count // _IN_PLACE)
    return Drawn([*besides, *random], others, role, option, len(besides), space.name)


def _known(table: Path | None, setting: Setting, role: str) -> set[str]:
    """The networks that a table has already."""
    if table is None or not table.is_file():
        return set()
    with LatencyTable.open(table) as opened:
        return {network.structure for network in opened.networks(setting.conditions, role)}
