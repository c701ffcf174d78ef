"""From a network's predictions to result files: coordinates, tiles, drawing, pictures and videos."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import gsnet
from gsnet.interface.running import run
from gsnet.commands import val_detection
from gsnet.detection.checkpoint import description
from gsnet.detection.data_set import LoadingSettings, detection_evaluation_loader
from gsnet.detection.data_sets import read_data_set
from gsnet.detection.detector import Detector
from gsnet.detection.drawing import class_colour, drawn
from gsnet.detection.inference import Finder
from gsnet.detection.postprocess import PostprocessSettings
from gsnet.detection.preprocessing import Preprocessing, read_image
from gsnet.detection.priors import priors
from gsnet.detection.report import evaluated
from gsnet.detection.scene import ImageResults, from_corners
from gsnet.detection.settings import DetectorSettings
from gsnet.detection.synthetic import SyntheticSettings, write_synthetic
from gsnet.detection.tiles import Tile, TileSettings, joined, tiles_of
from gsnet.detection.visdrone_format import CLASS_NAMES

STRUCTURE = (
    "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,8,2,8,1)SuperGhostShuffleK3(8,16,2,8,1)"
    "SuperGhostShuffleK3(16,16,2,8,1)SuperGhostShuffleK3(16,16,2,8,1)SuperConvK1BNRELU(16,16,1,1)"
)
SETTINGS = DetectorSettings(STRUCTURE, CLASS_NAMES, neck_channels=16, head_channels=16)
SCENES = SyntheticSettings(images=4, width=200, height=120, objects=(3, 6), sides=(12, 40), overlap=0.0, regions=0.0)


class Knowing(nn.Module):
    """A network that knows the answer: for every object the prior nearest to its centre predicts its box and its class."""

    def __init__(self, targets):
        super().__init__()
        self.targets = list(targets)

    def forward(self, images):
        where = priors(*images.shape[-2:], SETTINGS.strides)
        predictions = torch.full((len(images), len(where), SETTINGS.outputs), -8.0)
        for prediction in predictions:
            self.fill(prediction, where, self.targets.pop(0))
        return predictions

    def fill(self, prediction, where, target):
        for box, label in zip(target.boxes, target.labels, strict=True):
            centre = (box[:2] + box[2:]) / 2
            level = where[:, 2] == 8
            i = int((where[:, :2] - centre).abs().sum(1).add(~level * 1e6).argmin())
            sides = torch.cat([where[i, :2] - box[:2], box[2:] - where[i, :2]]) / 8
            assert (sides >= 0).all() and (sides < 7).all()
            prediction[i, label] = 4.0
            for side, value in enumerate(sides.tolist()):
                bins = torch.full((8,), 1e-6)
                bins[int(value)], bins[int(value) + 1] = 1 - value % 1, value % 1 + 1e-6
                prediction[i, 10 + 8 * side : 18 + 8 * side] = bins.log()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    return read_data_set(write_synthetic(tmp_path_factory.mktemp("scenes"), SCENES))


@pytest.mark.parametrize(("keep_ratio", "size"), [(True, (160, 160)), (False, (160, 128)), (True, (320, 320))])
def test_a_network_that_knows_the_answer_has_all_points(scenes, keep_ratio, size):
    preprocessing = Preprocessing(*size, keep_ratio=keep_ratio)
    loader = detection_evaluation_loader(scenes, LoadingSettings(preprocessing, None, batch_size=3))
    network = Knowing(target for batch in loader for target in batch.targets)
    finder = Finder(network, SETTINGS, preprocessing, PostprocessSettings(0.05))
    found = dict(finder.find_all(loader))
    results = [found[scene.name] for scene in scenes.scenes]
    for scene, result in zip(scenes.scenes, results, strict=True):
        assert len(result) == len(scene.boxes)
        distances = np.abs(result.boxes[:, None] - scene.boxes[None]).max(axis=2)
        assert distances.min(axis=1).max() < 0.1
    figures = evaluated(scenes, results, "both")
    assert figures["visdrone"]["AP"] == pytest.approx(100) and figures["coco"]["AP"] == pytest.approx(100)
    assert finder.seconds.images == 4 and finder.seconds.milliseconds_per_image()["total"] > 0


@pytest.mark.parametrize(
    ("width", "height", "side", "overlap"), [(1000, 700, 320, 0.2), (640, 640, 640, 0.2), (641, 100, 64, 0)]
)
def test_tiles_cover_the_image_and_overlap(width, height, side, overlap):
    tiles = tiles_of(width, height, TileSettings(side, overlap, whole=False))
    seen = np.zeros((height, width), dtype=int)
    for tile in tiles:
        assert tile.left >= 0 and tile.left + tile.width <= width and tile.top + tile.height <= height
        tile.cut(seen)[...] += 1
    assert seen.min() == 1
    starts = sorted({tile.left for tile in tiles})
    assert (np.diff(starts) <= side * (1 - overlap) + 1).all()


@pytest.mark.parametrize(
    ("length", "side", "overlap", "starts"),
    [
        # Steps of 160 at most: five to the last start at 680.
        (1000, 320, 0.5, [0, 136, 272, 408, 544, 680]),
        # Two steps of 45, which 100 * (1 - 0.55) is a little less than.
        (190, 100, 0.55, [0, 45, 90]),
        (191, 100, 0.55, [0, 30, 61, 91]),
    ],
)
def test_tiles_are_as_few_as_overlap_so_far(length, side, overlap, starts):
    tiles = tiles_of(length, 50, TileSettings(side, overlap, whole=False))
    assert [tile.left for tile in tiles] == starts
    assert [tile.top for tile in tiles_of(50, length, TileSettings(side, overlap, whole=False))] == starts


def results(*rows):
    values = np.array(rows, dtype=float).reshape(-1, 6)
    return ImageResults(values[:, :4], values[:, 4], values[:, 5].astype(int))


def turned(part):
    """Detections of an image whose rows and columns are exchanged."""
    return ImageResults(part.boxes[:, [1, 0, 3, 2]], part.scores, part.labels)


@pytest.mark.parametrize("down", [False, True])
def test_an_object_at_a_tiles_edge_is_found_once_and_whole(down):
    tiles = [Tile(0, 0, 100, 100), Tile(80, 0, 100, 100), Tile(0, 0, 180, 100)]
    # A car from 70 to 130: its left part ends at the first tile's edge, the second tile begins in the middle of it.
    # A bus from 90 to 120 is cut in the first tile, whole in the second; the part has the higher score.
    first = results([70, 10, 30, 20, 0.9, 3], [90, 50, 10, 20, 0.95, 8], [5, 5, 10, 10, 0.8, 3])
    second = results([10, 50, 30, 20, 0.6, 8], [0, 10, 50, 20, 0.7, 3])
    parts, size = [first, second, results([70, 10, 60, 20, 0.5, 3])], (180, 100)
    if down:
        tiles = [Tile(tile.top, tile.left, tile.height, tile.width) for tile in tiles]
        parts, size = [turned(part) for part in parts], (100, 180)
    found = joined(tiles, parts, size, TileSettings(100))
    found = turned(found) if down else found
    assert found.boxes.tolist() == [[5, 5, 10, 10], [90, 50, 30, 20], [70, 10, 60, 20]]
    assert found.scores.tolist() == [0.8, 0.6, 0.5] and found.labels.tolist() == [3, 8, 3]


@pytest.mark.parametrize(
    ("left", "right", "goes"),
    [
        # A car from 90 on, and what the first tile has of it: 8.5 of 11.5 pixels are covered, 74 %; of 12.5, 68 %.
        (87, 98.5, True),
        (86, 98.5, False),
        # 71 %, but more than two pixels from the tile's edge at 100: an object of its own.
        (87, 97.5, False),
    ],
)
def test_parts_are_what_ends_at_an_edge_and_lies_in_another_box_by_seven_tenths(left, right, goes):
    tiles = [Tile(0, 0, 100, 100), Tile(80, 0, 100, 100)]
    part, whole = results([left, 10, right - left, 20, 0.9, 3]), results([10, 10, 50, 20, 0.6, 3])
    found = joined(tiles, [part, whole], (180, 100), TileSettings(100))
    assert found.scores.tolist() == ([0.6] if goes else [0.9, 0.6])


@pytest.mark.parametrize(("left", "top"), [(0, 30), (60, 30), (30, 0), (30, 60)])
def test_objects_at_the_edges_of_the_image_are_whole(left, top):
    # Nearly the same box lies inside by three pixels, with a lower score.
    found = results([left, top, 40, 40, 0.9, 3], [min(max(left, 3), 57), min(max(top, 3), 57), 40, 40, 0.5, 3])
    assert joined([Tile(0, 0, 100, 100)], [found], (100, 100), TileSettings(100)).scores.tolist() == [0.9]


def test_the_highest_scores_are_kept_be_they_of_parts():
    tiles = [Tile(0, 0, 100, 100), Tile(80, 0, 100, 100)]
    # Nothing covers what ends at the first tile's edge.
    parts = [results([95, 10, 5, 20, 0.9, 3], [5, 5, 10, 10, 0.5, 3]), results([50, 50, 10, 10, 0.7, 3])]
    assert joined(tiles, parts, (180, 100), TileSettings(100)).scores.tolist() == [0.9, 0.7, 0.5]
    assert joined(tiles, parts, (180, 100), TileSettings(100, max_joined=2)).scores.tolist() == [0.9, 0.7]


def test_the_whole_image_comes_beside_several_tiles_alone():
    assert tiles_of(100, 50, TileSettings(128)) == [Tile(0, 0, 100, 50)]
    assert tiles_of(200, 50, TileSettings(128)) == [Tile(0, 0, 128, 50), Tile(72, 0, 128, 50), Tile(0, 0, 200, 50)]
    assert len(tiles_of(200, 50, TileSettings(128, whole=False))) == 2


def test_other_classes_and_neighbours_stay():
    tiles = [Tile(0, 0, 100, 100), Tile(80, 0, 100, 100)]
    first = results([82, 10, 12, 12, 0.9, 3], [82, 10, 12, 12, 0.5, 4], [82, 24, 12, 12, 0.4, 3])
    found = joined(tiles, [first, results([2, 10, 12, 12, 0.8, 3])], (180, 100), TileSettings(100))
    assert found.scores.tolist() == [0.9, 0.5, 0.4]
    assert len(joined(tiles, [first, results()], (180, 100), TileSettings(100, max_joined=2))) == 2


def test_drawing_leaves_the_image_and_shows_every_class():
    image = np.zeros((200, 400, 3), dtype=np.uint8)
    found = results([20, 40, 60, 50, 0.9, 3], [200, 100, 40, 40, 0.8, 0], [300, 20, 20, 20, 0.1, 9])
    picture = drawn(image, found, CLASS_NAMES, threshold=0.3)
    assert not image.any() and picture.shape[1] == 400 and picture.shape[0] > 200
    for (x, y), label in (((20, 65), 3), ((200, 120), 0)):
        assert picture[y, x].tolist() == list(class_colour(label))
    assert not picture[15:45, 295:325].any()  # below the threshold
    assert len({class_colour(label) for label in range(20)}) == 20


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An untrained detector with a bias that lets some of its guesses pass."""
    torch.manual_seed(0)
    detector = Detector(SETTINGS)
    file = tmp_path_factory.mktemp("weights") / "best-params_rank0.pth"
    torch.save(description(SETTINGS, Preprocessing(128, 96)) | {"state_dict": detector.state_dict()}, file)
    return file


