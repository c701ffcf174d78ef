"""Detection data as people have them: small files that went wrong once; what is right the format says, or a hand worked out."""

import argparse
import json
import shutil
from collections import Counter
from contextlib import nullcontext, suppress
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from gsnet.commands import detection_data
from gsnet.data.broken import BrokenImageError
from gsnet.data.name_options import ClassNames
from gsnet.detection import training_options, validation_command
from gsnet.detection.classes import aligned, of_classes
from gsnet.detection.coco_format import read_coco, read_coco_results, to_coco
from gsnet.detection.data_set import LoadingSettings, detection_evaluation_loader
from gsnet.detection.data_sets import has_split, read_data_set
from gsnet.detection.data_yaml import parsed, read_data_yaml
from gsnet.detection.image_check import checked
from gsnet.detection.image_files import look_at
from gsnet.detection.preprocessing import Preprocessing, read_image
from gsnet.detection.scene import ImageResults, result_names, usable
from gsnet.detection.score_limits import score_limits
from gsnet.detection.splits import split_of
from gsnet.detection.visdrone_format import FormatError, read_annotation, read_results_folder, write_results
from gsnet.detection.yolo_format import read_yolo
from gsnet.interface.options import InputError

INPUTS = Path(__file__).parent / "detection_inputs"


def picture(file, width=64, height=48):
    file.parent.mkdir(parents=True, exist_ok=True)
    # Through the encoder alone: OpenCV's writer does not know every suffix in capitals.
    file.write_bytes(cv2.imencode(file.suffix, np.full((height, width, 3), 128, dtype=np.uint8))[1].tobytes())
    return file


def text(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    return file


def coco(tmp_path, **change):
    """A COCO file of one image and one car, with the given lists in place of its own."""
    content = {
        "images": [{"id": 1, "width": 64, "height": 48, "file_name": "a.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [5, 5, 10, 10]}],
        "categories": [{"id": 3, "name": "car"}, {"id": 7, "name": "bus"}],
    }
    return text(tmp_path / "coco.json", json.dumps(content | change))


# COCO


def test_a_category_id_given_twice_is_refused_with_both_names():
    with pytest.raises(InputError, match='the id 3 is given twice, to "car" and to "car"'):
        read_coco(INPUTS / "coco_duplicate_category_id.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"categories": [{"id": 3, "name": "car"}, {"id": "3", "name": "bus"}]}, 'to "car" and to "bus"'),
        (
            {"images": [{"id": 1, "width": 9, "height": 9, "file_name": n} for n in ("a.jpg", "b.jpg")]},
            'images: the id 1 is given twice, to "a.jpg" and to "b.jpg"',
        ),
        (
            {"images": [{"id": i, "width": 9, "height": 9, "file_name": "a.jpg"} for i in (1, 2)]},
            "a.jpg is named twice",
        ),
        (
            {"annotations": [{"id": 4, "image_id": 1, "category_id": 3, "bbox": [1, 1, 2, 2]}] * 2},
            r"annotations: the id 4 is given twice, to annotations\[0\] and to annotations\[1\]",
        ),
        ({"categories": [{"id": "car", "name": "car"}]}, "ids of categories are whole numbers"),
        ({"categories": [{"id": 3, "name": None}]}, "name is the name of a class, not null"),
        ({"categories": [{"id": None, "name": "car"}]}, r"categories\[0\] has the id null"),
        ({"images": [{"id": [1], "width": 9, "height": 9, "file_name": "a.jpg"}]}, "which is no number"),
        ({"images": [{"id": 1, "width": "wide", "height": 9, "file_name": "a.jpg"}]}, 'pixels, not "wide"'),
        ({"images": [{"id": 1, "width": 9, "height": 9, "file_name": None}]}, "name of an image, not null"),
        (
            {"annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 1, 2, 2], "iscrowd": "no"}]},
            'iscrowd is 0 or 1, not "no"',
        ),
        ({"ignored_regions": [{"image_id": 9, "bbox": [1, 1, 2, 2]}]}, r"ignored_regions\[0\]: there is no image"),
        ({"ignored_regions": [{"bbox": [1, 1, 2, 2]}]}, r"ignored_regions\[0\] has no 'image_id'"),
    ],
)
def test_what_cocos_format_forbids_is_named(tmp_path, change, message):
    for images in (None, INPUTS):
        with pytest.raises(InputError, match=message):
            read_coco(coco(tmp_path, **change), images)


def test_category_names_given_twice_stay_two_classes(tmp_path, caplog):
    file = coco(tmp_path, categories=[{"id": 3, "name": "car"}, {"id": 0, "name": "car"}])
    data = read_coco(file)
    assert data.class_names == ("car", "car (3)") and data.category_ids == (0, 3)
    assert data.scenes[0].labels.tolist() == [1]
    assert "'car' is given twice" in caplog.text


@pytest.mark.parametrize(
    ("name", "files", "names"),
    [
        ("coco_same_stem_in_two_folders", ["train/a.jpg", "val/a.jpg"], ["train_a", "val_a"]),
        ("coco_same_stem_other_suffix", ["a.jpg", "a.png"], ["a_jpg", "a_png"]),
    ],
)
def test_images_are_told_apart_by_their_paths(tmp_path, name, files, names):
    for file in files:
        picture(tmp_path / "images" / file)
    shutil.copy(INPUTS / f"{name}.json", tmp_path)
    data = read_data_set(tmp_path / f"{name}.json")
    assert [scene.name for scene in data.scenes] == names
    assert [scene.image for scene in data.scenes] == [tmp_path / "images" / file for file in files]
    assert [image["file_name"] for image in to_coco(data)["images"]] == files
    (tmp_path / "results").mkdir()
    for scene in data.scenes:
        write_results(tmp_path / "results", scene.name, _as_found(scene), data.category_ids)
    found, stray = read_results_folder(tmp_path / "results", data)
    assert [len(results) for results in found] == [1, 0] and not stray


def _as_found(scene):
    return ImageResults(scene.boxes, np.ones(len(scene.boxes)), scene.labels)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["a.jpg", "x/b.jpg"], ["a", "b"]),
        (["/d/s1/0001.jpg", "/d/s1/0002.jpg", "/d/s2/0001.jpg"], ["s1_0001", "s1_0002", "s2_0001"]),
        (["a_b/c.jpg", "a/b_c.jpg", "x/c.jpg"], ["a_b_c_jpg_1", "a_b_c_jpg_2", "x_c_jpg_3"]),
    ],
)
def test_names_of_result_files(paths, names):
    assert result_names([PurePosixPath(path) for path in paths]) == names


