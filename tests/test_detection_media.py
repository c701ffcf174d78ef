"""What --predict takes beside pictures of a disk, and what it leaves of videos and of georeferenced images."""

import http.server
import json
import threading
from functools import partial
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from gsnet.interface.running import run
from gsnet.api.detecting import Detector
from gsnet.commands import val_detection
from gsnet.detection import prediction, validation
from gsnet.detection.inference import Finder
from gsnet.detection.media import Medium, media_of
from gsnet.detection.postprocess import PostprocessSettings
from gsnet.detection.prediction import PredictionSettings
from gsnet.detection.preprocessing import Preprocessing
from gsnet.detection.settings import DetectorSettings
from gsnet.detection.targets import Detections
from gsnet.interface.options import InputError

RED, GREEN = (255, 0, 0), (0, 255, 0)
SIDE = 64


class Colours:
    """In the place of a network: knows red squares for cars and green ones for people, at any place in an image."""

    def __call__(self, images):
        return images

    def read(self, images, size, detector, settings):
        return [self.found(image.numpy()) for image in images]

    def found(self, image):
        import torch

        boxes, labels = [], []
        for label, channel in enumerate((0, 1)):
            there = (image[channel] - image[1 - channel] > 150).astype(np.uint8)
            for x, y, w, h, area in cv2.connectedComponentsWithStats(there)[2][1:].tolist():
                if area > 20:
                    boxes.append([x, y, x + w, y + h])
                    labels.append(label)
        scores = torch.tensor([(0.9, 0.35)[label] for label in labels])
        return Detections(torch.tensor(boxes).reshape(-1, 4).float(), scores, torch.tensor(labels, dtype=torch.int64))


@pytest.fixture
def finder():
    settings = DetectorSettings("SuperConvK3BNRELU(3,8,2,1)", ("car", "person"), auxiliary=False)
    prepared = Preprocessing(SIDE, SIDE, mean=(0.0, 0.0, 0.0), deviation=(1.0, 1.0, 1.0))
    network = Colours()
    return Finder(network, settings, prepared, PostprocessSettings(0.05), batch_size=2, read=network.read)


def picture(*squares, size=(SIDE, SIDE)):
    """A grey image with squares of 8 pixels: (left, top, colour)."""
    image = np.full((size[1], size[0], 3), 90, np.uint8)
    for left, top, colour in squares:
        image[top : top + 8, left : left + 8] = colour
    return image


def film(file, frames=6):
    """A red square that goes right and a green one that goes left."""
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), 5, (SIDE, SIDE))
    for number in range(frames):
        image = picture((4 + 3 * number, 8, RED), (48 - 3 * number, 40, GREEN))
        writer.write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    writer.release()


@pytest.fixture
def script(finder, tmp_path, monkeypatch, capsys):
    """val_detection.py with this finder: (exit status, what it said)."""
    monkeypatch.setattr(validation, "finder_of", lambda options: finder)

    def predict(*sources, out="out", options=()):
        argv = ("--weights", "w", "--predict", *sources, "--save_dir", tmp_path / out, "--json", *options)
        status = run(lambda: val_detection.main([*map(str, argv)]))
        told = capsys.readouterr()
        return SimpleNamespace(
            status=status, err=told.err, counts=json.loads(told.out)["predicted"] if told.out else {}
        )

    return predict


def test_a_command_that_finds_nothing_to_look_at_leaves_no_folder(script, tmp_path):
    """What was there before stays."""
    (tmp_path / "torn.png").write_bytes(b"no picture")
    (tmp_path / "there/results").mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    for out in ("new/out", "there"):
        for source, options in (("none.png", ()), ("torn.png", ()), ("torn.png", ("--save_as", "yolo,crops"))):
            done = script(tmp_path / source, out=out, options=options)
            assert done.status == 2 and done.err.count("\n") == 1
    argv = ("--weights", "w", "--data_dir", tmp_path / "none", "--save_dir", tmp_path / "new/out")
    assert run(lambda: val_detection.main([*map(str, argv)])) == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_what_a_folder_has_besides_is_said_in_one_line(tmp_path, caplog):
    """Hidden files are no pictures: macOS leaves one beside each on other file systems."""
    for name in ("b.jpg", "a.mp4", "._b.jpg", ".DS_Store", "Thumbs.db"):
        (tmp_path / name).touch()
    known = [str(tmp_path / "a.mp4"), str(tmp_path / "b.jpg")]
    assert [medium.source for medium in media_of([str(tmp_path)])] == known and caplog.text == ""
    for name in ("c.heic", "d.HEIC", "e.avif", "README"):
        (tmp_path / name).touch()
    (tmp_path / "more.jpg").mkdir()
    assert [medium.source for medium in media_of([str(tmp_path)])] == known
    said = "passed over: 4 files (.heic 2, without a suffix 1, .avif 1) and 1 folder"
    assert [record.getMessage() for record in caplog.records] == [f"{tmp_path}: {said}"]
    for name in ("a.mp4", "b.jpg"):
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match=r"has neither images nor videos, but 4 files \(\.heic 2, "):
        media_of([str(tmp_path)])


