"""What nine operation counters print for the same networks; writes docs/counters.csv and the tables of docs/counters.md.

    pip install -r requirements-counters.txt
    python -m benchmarks.counters

A counter that is not installed is named and left out, with the figures that the table has of it kept; finished figures are not
counted again unless --again is given. thop and ultralytics-thop install one module: for Ultralytics' figures make a second
environment.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import importlib.metadata
import io
import logging
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import PlainNet
from gsnet.interface.running import run
from benchmarks.pages import replace_section
from benchmarks.saved_rows import Row, Rows, failure, missing, read_rows, save_rows
from gsnet.interface.options import InputError
from gsnet.models.counters import COUNTERS
from Masternet import MasterNet
from PlainNet import DEPLOYED, PLAIN, Network, Style
from ZenNet.catalogue import published

DOCS = Path(__file__).parent.parent / "docs"
QUICKSTART = Path(__file__).parent / "quickstart_winner.txt"
WINNER, DETECTOR = "quickstart's winner", "GSNet's detector"
LIBRARY = ("mobilenet_v3_large", "resnet18")
KEY = ("network", "counter")
FIELDS = ("network", "resolution", "classes", "counter", "version", "figure", "reason")


@dataclass(frozen=True)
class Subject:
    """A network that is counted: its name, the height of its input, its classes."""

    name: str
    resolution: int
    classes: int

    def value(self) -> tuple[Network, Style]:
        """The structure and style of one of this toolkit's classifiers."""
        if self.name == WINNER:
            return PlainNet.read_structure_file(QUICKSTART), PLAIN
        entry = published(self.name)
        style = DEPLOYED if entry.name == "gsmodel_l" else replace(PLAIN, use_se=entry.se, se_activation="relu")
        return PlainNet.parse(entry.structure), style

    def module(self) -> nn.Module:
        """The network in evaluation mode."""
        if self.name == DETECTOR:
            from gsnet.detection.catalogue import published_settings
            from gsnet.detection.detector import Detector

            return Detector(published_settings(tuple(map(str, range(self.classes))))).eval()
        if self.name in LIBRARY:
            from gsnet.models import load_model

            return load_model(self.name, num_classes=self.classes).eval()
        network, style = self.value()
        return MasterNet(num_classes=self.classes, plainnet_struct=network, style=style).eval()


SUBJECTS = (
    Subject("zennet_cifar10_model_size1M_res32", 32, 10),
    Subject("zennet_imagenet1k_flops400M_SE_res224", 224, 1000),
    Subject("zennet_imagenet1k_latency01ms_res224", 224, 1000),
    Subject("gsmodel_l", 64, 10),
    Subject(WINNER, 32, 10),
    Subject(DETECTOR, 320, 10),
    Subject("mobilenet_v3_large", 224, 1000),
    Subject("resnet18", 224, 1000),
)


def _torch(model: nn.Module, image: torch.Tensor) -> float:
    from torch.utils.flop_counter import FlopCounterMode

    # With gradients: without them, fused layers count nothing.
    with FlopCounterMode(display=False) as counter:
        model(image)
    return counter.get_total_flops() / 2


def _ptflops(backend: str) -> Callable[[nn.Module, torch.Tensor], float]:
    def count(model: nn.Module, image: torch.Tensor) -> float:
        from ptflops import get_model_complexity_info

        flags: dict[str, Any] = {"as_strings": False, "print_per_layer_stat": False, "backend": backend}
        return get_model_complexity_info(model, tuple(image.shape[1:]), **flags)[0]

    return count


def _fvcore(model: nn.Module, image: torch.Tensor) -> float:
    from fvcore.nn import FlopCountAnalysis

    return FlopCountAnalysis(model, image).total()


def _thop(model: nn.Module, image: torch.Tensor) -> float:
    import thop

    return thop.profile(model, (image,), verbose=False)[0]


def _torchinfo(model: nn.Module, image: torch.Tensor) -> float:
    from torchinfo import summary

    return summary(model, input_data=image, verbose=0).total_mult_adds


def _torchprofile(model: nn.Module, image: torch.Tensor) -> float:
    from torchprofile import profile_macs

    return profile_macs(model, image)


def _calflops(place: int) -> Callable[[nn.Module, torch.Tensor], float]:
    def count(model: nn.Module, image: torch.Tensor) -> float:
        from calflops import calculate_flops

        shape = tuple(image.shape)
        return calculate_flops(model, input_shape=shape, print_results=False, output_as_string=False)[place]

    return count


