"""Filling a device's table: layers timed in chains, whole networks timed in rounds, and the fit of the one to the other."""

from __future__ import annotations

import logging
import random
import shutil
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

import PlainNet
from gsnet.latency import inference
from gsnet.latency.calibration import fit, fit_inferred
from gsnet.latency.device import TORCH, device_identity
from gsnet.latency.errors import LatencyError
from gsnet.latency.layers import Layer
from gsnet.latency.predictor import LatencyModel, Measure
from gsnet.latency.profiled import Share, convolution_shares
from gsnet.latency.records import Calibration, Conditions, Origin, TimedNetwork
from gsnet.latency.setting import Setting
from gsnet.latency.table import LatencyTable
from gsnet.latency.timed_networks import SecondsOf, profiler_of, timer_of
from gsnet.runtimes import RuntimesError, runtime
from PlainNet import Network

log = logging.getLogger(__name__)
_Item = TypeVar("_Item")

ROUNDS = 5
# Where the two least times of a network differ by more than this part, it is timed again, but not for ever.
AGREEMENT, MOST_ROUNDS = 0.02, 20
# What whole networks are timed for: to infer layers from, or to be fitted.
TABLE, CALIBRATION = "table", "calibration"


def open_at_hand(path: Path, device: str, backend: str = TORCH, threads: int = 1) -> LatencyTable:
    """The table of what is at hand, made if there is none. Raises LatencyError for one of another device or runtime."""
    program = runtime(backend)
    program.require(writing=False)
    origin = Origin(device_identity(device, threads), backend, program.version())
    return LatencyTable.open_for(path, origin, rewrites=program.multiple is not None)


def measure_missing(table: Path, device: str, precision: str, threads: int = 1) -> Measure:
    """What times a chain of layers on a torch device and keeps in its table those that are missing.

    threads: of a processor. Raises LatencyError where the table is of another device.
    """
    import torch

    from gsnet.latency.probe import measure_chain

    torch.set_num_threads(threads)
    open_at_hand(table, device, threads=threads).close()

    def measure(chain: Sequence[Layer], missing: Collection[Layer]) -> dict[Layer, float | None]:
        seconds = measure_chain(chain, device=device, precision=precision)
        found = {layer: seconds[layer] for layer in missing}
        with open_at_hand(table, device, threads=threads) as opened:
            opened.add_layers(precision, found.items())
        return found

    return measure


def measure_layers(
    table: LatencyTable,
    networks: Sequence[Network],
    setting: Setting,
    *,
    more: Callable[[], bool] = lambda: True,
    quiet: bool = False,
) -> int:
    """Time the layers of networks that the table has not had yet, while `more()`; returns how many are left."""
    from gsnet.latency.probe import measure_chain

    done = table.chains(setting.conditions)
    waiting = [network for network in networks if _chain_name(network, setting) not in done]
    with _progress(len(networks), len(networks) - len(waiting), "layers of networks", quiet) as bar:
        for index, network in enumerate(waiting):
            if not more():
                return len(waiting) - index
            chain = setting.layers(network)
            seconds = measure_chain(chain, device=setting.device, precision=setting.conditions.precision)
            table.add_chain(setting.conditions, _chain_name(network, setting), seconds.items())
            bar.update()
    return 0


def time_networks(
    table: LatencyTable,
    networks: Sequence[Network],
    setting: Setting,
    *,
    role: str = CALIBRATION,
    rounds: int = ROUNDS,
    more: Callable[[], bool] = lambda: True,
    others: Iterable[Network] = (),
    quiet: bool = False,
) -> int:
    """Time whole networks, all of them once in every round, while `more()`; returns how many turns are left.

    A computer's speed drifts over minutes: rounds spread each network over the whole time, the order within each is random.
    others: are timed in place of networks that cannot run, so that no fewer are. Raises LatencyError or RuntimesError for a
    network that cannot run when there is none left. Files of networks stay for further rounds: `remove_files` ends them.
    """
    done = table.rounds(setting.conditions, role, setting.num_classes, setting.style.use_se)
    turns = [(number, network) for number in range(rounds) for network in _shuffled(networks, number)]
    waiting = [(number, network) for number, network in turns if (number, network.text) not in done]
    timer = _Replacing(timer_of(setting, files_of(table.path)), others)
    with _progress(len(turns), len(turns) - len(waiting), "timing networks", quiet) as bar:
        for index, (number, network) in enumerate(waiting):
            if not more():
                return len(waiting) - index
            if (number, timer.in_place_of(network).text) not in done:
                network, seconds = timer.time(network)
                timed = TimedNetwork(network.text, setting.num_classes, setting.style.use_se, role, seconds)
                table.add_network(setting.conditions, timed, number)
            bar.update()
    return 0


