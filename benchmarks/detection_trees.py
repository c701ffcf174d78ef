"""Train the detector on real aerial images and measure it on tiles that it has never seen.

    python -m benchmarks.detection_trees --save_dir save_dir/trees --docs docs/detection

Images: DeepForest's (MIT licence), found in GSNET_DATA/deepforest_aerial. Trained on the whole of OSBS_029 and SOAP_061 and on
columns 0 to 848 of 2019_YELL_2_541000_4977000_image_crop; measured on the ten tiles of 200 x 200 pixels that fill columns 849
to 1248 and rows 0 to 999 of the latter. All trees are one class. The backbone is a shrunken structure, trained from nothing by
train_detection.py without the guidance module, which alone would cost nine times the rest, and measured by val_detection.py;
the CPU time of the training is counted. Drawn tiles are put into --docs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from Detection.coco_format import to_coco
from Detection.other_formats import read_voc
from Detection.preprocessing import read_image
from Detection.scene import Scene, SceneSet
from Interface.files import write_text

ROOT = Path(__file__).parent.parent
DATA = Path(os.environ.get("GSNET_DATA", ROOT.parent / "shared/data")) / "deepforest_aerial"
YELLOWSTONE = "2019_YELL_2_541000_4977000_image_crop"
# Columns of each image (None: to the end), and the step from tile to tile in pixels.
TRAINED = {YELLOWSTONE: (0, 849, 150), "OSBS_029": (0, None, 50), "SOAP_061": (0, None, 50)}
HELD_OUT = {YELLOWSTONE: (849, 1249, 200)}
ANNOTATIONS = ("2019_YELL_2_541000_4977000_image_crop.xml", "testfile_multi.csv", "OSBS_029.csv")
STRUCTURE = (
    "SuperConvK3BNRELU(3,16,2,1)SuperGhostShuffleK3(16,32,2,24,1)SuperGhostShuffleK3(32,64,2,48,2)"
    "SuperGhostShuffleK3(64,96,2,64,2)SuperGhostShuffleK3(96,128,2,96,1)"
)
TRAINING_TILE, HELD_OUT_TILE = 300, 200
# Pixels of the input for one of the image: tiles of either size are seen at the same scale.
INPUT, HELD_OUT_INPUT = 192, 128
SCORING: dict[str, object] = {
    "input_image_size": HELD_OUT_INPUT,
    "protocol": "coco",
    "regions": "drop",
    "nms_threshold": 0.5,
    "draw": 10,
}
# A tree at the edge of a tile counts where so much of it is inside.
VISIBLE = 0.4


def scenes() -> SceneSet:
    """The three images, every tree of class 0."""
    data = read_voc([DATA / name for name in ANNOTATIONS], DATA)
    one_class = tuple(replace(scene, labels=np.zeros_like(scene.labels)) for scene in data.scenes)
    return SceneSet(("tree",), (1,), one_class)


def tiles(scene: Scene, columns: tuple[int, int | None, int], side: int, folder: Path) -> Iterator[Scene]:
    """Tiles between two columns of an image, written as PNG; trees that are mostly outside become regions."""
    first, end, step = columns
    assert scene.image is not None
    image = cv2.cvtColor(read_image(scene.image), cv2.COLOR_RGB2BGR)
    for top in _places(0, scene.height, side, step):
        for left in _places(first, end or scene.width, side, step):
            name = f"{scene.name}_{top}_{left}"
            file = folder / f"{name}.png"
            cv2.imwrite(str(file), image[top : top + side, left : left + side])
            boxes = scene.boxes - [left, top, 0, 0]
            low = boxes[:, :2].clip(0, side)
            inside = np.concatenate([low, (boxes[:, :2] + boxes[:, 2:]).clip(0, side) - low], axis=1)
            share = inside[:, 2:].prod(axis=1) / boxes[:, 2:].prod(axis=1)
            whole, edge = share >= VISIBLE, (share > 0) & (share < VISIBLE)
            yield Scene(
                name,
                file,
                side,
                side,
                inside[whole],
                scene.labels[whole],
                np.zeros(whole.sum(), dtype=bool),
                regions=inside[edge],
            )


def _places(first: int, end: int, side: int, step: int) -> list[int]:
    """Where tiles begin; the last one ends at the end, unless tiles may not overlap."""
    places = list(range(first, end - side + 1, step))
    return places if step == side or places[-1] == end - side else [*places, end - side]


def write_set(folder: Path, columns: Mapping[str, tuple[int, int | None, int]], side: int) -> Path:
    """The tiles of some images as COCO's JSON, beside them; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    data = scenes()
    cut = (tiles(scene, columns[scene.name], side, folder) for scene in data.scenes if scene.name in columns)
    chosen = [tile for some in cut for tile in some]
    content = to_coco(replace(data, scenes=tuple(chosen)))
    file = folder / "annotations.json"
    write_text(file, json.dumps(content))
    return file