def _ultralytics(model: nn.Module, image: torch.Tensor) -> float:
    from ultralytics.utils.torch_utils import get_flops

    return get_flops(model, image.shape[-1]) * 1e9


# The counters of gsnet.models.counters by name: the packages that each needs, and the call.
CALLS: dict[str, tuple[tuple[str, ...], Callable[[nn.Module, torch.Tensor], float]]] = {
    "torch's FlopCounterMode, halved": (("torch",), _torch),
    "calflops, MACs": (("calflops", "transformers"), _calflops(1)),
    "ptflops, backend aten": (("ptflops",), _ptflops("aten")),
    "torchinfo, mult-adds": (("torchinfo",), _torchinfo),
    "torchprofile": (("torchprofile",), _torchprofile),
    "fvcore": (("fvcore",), _fvcore),
    "ptflops, default backend": (("ptflops",), _ptflops("pytorch")),
    "thop": (("thop",), _thop),
    "calflops, FLOPs": (("calflops", "transformers"), _calflops(0)),
    "Ultralytics' get_flops": (("ultralytics", "ultralytics-thop"), _ultralytics),
}


def not_askable(packages: tuple[str, ...]) -> str | None:
    """Why a counter cannot be asked here, or None."""
    owners = set(importlib.metadata.packages_distributions().get("thop", []))
    if any("thop" in package for package in packages) and len(owners) > 1:
        return f"{' and '.join(sorted(owners))} are both installed, and share one module"
    return missing(packages)


def counted(subject: Subject, call: Callable[[nn.Module, torch.Tensor], float]) -> tuple[str, str]:
    """The figure, or nothing and the reason."""
    torch.manual_seed(0)
    model = subject.module()
    image = torch.rand(1, 3, subject.resolution, subject.resolution)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            figure = call(copy.deepcopy(model), image)
    except Exception as error:  # another program's: its failure is a row
        return "", failure(error)
    return (str(round(figure)), "") if figure else ("", "printed nothing")


def count_all(file: Path, again: bool) -> Rows:
    """Ask every counter that is installed about every network; each answer is saved at once."""
    rows = read_rows(file, KEY)
    order = [(subject.name, counter.name) for subject in SUBJECTS for counter in COUNTERS]
    for counter in COUNTERS:
        packages, call = CALLS[counter.name]
        if reason := not_askable(packages):
            print(f"{counter.name}: left out, {reason}", file=sys.stderr)
            continue
        version = importlib.metadata.version(packages[0])
        for subject in SUBJECTS:
            key = subject.name, counter.name
            if not again and key in rows and rows[key]["version"] == version:
                continue
            print(f"{counter.name}: {subject.name}", file=sys.stderr)
            figure, why = counted(subject, call)
            values = (subject.name, subject.resolution, subject.classes, counter.name, version, figure, why)
            rows[key] = dict(zip(FIELDS, map(str, values), strict=True))
            save_rows(file, FIELDS, rows, order)
    return rows


def table(rows: Rows) -> str:
    """Counters down, networks across: figures, and how far each is from torch's."""
    names = [subject.name for subject in SUBJECTS]
    heads = [f"{subject.name} at {subject.resolution}" for subject in SUBJECTS]
    lines = [f"| counter, version | {' | '.join(heads)} |", f"|---|{'---|' * len(names)}"]
    for counter in COUNTERS:
        mine = [rows.get((name, counter.name)) for name in names]
        version = next((row["version"] for row in mine if row), counter.version)
        cells = [_cell(row, rows.get((name, COUNTERS[0].name))) for name, row in zip(names, mine, strict=True)]
        lines.append(f"| {counter.name}, {version} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(row: Row | None, reference: Row | None) -> str:
    if not row:
        return "not counted"
    if not row["figure"]:
        return row["reason"].partition(":")[0]
    figure = int(row["figure"])
    if row is reference or not (reference and reference["figure"]):
        return f"{figure:,}"
    ratio = figure / int(reference["figure"])
    return f"{figure:,} ({f'{ratio - 1:+.1%}' if ratio < 1.6 else f'x {ratio:.2f}'})"


def main() -> int:
    """Count and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="count what has a figure already, too")
    parser.add_argument("--csv", type=Path, default=DOCS / "counters.csv", help="where figures are kept")
    options = parser.parse_args()
    if not options.csv.parent.is_dir():
        raise InputError(f"--csv {options.csv}: there is no folder {options.csv.parent}")
    logging.disable(logging.WARNING)
    text = table(count_all(options.csv, options.again))
    replace_section(DOCS / "counters.md", "figures", text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
