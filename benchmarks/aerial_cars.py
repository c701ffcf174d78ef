"""What helps with small objects: variants of one training on real aerial photographs, from equal starts, over several seeds.

    python -m benchmarks.aerial_cars --save_dir save_dir/aerial_cars
    python -m benchmarks.aerial_cars --save_dir save_dir/aerial_cars --variants base tiny_radius --seeds 1 --epochs 12

The archive, GSNET_DATA/aerial_cars.tar, has 98 photographs to train on and 20 of other flights, 1,920 pixels at most, with
cars, few buses, minibuses and trucks: all of them are one class here, vehicles, since three of the four have less than ten
objects in validation. The median box is 27 pixels. Each variant changes one
thing of the first; all train for the same number of steps, with the seed's weights and order of images, by train_detection.py,
and are scored by val_detection's code in the tiles they were trained on, where they were. `best` is for what won, and is to be
trained longer: --variants best --epochs 120.

Each cell is a folder: a stopped run goes on within its training, a finished cell is not run again. --figures FILE.csv keeps the
figures of all cells, of other folders and days too; the tables are made of what it holds, --seeds 0 runs nothing. The ways of
joining tiles are compared on the detections of every cell that has tiles.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from gsnet.interface.running import run
from benchmarks.data_folder import data_file
from benchmarks.pages import replace_section
from benchmarks.saved_rows import Rows, read_rows, save_rows
from gsnet.detection.checkpoint import load_detector
from gsnet.detection.coco_evaluation import evaluate_coco
from gsnet.detection.data_sets import read_data_set
from gsnet.detection.drawing import drawn
from gsnet.detection.inference import Finder, load_finder
from gsnet.detection.judging import judged
from gsnet.detection.postprocess import VISDRONE
from gsnet.detection.preprocessing import read_image
from gsnet.detection.scene import ImageResults, SceneSet
from gsnet.detection.tiles import JOINS, TileSettings, joined, tiles_of
from gsnet.interface.files import write_text

ROOT = Path(__file__).parent.parent
ARCHIVE = "aerial_cars.tar"
STRUCTURE = (
    "SuperConvK3BNRELU(3,16,2,1)SuperGhostShuffleK3(16,32,2,24,1)SuperGhostShuffleK3(32,64,2,48,2)"
    "SuperGhostShuffleK3(64,96,2,64,2)SuperGhostShuffleK3(96,128,2,96,1)"
)
# Dense convolutions: more parameters and operations, and less time of a CPU.
RESIDUAL = (
    "SuperConvK3BNRELU(3,16,2,1)SuperConvK3BNRELU(16,32,2,1)SuperResK3K3(32,64,2,64,2)"
    "SuperResK3K3(64,96,2,96,1)SuperResK3K3(96,128,2,128,1)"
)
COMMON = (
    *(
        "--arch",
        STRUCTURE,
        "--unit",
        "searched",
        "--no_auxiliary",
        "--batch_size",
        "8",
        "--lr",
        "4e-3",
        "--ema",
        "0.99",
    ),
    *("--quarter_turns", "--hue", "25", "--cast", "0.15", "--grey", "0.1", "--gamma", "0.3", "--blur", "0.2"),
    *("--val_interval", "10000", "--workers", "0", "--print_freq", "100", "--input_image_size", "320"),
    *("--channels-last", "true"),
)
TILED = ("--train_tile", "320")
NARROW = ("--neck_channels", "32", "--head_channels", "32")
VARIANTS: dict[str, tuple[str, ...]] = {
    "base": (*TILED, *NARROW),
    "whole_images": ("--keep_ratio", *NARROW),
    "no_whole": (*TILED, *NARROW, "--tile_whole", "0"),
    "tiny_radius": (*TILED, *NARROW, "--tiny_radius", "1.0"),
    "stride_4": (*TILED, *NARROW, "--tap_strides", "4,8,16,32"),
    "stage_end": (*TILED, *NARROW, "--tap", "stage_end"),
    "multi_scale": (*TILED, *NARROW, "--multi_scale", "0.4"),
    "copy_paste": (*TILED, *NARROW, "--copy_paste", "0.5"),
    "neck_64": (*TILED, "--neck_channels", "64", "--head_channels", "64"),
    "residual": (*TILED, *NARROW, "--arch", RESIDUAL, "--tap", "stage_end"),
    "best": (
        *(*TILED, "--tile_whole", "0", "--neck_channels", "64", "--head_channels", "64"),
        *("--arch", RESIDUAL, "--tap", "stage_end", "--lr", "2e-3"),
    ),
}
# Of two boxes, as --nms_threshold.
THRESHOLD = 0.6
# Of a pass over the 98 photographs.
STEPS = 12
FIGURES = ("AP50", "AP", "AP_small", "count_error")
KEY = ("variant", "epochs", "seed", "way")
COLUMNS = (*KEY, "parameters", "cpu_minutes", *FIGURES)
# By variant and passes over the data, one for each seed.
Cells = dict[tuple[str, int], list[dict[str, Any]]]


def unpacked(folder: Path) -> Path:
    """The photographs with one class, in YOLO's folders."""
    data = folder / "aerial_cars"
    if not (data / "classes.txt").is_file() or (data / "classes.txt").read_text() != "vehicle\n":
        with tarfile.open(data_file(ARCHIVE)) as archive:
            archive.extractall(folder, filter="data")
        for file in (data / "labels").rglob("*.txt"):
            rows = [["0", *line.split()[1:]] for line in file.read_text().splitlines() if line.strip()]
            write_text(file, "".join(" ".join(row) + "\n" for row in rows))
        write_text(data / "classes.txt", "vehicle\n")
    return data


