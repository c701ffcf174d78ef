"""What benchmark_network_latency.py does with tables and clocks, once it knows the network."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import PlainNet
from gsnet.interface.options import InputError, positive_int
from gsnet.latency.building import Setting, calibrate, measure_layers, measure_missing, time_networks
from gsnet.latency.device import default_table, device_identity, precision_of
from gsnet.latency.errors import LatencyError
from gsnet.latency.predictor import LatencyModel
from gsnet.latency.table import Conditions, LatencyTable
from gsnet.latency.visited import covering_networks, random_networks
from PlainNet import Network, Style
from SearchSpace import SearchSpace, load_search_space

if TYPE_CHECKING:
    from gsnet.runtimes import Session

_LIBRARY_PRECISIONS = ("fp32", "fp16", "int8")
_RESOLUTION, _CLASSES = 32, 10


def import_library(options: Namespace) -> dict:
    """Take a TinyNAS library into --latency_table; returns what was read. Raises LatencyError."""
    library: Path = options.import_tinynas
    if options.latency_table is None:
        raise InputError("--import_tinynas needs --latency_table FILE: the library is of another device")
    named = [name for name in _LIBRARY_PRECISIONS if name in library.name]
    precision = options.table_precision or (named[0] if len(named) == 1 else None)
    if precision is None:
        raise InputError(f"The name of {library} does not say its precision: give --table_precision")
    library.stat()
    device = options.device_name or library.name.partition(".")[0]
    path = options.latency_table
    existed = path.is_file()
    table = LatencyTable.open(path) if existed else LatencyTable.create(path, device, fuses=True)
    with table:
        if table.device != device:
            raise LatencyError(f"{path} holds latencies of {table.device}, and {library.name} is of {device}")
        count = table.import_tinynas(library, precision)
    return {"latency_table": str(path), "device": device, "precision": precision, "layers": count}


def build_table(options: Namespace) -> dict:
    """Measure what --build_table and --calibrate ask for; returns the fit and counts."""
    import torch

    torch.set_num_threads(options.threads)
    identity = device_identity(options.device, options.threads)
    path = options.latency_table or default_table(identity)
    report: dict = {"latency_table": str(path), "device": identity}
    setting = _setting(options)
    space, start = _space(options)
    admits = _within(options, setting)
    with LatencyTable.open_for(path, identity) as table:
        if options.build_table:
            networks = covering_networks(space, start, options.seed)
            networks += random_networks(space, start, options.networks, 2 * options.seed, admits)
            measure_layers(table, networks, setting, quiet=options.json)
        if options.calibrate:
            networks = random_networks(space, start, options.calibration_networks, 2 * options.seed + 1, admits)
            time_networks(table, networks, setting, quiet=options.json)
            fitted = calibrate(table, setting)
            report |= {"coefficients": fitted.coefficients, "spread": fitted.spread, "networks": fitted.networks}
        report["layers"] = len(table.layers(setting.conditions.precision, setting.conditions.batch))
    seen = {"resolution": setting.conditions.resolution, "classes": setting.num_classes}
    return report | {"conditions": str(setting.conditions), **seen}


def predict(options: Namespace, network: Network, num_classes: int, style: Style, resolution: int) -> dict:
    """The latency that a table gives for a network at each batch size, calibrated where the table is."""
    identity = device_identity(options.device, options.threads)
    path = options.latency_table or default_table(identity)
    report: dict = {"latency_table": str(path), "rows": []}
    with LatencyTable.open_for(path, identity) if options.measure_missing else LatencyTable.open(path) as table:
        report["device"] = table.device
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
            text += f"+- {spread:.0%}" if calibration else "plain sum of layers, not calibrated"
            figures = {"batch": batch, "seconds": seconds, "spread": spread, "calibrated": calibration is not None}
            report["rows"].append(figures | {"seconds_per_image": seconds / batch, "text": text})
    return report


def time_session(options: Namespace, backend: str, session: Session, resolution: int) -> dict:
    """Time what runs a network at each batch size."""
    import numpy as np

    report: dict = {
        "device": device_identity(options.device, options.threads),
        "backend": backend,
        "precision": session.precision,
        "rows": [],
    }
    draw = np.random.default_rng(0)
    for batch in batch_sizes(options):
        images = draw.standard_normal((batch, 3, resolution, resolution), dtype=np.float32)
        figures = session.time(images, options.repeat_times, options.precision)
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
    return report


def comparison_table(reports: Sequence[dict]) -> list[str]:
    """Several runtimes' reports as one table; those that could not be timed say why below it."""
    timed = [(report, row) for report in reports for row in report.get("rows", ())]
    lines = [
        f"{'backend':<16}{'computes in':<14}{'batch':>6}{'median ms':>11}{'quartiles ms':>18}{'images/s':>10}  difference"
    ]
    for report, row in timed:
        spread = f"{row['lower_quartile'] * 1e3:.4g} to {row['upper_quartile'] * 1e3:.4g}"
        difference = report["max_difference"]
        lines.append(
            f"{report['backend']:<16}{report['precision']:<14}{row['batch']:>6}{row['median'] * 1e3:>11.4g}{spread:>18}"
            f"{row['images_per_second']:>10.4g}  {'-' if difference is None else format(difference, '.1e')}"
        )
    return (lines if timed else []) + [f"{r['backend']}: {r['error']}" for r in reports if "error" in r]


def batch_sizes(options: Namespace) -> list[int]:
    """--batch_size_list, else --batch_size. Raises InputError."""
    if not options.batch_size_list:
        return [options.batch_size]
    try:
        return [positive_int(text) for text in options.batch_size_list.split(",")]
    except ArgumentTypeError as error:
        raise InputError(f"--batch_size_list {options.batch_size_list}: {error}") from error


def _setting(options: Namespace) -> Setting:
    sizes = batch_sizes(options)
    if len(sizes) > 1:
        raise InputError("A table is built for one --batch_size at a time")
    precision = precision_of(options.device, options.fp16)
    conditions = Conditions(precision, sizes[0], options.input_image_size or _RESOLUTION)
    return Setting(conditions, options.num_classes or _CLASSES, Style(use_se=options.use_se), options.device)


def _space(options: Namespace) -> tuple[SearchSpace, Network | None]:
    """The search's space, and where it starts."""
    if not options.search_space:
        raise InputError(
            "--build_table and --calibrate need --search_space FILE: the search whose networks are measured"
        )
    start = PlainNet.parse(options.plainnet_struct) if options.plainnet_struct else None
    return load_search_space(options.search_space), start


def _within(options: Namespace, setting: Setting) -> Callable[[Network], bool]:
    resolution = setting.conditions.resolution

    def admits(network: Network) -> bool:
        return (
            network.layers <= options.max_layers
            and network.cost(resolution, setting.num_classes, setting.style).flops <= options.budget_flops
        )

    return admits