def test_a_camera_and_a_stream_are_looked_at_as_videos_are(script, tmp_path, monkeypatch):
    film(tmp_path / "flight.avi")
    device = cv2.VideoCapture
    # There is no camera here: a file plays its part.
    monkeypatch.setattr(
        cv2, "VideoCapture", lambda given: device(str(tmp_path / "flight.avi") if given == 0 else given)
    )
    monkeypatch.chdir(tmp_path)
    done = script("0", "flight.avi", options=("--frames", 4, "--save_as", "coco,json"))
    assert done.status == 0, done.err
    assert done.counts == {"camera 0": 8, "flight.avi": 8}
    names = sorted(file.stem for file in (tmp_path / "out/json").iterdir())
    assert names == [f"{name}_{number:07d}" for name in ("camera_0", "flight") for number in (1, 2, 3, 4)]
    coco = json.loads((tmp_path / "out/coco.json").read_text())
    assert [row["file_name"] for row in coco["images"]] == names and coco["images"][0]["width"] == SIDE
    assert coco["categories"] == [{"id": 1, "name": "car"}, {"id": 2, "name": "person"}]
    second = [row for row in coco["annotations"] if row["image_id"] == 2]
    assert [row["category_id"] for row in second] == [1, 2]
    np.testing.assert_allclose([row["bbox"] for row in second], [[7, 8, 8, 8], [45, 40, 8, 8]], atol=2)
    video = cv2.VideoCapture(str(tmp_path / "out/camera_0.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 4
    done = script("7", out="none")
    assert done.status == 2 and "Camera 7 cannot be opened" in done.err.splitlines()[-1]


class EveryObject:
    """Follows objects without the library: the number of one is its place."""

    def __init__(self, rate):
        assert rate > 0

    def update(self, found, sure):
        return found.chosen(sure), np.arange(sure.sum()) + 1


@pytest.mark.parametrize(("ended_by", "kept"), [(KeyboardInterrupt, ["coco.json", "flight.mp4"]), (RuntimeError, [])])
def test_an_interrupt_keeps_what_was_written_and_an_error_no_half(finder, tmp_path, monkeypatch, ended_by, kept):
    film(tmp_path / "flight.avi")
    find, seen = finder.find_in, []

    def ended(image):
        seen.append(image)
        if len(seen) == 4:
            raise ended_by
        return find(image)

    monkeypatch.setattr(finder, "find_in", ended)
    monkeypatch.setattr(prediction, "require_tracker", lambda: None)
    monkeypatch.setattr(prediction, "Tracks", EveryObject)
    out = tmp_path / "out"
    with pytest.raises(ended_by):
        prediction.predict_media(
            finder, media_of([str(tmp_path / "flight.avi")]), PredictionSettings(out, save_as=("coco",), track=True)
        )
    assert sorted(file.name for file in out.iterdir()) == [*kept, "mot", "results"]
    assert [file.name for file in (out / "mot").iterdir()] == ["flight.txt"] * bool(kept)
    if kept:
        followed = np.loadtxt(out / "mot/flight.txt", delimiter=",")
        assert followed[:, :2].tolist() == [[frame, number] for frame in (1, 2, 3) for number in (1, 2)]
        assert cv2.VideoCapture(str(out / "flight.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 3
        coco = json.loads((out / "coco.json").read_text())
        assert len(coco["images"]) == 3 and len(coco["annotations"]) == 6


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield folder, f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_nothing_of_a_data_set_is_replaced(script, finder, tmp_path, capsys):
    """Neither its pictures by drawn ones, nor its labels by what is found."""
    images, labels = tmp_path / "images", tmp_path / "labels"
    for folder in (images, labels):
        folder.mkdir()
    Image.fromarray(picture()).save(images / "a.png")
    (labels / "a.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    (tmp_path / "classes.txt").write_text("car\nperson\n")
    before = {file: file.read_bytes() for folder in (images, labels) for file in folder.iterdir()}
    done = script(images, out=".", options=("--save_as", "yolo"))
    assert done.status == 2 and "labels/a.txt: choose another --save_dir, or take those away" in done.err
    options = ["--weights", "w", "--data_dir", tmp_path, "--save_dir", images, "--workers", "0", "--draw", "1"]
    assert run(lambda: val_detection.main([*map(str, options)])) == 2
    assert "images/a.png: choose another --save_dir" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in before} == before
    done = script(images, out="out", options=("--save_as", "yolo"))
    assert done.status == 0 and (tmp_path / "out/labels/a.txt").is_file()


def test_names_of_results_tell_addresses_and_frames_apart(finder, tmp_path, monkeypatch):
    media = [Medium(f"http://h/cam.jpg?id={number}", moving=False) for number in (1, 2)]
    monkeypatch.setattr(prediction, "read_picture", lambda medium: picture())
    prediction.predict_media(finder, media, PredictionSettings(tmp_path / "out"))
    assert sorted(file.name for file in (tmp_path / "out/results").iterdir()) == ["cam.txt", "cam_2.txt"]
    film(tmp_path / "flight.avi")
    Image.fromarray(picture()).save(tmp_path / "flight_0000002.png")
    with pytest.raises(InputError, match=r"flight_0000002\.png would be called as those of a frame of .*flight\.avi"):
        prediction.predict_media(finder, media_of([str(tmp_path)]), PredictionSettings(tmp_path / "other"))


def test_addresses_of_pictures_and_videos(script, server, tmp_path):
    folder, address = server
    Image.fromarray(picture((8, 8, RED))).save(folder / "one.png")
    film(folder / "flight.avi", 3)
    (folder / "page.html").write_text("<html>")
    done = script(f"{address}/one.png?size=full", f"{address}/flight.avi")
    assert done.status == 0, done.err
    assert done.counts == {f"{address}/one.png?size=full": 1, f"{address}/flight.avi": 6}
    assert (tmp_path / "out/one.png").is_file() and (tmp_path / "out/results/flight_0000003.txt").is_file()
    done = script(f"{address}/one.png", f"{address}/none.png", out="two", options=("--skip_broken", 1))
    assert done.status == 0 and list(done.counts) == [f"{address}/one.png"] and "404" in done.err
    for wrong, told in (
        (f"{address}/none.png", "404"),
        (f"{address}/page.html", "cannot be opened: is it the address of a picture or a stream"),
        ("http://127.0.0.1:9/picture", "cannot be fetched"),
        ("rtsp://127.0.0.1:9/stream", "cannot be opened: is it the address"),
    ):
        done = script(wrong, out="three")
        assert done.status == 2 and told in done.err.splitlines()[-1], done.err


def test_scores_by_class(script, finder, tmp_path):
    Image.fromarray(picture((8, 8, RED), (40, 40, GREEN))).save(tmp_path / "one.png")
    file = str(tmp_path / "one.png")
    for limits, count in (("0.3", 2), ("0.3,person=0.4", 1), ("car=0.95", 1), ("0.95,person=.2", 1), ("0.95", 0)):
        done = script(file, options=("--draw_threshold", limits, "--save_as", "json"))
        assert done.status == 0 and done.counts == {file: count}, (limits, done)
        assert len(json.loads((tmp_path / "out/json/one.json").read_text())["objects"]) == count
    done = script(file, options=("--draw_threshold", "zebra=0.4"))
    assert done.status == 2 and "knows no class zebra" in done.err
    with pytest.raises(SystemExit, match="2"):
        script(file, options=("--draw_threshold", "car=2"))


def test_what_is_shown_of_a_detector_and_of_detections(finder):
    detector = Detector(finder)
    assert repr(detector) == "Detector(2 classes (car, person), input 64 x 64, on cpu)"
    found = detector(picture((8, 8, RED), (24, 8, RED), (40, 40, GREEN)))
    assert repr(found) == "Detections(2 car, 1 person in 64 x 64 pixels)"
    assert repr(detector(picture())) == "Detections(nothing in 64 x 64 pixels)"


def test_objects_are_followed_through_a_video(script, tmp_path):
    film(tmp_path / "flight.avi", 8)
    if not has_library("trackers"):
        done = script(tmp_path / "flight.avi", options=("--track",))
        assert done.status == 2 and "pip install trackers" in done.err
        pytest.skip("trackers is not installed")
    done = script(tmp_path / "flight.avi", options=("--track",))
    assert done.status == 0, done.err
    rows = np.loadtxt(tmp_path / "out/mot/flight.txt", delimiter=",")
    assert rows.shape[1] == 10 and set(rows[:, 1]) == {1, 2} and (rows[:, 8:] == -1).all()
    for number, label, step in ((1, 1, 3), (2, 2, -3)):
        # A number comes with the second frame.
        mine = rows[(rows[:, 7] == label)]
        assert set(mine[:, 1]) == {number} and mine[:, 0].tolist() == [2, 3, 4, 5, 6, 7, 8]
        np.testing.assert_allclose(np.diff(mine[:, 2]), step, atol=1.5)
    Image.fromarray(picture()).save(tmp_path / "one.png")
    done = script(tmp_path / "one.png", options=("--track",))
    assert done.status == 2 and "there is none" in done.err


def has_library(name):
    from importlib.util import find_spec

    return find_spec(name) is not None


def test_a_geotiff_becomes_polygons_on_earth(script, finder, tmp_path, monkeypatch):
    image = picture((10, 20, RED), (150, 90, GREEN), (60, 60, RED), size=(200, 120))
    if not has_library("rasterio"):
        Image.fromarray(image).save(tmp_path / "ortho.tif")
        done = script(tmp_path / "ortho.tif", options=("--save_as", "geojson"))
        assert done.status == 2 and "pip install rasterio" in done.err
        pytest.skip("rasterio is not installed")
    import rasterio
    from rasterio.transform import from_origin

    # UTM zone 33 north: its central meridian is 15 degrees east, where x is 500,000 m; 0.1 m a pixel.
    profile = {"driver": "GTiff", "width": 200, "height": 120, "count": 3, "dtype": "uint8", "crs": "EPSG:32633"}
    with rasterio.open(
        tmp_path / "ortho.tif", "w", transform=from_origin(500000, 5000000, 0.1, 0.1), **profile
    ) as file:
        file.write(image.transpose(2, 0, 1))
    read = rasterio.io.DatasetReader.read
    largest = []

    def watched(self, *arguments, window, **more):
        largest.append(window.width * window.height)
        return read(self, *arguments, window=window, **more)

    monkeypatch.setattr(rasterio.io.DatasetReader, "read", watched, raising=False)
    done = script(tmp_path / "ortho.tif", options=("--save_as", "geojson"))
    assert done.status == 0, done.err
    assert max(largest) <= SIDE * SIDE and len(largest) > 6
    found = json.loads((tmp_path / "out/ortho.geojson").read_text())
    assert found["type"] == "FeatureCollection" and done.counts == {str(tmp_path / "ortho.tif"): 3}
    boxes = sorted(one["properties"]["box"] for one in found["features"])
    assert boxes == [[10, 20, 18, 28], [60, 60, 68, 68], [150, 90, 158, 98]]
    person = next(one for one in found["features"] if one["properties"]["class"] == "person")
    assert person["properties"]["score"] == 0.35
    ring = np.array(person["geometry"]["coordinates"][0])
    assert ring.shape == (5, 2) and (ring[0] == ring[-1]).all()
    # 15 m east of the meridian at 4,999,991 m north, by Snyder's series for the ellipsoid (1987, equations 3-26 and 8-19).
    assert ring[0] == pytest.approx([15.0001908, 45.1533962], abs=1e-7)
    assert ring[:, 0].max() - ring[:, 0].min() == pytest.approx(1.0178e-5, abs=2e-7)
    x, y = ring.T
    assert (x[:-1] * y[1:] - x[1:] * y[:-1]).sum() > 0
    Image.fromarray(image).save(tmp_path / "plain.tif")
    done = script(tmp_path / "plain.tif", options=("--save_as", "geojson"))
    assert done.status == 2 and "does not say where on earth it lies" in done.err
