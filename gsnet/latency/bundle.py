"""A device without torch: a folder with networks and what times them there, and the way back into a table."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from gsnet.interface.files import write_text
from gsnet.interface.words import counted, either
from gsnet.latency import device_script
from gsnet.latency.device import FP16, FP32
from gsnet.latency.errors import LatencyError, telling
from gsnet.latency.records import Conditions, Origin, TimedNetwork
from gsnet.latency.setting import Setting
from gsnet.latency.table import LatencyTable
from gsnet.latency.timed_networks import UNFINISHED, written
from gsnet.runtimes import Runtime, runtime
from PlainNet import Network, Style

SCRIPT, GUIDE, BENCHNCNN, BENCHNCNN_TIMES = "time_networks.py", "README.md", "benchncnn.sh", "benchncnn.txt"
# Format of the files -> the runtime that writes them.
FORMATS = {"onnx": "onnxruntime", "ncnn": "ncnn"}
# What begins a line of benchncnn.sh on a network that cannot run.
_FAILED = "failed"
# As ncnn's benchmark prints it, in milliseconds.
_LINE = re.compile(r"^\s*(\S+)\.param\s+min\s*=\s*([0-9.]+)\s+max\s*=")
_GUIDE = """# Networks to time on a device

Copy this folder to the device. With Python 3.9 or newer, numpy and {runtimes}:

    python {script}

It times every network in rounds, goes on where it was stopped, and writes times.json. A network that cannot run is named there
with the reason, and left out below. `python {script} --help` has the options.
{ncnn}
Back on the computer that searches:

    python benchmark_network_latency.py --import_timings times.json --latency_table device.db
    python evolution_search.py --latency_table device.db --budget_latency 2ms ...
"""
_GUIDE_NCNN = """
Without Python: build ncnn's benchncnn for the device, put it here and run `sh {benchncnn}`, which gives it each network as

    ./benchncnn 20 1 0 -1 0 param=NAME.param shape=[{side},{side},3]

20 runs, 1 thread, all cores, no GPU, no pause to cool down. benchncnn needs no weights, and stores maps and weights in 16 bits:
its table is of fp16 (`--fp16` in a search). It writes {times}; import it from this folder:

    python benchmark_network_latency.py --import_timings FOLDER/{times} --device_name NAME --latency_table device.db
"""
_BENCHNCNN = """#!/bin/sh
# Times every network of this folder by ncnn's benchncnn, and goes on where it was stopped. The status is 1 if any cannot run.
threads=${{THREADS:-1}}
failed=""
cd "$(dirname "$0")" || exit 1
[ -x ./benchncnn ] || {{ echo "Build ncnn's benchncnn for this device and put it into this folder" >&2; exit 2; }}
for round in 1 2 3 4 5; do
    for network in *.param; do
        grep -q "^$round $threads .*$network" {times} 2>/dev/null && continue
        case "$failed" in *" $network "*) continue ;; esac
        if line=$(./benchncnn 20 "$threads" 0 -1 0 param="$network" shape="[{side},{side},3]" 2>&1 | grep "min ="); then
            echo "$round $threads $line" | tee -a {times}
        else
            failed="$failed $network "
            echo "{failed} $network" >> {times}
            echo "benchncnn cannot run $network" >&2
        fi
    done
