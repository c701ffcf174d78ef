"""The networks that the tests collect, by name."""

from __future__ import annotations

import json
import re
from pathlib import Path

import PlainNet
from PlainNet import Network

STRUCTURES = Path(__file__).parent.parent / "tests/golden/structures.json"
_CIFAR = re.compile(r"(init_\w+_cifar|zennet_cifar_.*|init_GS_2M|mut_XXBL_\d+|mut_GS2_\d+)$")


def structures() -> dict[str, str]:
    """All of them as text."""
    return {case["id"]: case["string"] for case in json.loads(STRUCTURES.read_text())["structures"]}


def network_of(name: str) -> Network:
    """The network of a name. Raises KeyError."""
    return PlainNet.parse(structures()[name])


def cifar_networks() -> dict[str, Network]:
    """Those of CIFAR size."""
    return {name: PlainNet.parse(text) for name, text in structures().items() if _CIFAR.match(name)}
