"""Detection data: what the readers take from files, what conversion keeps, and what training sees."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from gsnet.detection.augmentation import Augmentation
from gsnet.detection.coco_format import read_coco, to_coco
from gsnet.detection.data_set import LoadingSettings, collated, detection_evaluation_loader, detection_training_loader
from gsnet.detection.data_sets import read_data_set
from gsnet.detection.data_statistics import as_text, statistics
from gsnet.detection.preprocessing import Placement, Preprocessing, moved, moved_back, warped
from gsnet.detection.sample import Sample, placed
from gsnet.detection.scene import Scene, SceneSet, corners, usable, with_others_as_regions
from gsnet.detection.statistics_picture import draw, picture_of
from gsnet.detection.synthetic import SyntheticSettings, write_synthetic
from gsnet.detection.uavdt_format import UAVDT_CLASSES, read_uavdt
from gsnet.detection.visdrone_format import FormatError, read_annotation, read_visdrone, sanity
from gsnet.detection.windows import Windows
from gsnet.detection.yolo_format import read_yolo
from gsnet.interface.options import InputError

ROOT = Path(__file__).parent.parent
GOLDEN = json.loads((Path(__file__).parent / "golden" / "detection.json").read_text())
DATA = Path(os.environ.get("GSNET_DATA", ROOT / ".." / "shared" / "data"))
FIRST_50 = DATA / "visdrone2019-det-train-first50image.json.gz"
AERIAL = DATA / "deepforest_aerial"
SMALL = SyntheticSettings(images=6, width=96, height=64, objects=(3, 6), sides=(8, 24), classes=3)


def picture(file, width=64, height=48, value=128):
    file.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(file), np.full((height, width, 3), value, dtype=np.uint8))


@pytest.fixture
def split(tmp_path):
    """Two images of 64 x 48 pixels with every kind of row."""
    for stem in ("0000001_a", "0000002_b"):
        picture(tmp_path / "images" / f"{stem}.jpg")
    rows = "\ufeff0,0,20,10,0,0,0,0,\r\n\r\n 5,6,7,8,1,4,1,2\r\n30,10,4,0,1,4,0,0\r\n50,40,20,20,1,1,0,0,9,9\r\n"
    rows += "2,2,8,8,1,10,0,0\n40,5,6,6,0,11,0,0\n10,20,5,5,0,3,0,1\n"
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "0000001_a.txt").write_text(rows, encoding="utf-8")
    (tmp_path / "annotations" / "0000002_b.txt").write_text("")
    return tmp_path


def test_every_row_of_a_file_has_its_place(split):
    first, second = read_visdrone(split).scenes
    assert (first.name, first.width, first.height) == ("0000001_a", 64, 48)
    assert first.boxes.tolist() == [[5, 6, 7, 8], [30, 10, 4, 0], [50, 40, 20, 20], [2, 2, 8, 8], [10, 20, 5, 5]]
    assert first.labels.tolist() == [3, 3, 0, 9, 2]
    assert first.ignored.tolist() == [False, False, False, False, True]
    assert first.regions.tolist() == [[0, 0, 20, 10]] and first.others.tolist() == [[40, 5, 6, 6]]
    assert first.truncation.tolist() == [1, 0, 0, 0, 0] and first.occlusion.tolist() == [2, 0, 0, 0, 1]
    assert first.lines.tolist() == [3, 4, 5, 6, 8]
    assert len(second.boxes) == len(second.regions) == 0


def test_faulty_rows_are_reported_and_left_out(split):
    first = read_visdrone(split).scenes[0]
    faults = {kind: count for kind, count in sanity(first).items() if count}
    assert faults == {"boxes without an area": 1, "boxes that leave their image": 1}
    dropped = Counter()
    kept = usable(first, dropped)
    assert kept.boxes.tolist() == [[5, 6, 7, 8], [50, 40, 14, 8], [2, 2, 8, 8], [10, 20, 5, 5]]
    assert dropped["boxes without an area"] == dropped["boxes clipped to their image"] == 1


def test_the_first_line_of_the_training_set(tmp_path):
    (tmp_path / "a.txt").write_text("684,8,273,116,0,0,0,0\n")
    scene = read_annotation(tmp_path / "a.txt", 1360, 765)
    assert scene.regions.tolist() == [[684, 8, 273, 116]] and not len(scene.boxes)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("1,2,3,4,1,1,0", "8 comma-separated columns, this one 7"),
        ("1,2,3,4,1,1,0,x", "the column occlusion is a number"),
        ("1,2,3,4,1,1.5,0,0", "the category"),
        ("1,2,3,4,1,-1,0,0", "the category"),
        ("1,2,3,inf,1,1,0,0", "finite"),
        ("1,2,3,4,2,1,0,0", "the score"),
    ],
)
def test_a_format_error_names_file_line_and_rule(tmp_path, line, rule):
    file = tmp_path / "0000007_c.txt"
    file.write_text(f"1,2,3,4,1,1,0,0\n\n{line}\n")
    with pytest.raises(FormatError, match=rule) as error:
        read_annotation(file, 64, 48)
    assert str(error.value).startswith(f"{file}, line 3: ")


def test_a_missing_half_of_a_pair_is_named(split):
    (split / "annotations" / "0000002_b.txt").unlink()
    with pytest.raises(InputError, match="has no file for 0000002_b"):
        read_visdrone(split)
    (split / "annotations" / "0000009_z.txt").write_text("")
    with pytest.raises(InputError, match="has no image for 0000009_z"):
        read_visdrone(split)
    (split / "images" / "0000009_z.jpg").write_text("no image")
    (split / "annotations" / "0000002_b.txt").write_text("")
    with pytest.raises(InputError, match=r"One image cannot be read: .*0000009_z\.jpg"):
        read_data_set(split)


@pytest.mark.parametrize(
    ("regions", "annotations", "crowds"),
    # Four boxes have an area; half of the box 2,2,8,8 and of 5,6,7,8 or more lies in the region, so that "drop" takes both.
    [("discard", 4, 1), ("crowd", 14, 11), ("drop", 2, 1)],
)
def test_conversion_to_coco(split, regions, annotations, crowds):
    command = [
        sys.executable,
        "-m",
        "gsnet",
        "detection-data",
        "convert",
        "--data_dir",
        str(split),
        "--regions",
        regions,
    ]
    command += ["--output", str(split / "out.json"), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    content = json.loads((split / "out.json").read_text())
    assert [image["id"] for image in content["images"]] == [1, 2]
    assert [category["id"] for category in content["categories"]] == list(range(1, 11))
    assert len(content["annotations"]) == annotations
    assert sum(row["iscrowd"] for row in content["annotations"]) == crowds
    assert content["ignored_regions"] == [{"image_id": 1, "bbox": [0, 0, 20, 10]}]
    assert all(row["area"] == row["bbox"][2] * row["bbox"][3] > 0 for row in content["annotations"])
    report = json.loads(done.stdout)
    assert report["dropped"]["boxes without an area"] == report["dropped"]["objects of no class"] == 1
    assert "0000001_a: 1 boxes without an area" in done.stderr


def test_coco_gives_back_what_was_written(split):
    data = read_visdrone(split)
    (split / "all.json").write_text(json.dumps(to_coco(data)))
    again = read_coco(split / "all.json", split / "images")
    assert again.class_names == data.class_names and again.category_ids == data.category_ids
    for scene, other in zip(map(usable, data.scenes), again.scenes, strict=True):
        assert other.image == scene.image and np.array_equal(other.boxes, scene.boxes)
        assert np.array_equal(other.labels, scene.labels) and np.array_equal(other.ignored, scene.ignored)
        assert np.array_equal(other.regions, scene.regions) and np.array_equal(other.occlusion, scene.occlusion)


def test_file_names_with_or_without_their_folder(split):
    content = to_coco(read_visdrone(split))
    content["images"][0]["file_name"] = "images/0000001_a.jpg"
    (split / "all.json").write_text(json.dumps(content))
    images = [scene.image for scene in read_data_set(split / "all.json").scenes]
    assert images == [split / "images" / "0000001_a.jpg", split / "images" / "0000002_b.jpg"]


@pytest.mark.skipif(not FIRST_50.is_file(), reason=f"no {FIRST_50.name} in GSNET_DATA")
def test_real_boxes_of_visdrone(tmp_path):
    (tmp_path / "first50.json").write_bytes(gzip.decompress(FIRST_50.read_bytes()))
    data = read_data_set(tmp_path / "first50.json")
    figures = statistics(data)
    assert (figures["images"], figures["boxes"]) == (50, 3326) and data.class_names == ("human", "vehicle")
    # "No box leaves its image": an audit of the data set.
    assert figures["faults"]["boxes that leave their image"] == figures["faults"]["boxes without an area"] == 0
    assert figures["image_width"] == [960, 2000] and figures["image_height"] == [540, 1500]
    assert "3326 boxes" in as_text(figures)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"annotations": [{"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1]}]}, "no image with the id 7"),
        (
            {"annotations": [{"id": 1, "image_id": 1, "category_id": 7, "bbox": [0, 0, 1, 1]}]},
            "no category with the id 7",
        ),
        (
            {"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 1]}]},
            r"annotations\[0\]: bbox is",
        ),
        ({"annotations": [{"id": 1, "image_id": 1, "category_id": 1}]}, r"annotations\[0\] has no 'bbox'"),
        ({"categories": None}, "no lists"),
    ],
)
def test_a_fault_in_cocos_json_is_named(tmp_path, change, message):
    image = {"id": 1, "width": 9, "height": 9, "file_name": "a.jpg"}
    content = {"images": [image], "annotations": [], "categories": [{"id": 1, "name": "car"}]} | change
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        read_coco(tmp_path / "a.json")


@pytest.mark.parametrize("layout", ["{kind}/train2017", "train2017/{kind}"])
@pytest.mark.parametrize(
    "names", ["names: [car, 'bus']", "names:\n  0: car\n  1: bus\nnc: 2", "path: x\nnames:\n- car\n- bus"]
)
def test_yolo_folders(tmp_path, layout, names):
    picture(tmp_path / layout.format(kind="images") / "a.png", 100, 50)
    picture(tmp_path / layout.format(kind="images") / "b.png", 100, 50)
    labels = tmp_path / layout.format(kind="labels")
    labels.mkdir(parents=True)
    (labels / "a.txt").write_text("1 0.5 0.5 0.2 0.4\n0 0.1 0.2 0.2 0.4\n")
    (tmp_path / "data.yaml").write_text(names)
    data = read_yolo(tmp_path, "train2017")
    assert data.class_names == ("car", "bus")
    assert data.scenes[0].boxes == pytest.approx(np.array([[40, 15, 20, 20], [0, 0, 20, 20]]))
    assert data.scenes[0].labels.tolist() == [1, 0] and not len(data.scenes[1].boxes)
    (labels / "b.txt").write_text("0 0.5 0.5 0.2 0.4\n2 0.5 0.5 0.2 0.4\n")
    with pytest.raises(FormatError, match=r"b\.txt, line 2: the class is a whole number from 0 to 1"):
        read_yolo(tmp_path, "train2017")
    (labels / "b.txt").write_text("0 50 0.5 0.2 0.4\n")
    with pytest.raises(FormatError, match=r"b\.txt, line 1: x, y, width and height are shares"):
        read_yolo(tmp_path, "train2017")


def test_uavdt(tmp_path):
    for frame in (1, 2):
        picture(tmp_path / "UAV-benchmark-M" / "M0101" / f"img{frame:06d}.jpg", 108, 54)
    folder = tmp_path / "UAV-benchmark-MOTD_v1.0" / "GT"
    folder.mkdir(parents=True)
    (folder / "M0101_gt_whole.txt").write_text("1,1,5,6,7,8,1,1,1\n2,1,6,6,7,8,1,1,1\n2,2,20,6,9,8,1,1,3\n")
    (folder / "M0101_gt_ignore.txt").write_text("2,1,0,0,30,10\n")
    data = read_data_set(tmp_path)
    assert data.class_names == UAVDT_CLASSES and [s.name for s in data.scenes] == ["M0101_img000001", "M0101_img000002"]
    assert data.scenes[1].boxes.tolist() == [[6, 6, 7, 8], [20, 6, 9, 8]] and data.scenes[1].labels.tolist() == [0, 2]
    assert [len(scene.regions) for scene in data.scenes] == [0, 1]
    with pytest.raises(InputError, match="M0102_gt_whole"):
        read_uavdt(tmp_path / "UAV-benchmark-M", folder, ["M0102"])


@pytest.mark.skipif(not AERIAL.is_dir(), reason=f"no {AERIAL.name} in GSNET_DATA")
def test_real_aerial_images():
    data = read_data_set(AERIAL)
    assert {scene.name[:4]: len(scene.boxes) for scene in data.scenes} == {"2019": 279, "OSBS": 61, "SOAP": 37}
    assert data.class_names == ("Alive", "Dead", "Tree")


def test_synthetic_scenes_follow_from_their_seed(tmp_path):
    first, again = (write_synthetic(tmp_path / name, SMALL) for name in ("a", "b"))
    more = write_synthetic(tmp_path / "more", replace(SMALL, images=8))
    other = write_synthetic(tmp_path / "other", replace(SMALL, seed=1))
    files = sorted(path.relative_to(first) for path in first.rglob("*.*"))
    assert len(files) == 12
    for file in files:
        assert (first / file).read_bytes() == (again / file).read_bytes() == (more / file).read_bytes()
    data, others = read_data_set(first), read_data_set(other)
    assert sum(len(scene.boxes) for scene in data.scenes) >= 12
    assert not np.array_equal(data.scenes[0].boxes, others.scenes[0].boxes)
    faults = sum((sanity(scene) for scene in data.scenes), Counter())
    assert not +faults
    assert max(int(scene.labels.max()) for scene in data.scenes) <= 2


def test_statistics_and_their_picture(tmp_path, split):
    figures = statistics(read_visdrone(split))
    assert figures["classes"]["car"] == {
        "images": 1,
        "boxes": 2,
        "small": 2,
        "medium": 0,
        "large": 0,
        "median_side": pytest.approx((56**0.5) / 2),
    }
    assert (figures["ignored_boxes"], figures["ignored_regions"], figures["objects_of_no_class"]) == (1, 1, 1)
    assert figures["occlusion"] == {"0": 3, "1": 1, "2": 1}
    assert figures["repeated_images"] == [["0000001_a", "0000002_b"]]
    draw(read_visdrone(split), tmp_path / "stats.png")
    assert cv2.imread(str(tmp_path / "stats.png")).shape[1] > 1000


@pytest.mark.parametrize(("classes", "side"), [(1, 900.0), (10, 3.0), (200, 40.0)])
def test_nothing_in_the_picture_of_statistics_runs_off(classes, side):
    names = tuple(f"{'a class with a very long name ' * (i % 3 + 1)}{i}" for i in range(classes))
    labels = np.arange(3000) % classes
    boxes = np.tile(np.array([[1.0, 1, side, side]]), (3000, 1))
    scene = Scene("a", None, 1000, 1000, boxes, labels, np.zeros(3000, dtype=bool))
    nothing = replace(scene.chosen(np.zeros(3000, dtype=bool)), name="b")
    figure = picture_of(SceneSet(names, tuple(range(classes)), (scene, nothing)))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = figure.bbox.size
    # Matplotlib keeps ticks beyond the ends of an axis, which it does not draw.
    unseen = set()
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        low, high = sorted(axis.get_view_interval())
        unseen |= {t.label1 for t in (*axis.majorTicks, *axis.minorTicks) if not low <= t.get_loc() <= high}
    for text in figure.findobj(Text):
        if text.get_visible() and text.get_text() and text not in unseen:
            box = text.get_window_extent()
            assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, text.get_text()


def test_boxes_of_one_size_one_an_image_are_seen_in_the_picture():
    scene = Scene("a", None, 64, 48, np.array([[5.0, 5, 10, 10]]), np.array([0]), np.array([False]))
    figure = picture_of(SceneSet(("car",), (1,), tuple(replace(scene, name=name) for name in "abc")))
    _, sides, images, _ = figure.axes
    tall = [bar for bar in sides.patches if bar.get_height() == 3]
    assert len(tall) == 1 and tall[0].get_width() > 0.02 * 10
    assert all(float(tick).is_integer() for tick in images.get_xticks())


# What training sees


@pytest.mark.parametrize("case", GOLDEN["resize"])
def test_where_images_and_boxes_lie_in_the_input(case):
    box = np.array([case["box"]])
    for keep_ratio, name in ((True, "keep_ratio"), (False, "stretch")):
        prepared = Preprocessing(*case["dst_wh"], keep_ratio=keep_ratio)
        placement = prepared.placement(*case["src_wh"])
        assert placement.matrix == pytest.approx(np.array(case[f"{name}_matrix"])[:2], abs=1e-9)
        assert [placement.width, placement.height] == case["min_shape_div32" if keep_ratio else "dst_wh"]
        there = moved(box, placement.matrix)
        assert there[0] == pytest.approx(case[f"box_{name}"], abs=1e-4)
        assert moved_back(there, placement, *case["src_wh"])[0] == pytest.approx(case["box"], abs=1e-9)


@pytest.mark.parametrize("scale", [0.2, 0.47, 1.0, 1.6])
def test_an_image_is_resized_where_its_boxes_are(scale):
    """A white rectangle's centre of mass stays at the centre of its box, to a few hundredths of a pixel."""
    image = np.zeros((120, 160, 3), dtype=np.uint8)
    image[30:70, 50:110] = 255
    placement = Placement(np.array([[scale, 0, 3.0], [0, scale, 5.0]]), 300, 260)
    small = warped(image, placement)[..., 0].astype(float)
    box = moved(np.array([[50.0, 30, 110, 70]]), placement.matrix)[0]
    centre = [(small.sum(axis=axis) * (np.arange(small.shape[1 - axis]) + 0.5)).sum() / small.sum() for axis in (0, 1)]
    assert centre == pytest.approx([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], abs=0.05)
    assert small.sum() / 255 == pytest.approx(2400 * scale**2, rel=0.03)