done
[ -z "$failed" ] && exit 0
set -- $failed
echo "$# networks cannot run on this device, the others are timed: {times}" >&2
exit 1
"""


@dataclass(frozen=True)
class Bundled:
    """Networks of a bundle for one role, such as calibration."""

    role: str
    networks: Sequence[Network]


class Imported(NamedTuple):
    """What a device measured: of what it is, under which conditions, and which networks could not run there, and why."""

    origin: Origin
    setting: Setting
    failed: dict[str, str]


def write_bundle(folder: Path, parts: Iterable[Bundled], setting: Setting, *, quiet: bool = False) -> dict[str, Any]:
    """Write networks in the format of the setting's runtime, what times them, and how; returns what was written.

    Networks that a bundle of the same kind holds already stay. Raises LatencyError for a folder with another bundle or with
    other files, RuntimesError, OSError.
    """
    program = runtime(setting.backend)
    program.require(writing=True)
    told = _description(setting, program.suffixes[0])
    _check_folder(folder, told)
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    listed = [(part.role, network) for part in parts for network in part.networks]
    # Known before the first file: who goes on with a bundle that was begun is told if it is another. What a whole one lists
    # stays until the new list is whole, too.
    if not (folder / device_script.NETWORKS).is_file():
        write_text(folder / device_script.NETWORKS, json.dumps({**told, "networks": []}, indent=1) + "\n")
    try:
        for role, network in tqdm(listed, desc="writing networks", unit="", disable=quiet):
            with telling(program.name, f"{network} at {setting.conditions}"):
                file = written(network, setting, program, folder)
            entries.append({"file": file.name, "structure": network.text, "role": role})
    finally:
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    write_text(folder / SCRIPT, Path(device_script.__file__).read_text(encoding="utf-8"))
    side = setting.conditions.resolution
    ncnn = ""
    if setting.backend == FORMATS["ncnn"]:
        ncnn = _GUIDE_NCNN.format(benchncnn=BENCHNCNN, side=side, times=BENCHNCNN_TIMES)
        write_text(folder / BENCHNCNN, _BENCHNCNN.format(side=side, times=BENCHNCNN_TIMES, failed=_FAILED))
    able = {name: one.package for name, one in device_script.RUNTIMES.items() if one.suffix == program.suffixes[0]}
    packages = either(list(able.values()))
    write_text(folder / GUIDE, _GUIDE.format(runtimes=packages, script=SCRIPT, ncnn=ncnn))
    write_text(folder / device_script.NETWORKS, json.dumps({**told, "networks": entries}, indent=1) + "\n")
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    networks = f"{folder}: {counted(len(entries), 'network')} of {setting.conditions}, {size:,} bytes"
    text = f"{networks}, for a device with Python and {packages}: "
    report = {"device_bundle": str(folder), "networks": len(entries), "bytes": size, "runtimes": list(able)}
    return report | {"text": f"{text}{folder / GUIDE} says what to do there"}


def import_timings(file: Path, table: Path, device_name: str | None) -> Imported:
    """Put what a device measured into a table, made if there is none. Networks that could not run there are left out.

    file: what a bundle's script, or ncnn's benchncnn, wrote; the latter beside the bundle's networks.json. Raises LatencyError.
    """
    try:
        measured = _read_json(file) if file.suffix == ".json" else _read_benchncnn(file, device_name)
        return _put_in(measured, table, device_name)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LatencyError(
            f"{file} and its {device_script.NETWORKS} are not what a device bundle has: {error!r}"
        ) from error


def _put_in(measured: Mapping[str, Any], path: Path, device_name: str | None) -> Imported:
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
    rewrites = _writer_of(str(told["suffix"])).multiple is not None
    # Only now, so that a file that is not what it should be leaves no table, or an older one as it was.
    with LatencyTable.open_for(path, origin, rewrites=rewrites) as table:
        for timed, number in rounds:
            table.add_network(conditions, timed, number)
    return Imported(origin, setting, failed)


def _writer_of(suffix: str) -> Runtime:
    """The runtime whose exports a bundle's files are, whichever one times them. Raises ValueError."""
    found = next((one for one in map(runtime, FORMATS.values()) if one.suffixes[0] == suffix), None)
    if found is None:
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
        if word == _FAILED and name in listed:
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


def _description(setting: Setting, suffix: str) -> dict[str, Any]:
    conditions, style = setting.conditions, setting.style
    if conditions.precision != FP32 or style.no_BN:
        raise LatencyError("A device bundle holds networks in float32, with batch normalisation")
    shape = {"batch": conditions.batch, "resolution": conditions.resolution}
    return {**shape, "suffix": suffix, "num_classes": setting.num_classes, "use_se": style.use_se}


def _check_folder(folder: Path, told: Mapping[str, Any]) -> None:
    """What is there must be a bundle that this one goes on with. Raises LatencyError."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    listing = folder / device_script.NETWORKS
    if not listing.is_file():
        raise LatencyError(f"{folder} holds other files: give --device_bundle a new folder")
    try:
        before = json.loads(listing.read_text(encoding="utf-8"))
    except ValueError:
        before = None
    if not isinstance(before, dict) or "suffix" not in before:
        raise LatencyError(f"{listing} is of no device bundle: give --device_bundle a new folder")
    if before | {"networks": []} != {**told, "networks": []}:
        raise LatencyError(f"{folder} holds a bundle for other conditions: give --device_bundle a new folder")