def settle_networks(
    table: LatencyTable,
    setting: Setting,
    *,
    role: str = CALIBRATION,
    more: Callable[[], bool] = lambda: True,
    quiet: bool = False,
) -> int:
    """Time networks again whose two least times differ, while `more()`; returns how many are left.

    Where other programs share caches and memory, the least of five rounds can still be 20 % too long; two that agree are
    seldom so. None is timed more than MOST_ROUNDS times. Raises LatencyError or RuntimesError.
    """
    seconds_of = timer_of(setting, files_of(table.path))
    passes = 0
    while left := _unsettled(table, setting, role):
        number = 1 + min(left.values())
        what = f"timing again where times differ by over {AGREEMENT:.0%}, round {number} of at most {MOST_ROUNDS}"
        with _progress(len(left), 0, what, quiet) as bar:
            for index, (network, rounds) in enumerate(_shuffled(left.items(), passes)):
                if not more():
                    return len(left) - index
                again = network._replace(seconds=seconds_of(PlainNet.parse(network.structure)))
                table.add_network(setting.conditions, again, rounds)
                bar.update()
        passes += 1
    return 0


def profile_networks(
    table: LatencyTable,
    setting: Setting,
    *,
    role: str = CALIBRATION,
    more: Callable[[], bool] = lambda: True,
    quiet: bool = False,
) -> int:
    """Ask the runtime how the time of each timed network is divided among its operations, while `more()`; returns how many
    are left. Of a runtime that does not tell, none are. Raises LatencyError or RuntimesError.
    """
    program = runtime(setting.backend)
    if not program.tells_operations:
        return 0
    done = table.profiles(setting.conditions, role)
    timed = [one for one in table.networks(setting.conditions, role) if _as_timed(one, setting) == setting]
    waiting = [one for one in timed if one._replace(seconds=0.0) not in done]
    operations_of = profiler_of(setting, files_of(table.path))
    with _progress(len(timed), len(timed) - len(waiting), "profiling networks", quiet) as bar:
        for index, network in enumerate(waiting):
            if not more():
                return len(waiting) - index
            operations = operations_of(PlainNet.parse(network.structure), network.seconds)
            table.add_profile(
                setting.conditions, network, convolution_shares(_layers_of(network, setting, table), operations)
            )
            bar.update()
    return 0


def _unsettled(table: LatencyTable, setting: Setting, role: str) -> dict[TimedNetwork, int]:
    """Networks of this setting that are to be timed again, with the number of their next round."""
    found = {}
    for network, seconds in table.timings(setting.conditions, role).items():
        least = sorted(seconds)[:2]
        settled = len(seconds) >= MOST_ROUNDS or (len(least) == 2 and least[1] <= least[0] * (1 + AGREEMENT))
        if not settled and _as_timed(network, setting) == setting:
            found[network] = len(seconds)
    return found


class _Replacing:
    """Times networks, and in place of one that cannot run another one, the same in every round.

    What goes on after a kill meets those that cannot run in the same order, and so puts the same others in their places.
    """

    def __init__(self, seconds_of: SecondsOf, others: Iterable[Network]) -> None:
        self._seconds_of, self._others = seconds_of, iter(others)
        self._instead: dict[str, Network] = {}

    def in_place_of(self, network: Network) -> Network:
        """The network that is timed for this one: itself, unless it could not run."""
        return self._instead.get(network.text, network)

    def time(self, asked: Network) -> tuple[Network, float]:
        """What was timed, and its seconds."""
        while True:
            network = self.in_place_of(asked)
            try:
                return network, self._seconds_of(network)
            except (LatencyError, RuntimesError) as error:
                other = next(self._others, None)
                if other is None:
                    raise
                log.warning("%s. Another network is timed in its place", str(error).rstrip("."))
                self._instead[asked.text] = other