@pytest.fixture
def run_script(capsys):
    """val_detection.py in this process: (exit status, standard output, standard error)."""

    def script(*arguments):
        try:
            status = run(lambda: val_detection.main([*map(str, arguments)]))
        except SystemExit as end:
            status = end.code
        return SimpleNamespace(returncode=status, **capsys.readouterr()._asdict())

    return script


def test_evaluation_of_a_model_and_of_the_files_that_it_writes(scenes, checkpoint, tmp_path, run_script):
    folder = scenes.scenes[0].image.parent.parent
    common = ("--weights", checkpoint, "--data_dir", folder, "--workers", 0, "--score_threshold", 0.001, "--json")
    done = run_script(*common, "--save_dir", tmp_path, "--draw", 2, "--html", tmp_path / "judged.html")
    assert done.returncode == 0, done.err
    assert (tmp_path / "judged.html").read_text().count("data:image/jpeg") == min(6, len(scenes))
    figures = json.loads(done.out)
    assert figures["visdrone"]["detections"] > 0 and figures["milliseconds_per_image"]["network"] > 0
    assert len(list(tmp_path.glob("*.png"))) == 2 and len(list((tmp_path / "results").glob("*.txt"))) == 4
    files = ("--annotations", folder / "annotations", "--images", folder / "images", "--json")
    again = run_script("--evaluate_results", tmp_path / "results", *files)
    assert again.returncode == 0, again.err
    for protocol in ("visdrone", "coco"):
        scores = json.loads(again.out)[protocol]
        assert scores["AP"] == pytest.approx(figures[protocol]["AP"], abs=0.2)
        assert scores["AR500"] == pytest.approx(figures[protocol]["AR500"], abs=0.5)


