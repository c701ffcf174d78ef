"""A device without torch: a folder with networks and what times them there; `gsnet.latency.timings` has the way back."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gsnet.interface.files import write_text
from gsnet.interface.words import counted, either
from gsnet.latency import device_script
from gsnet.latency.bundle_folder import check_folder, remove_others, set_aside
from gsnet.latency.device import FP32
from gsnet.latency.errors import LatencyError, telling
from gsnet.latency.setting import Setting
from gsnet.latency.timed_networks import UNFINISHED, written
from gsnet.runtimes import Runtime, runtime, way_of_rewriting
from PlainNet import Network

_LOG = logging.getLogger(__name__)
SCRIPT, GUIDE, BENCHNCNN, BENCHNCNN_TIMES = "time_networks.py", "README.md", "benchncnn.sh", "benchncnn.txt"
# Format of the files -> the runtime that writes them.
FORMATS = {"onnx": "onnxruntime", "openvino": "openvino", "opencv": "opencv", "ncnn": "ncnn"}
# What begins a line of benchncnn.sh on a network that cannot run.
FAILED = "failed"
_GUIDE = """# Networks to time on a device

Copy this folder to the device. With Python 3.9 or newer, numpy and {runtimes}:

    python {script}

It times every network in rounds, goes on where it was stopped, and writes times.json. A network that cannot run is named there
with the reason, and left out below. `python {script} --help` has the options.
{others}{ncnn}
Back on the computer that searches:

    python benchmark_network_latency.py --import_timings times.json --latency_table device.db
    python evolution_search.py --latency_table device.db --budget_latency 2ms ...
"""
_GUIDE_OTHERS = """
The files are those that `gsnet export --format {format}` writes. Times by another `--runtime` than {runtime} are of these, not
of those that an export writes for it, of which there are bundles too (`--format openvino`, `--format opencv`).
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


def write_bundle(folder: Path, parts: Iterable[Bundled], setting: Setting, *, quiet: bool = False) -> dict[str, Any]:
    """Write networks in the format of the setting's runtime, what times them, and how; returns what was written.

    Networks that a bundle of the same kind holds already stay if they are asked for, too, and others go; what was timed of them
    is kept under another name. Raises LatencyError for a folder with a bundle of another kind or with other files,
    RuntimesError, OSError.
    """
    program = runtime(setting.backend)
    program.require(writing=True)
    told = _description(setting, program)
    check_folder(folder, told)
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    listed = [(part.role, network) for part in parts for network in part.networks]
    # Known before the first file: who goes on with a bundle that was begun is told if it is another. What a whole one lists
    # stays until the new list is whole, too.
    if not (folder / device_script.NETWORKS).is_file():
        write_text(folder / device_script.NETWORKS, json.dumps({**told, "networks": []}, indent=1) + "\n")
    try:
        for role, network in tqdm(listed, desc="writing networks", unit=" networks", disable=quiet):
            with telling(program.name, f"{network} at {setting.conditions}"):
                file = written(network, setting, program, folder)
            entries.append({"file": file.name, "structure": network.text, "role": role})
    finally:
        shutil.rmtree(folder / UNFINISHED, ignore_errors=True)
    write_text(folder / SCRIPT, Path(device_script.__file__).read_text(encoding="utf-8"))
    side = setting.conditions.resolution
    if setting.backend == FORMATS["ncnn"]:
        write_text(folder / BENCHNCNN, _BENCHNCNN.format(side=side, times=BENCHNCNN_TIMES, failed=FAILED))
    able = {name: one.package for name, one in device_script.RUNTIMES.items() if program.name in one.reads}
    packages = either(list(able.values()))
    write_text(folder / GUIDE, _guide(program.name, list(able.values()), side))
    listing = {**told, "networks": entries}
    write_text(folder / device_script.NETWORKS, json.dumps(listing, indent=1) + "\n")
    _leave_alone(folder, program, listing)
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    networks = f"{folder}: {counted(len(entries), 'network')} of {setting.conditions}, {size:,} bytes"
    text = f"{networks}, for a device with Python and {packages}: "
    report = {"device_bundle": str(folder), "networks": len(entries), "bytes": size, "runtimes": list(able)}
    return report | {"text": f"{text}{folder / GUIDE} says what to do there"}


def _leave_alone(folder: Path, program: Runtime, listing: Mapping[str, Any]) -> None:
    """Leave a bundle's own networks in its folder, and of the bundle before what was timed of it."""
    if removed := remove_others(folder, program.suffixes, listing):
        _LOG.info("%s: removed %s that the folder held before", folder, counted(removed, "other network"))
    if aside := set_aside(folder, listing):
        _LOG.warning(
            "%s was of the networks that the folder held before, and is %s now, which --import_timings takes as well",
            *(folder / device_script.TIMES, aside.name),
        )


def _guide(written_for: str, packages: Sequence[str], side: int) -> str:
    """What to do on the device. packages: of what can run the files, as pip calls them."""
    kind = next(kind for kind, name in FORMATS.items() if name == written_for)
    others = _GUIDE_OTHERS.format(format=kind, runtime=written_for) if len(packages) > 1 else ""
    ncnn = ""
    if written_for == FORMATS["ncnn"]:
        ncnn = _GUIDE_NCNN.format(benchncnn=BENCHNCNN, side=side, times=BENCHNCNN_TIMES)
    return _GUIDE.format(runtimes=either(packages), script=SCRIPT, others=others, ncnn=ncnn)


def _description(setting: Setting, program: Runtime) -> dict[str, Any]:
    conditions, style = setting.conditions, setting.style
    if conditions.precision != FP32 or style.no_BN:
        raise LatencyError("A device bundle holds networks in float32, with batch normalisation")
    shape = {"batch": conditions.batch, "resolution": conditions.resolution}
    files = {"suffix": program.suffixes[0], "exported_for": program.name, "way": way_of_rewriting(program.name)}
    return {**shape, **files, "num_classes": setting.num_classes, "use_se": style.use_se}
