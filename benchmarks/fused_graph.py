"""How much faster networks run where they are deployed by what `gsnet export` does to their graphs.

    python -m benchmarks.fused_graph                                         # prints the table
    python -m benchmarks.fused_graph --write                                 # and puts it into docs/runtimes.md
    python -m benchmarks.fused_graph --spaces ghostshuffle --resolutions 32 --networks 3 --operations
    python -m benchmarks.fused_graph --runtimes opencv --write               # leaves the page's other columns and rows

Of each space networks at the ends of random walks, as a search visits them. ONNX Runtime and OpenCV: the network as torch has
it (`--no_fuse`), and as it is exported. OpenVINO: as torch has it for any number of images, and as it is exported, for one.
Both graphs of a runtime are run in turns, one thread, processor time, a batch of one image; a ratio is one's time over the
other's, of lower quartiles: other programs on the computer only add.
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
from torch import nn

from gsnet.interface.running import run
from benchmarks.comma_lists import values_of
from benchmarks.latency_predictor import CLASSES, STARTS, networks_of
from benchmarks.pages import replace_section
from gsnet.interface.options import InputError, positive_int
from gsnet.runtimes import Operation, Settings, runtime
from gsnet.runtimes.onnx_file import write_onnx
from Masternet import MasterNet
from PlainNet import Network

PAGE = Path(__file__).parent.parent / "docs/runtimes.md"
SECTION = "speed of rewritten graphs"
# Columns of figures, and the runtime that each is measured in.
COLUMNS = {
    "ONNX Runtime": "onnxruntime",
    "weights in its file": "onnxruntime",
    "OpenVINO": "openvino",
    "OpenCV": "opencv",
}
RUNTIMES = tuple(dict.fromkeys(COLUMNS.values()))
# What a row is of; the next column says of how many networks.
KEY = ("space", "pixels")
HEAD = [*KEY, "networks", *COLUMNS]
# Networks that no other benchmark is fitted to.
_KIND = "held out"
_ROUNDS, _CALLS = 15, 4


@dataclass
class Row:
    """Ratios of one space at one resolution by column, a number a network."""

    space: str
    resolution: int
    ratios: dict[str, list[float]] = field(default_factory=dict)
    # Of each kind of kernel in ONNX Runtime, the part that it has of the plain graphs' time: before and after.
    kernels: tuple[dict[str, float], dict[str, float]] = field(default_factory=lambda: ({}, {}))

    @property
    def networks(self) -> int:
        """How many were measured."""
        return max(map(len, self.ratios.values()), default=0)

    def add(self, column: str, ratio: float) -> None:
        """One more network's ratio."""
        self.ratios.setdefault(column, []).append(ratio)

    def cells(self) -> dict[str, str]:
        """The row's cells by column, of those that were measured."""
        texts = {name: f"{median(one):.2f} ({min(one):.2f} to {max(one):.2f})" for name, one in self.ratios.items()}
        return {"space": self.space, "pixels": f"{self.resolution}", "networks": f"{self.networks}"} | texts


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


def compare(row: Row, network: Network, runtimes: Sequence[str], operations: bool) -> None:
    """Add one network's ratios in some of `RUNTIMES`, and with `operations` what its kernels in ONNX Runtime take."""
    size = (row.resolution, row.resolution)
    images = np.random.default_rng(0).standard_normal((1, 3, *size), dtype=np.float32)
    module = MasterNet(num_classes=CLASSES, plainnet_struct=network).eval()
    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        write_onnx(module, plain, size)
        if operations or "onnxruntime" in runtimes:
            file = exported(module, plain, "onnxruntime", size)
            row.add("ONNX Runtime", times_as_fast("onnxruntime", plain, file, images))
            row.add("weights in its file", file.stat().st_size / plain.stat().st_size)
        if operations:
            _add_kernels(
                row, [runtime("onnxruntime").load(one, Settings()).operations(images, 40) for one in (plain, file)]
            )
        if "openvino" in runtimes:
            file = exported(module, plain, "openvino", size)
            fixed = runtime("openvino").load(file, Settings()).ready(images)
            before, after = times_in_turns(free_in_openvino(plain, images), fixed)
            row.add("OpenVINO", before / after)
        if "opencv" in runtimes:
            row.add("OpenCV", times_as_fast("opencv", plain, exported(module, plain, "opencv", size), images))