def trained(folder: Path, data: Path, options: Sequence[str], epochs: int, seed: int) -> float:
    """Train, unless that is done; returns the processor minutes that it took, without those of a start that was stopped."""
    record = folder / "cpu_minutes.json"
    if not record.is_file():
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, str(ROOT / "train_detection.py"), *COMMON, *options, "--auto_resume"]
        command += ["--data_dir", str(data), "--epochs", str(epochs), "--seed", str(seed), "--save_dir", str(folder)]
        subprocess.run(command, check=True, cwd=ROOT)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        write_text(record, json.dumps(seconds / 60))
    return json.loads(record.read_text())


def found(finder: Finder, data: SceneSet, tiles: TileSettings | None) -> list[ImageResults]:
    """What a detector finds in each photograph."""
    if tiles is not None:
        return [results for _, results in finder.find_all_in_tiles(data.scenes, tiles)]
    assert all(scene.image for scene in data.scenes)
    return [finder.find_in(read_image(scene.image)) for scene in data.scenes if scene.image]


def figures(data: SceneSet, results: list[ImageResults]) -> dict[str, float]:
    """AP, AP50 and AP of small objects in per cent, and the mean error of an image's count at the best F1."""
    scores = evaluate_coco(data, results).figures
    named = {name: scores[f"{name}_500"] or 0.0 for name in ("AP", "AP50", "AP_small")}
    return named | {"count_error": judged(data, results).count_error}


def scored(folder: Path, data: SceneSet) -> dict[str, Any]:
    """Figures of a trained cell: parameters, and scores by way of joining, with and without the whole image."""
    weights = folder / "latest-params_rank0.pth"
    finder = load_finder(weights, "cpu", VISDRONE)
    answer: dict[str, Any] = {"parameters": sum(p.numel() for p in load_detector(weights).detector.parameters())}
    tiles = finder.tiles()
    if tiles is None:
        return answer | {"scores": {"whole": figures(data, found(finder, data, None))}}
    ways: dict[str, list[ImageResults]] = defaultdict(list)
    for scene in data.scenes:
        assert scene.image is not None
        image, size = read_image(scene.image), (scene.width, scene.height)
        views = tiles_of(*size, tiles)
        results = finder.find_views([view.cut(image) for view in views])
        for whole in (True, False) if tiles.whole else (False,):
            count = len(views) - (tiles.whole and not whole and len(views) > 1)
            for join in JOINS:
                settings = TileSettings(tiles.side, whole=whole, join=join, threshold=THRESHOLD)
                ways[f"{join}{'' if whole else ', no_whole'}"].append(
                    joined(views[:count], results[:count], size, settings)
                )
    return answer | {"scores": {way: figures(data, results) for way, results in ways.items()}}


def cell(folder: Path, data: Path, name: str, epochs: int, seed: int) -> dict[str, Any]:
    """One variant and seed, trained and scored unless that is done."""
    place = folder / f"{name}_{epochs}_{seed}"
    file = place / "figures.json"
    if not file.is_file():
        minutes = trained(place, data, VARIANTS[name], epochs, seed)
        content = scored(place, read_data_set(data, usual="val")) | {"cpu_minutes": minutes}
        write_text(file, json.dumps(content, indent=1) + "\n")
    return json.loads(file.read_text())


def kept_rows(row: dict[str, Any], name: str, epochs: int, seed: int) -> Rows:
    """The figures of a cell as rows of the CSV file, one for each way of looking."""
    rows: Rows = {}
    for way, scores in row["scores"].items():
        place = (name, str(epochs), str(seed), way)
        values = {key: f"{scores[key]:.4f}" for key in FIGURES}
        own = {"parameters": str(row["parameters"]), "cpu_minutes": f"{row['cpu_minutes']:.2f}"}
        rows[place] = dict(zip(KEY, place, strict=True)) | own | values
    return rows