def test_a_shrunken_image_keeps_its_mean():
    """A checkerboard of single pixels becomes grey, not black or white."""
    image = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = warped(np.stack([image] * 3, axis=2), Placement(np.array([[0.25, 0, 0], [0, 0.25, 0]]), 16, 16))
    assert np.abs(small.astype(int) - 127).max() <= 1


def test_values_of_the_input():
    values, _ = Preprocessing(32, 32).apply(np.zeros((32, 32, 3), dtype=np.uint8))
    # -mean / deviation of red, green and blue, by hand.
    assert values[:, 0, 0].tolist() == pytest.approx([-2.11790, -2.03571, -1.80444], abs=1e-4)


@pytest.mark.parametrize("size", [(0, 32), (100, 64), (64, 31)])
def test_sizes_that_the_network_cannot_have(size):
    with pytest.raises(InputError, match="multiples of 32"):
        Preprocessing(*size)


def test_dead_boxes_are_dropped():
    boxes = np.array([[10.0, 10, 30, 30], [-30, 10, 1, 30], [-15, 10, 5, 30], [40, 10, 80, 30], [-70, 5, -60, 9]])
    sample = Sample(np.zeros((64, 64, 3), dtype=np.uint8), boxes, np.arange(5), np.zeros((0, 4)))
    whole = Placement(np.array([[1.0, 0, 0], [0, 1, 0]]), 64, 64)
    kept = placed(sample, whole, minimal_side=2, minimal_share=0.2)
    # The second has 1 pixel left, the third a quarter of its area, the last lies outside.
    assert kept.labels.tolist() == [0, 2, 3]
    assert kept.boxes.tolist() == [[10, 10, 30, 30], [0, 10, 5, 30], [40, 10, 64, 30]]


