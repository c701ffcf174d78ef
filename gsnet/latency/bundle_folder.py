"""The folder of a device bundle: whether it can be one, and what is left there of a bundle with other networks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gsnet.latency import device_script
from gsnet.latency.errors import LatencyError
from gsnet.runtimes.rewriting import SOME_WAY

# What older bundles, of two formats, were of.
OF_SUFFIXES = {".onnx": "onnxruntime", ".param": "ncnn"}
# As a network's file is called, by a digest of the network and its conditions.
_STEM = re.compile(r"[0-9a-f]{16}")


def check_folder(folder: Path, told: Mapping[str, Any]) -> None:
    """What is there must be a bundle that this one goes on with. Raises LatencyError."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    listing = folder / device_script.NETWORKS
    if not listing.is_file():
        raise LatencyError(f"{folder} holds other files: give --device_bundle a new folder")
    before = _table(listing)
    if before is None or "suffix" not in before:
        raise LatencyError(f"{listing} is of no device bundle: give --device_bundle a new folder")
    # Older ones do not say for which runtime they are: for the one that its suffix tells. Nor in which way they are rewritten.
    known = {
        "exported_for": OF_SUFFIXES.get(before["suffix"]),
        "way": min(told["way"], SOME_WAY),
        **before,
        "networks": [],
    }
    if {**known, "way": told["way"]} == {**told, "networks": []} and known["way"] != told["way"]:
        raise LatencyError(
            f"{folder} holds a bundle of another version, whose networks take another time: give --device_bundle a new folder"
        )
    if known != {**told, "networks": []}:
        raise LatencyError(f"{folder} holds a bundle for other conditions: give --device_bundle a new folder")


def remove_others(folder: Path, suffixes: Sequence[str], listed: Mapping[str, Any]) -> int:
    """Remove the files of networks that a bundle no longer lists; returns how many networks there were.

    suffixes: of a network's files. listed: what the bundle's list says by now. Raises OSError.
    """
    own = {Path(entry["file"]).stem for entry in listed["networks"]}
    others = [
        file
        for file in folder.iterdir()
        if file.suffix in suffixes and _STEM.fullmatch(file.stem) and file.stem not in own and file.is_file()
    ]
    for file in others:
        file.unlink()
    return len({file.stem for file in others})


def set_aside(folder: Path, listed: Mapping[str, Any]) -> Path | None:
    """Give times of other networks than a bundle lists another name, since what times these would refuse to go on with them.

    They say themselves what they are of, and can be imported as before. Returns the new name, None where there are none.
    """
    times = folder / device_script.TIMES
    found = _table(times) if times.is_file() else None
    if found is None or found.get("networks") == listed:
        return None
    number = 1
    while (aside := times.with_stem(f"{times.stem}_before_{number}")).exists():
        number += 1
    times.rename(aside)
    return aside


def _table(file: Path) -> dict[str, Any] | None:
    """The values of a JSON file, None where it holds no table of them."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
