"""Latencies of other devices: TinyNAS's libraries, and networks that a device without torch times."""

from __future__ import annotations

import logging
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

from gsnet.interface.logs import saying_when_interrupted
from gsnet.interface.options import InputError, named_few
from gsnet.interface.words import either
from gsnet.latency.asked_networks import check_enough, networks_of_layers, networks_to_calibrate, say_networks
from gsnet.latency.building import calibrate
from gsnet.latency.bundle import FORMATS, Bundled, write_bundle
from gsnet.latency.device import FP32
from gsnet.latency.errors import LatencyError
from gsnet.latency.records import CALIBRATION, TABLE, Conditions, Origin
from gsnet.latency.setting import Setting
from gsnet.latency.space import CLASSES, RESOLUTION, say_start
from gsnet.latency.table import LatencyTable, say_what_it_is_of, told_of
from gsnet.latency.timings import read_timings
from gsnet.latency.tinynas import read_tinynas
from PlainNet import Style

_LOG = logging.getLogger(__name__)
_LIBRARY_PRECISIONS = ("fp32", "fp16", "int8")


def write_device_bundle(options: Namespace) -> dict:
    """Write the networks of a table for a device without torch, as --device_bundle asks; returns what was written."""
    if options.format not in FORMATS:
        raise InputError(
            f"A device bundle holds networks as {either(list(FORMATS))}: --format {options.format} is none of these"
        )
    style = Style(use_se=options.use_se)
    conditions = Conditions(FP32, options.batch_size, options.input_image_size or RESOLUTION)
    setting = Setting(conditions, options.num_classes or CLASSES, style, backend=FORMATS[options.format])
    say_start(options)
    layers, whole = networks_of_layers(options, setting), networks_to_calibrate(options, setting)
    check_enough(options, setting, (layers, whole))
    say_networks(layers)
    parts = (Bundled(TABLE, layers.networks), Bundled(CALIBRATION, whole.networks))
    folder = options.device_bundle
    with saying_when_interrupted(f"the networks in {folder} are kept, and the same command writes the others"):
        report = write_bundle(folder, parts, setting, quiet=options.json)
    return report | {"conditions": str(setting.conditions), "classes": setting.num_classes}


def import_device(options: Namespace) -> dict:
    """Make the table of a device of what it measured; returns what was read. Raises LatencyError."""
    if options.latency_table is None:
        raise InputError("--import_timings needs --latency_table FILE: the times are of another device")
    measured = read_timings(options.import_timings, options.device_name)
    setting, failed = measured.setting, measured.failed
    if failed:
        plural = "networks that" if len(failed) > 1 else "network that"
        named = named_few([f"{structure} ({reason})" for structure, reason in failed.items()])
        _LOG.warning("left out: %d %s could not run on the device: %s", len(failed), plural, named)
    with measured.put_into(options.latency_table) as table:
        say_what_it_is_of(table)
        report: dict = {"latency_table": str(options.latency_table)} | told_of(table)
        fitted = calibrate(table, setting)
        report |= {"conditions": str(setting.conditions)}
        report["layers"] = len(table.layers(setting.conditions.precision, setting.conditions.batch))
    # A person has been told of those that are left out.
    report |= {"failed": failed} if failed and options.json else {}
    return report | asdict(fitted)


def import_library(options: Namespace) -> dict:
    """Take a TinyNAS library into --latency_table; returns what was read. Raises LatencyError."""
    library: Path = options.import_tinynas
    if options.latency_table is None:
        raise InputError("--import_tinynas needs --latency_table FILE: the library is of another device")
    named = [name for name in _LIBRARY_PRECISIONS if name in library.name]
    precision = options.table_precision or (named[0] if len(named) == 1 else None)
    if precision is None:
        raise InputError(f"The name of {library} does not say its precision: give --table_precision")
    # Before there is a table, which a file that is no library shall not leave behind.
    layers = read_tinynas(library)
    device = options.device_name or library.name.partition(".")[0]
    path = options.latency_table
    existed = path.is_file()
    table = LatencyTable.open(path) if existed else LatencyTable.create(path, Origin(device, ""), fuses=True)
    with table:
        if table.device != device:
            raise LatencyError(f"{path} holds latencies of {table.device}, and {library.name} is of {device}")
        count = table.add_layers(precision, layers)
    return {"latency_table": str(path), "device": device, "precision": precision, "layers": count}