def exported(module: nn.Module, plain: Path, name: str, size: tuple[int, int]) -> Path:
    """The file beside a plain one that is exported for a runtime; the plain one itself where nothing is rewritten."""
    rewritten = runtime(name).rewritten(module, size)
    if rewritten is module:
        return plain
    file = plain.with_name(f"{name}.onnx")
    write_onnx(rewritten, file, size)
    return file


def times_as_fast(name: str, plain: Path, file: Path, images: np.ndarray) -> float:
    """How many times as fast a runtime runs a file as a plain one."""
    before, after = times_in_turns(*(runtime(name).load(one, Settings()).ready(images) for one in (plain, file)))
    return before / after


def _add_kernels(row: Row, profiles: Sequence[Sequence[Operation]]) -> None:
    total = sum(one.seconds for one in profiles[0])
    for found, profile in zip(row.kernels, profiles, strict=True):
        for one in profile:
            found[one.kind] = found.get(one.kind, 0.0) + one.seconds / total


def kernel_table(row: Row) -> str:
    """Kernels by what they take in the graphs as torch has them, in per cent of those graphs' time."""
    networks = row.networks
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


def table(rows: Sequence[Row], page: str = "") -> str:
    """Rows as a table, with what a page's table has besides: columns that were not measured anew, and rows.

    Raises InputError for a row of other networks than the page's, whose cells would stand side by side.
    """
    lines = {tuple(row[name] for name in KEY): row for row in rows_of(page)}
    for row in rows:
        cells = row.cells()
        before = lines.setdefault(tuple(cells[name] for name in KEY), {})
        kept = [name for name in COLUMNS if before.get(name, "-") != "-" and name not in cells]
        if kept and before["networks"] != cells["networks"]:
            raise InputError(
                f"{row.space} at {row.resolution} pixels has {kept[0]} of {before['networks']} networks on the page, and "
                f"{row.networks} were measured: give --networks {before['networks']}, or all --runtimes"
            )
        before.update(cells)
    texts = [HEAD, *([row.get(name, "-") for name in HEAD] for row in lines.values())]
    head, *rest = (f"| {' | '.join(cells)} |" for cells in texts)
    return "\n".join([head, "|---" * len(HEAD) + "|", *rest])


def rows_of(page: str) -> list[dict[str, str]]:
    """The rows of a page's table, cells by column."""
    _, _, rest = page.partition(f"<!-- {SECTION} -->")
    lines = [line.strip("| ").split(" | ") for line in rest.partition("<!--")[0].splitlines() if line.startswith("| ")]
    return [dict(zip(lines[0], cells, strict=True)) for cells in lines[1:]]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spaces", default=",".join(STARTS[32]), help="default: %(default)s")
    parser.add_argument("--resolutions", default="32,224", help="default: %(default)s")
    parser.add_argument(
        "--networks", type=positive_int, default=10, help="of each space and resolution (default: %(default)s)"
    )
    parser.add_argument("--runtimes", default=",".join(RUNTIMES), help="default: %(default)s")
    parser.add_argument("--operations", action="store_true", help="print what ONNX Runtime's kernels take, too")
    parser.add_argument("--write", action="store_true", help="put what was measured into docs/runtimes.md")
    options = parser.parse_args(argv)
    rows = []
    spaces_asked = values_of("--spaces", options.spaces, str, STARTS[32])
    runtimes = values_of("--runtimes", options.runtimes, str, RUNTIMES)
    for resolution in values_of("--resolutions", options.resolutions, positive_int, STARTS):
        for space in spaces_asked:
            row = Row(space, resolution)
            spaces = list(STARTS[resolution])
            found = networks_of(resolution, _KIND)[spaces.index(space) :: len(spaces)]
            for number, network in enumerate(found[: options.networks], 1):
                compare(row, network, runtimes, options.operations)
                print(number, row.cells(), file=sys.stderr)
            rows.append(row)
    print(table(rows))
    if options.operations:
        for row in rows:
            print(f"\n{row.space}, {row.resolution} pixels:\n{kernel_table(row)}")
    if options.write:
        replace_section(PAGE, SECTION, table(rows, PAGE.read_text(encoding="utf-8")))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