def cells_of(rows: Rows) -> Cells:
    """The cells by variant and length, as `cell` returns them."""
    cells: dict[tuple[str, int], dict[str, dict[str, Any]]] = defaultdict(dict)
    for (name, epochs, seed, way), row in rows.items():
        numbers = {"parameters": int(row["parameters"]), "cpu_minutes": float(row["cpu_minutes"]), "scores": {}}
        found = cells[name, int(epochs)].setdefault(seed, numbers)
        found["scores"][way] = {key: float(row[key]) for key in FIGURES}
    order = sorted(cells, key=lambda place: (place[1], list(VARIANTS).index(place[0])))
    return {place: list(cells[place].values()) for place in order}


def usual(scores: dict[str, Any]) -> dict[str, float]:
    """The scores by the default way of looking."""
    join = TileSettings(32).join
    return next(scores[way] for way in (join, f"{join}, no_whole", "whole") if way in scores)


def spread(values: Sequence[float]) -> str:
    """Mean and standard deviation."""
    mean = f"{statistics.mean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.1f}"


def table(cells: Cells) -> Iterator[str]:
    """Variants by row, then ways of joining over all cells."""
    yield "| variant | steps | parameters | AP50 | AP | AP of small objects | count error | CPU minutes | seeds |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for (name, epochs), rows in cells.items():
        values = [usual(row["scores"]) for row in rows]
        columns = [spread([v[key] for v in values]) for key in FIGURES]
        minutes = f"{statistics.mean(row['cpu_minutes'] for row in rows):.1f}"
        numbers = [f"{epochs * STEPS}", f"{rows[0]['parameters']:,}", *columns, minutes, f"{len(rows)}"]
        yield f"| `{name}` | " + " | ".join(numbers) + " |"
    yield from ("", "| joined by | AP50 | AP | count error | cells |", "|---|---:|---:|---:|---:|")
    tiled = [row["scores"] for rows in cells.values() for row in rows if "whole" not in row["scores"]]
    for way in [f"{join}{end}" for end in ("", ", no_whole") for join in JOINS]:
        found = [scores[way] for scores in tiled if way in scores]
        if found:
            means = [statistics.mean(scores[key] for scores in found) for key in ("AP50", "AP", "count_error")]
            yield f"| {way} | " + " | ".join(f"{mean:.2f}" for mean in means) + f" | {len(found)} |"


def pictures(folder: Path, data: SceneSet, file: Path) -> None:
    """Detections of a cell in photographs of validation, of each size the one with most objects, one below the other."""
    finder = load_finder(folder / "latest-params_rank0.pth", "cpu", VISDRONE)
    shown = {(scene.width, scene.height): scene for scene in sorted(data.scenes, key=lambda scene: len(scene.boxes))}
    everything = found(finder, data, finder.tiles())
    threshold = judged(data, everything).threshold
    by_name = dict(zip([scene.name for scene in data.scenes], everything, strict=True))
    rows = []
    for scene in shown.values():
        assert scene.image is not None
        picture = drawn(read_image(scene.image), by_name[scene.name], data.class_names, threshold, scene)
        rows.append(cv2.resize(picture, (1000, round(1000 * picture.shape[0] / picture.shape[1]))))
    file.parent.mkdir(parents=True, exist_ok=True)
    image = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    cv2.imwrite(str(file), image, [cv2.IMWRITE_JPEG_QUALITY, 80])


def main() -> None:
    """Run what is missing and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save_dir", type=Path, required=True)
    parser.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=list(VARIANTS), metavar="NAME")
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="0 to N - 1; 0 runs nothing (default: %(default)s)"
    )
    parser.add_argument("--epochs", type=int, default=48, metavar="N", help=f"of {STEPS} steps (default: %(default)s)")
    parser.add_argument(
        "--figures", type=Path, metavar="FILE.csv", help="figures of all cells (default: in --save_dir)"
    )
    parser.add_argument("--page", type=Path, help="page with the section that the table is written to")
    parser.add_argument("--picture", type=Path, metavar="FILE.jpg", help="drawn detections of the best cell")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = options.save_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    file = options.figures or folder / "figures.csv"
    rows = read_rows(file, KEY)
    for seed in range(options.seeds):
        for name in options.variants:
            found = cell(folder, unpacked(folder), name, options.epochs, seed)
            # Another process may have added its cells meanwhile.
            rows = read_rows(file, KEY) | kept_rows(found, name, options.epochs, seed)
            save_rows(file, COLUMNS, rows, sorted(rows))
            row = usual(found["scores"])
            print(f"{name}, seed {seed}: AP50 {row['AP50']:.1f}, AP {row['AP']:.1f}", file=sys.stderr, flush=True)
    cells = cells_of(rows)
    text = "\n".join(table(cells))
    print(text)
    if options.page is not None:
        replace_section(options.page, "aerial cars", text)
    if options.picture is not None:
        name, epochs = max(cells, key=lambda place: usual(cells[place][0]["scores"])["AP50"])
        pictures(folder / f"{name}_{epochs}_0", read_data_set(unpacked(folder), usual="val"), options.picture)


if __name__ == "__main__":
    sys.exit(run(main))