def run(script: str, *arguments: str) -> str:
    """One of our scripts; its standard output."""
    command = [sys.executable, str(ROOT / script), *arguments]
    return subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout


def arguments(options: dict[str, object]) -> list[str]:
    """Options as a command line."""
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]


def trained(folder: Path, recipe: dict[str, object]) -> float:
    """Train, unless that is done; returns the CPU minutes that it took."""
    record = folder / "cpu_minutes.json"
    if not record.is_file():
        run("train_detection.py", "--auto_resume", "--no_auxiliary", *arguments(recipe))
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        write_text(record, json.dumps((used.ru_utime + used.ru_stime) / 60))
    return json.loads(record.read_text())


def mosaic(files: list[Path], columns: int = 5) -> np.ndarray:
    """Pictures side by side, each padded below to the height of the highest."""
    pictures = [np.ascontiguousarray(read_image(file)[:, :, ::-1]) for file in files]
    height = max(picture.shape[0] for picture in pictures)
    padded = [cv2.copyMakeBorder(p, 0, height - p.shape[0] + 4, 0, 4, cv2.BORDER_CONSTANT) for p in pictures]
    return np.vstack([np.hstack(padded[i : i + columns]) for i in range(0, len(padded), columns)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save_dir", type=Path, required=True)
    parser.add_argument("--docs", type=Path, help="folder for drawn tiles and figures")
    parser.add_argument("--epochs", type=int, default=60)
    options = parser.parse_args()
    folder = options.save_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    structure = folder / "structure.txt"
    write_text(structure, STRUCTURE + "\n")
    training = write_set(folder / "training", TRAINED, TRAINING_TILE)
    held_out = write_set(folder / "held_out", HELD_OUT, HELD_OUT_TILE)
    recipe = {
        "arch": structure,
        "unit": "searched",
        "data_dir": training,
        "val_dir": held_out,
        "input_image_size": INPUT,
        "batch_size": 8,
        "epochs": options.epochs,
        "neck_channels": 32,
        "head_channels": 32,
        "lr": 4e-3,
        "ema": 0.99,
        "val_interval": 10_000,
        "workers": 0,
        "print_freq": 100,
        "save_dir": folder / "detector",
    }
    minutes = trained(folder, recipe)
    found = run(
        "val_detection.py",
        *arguments({"weights": folder / "detector/latest-params_rank0.pth", "data_dir": held_out} | SCORING),
        *("--json", "--save_dir", str(folder / "drawn")),
    )
    figures = json.loads(found) | {"cpu_minutes": minutes, "recipe": {k: str(v) for k, v in recipe.items()}}
    write_text(folder / "figures.json", json.dumps(figures, indent=1) + "\n")
    if options.docs is not None:
        options.docs.mkdir(parents=True, exist_ok=True)
        picture = mosaic(sorted((folder / "drawn").glob("*.png")))
        cv2.imwrite(str(options.docs / "trees.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 85])
    print(f"held-out AP50 {figures['AP50']:.1f} %, AP {figures['AP']:.1f} %, {minutes:.1f} CPU minutes of training")


if __name__ == "__main__":
    main()
