"""What benchmark_network_latency.py does with tables and clocks, once it knows the network."""

from __future__ import annotations

import math
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from gsnet.interface.logs import saying_when_interrupted
from gsnet.interface.options import InputError
from gsnet.latency.asked_networks import check_enough, networks_of_layers, networks_to_calibrate, say_networks
from gsnet.latency.building import calibrate, infer_layers, measure_layers, measure_missing, open_at_hand
from gsnet.latency.device import TORCH, default_table, device_identity, precision_of
from gsnet.latency.predictor import LatencyModel
from gsnet.latency.records import TABLE, Conditions
from gsnet.latency.rounds import profile_networks, remove_files, settle_networks, time_networks
from gsnet.latency.space import asked_backend, batch_sizes, say_start, setting_of
from gsnet.latency.table import LatencyTable, say_what_it_is_of, told_of
from PlainNet import Network, Style

# Where a report says that a batch takes no longer than one image, and from which part of its time on it does.
LAUNCHES, _AS_LONG = "launches", 0.9

if TYPE_CHECKING:
    import numpy as np

    from gsnet.runtimes import Session


def build_table(options: Namespace) -> dict:
    """Measure what --build_table and --calibrate ask for; returns the fit and counts."""
    import torch

    torch.set_num_threads(options.threads)
    setting = setting_of(options, asked_backend(options) or TORCH)
    path = options.latency_table or default_table(device_identity(options.device, options.threads), setting.backend)
    if not options.build_table:
        # Raises LatencyError where there is none: one that was begun here would hold nothing that could be calibrated.
        LatencyTable.open(path).close()
    say_start(options)
    # Both before anything is timed: what cannot suffice is refused at once.
    layers = networks_of_layers(options, setting) if options.build_table else None
    whole = networks_to_calibrate(options, setting) if options.calibrate else None
    check_enough(options, setting, (layers, whole), path)
    if layers:
        say_networks(layers)
    kept = f"what was measured so far is kept in {path}, and the same command goes on from there"
    with open_at_hand(path, options.device, setting.backend, options.threads) as table, saying_when_interrupted(kept):
        say_what_it_is_of(table)
        report: dict = {"latency_table": str(path)} | told_of(table)
        if not layers:
            # Raises LatencyError where there is nothing that could be calibrated.
            LatencyModel(table, setting.conditions, num_classes=setting.num_classes, style=setting.style)
        if layers and setting.backend == TORCH:
            measure_layers(table, layers.networks, setting, quiet=options.json)
        elif layers:
            time_networks(table, layers.networks, setting, role=TABLE, others=layers.others, quiet=options.json)
            settle_networks(table, setting, role=TABLE, quiet=options.json)
            profile_networks(table, setting, role=TABLE, quiet=options.json)
            report["networks"] = len(table.networks(setting.conditions, TABLE))
        if whole:
            time_networks(table, whole.networks, setting, others=whole.others, quiet=options.json)
            settle_networks(table, setting, quiet=options.json)
            profile_networks(table, setting, quiet=options.json)
            fitted = calibrate(table, setting)
            report |= asdict(fitted)
        elif setting.backend != TORCH:
            infer_layers(table, setting)
        remove_files(table)
        report["layers"] = len(table.layers(setting.conditions.precision, setting.conditions.batch))
    seen = {"resolution": setting.conditions.resolution, "classes": setting.num_classes}
    return report | {"conditions": str(setting.conditions), **seen}