def test_pictures_and_videos(scenes, checkpoint, tmp_path, run_script):
    video = cv2.VideoWriter(str(tmp_path / "flight.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (160, 96))
    for i in range(3):
        video.write(np.full((96, 160, 3), 60 * i, dtype=np.uint8))
    video.release()
    out = tmp_path / "out"
    image = scenes.scenes[0].image
    done = run_script(
        *("--weights", checkpoint, "--predict", image, tmp_path / "flight.mp4", "--save_dir", out, "--json"),
        *("--tile", 96, "--overlap", 0.25, "--score_threshold", 0.001),
    )
    assert done.returncode == 0, done.err
    assert set(json.loads(done.out)["predicted"]) == {str(image), str(tmp_path / "flight.mp4")}
    frames = cv2.VideoCapture(str(out / "flight.mp4"))
    assert [frames.get(key) for key in (cv2.CAP_PROP_FRAME_COUNT, cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FPS)] == [
        3,
        160,
        10,
    ]
    names = sorted(file.name for file in (out / "results").iterdir())
    assert names == [f"{image.stem}.txt", *(f"flight_{i:07d}.txt" for i in (1, 2, 3))]
    assert cv2.imread(str(out / f"{image.stem}.png")) is not None


def test_pictures_are_upright_and_broken_ones_are_named(checkpoint, tmp_path, monkeypatch, run_script):
    for name in ("exif_orientation_6", "truncated"):
        shutil.copy(Path(__file__).parent / "detection_inputs" / f"{name}.jpg", tmp_path)
    out = tmp_path / "out"
    command = ("--weights", checkpoint, "--predict", tmp_path, "--save_dir", out, "--json")
    done = run_script(*command)
    assert done.returncode == 2 and "truncated.jpg" in done.err and "--skip_broken 1" in done.err
    done = run_script(*command, "--skip_broken", 1)
    assert done.returncode == 0 and "Left out as broken" in done.err and "truncated.jpg" in done.err
    assert list(json.loads(done.out)["predicted"]) == [str(tmp_path / "exif_orientation_6.jpg")]
    height, width = cv2.imread(str(out / "exif_orientation_6.png")).shape[:2]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        shutil.copy(tmp_path / "exif_orientation_6.jpg", tmp_path / folder / "a.jpg")
    files = (tmp_path / "one" / "a.jpg", tmp_path / "two" / "a.jpg")
    done = run_script("--weights", checkpoint, "--predict", *files, "--save_dir", tmp_path / "both")
    assert done.returncode == 0, done.err
    assert sorted(file.name for file in (tmp_path / "both" / "results").iterdir()) == ["one_a.txt", "two_a.txt"]
    cv2.imwrite(str(tmp_path / "one" / "b.png"), np.zeros((32, 32, 3), np.uint8))
    before = (tmp_path / "one" / "b.png").read_bytes()
    done = run_script("--weights", checkpoint, "--predict", tmp_path / "one", "--save_dir", tmp_path / "one")
    assert done.returncode == 2 and "would replace" in done.err and (tmp_path / "one" / "b.png").read_bytes() == before
    # Without a place of their own results go into the working folder, and it is said where.
    monkeypatch.chdir(tmp_path)
    done = run_script("--weights", checkpoint, "--predict", files[0])
    assert done.returncode == 0 and done.err.splitlines()[-1].startswith("detections: "), done.err
    assert (tmp_path / "detections/a.png").is_file() and (tmp_path / "detections/results/a.txt").is_file()
    # A legend may stand below the picture, which is 40 pixels high.
    assert width == 32 and height >= 40


def test_a_split_of_fewer_classes_is_scored_by_name(checkpoint, tmp_path, run_script):
    for split in ("train", "val"):
        for kind, name, content in (("images", "a.png", None), ("labels", "a.txt", "1 .5 .5 .2 .2")):
            (tmp_path / kind / split).mkdir(parents=True)
            file = tmp_path / kind / split / name
            cv2.imwrite(str(file), np.zeros((48, 64, 3), np.uint8)) if content is None else file.write_text(content)
    (tmp_path / "classes.txt").write_text("bus\ncar\n")
    command = ("--weights", checkpoint, "--data_dir", tmp_path, "--workers", 0, "--protocol", "visdrone", "--json")
    done = run_script(*command)
    assert done.returncode == 0, done.err
    classes = json.loads(done.out)["classes"]
    assert list(classes) == list(CLASS_NAMES) and classes["car"]["objects"] == 1 and classes["bus"]["objects"] == 0
    assert "there is nothing to take for --split test" in run_script(*command, "--split", "test").err
    (tmp_path / "classes.txt").write_text("bus\nzeppelin\n")
    assert "classes that training does not know: zeppelin" in run_script(*command).err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--predict", "/nowhere.jpg", "--save_dir", "out"], "There is no file /nowhere.jpg"),
        (["--predict", "a.jpg"], "There is no file a.jpg"),
        ([], "needs either --data_dir"),
        (
            ["--weights", "nowhere"],
            "There is no file nowhere: a checkpoint of train_detection.py or its folder was expected",
        ),
        (["--data_dir", "/nowhere"], "There is no data set /nowhere"),
        (["--data_dir", "/nowhere", "--draw", "1", "--draw_threshold", "0.001"], "is below --score_threshold 0.005"),
        (
            ["--predict", "a.jpg", "--score_threshold", "0.5", "--draw_threshold", "car=0.4"],
            "0.4 is below --score_threshold",
        ),
        (["--data_dir", "/nowhere", "--html", "."], "this is a folder, and a file is to be written"),
    ],
)
def test_bad_input_ends_in_one_sentence(checkpoint, arguments, message, tmp_path, monkeypatch, run_script):
    monkeypatch.chdir(tmp_path)
    done = run_script("--weights", checkpoint, *arguments)
    assert done.returncode == 2 and message in done.err and len(done.err.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_from_python_it_finds_what_the_script_finds(scenes, checkpoint, tmp_path, run_script):
    image = scenes.scenes[0].image
    done = run_script(
        *("--weights", checkpoint, "--predict", image, "--save_dir", tmp_path, "--score_threshold", 0.001),
        *("--tile", 96),
    )
    assert done.returncode == 0, done.err
    lines = (tmp_path / "results" / f"{image.stem}.txt").read_text().split()
    written = np.array([line.split(",")[:6] for line in lines], dtype=float)
    detector = gsnet.Detector.load(checkpoint, score_threshold=0.001)
    for given in (str(image), read_image(image), Image.open(image)):
        found = detector(given, tile=96)
        np.testing.assert_allclose(from_corners(found.boxes), written[:, :4], atol=0.01)
        np.testing.assert_allclose(found.scores, written[:, 4], atol=1e-4)
        assert [detector.class_names.index(name) + 1 for name in found.names] == written[:, 5].tolist()
    assert len(found) > 5 and found.draw().shape[1] == found.image.shape[1]
    name = found.names[0]
    chosen = detector(image, tile=96, classes=[name])
    assert set(chosen.names) == {name} and json.loads(json.dumps(chosen.as_dicts()))[0]["name"] == name
    one, other = detector.each([image, scenes.scenes[1].image], tile=96, classes=[name])
    assert one.as_dicts() == chosen.as_dicts() and other.image.shape == one.image.shape
    with pytest.raises(gsnet.InputError, match=r"is one path: give a list of files, such as sorted\(Path\("):
        list(detector.each(tmp_path))
    with pytest.raises(gsnet.InputError, match=f"^{tmp_path} is a folder, and an image was expected$"):
        detector(tmp_path)
    for wrong in (np.zeros((4, 4)), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8), [[[0, 0, 0]]], None):
        with pytest.raises(gsnet.InputError, match="uint8"):
            detector(wrong)
    for whole in ({}, {"tile": 0}):
        with pytest.raises(gsnet.InputError, match=r"overlap 0\.5 is of tiles"):
            detector(image, overlap=0.5, **whole)
    with pytest.raises(gsnet.InputError, match="zeppelin"):
        detector(image, classes="zeppelin")
    for wrong, told in (
        ({"score_threshold": "0.4"}, "score_threshold is '0.4': it must be a number"),
        ({"score_threshold": {"car": None}}, "car is None: it must be a number"),
        ({"score_threshold": {"car": 40}}, "car is 40: a score lies between 0 and 1"),
        ({"nms_threshold": "0.6"}, "nms_threshold is '0.6': it must be a number"),
        ({"max_detections": "all"}, "max_detections is 'all': it must be a whole number"),
        ({"resolution": "320"}, "resolution is '320': it must be a whole number of at least 1"),
        ({"resolution": 320.0}, r"resolution is 320\.0: it must be a whole number of at least 1"),
        ({"resolution": 0}, "resolution is 0: it must be a whole number of at least 1"),
        ({"resolution": 100}, "An input of 100 x 100 is not possible: both are multiples of 32"),
    ):
        with pytest.raises(gsnet.InputError, match=told):
            gsnet.Detector.load(checkpoint, **wrong)