def test_numbers_and_texts_are_one_id():
    data = read_coco(INPUTS / "coco_string_id_images_only.json")
    assert [len(scene.boxes) for scene in data.scenes] == [1, 0]
    data = read_coco(INPUTS / "coco_category_ids_strings_mixed.json")
    assert data.class_names == ("car", "bus") and data.category_ids == (3, 7)
    assert data.scenes[0].labels.tolist() == [0]


def test_results_name_images_by_number_or_text(tmp_path):
    file = INPUTS / "coco_string_id_images_only.json"
    rows = [{"image_id": 2, "category_id": "7", "bbox": [1, 2, 3, 4], "score": 0.5}]
    found = read_coco_results(
        text(tmp_path / "found.json", json.dumps(rows)), read_coco(file), json.loads(file.read_text())
    )
    assert [len(results) for results in found] == [0, 1] and found[1].labels.tolist() == [1]


@pytest.mark.parametrize("score", [None, "0.5", float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_refused(tmp_path, score):
    file = INPUTS / "coco_string_id_images_only.json"
    rows = text(
        tmp_path / "f.json", json.dumps([{"image_id": 2, "category_id": 7, "bbox": [1, 2, 3, 4], "score": score}])
    )
    with pytest.raises(InputError, match="entry 0: a result has image_id, category_id, bbox and score, a number"):
        read_coco_results(rows, read_coco(file), json.loads(file.read_text()))


def test_paths_of_another_machine(tmp_path):
    first = picture(tmp_path / "images" / "a.jpg")
    shutil.copy(INPUTS / "coco_windows_path.json", tmp_path)
    scene = read_data_set(tmp_path / "coco_windows_path.json").scenes[0]
    assert (scene.name, scene.image) == ("a", first)
    # As much of the path as is there: the folder tells two images of one name apart.
    for sequence in ("seq1", "seq2"):
        picture(tmp_path / "images" / sequence / "a.jpg")
    images = [{"id": i, "width": 64, "height": 48, "file_name": f"/home/me/seq{i}/a.jpg"} for i in (1, 2)]
    scenes = read_data_set(coco(tmp_path, images=images)).scenes
    assert [scene.image.parent.name for scene in scenes] == ["seq1", "seq2"]
    shutil.rmtree(tmp_path / "images" / "seq2")
    shutil.rmtree(tmp_path / "images" / "seq1")
    with pytest.raises(InputError, match=r"only one image was found, .*a\.jpg"):
        read_data_set(tmp_path / "coco.json")


def test_a_missing_width_is_the_images_own(tmp_path):
    shutil.copy(INPUTS / "coco_width_null.json", tmp_path)
    file = tmp_path / "coco_width_null.json"
    with pytest.raises(InputError, match=r"images\[0\] \(a\.jpg\) has no width"):
        read_data_set(file)
    picture(tmp_path / "a.jpg", 80, 48)
    assert [(scene.width, scene.height) for scene in read_data_set(file).scenes] == [(80, 48), (64, 48)]


def test_the_folders_of_coco_itself(tmp_path):
    for split in ("train2017", "val2017"):
        image = picture(tmp_path / split / "a.jpg")
        file = coco(tmp_path)
        (tmp_path / "annotations").mkdir(exist_ok=True)
        file.rename(tmp_path / "annotations" / f"instances_{split}.json")
        shutil.copy(
            tmp_path / "annotations" / f"instances_{split}.json", tmp_path / f"annotations/captions_{split}.json"
        )
    assert read_data_set(tmp_path, split="val").scenes[0].image == image
    assert read_data_set(tmp_path).scenes[0].image == tmp_path / "train2017" / "a.jpg"


@pytest.mark.parametrize(
    ("file", "folder"), [("val.json", "val"), ("flight 3.json", "flight 3"), ("my_val.json", "val")]
)
def test_images_in_a_folder_beside_the_file_that_is_called_like_it(tmp_path, file, folder):
    image = picture(tmp_path / folder / "a.jpg")
    picture(tmp_path / "train" / "a.jpg")
    coco(tmp_path).rename(tmp_path / file)
    assert read_data_set(tmp_path / file).scenes[0].image == image


def test_files_of_coco_for_each_split_beside_folders_of_images(tmp_path):
    for split in ("train", "val"):
        picture(tmp_path / split / "a.jpg")
        coco(tmp_path).rename(tmp_path / f"{split}.json")
    assert read_data_set(tmp_path, split="val").scenes[0].image == tmp_path / "val" / "a.jpg"
    assert read_data_set(tmp_path).scenes[0].image == tmp_path / "train" / "a.jpg"
    # A folder that is a data set itself is read as one, as a converted file beside it is not asked.
    text(tmp_path / "val" / "a.txt", "0 .5 .5 .2 .2")
    assert len(read_data_set(tmp_path, split="val").scenes[0].boxes) == 1


# Pascal VOC


@pytest.mark.parametrize("folders", [("", ""), ("Annotations", "JPEGImages"), ("annotations", "images")])
def test_difficult_objects_are_ignored_and_no_objects_are_a_background(tmp_path, folders):
    annotations, images = (tmp_path / folder for folder in folders)
    for stem, name in (("p", "voc_difficult"), ("q", "voc_no_objects")):
        picture(images / f"{stem}.jpg")
        text(annotations / f"{stem}.xml", (INPUTS / f"{name}.xml").read_text().replace("p.jpg", f"{stem}.jpg"))
    data = read_data_set(tmp_path)
    difficult, background = data.scenes
    assert data.class_names == ("car",)
    assert difficult.boxes.tolist() == [[5, 5, 10, 10]] and difficult.ignored.tolist() == [True]
    assert (background.name, len(background.boxes), background.width) == ("q", 0, 64)
    text(annotations / "r.xml", (INPUTS / "voc_difficult.xml").read_text())
    with pytest.raises(InputError, match=r"both of the image p\.jpg"):
        read_data_set(tmp_path)
    # Another name in the file, as after a renaming: the file's own name counts.
    text(annotations / "r.xml", (INPUTS / "voc_difficult.xml").read_text().replace("p.jpg", "C:\\old\\name.jpg"))
    picture(images / "r.png")
    assert [scene.name for scene in read_data_set(tmp_path).scenes] == ["p", "q", "r"]


DAMAGED = {
    "p.csv": (b"image_path,xmin,ymin,xmax,ymax,label\np\xe9.jpg,1,2,3,4,t\n", "is no text file in UTF-8"),
    "q.csv": (b"image_path,xmin,ymin,xmax,ymax,label\np.jpg,nan,2,3,4,t\n", "a line has image_path, xmin"),
    "r.xml": (b'<?xml version="1.0" encoding="nobodys"?><a/>', "is no Pascal VOC annotation"),
    "s.xml": (b"<a><object><bndbox><xmin>inf</xmin></bndbox></object></a>", "is no Pascal VOC annotation"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_annotations_that_cannot_be_read_are_named(tmp_path, name):
    picture(tmp_path / "p.jpg")
    content, message = DAMAGED[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name[0]}\\.{name[2:]}:? {message}"):
        read_data_set(tmp_path)


def test_uavdts_text_in_another_encoding_is_named(tmp_path):
    picture(tmp_path / "UAV-benchmark-M/S1/img000001.jpg")
    file = text(tmp_path / "UAV-benchmark-MOTD_v1.0/GT/S1_gt_whole.txt", "")
    file.write_bytes(b"1,1,1,1,2,2,1,1,1\n\xe9")
    with pytest.raises(InputError, match=r"S1_gt_whole\.txt is no text file in UTF-8"):
        read_data_set(tmp_path)


# YOLO


def yolo(tmp_path, names, split="images/train", width=100, height=100):
    """Images with the label files of the given inputs."""
    for name in names:
        picture(tmp_path / split / f"{name}.jpg", width, height)
        text(tmp_path / split.replace("images", "labels") / f"{name}.txt", (INPUTS / f"{name}.txt").read_text())
    return tmp_path


@pytest.mark.parametrize(
    ("name", "box"),
    [
        ("yolo_polygon", [10, 10, 20, 20]),
        ("yolo_six_columns", [40, 40, 20, 20]),
        ("yolo_slightly_wide", [59.98, 60, 40.02, 40]),
    ],
)
def test_rows_as_ultralytics_writes_them(tmp_path, name, box):
    scene = read_data_set(yolo(tmp_path, [name])).scenes[0]
    assert scene.boxes == pytest.approx(np.array([box])) and scene.labels.tolist() == [0]
    assert (scene.boxes[:, :2] + scene.boxes[:, 2:]).max() <= 100


def test_widths_a_little_over_one(tmp_path):
    text(yolo(tmp_path, ["yolo_polygon"]) / "labels/train/yolo_polygon.txt", "0 0.5 0.5 1.002 1.002")
    assert read_data_set(tmp_path).scenes[0].boxes.tolist() == [[0, 0, 100, 100]]


def test_columns_that_are_none_of_these(tmp_path):
    yolo(tmp_path, ["yolo_polygon"])
    for line, message in (
        ("0 0.1 0.1 0.2", "this one has 4 columns"),
        ("0 .1 .1 .2 .2 .3 .3 .4", "this one has 8 columns"),
        ("0 .1 .1 .2 1.2", "shares of the image"),
        ("0 .1 .1 .2 .2 30 .3", "points of a polygon are shares"),
        ("car .1 .1 .2 .2", "all columns are numbers"),
    ):
        text(tmp_path / "labels/train/yolo_polygon.txt", line)
        with pytest.raises(FormatError, match=message):
            read_data_set(tmp_path)


def test_keypoints_are_no_polygon(tmp_path):
    yolo(tmp_path, ["yolo_polygon"])
    text(tmp_path / "labels/train/yolo_polygon.txt", "0 0.5 0.5 0.2 0.4 " + "0.45 0.5 " * 5)
    file = text(tmp_path / "pose.yaml", "train: images/train\nnames: [person]\nkpt_shape: [5, 2]")
    assert read_data_set(file).scenes[0].boxes == pytest.approx(np.array([[40, 30, 20, 40]]))


@pytest.mark.parametrize("kind", ["list", "dict"])
def test_a_data_yaml_names_classes_and_splits(tmp_path, kind):
    yolo(tmp_path, ["yolo_six_columns"])
    shutil.copy(INPUTS / f"yolo_data_{kind}.yaml", tmp_path / "data.yaml")
    names = ("car",) if kind == "list" else ("car", "bus")
    for path in (tmp_path / "data.yaml", tmp_path, tmp_path / "images" / "train"):
        data = read_data_set(path)
        assert data.class_names == names and [scene.name for scene in data.scenes] == ["yolo_six_columns"]
    assert len(read_data_set(tmp_path / "data.yaml", split="val")) == 1
    with pytest.raises(InputError, match="has only train, val: there is nothing to take for --split test"):
        read_data_set(tmp_path, split="test")
    with pytest.raises(InputError, match="has no splits"):
        read_data_set(tmp_path / "images" / "train", split="val")


def test_tables_and_exported_networks_beside_splits_are_no_annotations(tmp_path):
    yolo(tmp_path, ["yolo_six_columns"])
    for name in ("detector.xml", "results.csv"):
        text(tmp_path / name, "<net/>")
        assert [scene.name for scene in read_data_set(tmp_path).scenes] == ["yolo_six_columns"]
        assert has_split(tmp_path, "train")


def test_several_folders_and_lists(tmp_path):
    for sequence in ("seq1", "seq2"):
        yolo(tmp_path, ["yolo_six_columns"], f"images/{sequence}")
    yolo(tmp_path, ["yolo_polygon"], "images/val")
    text(tmp_path / "val.txt", "./images/val/yolo_polygon.jpg\n")
    file = text(
        tmp_path / "drone.yaml",
        "path: ../somewhere/else  # another machine's\ntrain:\n  - images/seq1\n  - images/seq2\nval: val.txt\n"
        "names: {0: car}\ndownload: |\n  train: not this one\n",
    )
    data = read_data_set(file)
    assert [scene.name for scene in data.scenes] == ["seq1_yolo_six_columns", "seq2_yolo_six_columns"]
    assert [image["file_name"] for image in to_coco(data)["images"]] == [f"seq{i}/yolo_six_columns.jpg" for i in (1, 2)]
    assert [scene.name for scene in read_data_set(file, split="val").scenes] == ["yolo_polygon"]
    assert read_data_set(tmp_path / "val.txt").class_names == ("car",)
    text(file, "train: images/none\nnames: [car]")
    with pytest.raises(InputError, match="names 'images/none', and there is no"):
        read_data_set(file)


def test_roboflows_folders(tmp_path):
    for split in ("train", "valid"):
        yolo(tmp_path, ["yolo_polygon"], f"{split}/images")
    text(
        tmp_path / "data.yaml",
        "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n\nnc: 1\nnames: ['car']\n",
    )
    for path, split in (
        (tmp_path, None),
        (tmp_path, "val"),
        (tmp_path / "valid", None),
        (tmp_path / "data.yaml", "val"),
    ):
        data = read_data_set(path, split=split)
        assert data.class_names == ("car",) and len(data) == 1
    assert data.scenes[0].image == tmp_path / "valid/images/yolo_polygon.jpg"
    # The same export in COCO's form, and in Pascal VOC's.
    for split in ("train", "valid"):
        shutil.rmtree(tmp_path / split)
        picture(tmp_path / split / "a.jpg")
        coco(tmp_path / split).rename(tmp_path / split / "_annotations.coco.json")
    (tmp_path / "data.yaml").unlink()
    data = read_data_set(tmp_path, split="val")
    assert data.class_names == ("car", "bus") and data.scenes[0].image == tmp_path / "valid" / "a.jpg"


def test_darknets_flat_folder(tmp_path):
    folder = tmp_path / "data" / "obj_train_data"
    for stem, line in (("a", "1 .5 .5 .2 .2"), ("b", "")):
        picture(folder / f"{stem}.jpg", 100, 100)
        text(folder / f"{stem}.txt", line)
    text(tmp_path / "data" / "obj.names", "car\nbus\n")
    text(tmp_path / "data" / "train.txt", "data/obj_train_data/a.jpg\ndata/obj_train_data/b.jpg\n")
    text(folder / "c.txt", "0 .5 .5 .2 .2")
    for path in (folder, tmp_path / "data" / "train.txt"):
        data = read_data_set(path)
        assert data.class_names == ("car", "bus") and [len(scene.boxes) for scene in data.scenes] == [1, 0]
        assert data.stray == (folder / "c.txt",)
    # Its description: the paths count from elsewhere, and images of the other split have their labels in the same folder.
    picture(folder / "d.jpg", 100, 100)
    text(folder / "d.txt", "1 .5 .5 1.002 .2")
    text(tmp_path / "data" / "val.txt", "data/obj_train_data/d.jpg\n")
    lines = (
        "classes = 2",
        "train = data/train.txt # 2",
        "valid = data/val.txt",
        "names = data/obj.names",
        "backup = b/",
    )
    text(tmp_path / "data" / "obj.data", "\n".join(lines))
    (tmp_path / "data" / "obj.names").rename(tmp_path / "data" / "these.names")
    with pytest.raises(InputError, match=r"names 'data.obj\.names', and there is no data.obj\.names and no"):
        read_data_set(tmp_path / "data")
    (tmp_path / "data" / "these.names").rename(tmp_path / "data" / "obj.names")
    for path in (tmp_path / "data", tmp_path / "data" / "obj.data"):
        one, other = (read_data_set(path, split=split) for split in ("train", "val"))
        assert one.class_names == other.class_names == ("car", "bus")
        assert [scene.name for scene in one.scenes] == ["a", "b"] and other.scenes[0].boxes.tolist() == [
            [0, 40, 100, 20]
        ]
        assert one.stray == other.stray == (folder / "c.txt",)
    text(folder / "_darknet.labels", "lorry\nbus\n")
    assert read_data_set(folder).class_names == ("lorry", "bus")


def test_images_whose_labels_lie_elsewhere_are_no_backgrounds(tmp_path):
    picture(tmp_path / "images" / "a.jpg")
    (tmp_path / "labels").mkdir()
    with pytest.raises(InputError, match=r"None of the 1 images .* there is no .*labels.a\.txt"):
        read_data_set(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        "names:\n  0: car\n  1: 'it''s'  # a bus\n  2: \"a # b\"\nnc: 3",
        "# c\nnames: [car, 'a, b', \"c: d\"]\ntrain: images/train",
        "names:\n- car\n-   bus # last\npath: /data set/x",
        "names: {0: car, 1: 'bus, long'}\nval: ['a', b]\ntest:\n",
        "names: [car,\n  bus,\n  truck]\nval: x#y",
        "path: C:\\data\ntrain: [images/a, images/b]\ndownload: |\n  names: [x]\n",
    ],
)
def test_yaml_is_understood_as_a_whole_parser_does(content):
    """PyYAML is the other reader; numbers are texts here."""
    yaml = pytest.importorskip("yaml")
    wanted = {k: v for k, v in yaml.safe_load(content).items() if k in ("names", "path", "train", "val", "test") and v}
    plain = {
        key: {str(k): v for k, v in value.items()} if isinstance(value, dict) else value
        for key, value in wanted.items()
    }
    assert {key: value for key, value in parsed(content).items() if key in plain} == plain


def test_names_that_are_none(tmp_path):
    for content, message in (("names: car", "a list of classes"), ("names: {1: car, 2: bus}", "from 0 on, not 1, 2")):
        with pytest.raises(InputError, match=message):
            read_data_yaml(text(tmp_path / "a.yaml", content))


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"),
        ("val2017", "val"),
        ("valid", "val"),
        ("VisDrone2019-DET-train", "train"),
        ("VisDrone2019-DET-test-dev", "test"),
        ("instances_val2017", "val"),
        ("trains", None),
        ("seq1", None),
        ("interval", None),
    ],
)
def test_folders_called_like_splits(name, split):
    assert split_of(name) == split


# VisDrone-VID and -MOT


@pytest.mark.parametrize("frames", ["sequences", "images"])
def test_one_file_a_sequence(tmp_path, frames):
    for number in (1, 2):
        picture(tmp_path / frames / "uav1" / f"{number:07d}.jpg")
    file = text(tmp_path / "annotations" / "uav1.txt", (INPUTS / "visdrone_vid.txt").read_text())
    data = read_data_set(tmp_path)
    first, second = data.scenes
    assert (first.name, second.name) == ("uav1_0000001", "uav1_0000002")
    assert first.boxes.tolist() == [[5, 5, 10, 10]] and data.class_names[first.labels[0]] == "car"
    assert not first.ignored.any() and not len(second.boxes) and first.lines.tolist() == [1]
    text(file, "1,0,5,5,10,10,1,4,0,0\n1,3,5,5,10,10,0,0,0,0\n2,0,5,5,10,10,0,4,1,2\n")
    first, second = read_data_set(tmp_path).scenes
    assert first.regions.tolist() == [[5, 5, 10, 10]] and second.ignored.tolist() == [True]
    assert (second.truncation.tolist(), second.occlusion.tolist()) == ([1], [2])
    for line, message in (
        ("7,0,5,5,10,10,1,4,0,0", "no image of frame 7"),
        ("0,0,5,5,10,10,1,4,0,0", r"line 1: the frame \(column 1\)"),
        ("1,0,5,5,10,10,1,14,0,0", r"line 1: the category \(column 8\)"),
        ("1,0,5,5,10,10,1,4", "10 comma-separated columns, this one 8"),
    ):
        text(file, line)
        with pytest.raises(InputError, match=message):
            read_data_set(tmp_path)
    text(file, "1,0,5,5,10,10,1,4,0,0")
    picture(tmp_path / frames / "uav1" / "1.jpg")
    with pytest.raises(InputError, match=r"0000001\.jpg and 1\.jpg are both frame 1: keep one of them"):
        read_data_set(tmp_path)


def test_a_video_file_taken_for_an_image_says_what_it_is(tmp_path):
    file = text(tmp_path / "uav1.txt", "1,0,5,5,10,10,1,4,0,0\n")
    with pytest.raises(FormatError, match=r"ten columns are those of VisDrone-VID .* --data_format visdrone_vid"):
        read_annotation(file, 64, 48)


# Classes


def test_classes_of_validation_count_as_training_has_them(tmp_path):
    both = read_coco(coco(tmp_path))
    one = read_coco(
        coco(
            tmp_path,
            categories=[{"id": 9, "name": "bus"}],
            annotations=[{"id": 1, "image_id": 1, "category_id": 9, "bbox": [1, 1, 2, 2]}],
        )
    )
    data = aligned(one, both, Path("val"))
    assert data.class_names == ("car", "bus") and data.category_ids == (3, 9)
    assert data.scenes[0].labels.tolist() == [1]
    with pytest.raises(InputError, match="val has objects of classes that training does not know: car"):
        aligned(both, one, Path("val"))
    # A class without an object is no objection.
    empty = read_coco(coco(tmp_path, annotations=[]))
    assert aligned(empty, one, Path("val")).class_names == ("bus",)


def test_classes_are_chosen_by_name(tmp_path):
    rows = [{"id": i, "image_id": 1, "category_id": c, "bbox": [i, i, 2, 2]} for i, c in ((1, 3), (2, 7), (3, 8))]
    categories = [{"id": i, "name": name} for i, name in ((3, "car"), (7, "bus"), (8, "van"))]
    data = of_classes(read_coco(coco(tmp_path, annotations=rows, categories=categories)), ["van", "car"], Path("set"))
    assert data.class_names == ("car", "van") and data.category_ids == (3, 8)
    assert data.scenes[0].labels.tolist() == [0, 1] and data.scenes[0].boxes[:, 0].tolist() == [1, 3]
    with pytest.raises(InputError, match="set has no class boat: it has car, van"):
        of_classes(data, ["boat"], Path("set"))


def test_rounding_is_no_clipping(tmp_path):
    """Shares with six digits, as YOLO files have them, of a box that ends at the image's border."""
    picture(tmp_path / "images" / "a.jpg", 1920, 1080)
    text(tmp_path / "labels" / "a.txt", "0 0.833333 0.833333 0.333334 0.333334\n0 0.9 0.5 0.25 0.1\n")
    dropped = Counter()
    usable(read_yolo(tmp_path).scenes[0], dropped)
    # The second box ends at 1.025 of the width, 48 pixels outside.
    assert dropped["boxes clipped to their image"] == 1


# Orientation


@pytest.fixture
def lying(tmp_path):
    """A photograph that is stored lying, 40 x 32 pixels, and that viewers show standing."""
    (tmp_path / "images").mkdir()
    shutil.copy(INPUTS / "exif_orientation_6.jpg", tmp_path / "images" / "a.jpg")
    return tmp_path


def test_all_orientations_as_pillow_turns_them(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(6, 4, 3), dtype=np.uint8)
    for orientation in range(1, 9):
        image = Image.fromarray(pixels)
        image.getexif()[274] = orientation
        image.save(tmp_path / "a.png", exif=image.getexif())
        wanted = np.array(ImageOps.exif_transpose(Image.open(tmp_path / "a.png")))
        assert np.array_equal(read_image(tmp_path / "a.png"), wanted)
        assert np.array_equal(read_image(tmp_path / "a.png", (4, 6)), pixels if orientation > 4 else wanted)


def test_a_photograph_is_looked_at_as_viewers_show_it(lying):
    file = lying / "images" / "a.jpg"
    assert read_image(file).shape == (40, 32, 3)
    # The reddish top of the upright picture is the left of the stored one.
    upright, stored = read_image(file), read_image(file, (40, 32))
    assert stored.shape == (32, 40, 3) and np.array_equal(upright, np.rot90(stored, -1))


@pytest.mark.parametrize(("size", "box"), [((32, 40), [2, 30, 10, 8]), ((40, 32), [30, 2, 8, 10])])
def test_annotations_decide_which_way_up_they_were_made(lying, size, box):
    """The size in the annotations where they have one, else whether the boxes fit."""
    image = {"id": 1, "width": size[0], "height": size[1], "file_name": "a.jpg"}
    row = {"id": 1, "image_id": 1, "category_id": 3, "bbox": box}
    x, y, w, h = box
    bounds = f"<xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax>"
    for data in (
        read_data_set(coco(lying, images=[image], annotations=[row])),
        read_data_set(_voc(lying / "voc", bounds, size)),
        read_data_set(_voc(lying / "voc", bounds, None)),
        read_data_set(_visdrone(lying / "visdrone", box)),
    ):
        scene = data.scenes[0]
        assert (scene.width, scene.height) == size
        loading = LoadingSettings(Preprocessing(64, 64), None, batch_size=1)
        target = next(iter(detection_evaluation_loader(data, loading))).targets[0]
        assert target.original_size == (scene.height, scene.width)
        assert target.boxes[0].tolist() == pytest.approx(
            [x * 64 / size[0], y * 64 / size[1], (x + w) * 64 / size[0], (y + h) * 64 / size[1]], abs=1e-4
        )


def _voc(folder, bounds, size):
    folder.mkdir(exist_ok=True)
    shutil.copy(INPUTS / "exif_orientation_6.jpg", folder / "a.jpg")
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    thing = f"<object><name>car</name><bndbox>{bounds}</bndbox></object>"
    text(folder / "a.xml", f"<annotation><filename>a.jpg</filename>{sides}{thing}</annotation>")
    return folder


def _visdrone(folder, box):
    (folder / "images").mkdir(parents=True)
    shutil.copy(INPUTS / "exif_orientation_6.jpg", folder / "images" / "a.jpg")
    text(folder / "annotations" / "a.txt", f"{','.join(map(str, box))},1,4,0,0")
    return folder


def test_yolos_shares_are_of_the_upright_image(lying):
    text(lying / "labels" / "a.txt", "0 0.5 0.25 0.5 0.5")
    scene = read_data_set(lying).scenes[0]
    assert (scene.width, scene.height) == (32, 40) and scene.boxes.tolist() == [[8, 0, 16, 20]]


# Broken images


@pytest.fixture
def damaged(tmp_path):
    """A YOLO set of five images: one is truncated, one empty, one no image."""
    for stem in "abcde":
        picture(tmp_path / "images" / f"{stem}.jpg")
        text(tmp_path / "labels" / f"{stem}.txt", "0 .5 .5 .2 .2")
    shutil.copy(INPUTS / "truncated.jpg", tmp_path / "images" / "b.jpg")
    text(tmp_path / "images" / "c.jpg", "")
    text(tmp_path / "images" / "d.jpg", "hello")
    return tmp_path


def test_broken_images_are_named_with_what_is_wrong(damaged):
    with pytest.raises(
        BrokenImageError, match=r"2 images cannot be read: .*c\.jpg \(the file is empty\), .*d\.jpg \(its"
    ):
        read_data_set(damaged)
    data = read_data_set(damaged, skip_broken=2)
    assert [scene.name for scene in data.scenes] == ["a", "b", "e"]
    with pytest.raises(BrokenImageError, match=r"3 images cannot be read, more than the 2 of --skip_broken: .*b\.jpg"):
        checked([data], 2)
    (data,) = checked([data, data], 3)[:1]
    assert [scene.name for scene in data.scenes] == ["a", "e"]
    assert [error.file.stem for error in data.broken] == ["c", "d", "b"]


def test_a_truncated_image_is_not_filled_with_grey(damaged):
    with pytest.raises(BrokenImageError, match=r"b\.jpg is no image that can be read \(.*truncated"):
        read_image(damaged / "images" / "b.jpg")


def test_statistics_name_what_is_amiss(damaged, capsys):
    text(damaged / "labels" / "z.txt", "0 .5 .5 .2 .2")
    (damaged / "labels" / "e.txt").unlink()
    assert detection_data.main(["stats", "--data_dir", str(damaged)]) == 0
    said = capsys.readouterr().out
    assert f"annotations without image: 1 ({damaged}/labels/z.txt)" in said
    assert f"images without annotations: 1 ({damaged}/images/e.jpg)" in said
    assert "c.jpg (the file is empty)" in said and "b.jpg (" in said and "2 images, 64 x 48 pixels" in said


def test_damage_of_every_kind_is_one_kind_of_error(tmp_path):
    """Of images with bytes turned about the reader says either nothing or which file is broken."""
    rng = np.random.default_rng(0)
    for suffix in (".jpg", ".png", ".webp", ".bmp", ".tif"):
        content = bytearray(cv2.imencode(suffix, rng.integers(256, size=(20, 30, 3), dtype=np.uint8))[1].tobytes())
        for number in range(40):
            changed = content.copy()
            for place in rng.integers(min(len(content), 200), size=number % 5 + 1):
                changed[place] = rng.integers(256)
            (tmp_path / f"a{suffix}").write_bytes(changed)
            for read in (look_at, read_image):
                with suppress(BrokenImageError):
                    read(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_the_end_of_a_file_tells_whether_it_is_whole(tmp_path, suffix):
    rng = np.random.default_rng(0)
    content = cv2.imencode(suffix, rng.integers(256, size=(40, 60, 3), dtype=np.uint8))[1].tobytes()
    file = tmp_path / f"a{suffix}"
    for kept, whole in ((content, True), (content + b"what a camera appends" * 9, True), (content[:-40], False)):
        file.write_bytes(kept)
        for read in (look_at, read_image):
            with nullcontext() if whole else pytest.raises(BrokenImageError, match=file.name):
                read(file)


def test_a_reading_process_says_what_this_one_would(damaged):
    data = read_data_set(damaged, skip_broken=2)
    loading = LoadingSettings(Preprocessing(32, 32), None, batch_size=3, workers=1)
    with pytest.raises(BrokenImageError) as error:
        next(iter(detection_evaluation_loader(data, loading)))
    assert str(error.value).startswith(f"{damaged}/images/b.jpg is no image that can be read (")
    assert "Traceback" not in str(error.value)


def test_a_conversion_writes_over_nothing_that_it_reads_and_says_from_where_its_file_is_read(tmp_path, capsys):
    yolo(tmp_path, ["yolo_six_columns"], "data/images/train")
    source = text(tmp_path / "data" / "data.yaml", "train: images/train\nnames: {0: car, 1: bus, 2: person}\n")
    convert = ["convert", "--data_dir", str(source), "--split", "train", "--output"]
    (tmp_path / "elsewhere").mkdir()
    for folder, told in (("data", False), (".", False), ("elsewhere", True)):
        assert detection_data.main([*convert, str(tmp_path / folder / "all.json")]) == 0
        assert (f"paths from {tmp_path / 'data'}: move it there" in capsys.readouterr().err) is told
    file = tmp_path / "data" / "all.json"
    before = file.read_bytes()
    with pytest.raises(InputError, match="is what is converted"):
        detection_data.main(["convert", "--data_dir", str(file), "--output", str(file)])
    assert file.read_bytes() == before


def test_a_converted_file_names_images_by_their_folders(tmp_path):
    """Of two splits with images of equal names, which are read from the files again, wherever they lie below."""
    for split in ("train", "val"):
        yolo(tmp_path, ["yolo_six_columns"], f"data/images/{split}/cam")
    file = text(
        tmp_path / "data" / "data.yaml", "train: images/train\nval: images/val\nnames: {0: car, 1: bus, 2: person}\n"
    )
    elsewhere = tmp_path / "elsewhere"
    for source, output, begin in (
        (file, tmp_path / "data" / "{}.json", "images/{}/cam/"),
        (file, tmp_path / "{}.json", "data/images/{}/cam/"),
        # Images are not below it: from the folder of the data set.
        (file, elsewhere / "{}.json", "images/{}/cam/"),
    ):
        for split in ("train", "val"):
            target = Path(str(output).format(split))
            assert (
                detection_data.main(["convert", "--data_dir", str(source), "--split", split, "--output", str(target)])
                == 0
            )
            names = [image["file_name"] for image in json.loads(target.read_text())["images"]]
            assert names == [begin.format(split) + "yolo_six_columns.jpg"]
            if output.parent == elsewhere:
                continue
            (scene,) = read_data_set(target).scenes
            assert scene.image == tmp_path / "data" / "images" / split / "cam" / "yolo_six_columns.jpg"


COMMA = "truck, large"


@pytest.mark.parametrize("typed", [r"truck\, large,car", "{}/mine.txt"])
def test_a_class_whose_name_has_a_comma_is_chosen(tmp_path, typed):
    text(tmp_path / "mine.txt", f"{COMMA}\ncar\n")
    typed = typed.format(tmp_path)
    trained = training_options.parse("", ["--data_dir", "d", "--save_dir", "s", "--classes", typed])
    validated = validation_command.parser("").parse_args(["--weights", "w", "--data_dir", "d", "--classes", typed])
    assert trained.classes == validated.classes == (COMMA, "car")
    # A record has the names, and is begun again from.
    (tmp_path / "config.json").write_text(json.dumps({"options": {"data_dir": "d", "classes": list(trained.classes)}}))
    again = training_options.parse("", ["--config", str(tmp_path), "--save_dir", "s"])
    assert again.classes == (COMMA, "car")


def test_names_with_commas_are_told_how_to_be_typed(tmp_path):
    yolo(tmp_path, ["yolo_six_columns"])
    text(tmp_path / "data.yaml", f"train: images/train\nnames: {{0: '{COMMA}', 1: car, 2: bus}}\n")
    data = read_data_set(tmp_path / "data.yaml")
    with pytest.raises(InputError, match=r"no class truck, large: .*\(a comma that is"):
        of_classes(data, ("truck", "large"), tmp_path)
    assert of_classes(data, ClassNames()(r"truck\, large"), tmp_path).class_names == (COMMA,)
    limits = score_limits(r"0.3,truck\, large=0.5")
    assert limits.of((COMMA, "car")).tolist() == [0.5, 0.3] and score_limits(str(limits)) == limits
    for wrong in ("a,a", " ,", str(text(tmp_path / "empty.txt", "\n")), str(tmp_path / "none.txt")):
        with pytest.raises(argparse.ArgumentTypeError):
            ClassNames()(wrong)
