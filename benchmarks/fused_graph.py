"""How much faster networks run where they are deployed by what `gsnet export` does to their graphs.

    python -m benchmarks.fused_graph                                         # prints the table
    python -m benchmarks.fused_graph --write                                 # and puts it into docs/runtimes.md
    python -m benchmarks.fused_graph --spaces ghostshuffle --resolutions 32 --networks 3 --operations

Of each space networks at the ends of random walks, as a search visits them. ONNX Runtime: the network as torch has it
(`--no_fuse`), and as it is exported. OpenVINO: its graph for any number of images, and for one, as it is exported. All are
run in turns, one thread, processor time, a batch of one image; a ratio is one's time over the other's, of lower quartiles:
other programs on the computer only add.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np

from gsnet.interface.running import run
from benchmarks.comma_lists import values_of
from benchmarks.latency_predictor import CLASSES, STARTS, networks_of
from benchmarks.pages import replace_section
from gsnet.interface.options import positive_int
from gsnet.runtimes import Operation, Settings, runtime
from gsnet.runtimes.onnx_file import write_onnx
from Masternet import MasterNet
from PlainNet import Network

PAGE = Path(__file__).parent.parent / "docs/runtimes.md"
HEAD = """| space | pixels | networks | ONNX Runtime | weights in its file | OpenVINO |
|---|---|---|---|---|---|"""
# Networks that no other benchmark is fitted to.
_KIND = "held out"
_ROUNDS, _CALLS = 15, 4


@dataclass
class Row:
    """Ratios of one space at one resolution, a number a network."""

    space: str
    resolution: int
    onnxruntime: list[float] = field(default_factory=list)
    size: list[float] = field(default_factory=list)
    openvino: list[float] = field(default_factory=list)
    # Of each kind of kernel in ONNX Runtime, the part that it has of the plain graphs' time: before and after.
    kernels: tuple[dict[str, float], dict[str, float]] = field(default_factory=lambda: ({}, {}))

    def cells(self) -> str:
        """A line of the table."""
        columns = (self.onnxruntime, self.size, self.openvino)
        texts = [f"{median(one):.2f} ({min(one):.2f} to {max(one):.2f})" for one in columns]
        return f"| {self.space} | {self.resolution} | {len(self.size)} | {' | '.join(texts)} |"


def free_in_openvino(file: Path, images: np.ndarray) -> Callable[[], object]:
    """A call that runs a graph in OpenVINO whose number of images is left free."""
    import openvino

    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})
    wanted: dict[str, Any] = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(core.read_model(file), "CPU", wanted | {"INFERENCE_PRECISION_HINT": "f32"})
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(images))
    return request.infer


def compare(row: Row, network: Network, operations: bool) -> None:
    """Add one network's ratios, and with `operations` what its kernels take."""
    size = (row.resolution, row.resolution)
    images = np.random.default_rng(0).standard_normal((1, 3, *size), dtype=np.float32)
    module = MasterNet(num_classes=CLASSES, plainnet_struct=network).eval()
    rewritten = runtime("onnxruntime").rewritten(module, size)
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        write_onnx(module, plain, size)
        file = plain if rewritten is module else Path(folder) / "rewritten.onnx"
        if rewritten is not module:
            write_onnx(rewritten, file, size)
        row.size.append(file.stat().st_size / plain.stat().st_size)
        before, after = times_in_turns(
            runtime("onnxruntime").load(plain, Settings()).ready(images),
            runtime("onnxruntime").load(file, Settings()).ready(images),
        )
        row.onnxruntime.append(before / after)
        if operations:
            _add_kernels(
                row, [runtime("onnxruntime").load(one, Settings()).operations(images, 40) for one in (plain, file)]
            )
        before, after = times_in_turns(
            free_in_openvino(plain, images), runtime("openvino").load(plain, Settings()).ready(images)
        )
        row.openvino.append(before / after)


def _add_kernels(row: Row, profiles: Sequence[Sequence[Operation]]) -> None:
    total = sum(one.seconds for one in profiles[0])
    for found, profile in zip(row.kernels, profiles, strict=True):
        for one in profile:
            found[one.kind] = found.get(one.kind, 0.0) + one.seconds / total


def kernel_table(row: Row) -> str:
    """Kernels by what they take in the graphs as torch has them, in per cent of those graphs' time."""
    networks = len(row.size)
    lines = ["| kernel | as torch has it | as exported |", "|---|---|---|"]
    for kind in sorted(row.kernels[0] | row.kernels[1], key=lambda kind: -row.kernels[0].get(kind, 0.0)):
        lines.append(
            f"| `{kind}` | "
            + " | ".join(f"{100 * found.get(kind, 0.0) / networks:.1f}" for found in row.kernels)
            + " |"
        )
    sums = [sum(found.values()) / networks for found in row.kernels]
    return "\n".join([*lines, f"| all | {100 * sums[0]:.0f} | {100 * sums[1]:.0f} |"])


def times_in_turns(*calls: Callable[[], object], rounds: int = _ROUNDS) -> list[float]:
    """The lower quartile of each call's processor times in seconds, all in turns."""
    times: list[list[float]] = [[] for _ in calls]
    for number in range(rounds + 1):
        for call, found in zip(calls, times, strict=True):
            for _ in range(_CALLS):
                start = time.process_time()
                call()
                # The first round takes memory.
                if number:
                    found.append(time.process_time() - start)
    return [quantiles(found, n=4)[0] for found in times]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", default=",".join(STARTS[32]), help="default: %(default)s")
    parser.add_argument("--resolutions", default="32,224", help="default: %(default)s")
    parser.add_argument(
        "--networks", type=positive_int, default=10, help="of each space and resolution (default: %(default)s)"
    )
    parser.add_argument("--operations", action="store_true", help="print what ONNX Runtime's kernels take, too")
    parser.add_argument("--write", action="store_true", help="put the table into docs/runtimes.md")
    options = parser.parse_args(argv)
    rows = []
    spaces_asked = values_of("--spaces", options.spaces, str, STARTS[32])
    for resolution in values_of("--resolutions", options.resolutions, positive_int, STARTS):
        for space in spaces_asked:
            row = Row(space, resolution)
            spaces = list(STARTS[resolution])
            found = networks_of(resolution, _KIND)[spaces.index(space) :: len(spaces)]
            for number, network in enumerate(found[: options.networks], 1):
                compare(row, network, options.operations)
                print(f"{number} {row.cells()}", file=sys.stderr)
            rows.append(row)
    table = "\n".join([HEAD, *(row.cells() for row in rows)])
    print(table)
    if options.operations:
        for row in rows:
            print(f"\n{row.space}, {row.resolution} pixels:\n{kernel_table(row)}")
    if options.write:
        replace_section(PAGE, "speed of rewritten graphs", table)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
