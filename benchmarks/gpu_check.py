"""Everything that runs on a GPU, once: one page with the device's name and a verdict for each path.

    python -m benchmarks.gpu_check --gpu 0 --page gpu_check.md
    python -m benchmarks.gpu_check --smoke        # on the processor, on next to nothing: that every path runs

Paths are walked one after the other, none of which begins after --minutes; a row is written as soon as it is known, so that a
page that was broken off holds what was seen until then. Status 1 where a row is wrong.

Right is what was compared with what it has to be, or reached its bar. A row of figures alone is not judged, nor is a figure on
next to nothing; left out is, with the reason, what there was no time for, and what the device or a missing package cannot do.
"""

from __future__ import annotations

import argparse
import logging
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from gsnet.interface.running import run
from benchmarks import gpu_search_paths, gpu_training_paths
from benchmarks.gpu_machine import LeftOutError, Machine, Seen
from gsnet.interface.files import write_text
from gsnet.interface.options import OptionParser, device_name, positive_float
from gsnet.interface.version import commit, version
from gsnet.latency.device import processor_name
from gsnet.runtimes import MissingLibraryError

_LOG = logging.getLogger(__name__)
PATHS: dict[str, Callable[[Machine], Seen]] = {
    "scores": gpu_search_paths.scores,
    "scores beside the published ways": gpu_search_paths.published_scores,
    "latency by every backend": gpu_search_paths.latency,
    "a step beside one by hand": gpu_training_paths.step,
    "a step in half precision, channels last, compiled": gpu_training_paths.tuned_step,
    "a step in bfloat16 beside float16": gpu_training_paths.bfloat16_step,
    "whole epochs beside steps": gpu_training_paths.epochs,
    "trainings": gpu_training_paths.trainings,
    "resume to equal bits": gpu_training_paths.resume,
    "distillation": gpu_training_paths.distillation,
    "several processes": gpu_training_paths.several_processes,
    "validation": gpu_training_paths.validation,
    "detector": gpu_training_paths.detector,
    "export": gpu_training_paths.exported,
    "TensorRT": gpu_training_paths.by_tensorrt,
    "search": gpu_search_paths.search,
    "search that measures latency": gpu_search_paths.measured_search,
    "two workers beside one": gpu_search_paths.scoring_processes,
    "table, predicted search, its winner measured": gpu_search_paths.predicted_search,
    "the same by CUDA graphs": gpu_search_paths.recorded_search,
}
LEFT_OUT = "left out"
_HEAD = ("| path | verdict | what was seen | s |", "|---|---|---|---|")


def check(machine: Machine, page: Path | None, minutes: float, wanted: list[str]) -> dict[str, str]:
    """Walk the paths; returns each one's verdict, and keeps the page up to date."""
    lines, verdicts = [*_title(machine), "", *_HEAD], {}
    end = time.monotonic() + 60 * minutes
    for name in wanted:
        begin = time.monotonic()
        verdict, words = (LEFT_OUT, "no time was left") if begin > end else _walked(name, machine)
        verdicts[name] = verdict
        row = f"| {name} | {verdict} | {words} | {time.monotonic() - begin:.0f} |"
        print(row, flush=True)
        lines.append(row)
        if page is not None:
            page.parent.mkdir(parents=True, exist_ok=True)
            write_text(page, "\n".join(lines) + "\n")
    return verdicts


def _walked(name: str, machine: Machine) -> tuple[str, str]:
    """Verdict and words. Whatever a path raises is a row of the page."""
    try:
        seen = PATHS[name](machine)
    except (LeftOutError, MissingLibraryError) as reason:
        return LEFT_OUT, str(reason)
    except Exception as error:
        _LOG.error("%s", name, exc_info=True)
        return "**wrong**", f"{type(error).__name__}: {error}".replace("\n", " ").replace("|", "/")
    return _verdict(seen, machine.smoke), _words(seen)


def _verdict(seen: Seen, smoke: bool) -> str:
    # On next to nothing no figure means anything.
    if seen.figure is None or seen.bar is None or smoke:
        return "right" if seen.compared else "not judged"
    return "right" if seen.figure >= seen.bar else "slower"


def _words(seen: Seen) -> str:
    return seen.words if seen.figure is None else f"{seen.words}: {seen.figure:.2f}, bar {seen.bar}"


def _title(machine: Machine) -> list[str]:
    name = torch.cuda.get_device_name(machine.device) if machine.is_gpu else processor_name()
    made = f"gsnet {version()}, commit {commit() or 'unknown'}, torch {torch.__version__}, Python {platform.python_version()}"
    cuda = f", CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}" if machine.is_gpu else ""
    size = ", on next to nothing: no figure means anything" if machine.smoke else ""
    return [f"# {name}", "", f"{made}{cuda}{size}"]


def parser() -> OptionParser:
    """The options."""
    parser = OptionParser(__doc__ or "")
    parser.add_argument("--gpu", type=int, metavar="N", help="GPU (default: the processor)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="Markdown file that gets the table")
    parser.add_argument("--minutes", type=positive_float, default=6.0, metavar="X", help="no path begins after so many")
    parser.add_argument("--smoke", action="store_true", help="on next to nothing, to see that every path runs")
    parser.add_argument(
        "--paths", nargs="+", default=list(PATHS), choices=list(PATHS), metavar="NAME", help="only these"
    )
    return parser


def main() -> int:
    options: argparse.Namespace = parser().parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # Scripts tell what they do in detail: of them only warnings are heard.
    logging.getLogger("gsnet").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(device_name(options.gpu), Path(folder), options.smoke)
        verdicts = check(machine, options.page, options.minutes, options.paths)
    return 1 if any("wrong" in verdict for verdict in verdicts.values()) else 0


if __name__ == "__main__":
    sys.exit(run(main))
