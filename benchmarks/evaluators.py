"""What eight evaluators say of the same detections, in what time; writes docs/evaluators.csv and docs/evaluators.md's table.

    pip install -r requirements-evaluators.txt
    python -m benchmarks.evaluators

An evaluator that is not installed is named and left out, with the figures that the table has of it kept; finished figures are
not made again unless --again is given.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gsnet.interface.running import run
from benchmarks import evaluator_calls as calls
from benchmarks.pages import replace_section
from benchmarks.saved_rows import Row, Rows, failure, missing, read_rows, save_rows
from benchmarks.visdrone_evaluation import synthetic_set
from gsnet.detection.scene import ImageResults, SceneSet, no_boxes
from gsnet.interface.options import InputError

DOCS = Path(__file__).parent.parent / "docs"
KEY = ("case", "evaluator")
FIELDS = ("case", "evaluator", "version", "AP", "AP50", "seconds", "reason")
IMAGES = 24


@dataclass(frozen=True)
class Evaluator:
    """A name, the packages it needs, and the call that gives AP and AP50 in per cent."""

    name: str
    packages: tuple[str, ...]
    call: Callable[[calls.Question], tuple[float, float]]


EVALUATORS = (
    Evaluator("pycocotools", ("pycocotools",), calls.pycocotools),
    Evaluator("this toolkit, COCO", ("hotcoco",), calls.ours),
    Evaluator("faster-coco-eval", ("faster-coco-eval",), calls.faster_coco_eval),
    Evaluator("hotcoco", ("hotcoco",), calls.hotcoco),
    Evaluator("torchmetrics", ("torchmetrics", "pycocotools"), calls.torchmetrics),
    Evaluator("supervision", ("supervision",), calls.supervision),
    Evaluator("Ultralytics", ("ultralytics",), calls.ultralytics),
    Evaluator("this toolkit, VisDrone", (), calls.visdrone),
)


def _base(images: int = IMAGES, detections: int = 120) -> tuple[SceneSet, list[ImageResults]]:
    """Without ignored objects and regions."""
    data, results = synthetic_set(images, detections)
    plain = (replace(scene, ignored=np.zeros(len(scene.boxes), bool), regions=no_boxes()) for scene in data.scenes)
    return replace(data, scenes=tuple(plain)), results


def usual() -> calls.Question:
    """Nothing special."""
    return calls.Question(*_base(), limit=100)


def score_ties() -> calls.Question:
    """Scores rounded to one decimal, in a random order."""
    data, results = _base()
    rng = np.random.default_rng(1)
    shuffled = [found.chosen(rng.permutation(len(found))) for found in results]
    return calls.Question(data, [replace(found, scores=found.scores.round(1)) for found in shuffled], limit=100)


def crowds() -> calls.Question:
    """Three objects of a hundred are ignored: COCO's crowds, VisDrone's objects of score 0."""
    data, results = synthetic_set(IMAGES, 120)
    return calls.Question(
        replace(data, scenes=tuple(replace(s, regions=no_boxes()) for s in data.scenes)), results, 100
    )


def ignored_regions() -> calls.Question:
    """Two regions of each image in which nothing counts: crowds of every class to who knows no regions."""
    data, results = synthetic_set(IMAGES, 120)
    counted = tuple(replace(scene, ignored=np.zeros(len(scene.boxes), bool)) for scene in data.scenes)
    return calls.Question(replace(data, scenes=counted), results, 100, regions="crowd")


def absent_classes() -> calls.Question:
    """Two of ten classes have detections and no object."""
    data, results = _base()
    kept = tuple(scene.chosen(~np.isin(scene.labels, (3, 9))) for scene in data.scenes)
    return calls.Question(replace(data, scenes=kept), results, 100)


def _one_class() -> tuple[SceneSet, list[ImageResults]]:
    data, results = _base(detections=500)
    scenes = tuple(replace(scene, labels=np.zeros_like(scene.labels)) for scene in data.scenes)
    return replace(data, scenes=scenes), [replace(found, labels=np.zeros_like(found.labels)) for found in results]


def at_most_100() -> calls.Question:
    """One class, 500 detections an image, of which 100 count."""
    return calls.Question(*_one_class(), limit=100)


def at_most_500() -> calls.Question:
    """The same, all of which count."""
    return calls.Question(*_one_class(), limit=500)


CASES: dict[str, Callable[[], calls.Question]] = {
    "nothing special": usual,
    "score ties": score_ties,
    "crowds": crowds,
    "ignored regions": ignored_regions,
    "classes without objects": absent_classes,
    "at most 100 of 500": at_most_100,
    "at most 500": at_most_500,
}


def ask(evaluator: Evaluator, question: calls.Question) -> tuple[str, str, str, str]:
    """AP, AP50, seconds of one core, and the reason where there is no figure."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            begin = time.process_time()
            ap, ap50 = evaluator.call(question)
            seconds = time.process_time() - begin
    except Exception as error:  # another program's: its failure is a row
        return "", "", "", failure(error)
    return f"{ap:.4f}", f"{ap50:.4f}", f"{seconds:.2f}", ""


def ask_all(file: Path, again: bool) -> Rows:
    """Ask every evaluator that is installed about every case; each answer is saved at once."""
    rows = read_rows(file, KEY)
    order = [(case, evaluator.name) for case in CASES for evaluator in EVALUATORS]
    questions = {name: make() for name, make in CASES.items()}
    for evaluator in EVALUATORS:
        if reason := missing(evaluator.packages):
            print(f"{evaluator.name}: left out, {reason}", file=sys.stderr)
            continue
        version = importlib.metadata.version(evaluator.packages[0]) if evaluator.packages else ""
        todo = [name for name in CASES if again or rows.get((name, evaluator.name), {}).get("version") != version]
        if todo:
            # The first call imports libraries and fills tables, which no case is charged with.
            ask(evaluator, questions[todo[0]])
        for name in todo:
            print(f"{evaluator.name}: {name}", file=sys.stderr)
            values = (name, evaluator.name, version, *ask(evaluator, questions[name]))
            rows[name, evaluator.name] = dict(zip(FIELDS, values, strict=True))
            save_rows(file, FIELDS, rows, order)
    return rows


def table(rows: Rows) -> str:
    """Evaluators down, cases across: AP and AP50; the last column is the time of the largest case."""
    lines = [
        f"| evaluator, version | {' | '.join(CASES)} | seconds, at most 500 |",
        f"|---|{'---|' * (len(CASES) + 1)}",
    ]
    for evaluator in EVALUATORS:
        mine = [rows.get((case, evaluator.name)) for case in CASES]
        version = next((f", {row['version']}" for row in mine if row and row["version"]), "")
        seconds = mine[-1]["seconds"] if mine[-1] else ""
        lines.append(f"| {evaluator.name}{version} | {' | '.join(map(_cell, mine))} | {seconds} |")
    return "\n".join(lines)


def _cell(row: Row | None) -> str:
    if not row:
        return "not asked"
    if not row["AP"]:
        return row["reason"].partition(":")[0]
    return f"{float(row['AP']):.2f} / {float(row['AP50']):.2f}"


def main() -> int:
    """Ask and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="ask what has been answered already, too")
    parser.add_argument("--csv", type=Path, default=DOCS / "evaluators.csv", help="where figures are kept")
    options = parser.parse_args()
    if not options.csv.parent.is_dir():
        raise InputError(f"--csv {options.csv}: there is no folder {options.csv.parent}")
    text = table(ask_all(options.csv, options.again))
    replace_section(DOCS / "evaluators.md", "figures", text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