def test_ranges_of_the_warp():
    rng = np.random.default_rng(0)
    matrices = np.array([Augmentation().matrix(rng, 100, 50) for _ in range(4000)])
    assert not np.any(matrices[:, [0, 1], [1, 0]])
    flips = matrices[:, 0, 0] < 0
    assert 0.45 < flips.mean() < 0.55
    across, down = np.abs(matrices[:, 0, 0]), matrices[:, 1, 1]
    for scale in (across, down):
        assert 0.48 <= scale.min() < 0.53 and 1.6 < scale.max() <= 1.68
    assert (across / down).min() >= 0.8 / 1.2 and (across / down).max() <= 1.2 / 0.8
    # Where the centre goes: 0.3 to 0.7 of the size.
    centre = matrices @ np.array([50, 25, 1.0])
    assert np.allclose(centre.min(axis=0), [30, 15], atol=0.5) and np.allclose(centre.max(axis=0), [70, 35], atol=0.5)


def test_colours_change_as_often_and_as_far_as_they_should():
    rng = np.random.default_rng(0)
    image = np.full((1, 1, 3), 128, dtype=np.uint8)
    grey = [float(Augmentation().recoloured(rng, image)[0, 0, 0]) for _ in range(3000)]
    unchanged = np.isclose(grey, 128, atol=1e-2).mean()
    assert 0.2 < unchanged < 0.3  # neither brightness nor contrast; saturation does nothing to grey
    assert min(grey) > (128 - 51) * 0.6 - 1 and max(grey) < (128 + 51) * 1.4 + 1


