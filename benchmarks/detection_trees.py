"""Train the detector on two real aerial images and measure it on a third that it has never seen.

    python -m benchmarks.detection_trees --save_dir save_dir/trees --docs docs/detection

Images: DeepForest's (MIT licence), of three sites, found in GSNET_DATA/deepforest_aerial; all trees are one class. Trained on
the whole of OSBS_029 and of SOAP_061, measured on the 30 tiles of 200 x 200 pixels that fill columns 0 to 1199 and rows 0 to
999 of 2019_YELL_2_541000_4977000_image_crop (--held_out names another of the three). Sites differ in colour and light, so hue,
cast, tone curve and sharpness are random. The backbone is a shrunken structure, trained from nothing by train_detection.py
without the guidance module, and measured by val_detection.py; the CPU time of the training is counted. Drawn tiles are put
into --docs.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from gsnet.interface.running import run as run_command
from benchmarks.data_folder import data_folder
from gsnet.detection.coco_format import to_coco
from gsnet.detection.preprocessing import read_image
from gsnet.detection.scene import Scene, SceneSet
from gsnet.detection.voc_format import read_voc
from gsnet.interface.files import write_text

ROOT = Path(__file__).parent.parent
DATA = data_folder() / "deepforest_aerial"
YELLOWSTONE = "2019_YELL_2_541000_4977000_image_crop"
# Pixels from training tile to training tile.
STEPS = {YELLOWSTONE: 100, "OSBS_029": 25, "SOAP_061": 25}
ANNOTATIONS = ("2019_YELL_2_541000_4977000_image_crop.xml", "testfile_multi.csv", "OSBS_029.csv")
STRUCTURE = (
    "SuperConvK3BNRELU(3,16,2,1)SuperGhostShuffleK3(16,32,2,24,1)SuperGhostShuffleK3(32,64,2,48,2)"
    "SuperGhostShuffleK3(64,96,2,64,2)SuperGhostShuffleK3(96,128,2,96,1)"
)
TRAINING_TILE, HELD_OUT_TILE = 300, 200
# Sides of the input. Crowns of Soaproot Saddle are smaller: they are seen enlarged, as large as those that were learnt.
INPUT, HELD_OUT_INPUT = 192, {"SOAP_061": 160, "OSBS_029": 128, YELLOWSTONE: 128}
SCORING: dict[str, object] = {
    "protocol": "coco",
    "regions": "drop",
    "nms_threshold": 0.4,
    "draw": 10,
}
COLOURS = {"hue": 25, "cast": 0.15, "grey": 0.1, "gamma": 0.3, "blur": 0.2}
# A tree at the edge of a tile counts where so much of it is inside.
VISIBLE = 0.4


def scenes() -> SceneSet:
    """The three images, every tree of class 0."""
    data = read_voc([DATA / name for name in ANNOTATIONS], DATA)
    one_class = tuple(replace(scene, labels=np.zeros_like(scene.labels)) for scene in data.scenes)
    return SceneSet(("tree",), (1,), one_class)


def tiles(scene: Scene, side: int, step: int, folder: Path) -> Iterator[Scene]:
    """Tiles of an image, written as PNG; trees that are mostly outside become regions."""
    assert scene.image is not None
    image = cv2.cvtColor(read_image(scene.image), cv2.COLOR_RGB2BGR)
    for top in _places(scene.height, side, step):
        for left in _places(scene.width, side, step):
            name = f"{scene.name}_{top:04d}_{left:04d}"
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


def _places(end: int, side: int, step: int) -> list[int]:
    """Where tiles begin; the last one ends at the end, unless tiles may not overlap."""
    places = list(range(0, end - side + 1, step))
    return places if step == side or places[-1] == end - side else [*places, end - side]


def write_set(folder: Path, steps: Mapping[str, int], side: int) -> Path:
    """The tiles of some images as COCO's JSON, beside them; returns the file."""
    folder.mkdir(parents=True, exist_ok=True)
    data = scenes()
    cut = (tiles(scene, side, steps[scene.name], folder) for scene in data.scenes if scene.name in steps)
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
        run("train_detection.py", "--auto_resume", "--no_auxiliary", "--quarter_turns", *arguments(recipe))
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
    parser.add_argument("--held_out", choices=tuple(STEPS), default=YELLOWSTONE, help="image that is not trained on")
    parser.add_argument("--docs", type=Path, help="folder for drawn tiles and figures")
    parser.add_argument("--epochs", type=int, default=130)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    folder = options.save_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    structure = folder / "structure.txt"
    write_text(structure, STRUCTURE + "\n")
    trained_on = {name: step for name, step in STEPS.items() if name != options.held_out}
    training = write_set(folder / "training", trained_on, TRAINING_TILE)
    held_out = write_set(folder / "held_out", {options.held_out: HELD_OUT_TILE}, HELD_OUT_TILE)
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
        "seed": options.seed,
        "save_dir": folder / "detector",
        **COLOURS,
    }
    minutes = trained(folder, recipe)
    found = run(
        "val_detection.py",
        *arguments({"weights": folder / "detector/latest-params_rank0.pth", "data_dir": held_out} | SCORING),
        *("--input_image_size", str(HELD_OUT_INPUT[options.held_out])),
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
    sys.exit(run_command(main))