def predict(options: Namespace, network: Network, num_classes: int, style: Style, resolution: int) -> dict:
    """The latency that a table gives for a network at each batch size, calibrated where the table is."""
    backend = asked_backend(options)
    identity = device_identity(options.device, options.threads)
    path = options.latency_table or default_table(identity, backend or TORCH)
    report: dict = {"latency_table": str(path), "rows": []}
    if options.measure_missing:
        if backend not in (None, TORCH):
            raise InputError(
                f"--measure_missing times single layers in torch: build a table of {backend} by --build_table"
            )
        open_at_hand(path, options.device, threads=options.threads).close()
    with LatencyTable.open(path, backend) as table:
        table.check_runtime(backend)
        report |= told_of(table)
        for batch in batch_sizes(options):
            precision = (
                precision_of(options.device, options.fp16) if options.measure_missing else table.precision(options.fp16)
            )
            conditions = Conditions(precision, batch, resolution)
            measure = None
            if options.measure_missing:
                measure = measure_missing(path, options.device, precision, options.threads)
            calibration = table.calibration(conditions)
            model = LatencyModel(
                table,
                conditions,
                num_classes=num_classes,
                style=style,
                calibration=calibration,
                measure=measure,
            )
            seconds, spread = model.predict(network)
            text = f"{conditions}: {seconds * 1e3:.4g} ms, {seconds / batch * 1e3:.4g} ms an image, "
            text += (
                f"+- {spread:.0%}" if calibration else f"a sum of layers, how far off is not known: {_known_for(table)}"
            )
            text += "".join(f" ({warning})" for warning in model.warnings())
            figures = {"batch": batch, "seconds": seconds, "spread": spread, "calibrated": calibration is not None}
            report["rows"].append(figures | {"seconds_per_image": seconds / batch, "text": text})
    return report


def _known_for(table: LatencyTable) -> str:
    """What whole networks were timed for, by which a table is calibrated."""
    known = [str(conditions) for conditions in table.calibrated()]
    return f"the table is calibrated for {' and '.join(known)}" if known else "the table is not calibrated"


def time_session(options: Namespace, backend: str, session: Session, resolution: int) -> dict:
    """Time what runs a network at each batch size."""
    report: dict = {
        "device": device_identity(options.device, options.threads),
        "backend": backend,
        "precision": session.precision,
        "rows": [],
    }
    for batch in batch_sizes(options):
        figures = session.time(noise(batch, resolution), options.repeat_times, options.precision)
        rate = batch / figures.median
        # Of few repeats the median has no interval.
        unsure = math.isnan(figures.interval)
        sure = "" if unsure else f"+- {figures.interval:.1%}, "
        text = (
            f"batch {batch}: median {figures.median * 1e3:.4g} ms (quartiles {figures.lower_quartile * 1e3:.4g} to "
            f"{figures.upper_quartile * 1e3:.4g}, {sure}{figures.repeats} repeats), "
            f"{figures.median / batch * 1e3:.4g} ms an image, {rate:.4g} images a second"
        )
        row = asdict(figures) | ({"interval": None} if unsure else {})
        report["rows"].append(row | {"batch": batch, "images_per_second": rate, "text": text})
    if session.device.startswith("cuda"):
        report |= _launches(options, backend, session, resolution, report["rows"])
    return report


def _launches(
    options: Namespace, backend: str, session: Session, resolution: int, rows: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """A sentence where a GPU takes as long for one image as for the largest batch that was asked for; nothing where not."""
    seconds = {row["batch"]: row["median"] for row in rows}
    if (most := max(seconds)) == 1:
        return {}
    if 1 not in seconds:
        seconds[1] = session.time(noise(1, resolution), options.repeat_times, options.precision).median
    share = seconds[1] / seconds[most]
    if share < _AS_LONG:
        return {}
    told = f"{backend}: one image takes {share:.0%} of the time of {most}"
    if backend == TORCH:
        return {LAUNCHES: f"{told}: this is the time of launching, which --backend torch.cudagraph leaves out"}
    return {LAUNCHES: f"{told}: so many do not fill the device"}


def noise(images: int, side: int) -> np.ndarray:
    """Images (N, 3, side, side) of normal noise, float32."""
    import numpy as np

    return np.random.default_rng(0).standard_normal((images, 3, side, side), dtype=np.float32)