STILL = Augmentation(
    scale=(1, 1), stretch=(1, 1), translate=0, flip=0, brightness=0, contrast=(1, 1), saturation=(1, 1)
)


def test_quarter_turns_are_all_four_and_exact():
    rng = np.random.default_rng(0)
    corner = [tuple((replace(STILL, quarter_turns=True).matrix(rng, 40, 40) @ [30, 20, 1]).round(6)) for _ in range(99)]
    assert set(corner) == {(30, 20), (20, 30), (10, 20), (20, 10)}


def test_colours_of_another_camera_by_hand():
    rng = np.random.default_rng(0)
    red = np.tile(np.array([255, 0, 0], dtype=np.uint8), (8, 8, 1))
    assert np.allclose(STILL.recoloured(rng, red), red, atol=0.01)
    # The weight of red in ITU-R BT.601's luma; a hue of a third of the circle makes red green or blue.
    assert np.allclose(replace(STILL, grey=1).recoloured(rng, red), 0.299 * 255, atol=0.01)
    turned = np.array([replace(STILL, hue=180).recoloured(rng, red)[0, 0] for _ in range(200)])
    assert np.allclose(turned.max(axis=1), 255, atol=0.01) and 0.2 < (turned.argmax(axis=1) == 1).mean() < 0.4
    cast = np.array([replace(STILL, cast=0.2).recoloured(rng, red)[0, 0, 0] for _ in range(200)])
    assert 204 <= cast.min() < 210 and 300 < cast.max() <= 306
    half = np.full((8, 8, 3), 127.5, dtype=np.float32)
    bent = np.array([replace(STILL, gamma=np.log(2)).recoloured(rng, half)[0, 0, 0] for _ in range(200)])
    assert 255 / 4 <= bent.min() < 70 and 170 < bent.max() <= 255 / 2**0.5 + 0.01 and 0.4 < (bent == 127.5).mean() < 0.6
    edge = np.repeat(np.repeat(np.array([[0, 255]], dtype=np.uint8), 4, axis=1), 8, axis=0)[..., None].repeat(3, axis=2)
    assert 0 < replace(STILL, blur=1).recoloured(rng, edge)[4, 3, 0] < 127.5
    with pytest.raises(InputError, match="grey 2"):
        Augmentation(grey=2)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return read_data_set(write_synthetic(tmp_path_factory.mktemp("scenes"), SMALL))


