"""Which block of the language becomes which operator in which runtime, in float32 and in int8.

    python -m benchmarks.block_operators            # prints the tables
    python -m benchmarks.block_operators --write    # and puts them into docs/runtimes.md

Each block stands behind a convolution with batch normalisation and ReLU, in a network with a classifier. What that network runs
without the block is taken off: what is left is the block's. Kinds are those of the runtime's own graph (`Session.operations`).
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx

from gsnet.interface.running import run
from benchmarks.pages import replace_section
from gsnet.runtimes import RuntimesError, Session, Settings, runtime
from gsnet.runtimes.int8 import to_int8
from gsnet.runtimes.onnx_file import write_onnx
from gsnet.runtimes.openvino_runtime import check_compiles, save_onnx
from Masternet import MasterNet

STEM = "ConvKX(3,8,3,1)BN(8)RELU(8)"
BLOCKS = (
    "ConvKX(8,8,3,1)",
    "ConvKX(8,8,3,1)BN(8)RELU(8)",
    "ConvKX(8,8,3,1)BN(8)HS(8)",
    "ConvKXG4(8,8,3,1)",
    "ConvDW(8,3,1)",
    "BN(8)",
    "HS(8)",
    "Swish(8)",
    "SE(8)",
    "MaxPool(8,3,2)",
    "AdaptiveAvgPool(8,4)",
    "GhostConv(8,8,1,1)BN(8)RELU(8)",
    "ResBlock(ConvKX(8,8,3,1)BN(8))RELU(8)",
    "ResBlockProj(ConvKX(8,8,3,1)BN(8))RELU(8)",
    "MultiSumBlock(ConvKX(8,8,3,1);ConvKX(8,8,1,1))",
    "MultiCatBlock(ConvKX(8,8,3,1);ConvKX(8,8,1,1))",
    "SuperGhostShuffleK3(8,8,1,8,1)",
    "SuperGhostShuffleK3(8,8,2,8,1)",
)
SIDE = 16
PAGE = Path(__file__).parent.parent / "docs/runtimes.md"
FLOAT = ("ONNX file", "onnxruntime", "openvino", "ncnn", "opencv")
INT8 = ("ONNX file", "onnxruntime", "openvino")
Kinds = Counter[str]


def operators(structure: str, folder: Path) -> dict[str, Kinds | str]:
    """Kinds of the operators of a network by column, "int8 …" for those of int8; or why there are none."""
    network = MasterNet(num_classes=10, plainnet_struct=structure).eval()
    file, images = (
        folder / "network.onnx",
        np.random.default_rng(0).standard_normal((8, 3, SIDE, SIDE), dtype=np.float32),
    )
    write_onnx(network, file, (SIDE, SIDE))
    found: dict[str, Kinds | str] = {"ONNX file": _nodes(file)}
    found |= {name: _of_file(name, file, images[:1]) for name in ("onnxruntime", "openvino", "opencv")}
    try:
        found["ncnn"] = _kinds(runtime("ncnn").make(network, (SIDE, SIDE)), images[:1])
    except RuntimesError as error:
        found["ncnn"] = str(error)
    to_int8(file, images)
    found["int8 ONNX file"] = _nodes(file)
    found["int8 onnxruntime"] = _of_file("onnxruntime", file, images[:1])
    # For one image, as a session has it: OpenVINO may end the process that compiles it, which another one tries first.
    model, _ = save_onnx(file, file.with_suffix(".xml"))
    try:
        check_compiles(model)
        found["int8 openvino"] = _of_file("openvino", model, images[:1])
    except RuntimesError as error:
        found["int8 openvino"] = str(error).split(":")[0]
    return found


def _nodes(file: Path) -> Kinds:
    return Counter(node.op_type for node in onnx.load(file).graph.node)


def _of_file(name: str, file: Path, images: np.ndarray) -> Kinds:
    return _kinds(runtime(name).load(file, Settings()), images)


def _kinds(session: Session, images: np.ndarray) -> Kinds:
    return Counter(_kind(operation.kind) for operation in session.operations(images, passes=1))


def _kind(kind: str) -> str:
    """OpenVINO's operator, with a note where its code computes in integers."""
    name, _, code = kind.partition(":")
    return f"{name} in int8" if re.search(r"[iu]8$", code.lower()) else name


def added(whole: Kinds | str, without: Kinds | str) -> str:
    """What a network has more than another, as a cell."""
    if isinstance(whole, str) or isinstance(without, str):
        return f"not supported: {whole if isinstance(whole, str) else without}"
    more = whole - without
    return ", ".join(f"{count} {kind}" if count > 1 else kind for kind, count in more.items()) or "nothing"


def table(columns: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """A table of Markdown, the block first."""
    lines = [f"| block | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    return "\n".join([*lines, *(f"| `{block}` | {' | '.join(cells)} |" for block, cells in rows)])


def tables(found: dict[str, dict[str, Kinds | str]]) -> str:
    """Both tables. found: operators by block, those of the stem alone under ""."""
    stem = found[""]

    def rows(columns: Sequence[str], prefix: str) -> list[tuple[str, list[str]]]:
        keys = [f"{prefix}{column}" for column in columns]
        return [(block, [added(kinds[key], stem[key]) for key in keys]) for block, kinds in found.items() if block]

    return "\n\n".join(
        (
            "In float32:",
            table(FLOAT, rows(FLOAT, "")),
            "In int8; what is not said to be an integer operator computes in float32:",
            table(INT8, rows(INT8, "int8 ")),
        )
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables, and write them where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into docs/runtimes.md")
    options = parser.parse_args(argv)
    found = {}
    for block in ("", *BLOCKS):
        print(block or "the stem alone", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            found[block] = operators(STEM + block, Path(folder))
    text = tables(found)
    print(text)
    if options.write:
        replace_section(PAGE, "operators of blocks", text)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
