"""Milliseconds an image of the detector by runtime, in float32 and in int8, beside ONNX files of other detectors.

    python -m benchmarks.detector_runtimes
    python -m benchmarks.detector_runtimes --other nanodet-plus-m-1.5x=nanodet.onnx --write

One thread, batches of one image of noise, weights at random, which cost the same as trained ones. Each row is timed in turn in
every round, so that a machine that others use slows all rows alike; the least processor time of the rounds counts, and ratios
are those to the first row. Int8 is ONNX Runtime's static quantisation of the same file, its scales from noise: what it costs,
not what it finds. Graphs are as torch writes them (`gsnet export --no_fuse`). --write puts the table into
docs/detection/runtimes.md, which says how NanoDet's file is made.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

import PlainNet
from gsnet.interface.running import run
from benchmarks.pages import replace_section
from gsnet.detection.detector import Detector
from gsnet.detection.export import Exported
from gsnet.detection.settings import DetectorSettings
from gsnet.detection.visdrone_format import CLASS_NAMES
from gsnet.runtimes import Settings, runtime
from gsnet.runtimes.int8 import INT8, behind_convolutions, to_int8
from gsnet.runtimes.onnx_file import write_onnx
from gsnet.runtimes.openvino_runtime import save_onnx

PAGE = Path(__file__).parent.parent / "docs" / "detection" / "runtimes.md"
# With neck and head of 128 channels 2.3M parameters and 1.9 G multiply-accumulates at 640 x 384, about NanoDet-Plus-m-1.5x.
STRUCTURE = (
    "SuperConvK3BNRELU(3,24,2,1)SuperGhostShuffleK3(24,64,2,48,2)SuperGhostShuffleK3(64,192,2,128,3)"
    "SuperGhostShuffleK3(192,448,2,224,5)SuperGhostShuffleK3(448,768,2,384,3)"
)
_CALIBRATED = 8


@dataclass
class Row:
    """One file in one runtime: name, runtime, what it computes in, and a call that runs it once."""

    detector: str
    program: str
    precision: str
    run: Callable[[], object]
    seconds: list[float] = field(default_factory=list)


def structure_of(text: str) -> str:
    """A structure, or that of a file."""
    return str(PlainNet.read_structure_file(Path(text))) if Path(text[:255]).is_file() else text


def detector(structure: str) -> Detector:
    """A detector of VisDrone's classes with weights at random."""
    torch.manual_seed(0)
    return Detector(DetectorSettings(structure, CLASS_NAMES)).eval()


def rows_of_ours(network: Detector, name: str, size: tuple[int, int], folder: Path) -> Iterator[Row]:
    """Torch, the ONNX file's rows, and ncnn."""
    images = torch.randn(1, 3, *size)
    exported = Exported(network, network.settings, size, decoded=False).eval()
    yield Row(name, "torch", "fp32", torch.inference_mode()(lambda: exported(images)))
    file = folder / "ours.onnx"
    write_onnx(exported, file, size, "predictions")
    yield from rows_of_onnx(file, name, size, folder)
    session = runtime("ncnn").make(exported, size, Settings())
    yield Row(name, "ncnn", session.precision, session.ready(images.numpy()))


def rows_of_onnx(file: Path, name: str, size: tuple[int, int], folder: Path) -> Iterator[Row]:
    """An ONNX file in ONNX Runtime and OpenVINO, as it is and in int8."""
    random = np.random.default_rng(0)
    images = random.standard_normal((1, 3, *size), dtype=np.float32)
    integers = folder / f"{file.stem}_int8.onnx"
    shutil.copy(file, integers)
    for_scales = random.standard_normal((_CALIBRATED, 3, *size), dtype=np.float32)
    to_int8(integers, for_scales, behind_convolutions(file), at_once=1)
    for graph, precision in ((file, "fp32"), (integers, INT8)):
        for program in ("onnxruntime", "openvino"):
            path = graph if program == "onnxruntime" else save_onnx(graph, folder / f"{graph.stem}.xml")[0]
            session = runtime(program).load(path, Settings())
            yield Row(name, program, precision, session.ready(images))


def measure(rows: list[Row], rounds: int) -> None:
    """Processor seconds of every row in turn, after a first round that does not count."""
    for number in range(rounds + 1):
        for row in rows:
            begin = time.process_time()
            row.run()
            if number:
                row.seconds.append(time.process_time() - begin)


def table(rows: list[Row]) -> str:
    """The rows as a table of Markdown."""
    first = min(rows[0].seconds)
    lines = ["| detector | runtime | computes in | ms | of the first row |", "|---|---|---|---:|---:|"]
    for row in rows:
        least = min(row.seconds)
        lines.append(f"| {row.detector} | {row.program} | {row.precision} | {1e3 * least:.1f} | {least / first:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structure", default=STRUCTURE, help="of the backbone, or a file that holds it")
    parser.add_argument(
        "--other", nargs="*", default=[], metavar="NAME=FILE.onnx", help="of one image of the same size"
    )
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--write", action="store_true", help="into docs/detection/runtimes.md")
    options = parser.parse_args()
    torch.set_num_threads(1)
    network, size = detector(structure_of(options.structure)), (options.height, options.width)
    parameters = sum(value.numel() for value in network.parameters())
    with tempfile.TemporaryDirectory() as folder:
        rows = list(rows_of_ours(network, f"GSNet, {parameters / 1e6:.2f}M", size, Path(folder)))
        for other in options.other:
            name, _, file = other.partition("=")
            rows += rows_of_onnx(Path(file), name, size, Path(folder))
        measure(rows, options.rounds)
    text = table(rows)
    print(text)
    if options.write:
        replace_section(PAGE, "detector by runtime", text)


if __name__ == "__main__":
    sys.exit(run(main))