LOADING = LoadingSettings(Preprocessing(96, 64), batch_size=3)


def equal(batch, other):
    same = torch.equal(batch.images, other.images)
    return same and all(
        torch.equal(getattr(a, name), getattr(b, name))
        for a, b in zip(batch.targets, other.targets, strict=True)
        for name in ("boxes", "labels", "ignored", "to_input")
    )


@pytest.mark.parametrize(("mosaic", "windows"), [(0.0, None), (1.0, None), (0.0, Windows(40)), (1.0, Windows(40))])
def test_batches_follow_from_seed_epoch_and_index(scenes, mosaic, windows):
    settings = replace(LOADING, augmentation=Augmentation(mosaic=mosaic), windows=windows)
    loader, other = (detection_training_loader(scenes, s) for s in (settings, replace(settings, workers=2)))
    for part in (loader, other):
        part.sampler.set_epoch(3)
    batches = list(loader)
    assert len(batches) == 2 and all(map(equal, batches, other))
    loader.sampler.set_epoch(3, skip=1)
    assert equal(next(iter(loader)), batches[1])
    loader.sampler.set_epoch(4)
    assert not equal(next(iter(loader)), batches[0])
    for batch in batches:
        assert batch.images.shape == (3, 3, 64, 96) and batch.images.dtype == torch.float32
        for target in batch.targets:
            assert target.boxes.dtype == torch.float32 and target.labels.dtype == torch.int64
            sides = target.boxes[:, 2:] - target.boxes[:, :2]
            assert (sides >= 2).all() and (target.boxes >= 0).all() and (target.boxes[:, 2] <= 96).all()


