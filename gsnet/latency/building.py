"""Filling a device's table: layers timed in chains, whole networks timed in rounds, and the fit of the one to the other."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from gsnet.latency.calibration import fit
from gsnet.latency.device import device_identity
from gsnet.latency.errors import LatencyError
from gsnet.latency.layers import Layer, list_layers
from gsnet.latency.predictor import LatencyModel, Measure
from gsnet.latency.table import Calibration, Conditions, LatencyTable, TimedNetwork
from PlainNet import Network, Style
from PlainNet.style import PLAIN

CHAINS = 100
CALIBRATION_NETWORKS = 40
ROUNDS = 5
CALIBRATION = "calibration"
_SECONDS_A_TURN = 0.15


@dataclass(frozen=True)
class Setting:
    """What networks are timed as: batch, resolution and precision, classes and style, on which torch device."""

    conditions: Conditions
    num_classes: int
    style: Style = PLAIN
    device: str = "cpu"

    def layers(self, network: Network, fuses: bool = False) -> list[Layer]:
        """A network's layers."""
        batch, resolution = self.conditions.batch, self.conditions.resolution
        return list_layers(
            network, batch=batch, resolution=resolution, num_classes=self.num_classes, style=self.style, fuses=fuses
        )


def measure_missing(table: Path, device: str, precision: str, threads: int = 1) -> Measure:
    """What times a chain of layers on a torch device and keeps in its table those that are missing.

    threads: of a processor. Raises LatencyError where the table is of another device.
    """
    import torch

    from gsnet.latency.probe import measure_chain

    torch.set_num_threads(threads)
    identity = device_identity(device, threads)
    LatencyTable.open_for(table, identity).close()

    def measure(chain: Sequence[Layer], missing: Collection[Layer]) -> dict[Layer, float | None]:
        seconds = measure_chain(chain, device=device, precision=precision)
        found = {layer: seconds[layer] for layer in missing}
        with LatencyTable.open_for(table, identity) as opened:
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
    quiet: bool = False,
) -> int:
    """Time whole networks, all of them once in every round, while `more()`; returns how many turns are left.

    A computer's speed drifts over minutes: rounds spread each network over the whole time, the order within each is random.
    """
    done = table.rounds(setting.conditions, role)
    turns = [(number, network) for number in range(rounds) for network in _shuffled(networks, number)]
    waiting = [(number, network) for number, network in turns if (number, network.text) not in done]
    with _progress(len(turns), len(turns) - len(waiting), "timing networks", quiet) as bar:
        for index, (number, network) in enumerate(waiting):
            if not more():
                return len(waiting) - index
            seconds = _whole_network(network, setting)
            timed = TimedNetwork(network.text, setting.num_classes, setting.style.use_se, role, seconds)
            table.add_network(setting.conditions, timed, number)
            bar.update()
    return 0


def calibrate(table: LatencyTable, setting: Setting, role: str = CALIBRATION) -> Calibration:
    """Fit the table's terms to the networks that were timed, and keep the fit. Raises LatencyError."""
    import PlainNet

    timed = table.networks(setting.conditions, role)
    terms = []
    for network in timed:
        style = Style(network.use_se, False, setting.style.no_BN, setting.style.se_activation)
        model = LatencyModel(table, setting.conditions, num_classes=network.num_classes, style=style)
        terms.append(model.terms(PlainNet.parse(network.structure)))
    calibration = fit(terms, [network.seconds for network in timed])
    table.add_calibration(setting.conditions, calibration)
    return calibration


def _whole_network(network: Network, setting: Setting) -> float:
    import torch

    from gsnet.latency.measurement import dtype_of, time_for
    from Masternet import MasterNet

    style = setting.style
    model = MasterNet(
        num_classes=setting.num_classes,
        plainnet_struct=network,
        no_BN=style.no_BN,
        use_se=style.use_se,
        se_activation=style.se_activation,
    )
    dtype = dtype_of(setting.device, setting.conditions.precision != "fp32")
    size = setting.conditions.resolution
    images = torch.randn(setting.conditions.batch, 3, size, size).to(setting.device, dtype)
    model = model.to(setting.device, dtype).eval()
    try:
        with torch.inference_mode():
            return time_for(lambda: model(images), setting.device, _SECONDS_A_TURN)
    except RuntimeError as error:
        raise LatencyError(f"{network} cannot run at {setting.conditions}: {str(error).splitlines()[0]}") from error


def _chain_name(network: Network, setting: Setting) -> str:
    """What a chain is noted as: its layers depend on the style and the number of classes, too."""
    style = setting.style
    return f"{network} to {setting.num_classes}{' with SE' * style.use_se}{' without BN' * style.no_BN}"


def _shuffled(networks: Sequence[Network], seed: int) -> list[Network]:
    return random.Random(seed).sample(list(networks), len(networks))


def _progress(total: int, done: int, what: str, quiet: bool) -> tqdm:
    return tqdm(
        total=total, initial=done, desc=what, unit="", disable=quiet, mininterval=1 if sys.stderr.isatty() else 15
    )