def test_predictions_in_the_forms_of_others(checkpoint, scenes, tmp_path, run_script):
    image = scenes.scenes[0].image
    pattern = image.parent / f"{image.stem[:-1]}[{image.stem[-1]}].*"
    command = ("--weights", checkpoint, "--predict", pattern, "--save_dir", tmp_path, "--score_threshold", 0.001)
    done = run_script(*command, "--draw_threshold", 0.001, "--save_as", "json,yolo,crops", "--json")
    assert done.returncode == 0, done.err
    content = json.loads((tmp_path / f"json/{image.stem}.json").read_text())
    objects, size = content["objects"], (content["width"], content["height"])
    assert size == Image.open(image).size and len(objects) == json.loads(done.out)["predicted"][str(image)] > 2
    assert [row["score"] for row in objects] == sorted((row["score"] for row in objects), reverse=True)
    # The lines are read as Ultralytics' are, and lead to the same boxes.
    for line, row in zip((tmp_path / f"labels/{image.stem}.txt").read_text().splitlines(), objects, strict=True):
        label, x, y, w, h, score = map(float, line.split())
        found = np.array([x - w / 2, y - h / 2, x + w / 2, y + h / 2]) * [*size, *size]
        np.testing.assert_allclose(found, row["box"], atol=0.01)
        assert SETTINGS.classes[int(label)] == row["name"] and score == pytest.approx(row["score"], abs=1e-6)
    x1, y1, x2, y2 = objects[0]["box"]
    crop = read_image(tmp_path / f"crops/{objects[0]['name']}/{image.stem}_1.png")
    whole = read_image(image)[int(y1) : int(np.ceil(y2)), int(x1) : int(np.ceil(x2))]
    assert np.array_equal(crop, whole)
    name = objects[0]["name"]
    done = run_script(*command, "--classes", name, "--save_as", "json", "--json")
    assert done.returncode == 0, done.err
    assert {row["name"] for row in json.loads((tmp_path / f"json/{image.stem}.json").read_text())["objects"]} <= {name}
    done = run_script(*command, "--classes", "zeppelin")
    assert done.returncode == 2 and "zeppelin" in done.err
    assert run_script(*command, "--save_as", "xml").returncode == 2
    done = run_script(*command[:3], tmp_path / "no*such.jpg", "--save_dir", tmp_path)
    assert done.returncode == 2 and "Nothing matches" in done.err