def test_objects_stay_inside_their_boxes(scenes):
    """Every synthetic object carries a white mark: it lies inside the warped box, brighter than the ground."""
    plain = Augmentation(brightness=0, contrast=(1, 1), saturation=(1, 1), rotation=15, shear=5)
    loader = detection_training_loader(
        scenes, replace(LOADING, augmentation=plain, preprocessing=Preprocessing(192, 128))
    )
    found = []
    for epoch in range(3):
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            for image, target in zip(batch.images, batch.targets, strict=True):
                for x1, y1, x2, y2 in target.boxes.round().int().tolist():
                    if 2 <= x1 < x2 <= 190 and 2 <= y1 < y2 <= 126:
                        found.append(float(image[:, y1:y2, x1:x2].amin(0).max()))
    # White has the normalised value 2.2 in its weakest channel, a saturated colour at most -0.5.
    assert len(found) > 50 and np.mean(np.array(found) > 1) > 0.9


def test_evaluation_images_and_how_to_get_back(scenes):
    settings = replace(LOADING, preprocessing=Preprocessing(128, 128, keep_ratio=True), batch_size=4)
    batches = list(detection_evaluation_loader(scenes, settings))
    assert [len(batch) for batch in batches] == [4, 2] and batches[0].images.shape == (4, 3, 96, 128)
    targets = [target for batch in batches for target in batch.targets]
    for scene, target in zip(scenes.scenes, targets, strict=True):
        assert target.image_id == scene.name and target.original_size == (64, 96)
        matrix = target.to_input.numpy()
        assert moved(corners(scene.boxes), matrix) == pytest.approx(target.boxes.numpy(), abs=1e-3)
    parts = [detection_evaluation_loader(scenes, replace(settings, rank=rank, processes=2)) for rank in (0, 1)]
    assert sorted(t.image_id for part in parts for batch in part for t in batch.targets) == [
        s.name for s in scenes.scenes
    ]