def infer_layers(table: LatencyTable, setting: Setting, *roles: str) -> int:
    """Work out the seconds of layers from whole networks that were timed; returns how many. Raises LatencyError.

    roles: what the networks were timed for, `TABLE` unless given.
    """
    timed = [one for role in roles or (TABLE,) for one in table.networks(setting.conditions, role)]
    told = _told(table, setting.conditions, timed)
    found = inference.infer_layers([_layers_of(one, setting, table) for one in timed], _seconds(timed), told)
    table.put_inferred(setting.conditions, found)
    return len(found.layers)


def _told(table: LatencyTable, conditions: Conditions, timed: Iterable[TimedNetwork]) -> dict[Layer, list[float]]:
    """Seconds of layers, as often as a runtime's profiles of these networks tell them."""
    profiles: dict[str, Mapping[TimedNetwork, list[Share]]] = {}
    found: dict[Layer, list[float]] = {}
    for network in timed:
        if network.role not in profiles:
            profiles[network.role] = table.profiles(conditions, network.role)
        for layer, part in profiles[network.role].get(network._replace(seconds=0.0), ()):
            found.setdefault(layer, []).append(part * network.seconds)
    return found


def _layers_of(timed: TimedNetwork, setting: Setting, table: LatencyTable) -> list[Layer]:
    return _as_timed(timed, setting).layers(PlainNet.parse(timed.structure), table.fuses, table.rewrites)


def _as_timed(timed: TimedNetwork, setting: Setting) -> Setting:
    """The setting with the classes and the style that a network was timed with."""
    return replace(setting, num_classes=timed.num_classes, style=replace(setting.style, use_se=timed.use_se))


def calibrate(table: LatencyTable, setting: Setting, role: str = CALIBRATION) -> Calibration:
    """Fit the table's terms to the networks that were timed, and keep the fit. Raises LatencyError.

    Where layers were inferred from networks, those that calibrate first say how far off networks are of which no layer was
    inferred; then layers are inferred from all.
    """
    filling, timed = table.networks(setting.conditions, TABLE), table.networks(setting.conditions, role)
    if table.runtime in ("", TORCH):
        calibration = fit(_terms(table, setting, timed), _seconds(timed))
    elif not filling:
        calibration = fit(_terms(table, setting, timed), _seconds(timed), fit_inferred)
    else:
        # What an earlier fit inferred of them.
        told = {layer for network in timed for layer in _layers_of(network, setting, table)}
        table.remove_layers(setting.conditions.precision, told)
        infer_layers(table, setting)
        unknown = fit(_terms(table, setting, timed), _seconds(timed), fit_inferred)
        infer_layers(table, setting, TABLE, role)
        known = [*filling, *timed]
        coefficients = fit(_terms(table, setting, known), _seconds(known), fit_inferred).coefficients
        calibration = replace(unknown, coefficients=coefficients)
    table.add_calibration(setting.conditions, calibration)
    return calibration


def _terms(table: LatencyTable, setting: Setting, timed: Sequence[TimedNetwork]) -> list[Sequence[float]]:
    """The terms of networks, of which one coefficient each is fitted."""
    # A model interpolates layers: one for all networks that were timed alike.
    models: dict[Setting, LatencyModel] = {}
    found: list[Sequence[float]] = []
    for network in timed:
        one = _as_timed(network, setting)
        if one not in models:
            models[one] = LatencyModel(table, one.conditions, num_classes=one.num_classes, style=one.style)
        found.append(models[one].terms(PlainNet.parse(network.structure)))
    return found


def _seconds(timed: Sequence[TimedNetwork]) -> list[float]:
    return [network.seconds for network in timed]


def files_of(table: Path) -> Path:
    """Where the files of a table's networks lie until all are timed."""
    return table.with_name(f"{table.stem}.networks")


def remove_files(table: LatencyTable) -> None:
    """Remove the files of a table's networks, all of which are timed."""
    shutil.rmtree(files_of(table.path), ignore_errors=True)


def _chain_name(network: Network, setting: Setting) -> str:
    """What a chain is noted as: its layers depend on the style and the number of classes, too."""
    style = setting.style
    return f"{network} to {setting.num_classes}{' with SE' * style.use_se}{' without BN' * style.no_BN}"


def _shuffled(items: Collection[_Item], seed: int) -> list[_Item]:
    return random.Random(seed).sample(list(items), len(items))


def _progress(total: int, done: int, what: str, quiet: bool) -> tqdm:
    return tqdm(
        total=total, initial=done, desc=what, unit="", disable=quiet, mininterval=1 if sys.stderr.isatty() else 15
    )
