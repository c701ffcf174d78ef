"""What a device bundle measured, as its script or ncnn's benchncnn wrote it, taken into a table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from gsnet.interface.words import either
from gsnet.latency import device_script
from gsnet.latency.bundle import BENCHNCNN_TIMES, FAILED, FORMATS, SCRIPT
from gsnet.latency.bundle_folder import OF_SUFFIXES
from gsnet.latency.device import FP16
from gsnet.latency.errors import LatencyError
from gsnet.latency.records import Conditions, Origin, TimedNetwork
from gsnet.latency.setting import Setting
from gsnet.latency.table import LatencyTable
from gsnet.runtimes import way_of_rewriting
from gsnet.runtimes.rewriting import SOME_WAY
from PlainNet import Style

# As ncnn's benchmark prints it, in milliseconds.
_LINE = re.compile(r"^\s*(\S+)\.param\s+min\s*=\s*([0-9.]+)\s+max\s*=")


class Measured(NamedTuple):
    """What a device measured: of what it is, under which conditions, of files for which runtime's exports.

    way: in which their networks were rewritten (`gsnet.runtimes.rewriting`). rounds: networks, each with the number of its
    round; failed: those that could not run there, and why.
    """

    origin: Origin
    setting: Setting
    exported_for: str
    way: int
    rounds: Sequence[tuple[TimedNetwork, int]]
    failed: Mapping[str, str]

    @contextmanager
    def put_into(self, path: Path) -> Iterator[LatencyTable]:
        """A table with these times, made if there is none; as it was before where an error ends the block.

        Raises LatencyError for a table of another device, runtime or files, and OSError.
        """
        with LatencyTable.changed_whole(path, self.origin, way=self.way, exported_for=self.exported_for) as table:
            for timed, number in self.rounds:
                table.add_network(self.setting.conditions, timed, number)
            yield table


def read_timings(file: Path, device_name: str | None) -> Measured:
    """What a device measured. Networks that could not run there are left out.

    file: what a bundle's script, or ncnn's benchncnn, wrote; the latter beside the bundle's networks.json. Raises LatencyError.
    """
    _check_is_file(file)
    try:
        return _understood(
            _read_json(file) if file.suffix == ".json" else _read_benchncnn(file, device_name), device_name
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LatencyError(
            f"{file} and its {device_script.NETWORKS} are not what a device bundle has: {error!r}"
        ) from error


def _check_is_file(file: Path) -> None:
    """Raise LatencyError where there is none, with the name of one that may be meant."""
    if file.is_dir():
        there = [file / name for name in (device_script.TIMES, BENCHNCNN_TIMES) if (file / name).is_file()]
        meant = either([str(one) for one in there]) if there else f"the {device_script.TIMES} of its {SCRIPT}"
        raise LatencyError(f"{file} is a folder: give --import_timings {meant}")
    if not file.exists():
        raise LatencyError(f"There is no {file}: give --import_timings what a device bundle's {SCRIPT} wrote")


def _understood(measured: Mapping[str, Any], device_name: str | None) -> Measured:
    told, threads = measured["networks"], int(measured["threads"])
    device = f"{device_name or measured['device']}, {threads} thread{'s' if threads > 1 else ''}"
    origin = Origin(device, str(measured["runtime"]), str(measured["version"]))
    conditions = Conditions(str(measured["precision"]), int(told["batch"]), int(told["resolution"]))
    style = Style(use_se=bool(told["use_se"]))
    setting = Setting(conditions, int(told["num_classes"]), style, "cpu", origin.runtime, threads)
    # A network that was drawn for both roles is one file.
    entries: dict[str, list[Mapping[str, Any]]] = {}
    for entry in told["networks"]:
        entries.setdefault(entry["file"], []).append(entry)
    timed_files = {one["file"] for one in measured["times"]}
    failed = {
        str(entries[name][0]["structure"]): str(reason)
        for name, reason in measured.get("failed", {}).items()
        if name not in timed_files
    }
    rounds = []
    for one in measured["times"]:
        seconds = float(one["seconds"])
        if not 0 < seconds < float("inf"):
            raise LatencyError(f"{one['file']} is said to take {seconds} seconds")
        for entry in entries[one["file"]]:
            shape = setting.num_classes, style.use_se
            timed = TimedNetwork(str(entry["structure"]), *shape, str(entry["role"]), seconds)
            rounds.append((timed, int(one["round"])))
    exported_for = _exported_for(told)
    # Older bundles do not say it.
    way = int(told.get("way", min(way_of_rewriting(exported_for), SOME_WAY)))
    return Measured(origin, setting, exported_for, way, rounds, failed)


def _exported_for(told: Mapping[str, Any]) -> str:
    """The runtime for which a bundle's files were written, whichever one times them. Raises ValueError."""
    suffix = str(told["suffix"])
    # Older bundles were of two kinds, which their suffixes tell.
    found = str(told["exported_for"]) if "exported_for" in told else OF_SUFFIXES.get(suffix, "")
    if found not in FORMATS.values():
        raise ValueError(f"no bundle has files {suffix!r}")
    return found


def _read_json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise LatencyError(f"{file} is no JSON: {error}") from error
    if not isinstance(found, dict) or found.get("format") != device_script.FORMAT:
        raise LatencyError(f"{file} is not what a device bundle's {SCRIPT} writes")
    return found


def _read_benchncnn(file: Path, device_name: str | None) -> dict[str, Any]:
    """Lines of benchncnn, each after its round and its threads."""
    if device_name is None:
        raise LatencyError(f"{file} does not name its device: give --device_name")
    listing = file.parent / device_script.NETWORKS
    if not listing.is_file():
        raise LatencyError(f"There is no {listing}: benchncnn's times are imported from the folder of the bundle")
    networks = json.loads(listing.read_text(encoding="utf-8"))
    # ncnn runs the images of a batch one after the other, and benchncnn runs one.
    scale = networks["batch"] / 1e3
    # What a bundle held before it was made anew with other networks may still lie there, and was timed too.
    listed = {entry["file"] for entry in networks["networks"]}
    times, threads, failed = [], set(), {}
    for line in file.read_text(encoding="utf-8").splitlines():
        word, _, name = line.partition(" ")
        if word == FAILED and name in listed:
            failed[name] = "benchncnn cannot run it"
        number, count, rest = [*line.split(maxsplit=2), "", ""][:3]
        found = _LINE.match(rest)
        if found and number.isdigit() and count.isdigit() and f"{found[1]}.param" in listed:
            threads.add(int(count))
            times.append({"file": f"{found[1]}.param", "round": int(number), "seconds": float(found[2]) * scale})
    if len(threads) != 1:
        raise LatencyError(f"{file} holds no lines of benchncnn" if not threads else f"{file} is of several THREADS")
    return {
        "device": device_name,
        "threads": threads.pop(),
        "runtime": "ncnn",
        "version": "",
        "precision": FP16,
        "networks": networks,
        "times": times,
        "failed": failed,
    }