def test_ignored_objects_and_others_become_regions(split):
    data = read_visdrone(split)
    settings = LoadingSettings(Preprocessing(64, 64), None, batch_size=2)
    target = next(iter(detection_evaluation_loader(data, settings))).targets[0]
    assert target.labels.tolist() == [3, 0, 9] and len(target.ignored) == 3
    without = replace(settings, others_as_regions=False)
    assert len(next(iter(detection_evaluation_loader(data, without))).targets[0].ignored) == 2
    assert len(with_others_as_regions(data.scenes[0]).regions) == 2


def test_images_of_other_sizes_are_padded_with_zeros():
    samples = [(torch.ones(3, 32, 64), None), (torch.ones(3, 64, 33), None)]
    batch = collated(samples)
    assert batch.images.shape == (2, 3, 64, 64)
    assert batch.images[0, :, 32:].abs().sum() == 0 and batch.images[1, :, :, 33:].abs().sum() == 0
    assert batch.images.sum() == 3 * (32 * 64 + 64 * 33)


def test_an_image_unlike_its_annotations_is_named(split):
    data = read_visdrone(split)
    scene: Scene = replace(data.scenes[0], width=128)
    loader = detection_evaluation_loader(replace(data, scenes=(scene,)), replace(LOADING, batch_size=1))
    with pytest.raises(InputError, match="64 x 48 pixels, the annotations were made for 128 x 48"):
        next(iter(loader))


def test_a_batch_larger_than_the_data_set(scenes):
    with pytest.raises(InputError, match="6 images, a batch 7"):
        detection_training_loader(scenes, replace(LOADING, batch_size=7))
