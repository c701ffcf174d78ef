"""Filling a device's table: layers timed in chains, or inferred from whole networks, and the fit of the one to the other."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import PlainNet
from gsnet.latency import inference
from gsnet.latency.calibration import fit, fit_inferred
from gsnet.latency.device import TORCH, device_identity
from gsnet.latency.layer import Layer
from gsnet.latency.predictor import LatencyModel, Measure
from gsnet.latency.progress import progress
from gsnet.latency.records import CALIBRATION, TABLE, Calibration, Conditions, Origin, TimedNetwork
from gsnet.latency.rounds import layers_of
from gsnet.latency.setting import Setting
from gsnet.latency.table import LatencyTable
from gsnet.runtimes import runtime, way_of_rewriting
from PlainNet import Network


def open_at_hand(path: Path, device: str, backend: str = TORCH, threads: int = 1) -> LatencyTable:
    """The table of what is at hand, made if there is none. Raises LatencyError for one of another device or runtime."""
    program = runtime(backend)
    program.require(writing=False)
    origin = Origin(device_identity(device, threads), backend, program.version())
    way = way_of_rewriting(backend)
    return LatencyTable.open_for(path, origin, fuses=program.fuses, way=way, exported_for=backend)


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
    with progress(len(networks), len(networks) - len(waiting), "layers of networks", quiet) as bar:
        for index, network in enumerate(waiting):
            if not more():
                return len(waiting) - index
            chain = setting.layers(network)
            seconds = measure_chain(chain, device=setting.device, precision=setting.conditions.precision)
            table.add_chain(setting.conditions, _chain_name(network, setting), seconds.items())
            bar.update()
    return 0


def infer_layers(table: LatencyTable, setting: Setting, *roles: str) -> int:
    """Work out the seconds of layers from whole networks that were timed; returns how many. Raises LatencyError.

    roles: what the networks were timed for, `TABLE` unless given.
    """
    timed = [one for role in roles or (TABLE,) for one in table.networks(setting.conditions, role)]
    told = _told(table, setting.conditions, timed)
    found = inference.infer_layers([layers_of(one, setting, table) for one in timed], _seconds(timed), told)
    table.put_inferred(setting.conditions, found)
    return len(found.layers)


def _told(
    table: LatencyTable, conditions: Conditions, timed: Sequence[TimedNetwork]
) -> list[list[tuple[Layer, float]]]:
    """Of each network the seconds of layers that a runtime's profiles of it tell."""
    profiles = ChainMap(*(table.profiles(conditions, role) for role in {network.role for network in timed}))
    return [
        [(layer, part * network.seconds) for layer, part in profiles.get(network._replace(seconds=0.0), ())]
        for network in timed
    ]


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
        told = {layer for network in timed for layer in layers_of(network, setting, table)}
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
        one = setting.of(network)
        if one not in models:
            models[one] = LatencyModel(table, one.conditions, num_classes=one.num_classes, style=one.style)
        found.append(models[one].terms(PlainNet.parse(network.structure)))
    return found


def _seconds(timed: Sequence[TimedNetwork]) -> list[float]:
    return [network.seconds for network in timed]


def _chain_name(network: Network, setting: Setting) -> str:
    """What a chain is noted as: its layers depend on the style and the number of classes, too."""
    style = setting.style
    return f"{network} to {setting.num_classes}{' with SE' * style.use_se}{' without BN' * style.no_BN}"
