"""findings/: every script has the form that its folder promises, and what would hurt a user here is handled."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from gsnet.data.pictures import read_picture
from gsnet.detection.coco_evaluation import evaluate_coco
from gsnet.detection.coco_format import read_coco
from gsnet.detection.postprocess import PostprocessSettings, suppressed
from gsnet.detection.preprocessing import Preprocessing
from gsnet.detection.priors import clipped
from gsnet.detection.scene import ImageResults

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "findings").glob("*.sh"))
SHELLCHECK = shutil.which("shellcheck", path=str(Path(sys.executable).parent)) or shutil.which("shellcheck")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_finding_states_what_was_seen_and_stands_alone(script):
    text = script.read_text()
    head, body = text.split("\nset -euo pipefail\n")
    last = re.search(r"^# Last line: (as described: .+)$", head, re.MULTILINE)
    assert last and "# Expected: " in head and "# Seen: " in head
    assert max(map(len, text.splitlines())) <= 135
    # Its own folder, which goes at the end; pinned packages; nothing of this toolkit.
    assert "$(mktemp -d)" in text and "trap 'rm -rf \"$folder\"' EXIT" in text
    installed = re.findall(r" install ((?:[^\n]*\\\n)*[^\n]*)", body)
    packages = [word for line in installed for word in line.split() if not word.startswith(("-", "\\", '"'))]
    assert packages and all("==" in package for package in packages)
    assert not re.search(r"gsnet|PlainNet|Masternet", text)


def test_every_finding_has_a_row():
    rows = re.findall(r"^\| \[(\w+)\]\((\w+)\.sh\) \|", (ROOT / "findings/README.md").read_text(), re.MULTILINE)
    assert all(name == file for name, file in rows)
    assert sorted(name for name, _ in rows) == [script.stem for script in SCRIPTS]


@pytest.mark.skipif(not SHELLCHECK, reason="shellcheck is not installed")
def test_shellcheck():
    result = subprocess.run([SHELLCHECK, *map(str, SCRIPTS)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_ground_truth_may_number_its_annotations_from_zero(tmp_path):
    boxes = [[0, 0, 10, 10], [20, 20, 10, 10]]
    rows = [{"id": i, "image_id": 1, "category_id": 1, "bbox": box, "area": 100} for i, box in enumerate(boxes)]
    content = {"images": [{"id": 1, "width": 64, "height": 64, "file_name": "1.jpg"}], "annotations": rows}
    (tmp_path / "truth.json").write_text(json.dumps(content | {"categories": [{"id": 1, "name": "car"}]}))
    found = ImageResults(np.array(boxes, dtype=float), np.array([0.9, 0.8]), np.array([0, 0]))
    result = evaluate_coco(read_coco(tmp_path / "truth.json"), [found])
    # pycocotools on the file as it is: 25.2.
    assert result.figures["AP"] == pytest.approx(100)


def test_objects_to_be_ignored_count_as_in_pycocotools_and_the_log_says_so(tmp_path, caplog):
    boxes = [[0, 0, 10, 10], [20, 20, 10, 10]]
    found = ImageResults(np.array(boxes[:1], dtype=float), np.array([0.9]), np.array([0]))
    # pycocotools on the same files: 50.5 and 100.
    for mark, figure, said in (({"ignore": 1}, 50.5, 1), ({"ignore": 1, "iscrowd": 1}, 100, 0)):
        rows = [{"id": i, "image_id": 1, "category_id": 1, "bbox": box, "area": 100} for i, box in enumerate(boxes, 1)]
        rows[1] |= mark
        content = {"images": [{"id": 1, "width": 64, "height": 64, "file_name": "1.jpg"}], "annotations": rows}
        (tmp_path / "truth.json").write_text(json.dumps(content | {"categories": [{"id": 1, "name": "car"}]}))
        caplog.clear()
        result = evaluate_coco(read_coco(tmp_path / "truth.json"), [found])
        assert result.figures["AP"] == pytest.approx(figure, abs=0.05)
        assert [record.getMessage().count("1 annotations that have it") for record in caplog.records] == [1] * said


def test_pictures_of_16_bits_keep_their_high_byte(tmp_path):
    greys = np.array([[0, 200, 256, 5140, 25700, 65535]], dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "thermal.png"), greys)
    read = np.asarray(read_picture(tmp_path / "thermal.png"))
    assert read[0, :, 0].tolist() == [0, 0, 1, 20, 100, 255]
    assert (read[..., ::-1] == cv2.imread(str(tmp_path / "thermal.png"))).all()
    Image.fromarray(greys.astype(np.uint8)).save(tmp_path / "usual.png")
    assert np.asarray(read_picture(tmp_path / "usual.png"))[0, :, 2].tolist() == (greys[0] & 255).tolist()


def test_boxes_beyond_the_border_do_not_suppress_those_of_other_classes():
    """Boxes are clipped before torchvision tells classes apart by the largest coordinate."""
    boxes = torch.tensor([[90.0, 90, 100, 100], [-11, -11, 2, 2]])
    found = suppressed(clipped(boxes, 100, 100), torch.tensor([[0.9, 0.0], [0.0, 0.8]]), PostprocessSettings())
    assert found.labels.tolist() == [0, 1]


def test_images_enter_runtimes_row_by_row():
    """Some runtimes forget the strides of an array."""
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    array, _ = Preprocessing(64, 32).apply(image)
    assert array.flags.c_contiguous and array.shape == (3, 32, 64)
