"""Whole networks timed in rounds, again where their times differ, and divided among their operations."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import PlainNet
from gsnet.interface.words import counted
from gsnet.latency.errors import LatencyError
from gsnet.latency.layer import Layer
from gsnet.latency.profiled import convolution_shares
from gsnet.latency.progress import progress
from gsnet.latency.records import CALIBRATION, TimedNetwork
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

    def time(turn: tuple[int, Network]) -> None:
        number, network = turn
        if (number, timer.in_place_of(network).text) not in done:
            network, seconds = timer.time(network)
            timed = TimedNetwork(network.text, setting.num_classes, setting.style.use_se, role, seconds)
            table.add_network(setting.conditions, timed, number)

    what = f"timing {counted(len(networks), 'network')} in {counted(rounds, 'round')}"
    return _left_of(waiting, time, more, progress(len(turns), len(turns) - len(waiting), what, quiet, "timing"))


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

    def time(again: tuple[TimedNetwork, int]) -> None:
        network, rounds = again
        seconds = seconds_of(PlainNet.parse(network.structure))
        table.add_network(setting.conditions, network._replace(seconds=seconds), rounds)

    while left := _unsettled(table, setting, role):
        number = 1 + min(left.values())
        again = counted(len(left), "network")
        what = (
            f"timing {again} again whose times differ by over {AGREEMENT:.0%}, round {number} of at most {MOST_ROUNDS}"
        )
        if remaining := _left_of(_shuffled(left.items(), passes), time, more, progress(len(left), 0, what, quiet)):
            return remaining
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
    are left. Of a runtime that does not tell, none are, and none in a table that was begun before it said what is written
    anew. Raises LatencyError or RuntimesError.
    """
    program = runtime(setting.backend)
    if not program.tells_operations or table.rewrites != (program.multiple is not None):
        return 0
    done = table.profiles(setting.conditions, role)
    timed = [one for one in table.networks(setting.conditions, role) if setting.of(one) == setting]
    waiting = [one for one in timed if one._replace(seconds=0.0) not in done]
    operations_of = profiler_of(setting, files_of(table.path))

    def ask(network: TimedNetwork) -> None:
        operations = operations_of(PlainNet.parse(network.structure), network.seconds)
        shares = convolution_shares(layers_of(network, setting, table), operations)
        table.add_profile(setting.conditions, network, shares)

    return _left_of(waiting, ask, more, progress(len(timed), len(timed) - len(waiting), "profiling networks", quiet))


def _left_of(
    items: Sequence[_Item], work: Callable[[_Item], None], more: Callable[[], bool], shown: AbstractContextManager
) -> int:
    """Do the work of one item after the other while `more()`; returns how many are left. shown: the bar that counts them."""
    with shown as bar:
        for index, item in enumerate(items):
            if not more():
                return len(items) - index
            work(item)
            bar.update()
    return 0


def layers_of(timed: TimedNetwork, setting: Setting, table: LatencyTable) -> list[Layer]:
    """The layers of a network as it was timed, as the table lists them."""
    return setting.of(timed).layers(PlainNet.parse(timed.structure), table.fuses, table.rewrites)


def seconds_of_one(network: Network, setting: Setting) -> float:
    """Seconds of a network for one batch, as a table has those of its own: the least of rounds, until two agree.

    On a processor with one thread by a clock that stands still for other programs. Raises LatencyError, RuntimesError.
    """
    with TemporaryDirectory(prefix="gsnet-") as folder:
        seconds_of = timer_of(setting, Path(folder))
        rounds = [seconds_of(network) for _ in range(ROUNDS)]
        while not _is_settled(rounds):
            rounds.append(seconds_of(network))
    return min(rounds)


def _is_settled(rounds: Sequence[float]) -> bool:
    """Whether the two least times of a network agree, or it was timed often enough."""
    least = sorted(rounds)[:2]
    return len(rounds) >= MOST_ROUNDS or (len(least) == 2 and least[1] <= least[0] * (1 + AGREEMENT))


def _unsettled(table: LatencyTable, setting: Setting, role: str) -> dict[TimedNetwork, int]:
    """Networks of this setting that are to be timed again, with the number of their next round."""
    found = {}
    for network, seconds in table.timings(setting.conditions, role).items():
        if not _is_settled(seconds) and setting.of(network) == setting:
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


def files_of(table: Path) -> Path:
    """Where the files of a table's networks lie until all are timed."""
    return table.with_name(f"{table.stem}.networks")


def remove_files(table: LatencyTable) -> None:
    """Remove the files of a table's networks, all of which are timed."""
    shutil.rmtree(files_of(table.path), ignore_errors=True)


def _shuffled(items: Collection[_Item], seed: int) -> list[_Item]:
    return random.Random(seed).sample(list(items), len(items))
