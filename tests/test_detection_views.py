"""What of an image training sees: windows, photographs as small as they are shown, copies of objects, sizes of batches."""

import math

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from gsnet.detection.augmentation import Augmentation
from gsnet.detection.copy_paste import with_copies
from gsnet.detection.data_set import LoadingSettings, detection_training_loader
from gsnet.detection.multi_scale import MultiScale
from gsnet.detection.preprocessing import Placement, Preprocessing, read_picture, warped
from gsnet.detection.sample import Sample
from gsnet.detection.scene import Scene, SceneSet, corners
from gsnet.detection.targets import Targets
from gsnet.detection.tiles import Tile, TileSettings
from gsnet.detection.windows import Windows
from gsnet.interface.options import InputError


def test_windows_lie_in_the_image_and_around_objects_as_often_as_they_should():
    rng = np.random.default_rng(0)
    boxes = np.array([[10.0, 10, 30, 20], [190, 90, 200, 100], [50, 20, 150, 80]])
    windows = Windows(64, objects=0.5, whole=0.2)
    chosen = [windows.chosen(rng, 200, 100, boxes) for _ in range(4000)]
    parts = [tile for tile in chosen if (tile.width, tile.height) == (64, 64)]
    assert 0.18 < 1 - len(parts) / len(chosen) < 0.22 and Tile(0, 0, 200, 100) in chosen
    assert all(0 <= tile.left <= 136 and 0 <= tile.top <= 36 for tile in parts)

    def share(left, top):
        return np.mean([left[0] <= tile.left <= left[1] and top[0] <= tile.top <= top[1] for tile in parts])

    # Windows anywhere hold the corner's car, which leaves one place of 137 x 37, nearly never; a sixth lies around it.
    assert 0.14 < share((136, 136), (36, 36)) < 0.19
    # What is longer than a window has it inside: from 50 to 150, from 20 to 80.
    inside = [Windows(64, objects=1, whole=0).chosen(rng, 200, 100, boxes[2:]) for _ in range(500)]
    assert {min(t.left for t in inside), max(t.left for t in inside)} == {50, 86}
    assert {min(t.top for t in inside), max(t.top for t in inside)} == {16, 20}
    # An image smaller than a window is seen as a whole; so is one of few rows in their direction.
    assert Windows(640).chosen(rng, 200, 100, boxes) == Tile(0, 0, 200, 100)
    assert Windows(150, whole=0).chosen(rng, 200, 100, np.zeros((0, 4))).height == 100
    with pytest.raises(InputError, match="--train_tile starts at 32"):
        Windows(20)


def test_images_are_looked_at_as_a_whole_beside_tiles_where_training_was_too():
    assert Windows(64, whole=0.1).tiles(0.5) == TileSettings(64, whole=True, threshold=0.5)
    assert Windows(64, whole=0).tiles(0.7) == TileSettings(64, whole=False, threshold=0.7)


def test_a_window_has_the_images_own_pixels_and_parts_of_objects_by_their_share(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (100, 200, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), pixels[:, :, ::-1])
    boxes = np.array([[50.0, 20, 20, 20], [10, 40, 40, 10], [90, 30, 20, 10]])
    scene = Scene("a", tmp_path / "a.png", 200, 100, boxes, np.arange(3), np.zeros(3, dtype=bool))
    data = SceneSet(("a", "b", "c"), (1, 2, 3), (scene,))
    settings = LoadingSettings(Preprocessing(64, 64), None, batch_size=1, windows=Windows(64, objects=0, whole=0))
    loader = detection_training_loader(data, settings)
    seen = set()
    for epoch in range(60):
        loader.sampler.set_epoch(epoch)
        batch = next(iter(loader))
        left, top = (-batch.targets[0].to_input[:, 2]).int().tolist()
        values = settings.preprocessing.normalised(pixels[top : top + 64, left : left + 64])
        assert np.allclose(batch.images[0].numpy(), values, atol=1e-5)
        inside = corners(boxes) - [left, top] * 2
        cut = inside.clip(0, 64)
        share = np.prod(cut[:, 2:] - cut[:, :2], axis=1) / np.prod(boxes[:, 2:], axis=1)
        learnt = share >= 0.2
        assert batch.targets[0].labels.tolist() == np.flatnonzero(learnt).tolist()
        assert np.allclose(batch.targets[0].boxes, cut[learnt], atol=1e-4)
        assert np.allclose(batch.targets[0].ignored, cut[(share > 0) & ~learnt], atol=1e-4)
        seen |= {(bool(part), bool(0 < value < 0.2)) for part, value in zip(learnt, share, strict=True)}
    assert seen == {(True, False), (False, False), (False, True)}


@pytest.mark.parametrize(
    ("size", "scale", "blocks"), [((403, 301), 0.4, 2), ((403, 301), 0.25, 4), ((404, 300), 0.6, 1)]
)
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_photograph_is_decoded_as_small_as_it_is_shown_and_boxes_stay_where_they_were(
    tmp_path, size, scale, blocks, orientation
):
    """A white rectangle in the odd lower right corner, by its centre and sides in the input."""
    stored = size if orientation == 1 else size[::-1]
    image = np.zeros((size[1], size[0], 3), dtype=np.uint8)
    x1, y1, x2, y2 = 321, 200, size[0], 261
    image[y1:y2, x1:x2] = 255
    image = image if orientation == 1 else np.rot90(image)
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(np.ascontiguousarray(image)).save(tmp_path / "a.jpg", quality=95, exif=exif)
    picture = read_picture(tmp_path / "a.jpg", size, scale)
    # Turned, the first block of an odd side would be the one that is not whole.
    expected = blocks if orientation == 1 else 1
    assert (picture.width, picture.height, picture.blocks) == (*size, expected)
    assert picture.image.shape[:2] == (-(-size[1] // expected), -(-size[0] // expected))
    assert Image.open(tmp_path / "a.jpg").size == stored
    placement = Placement(
        np.array([[scale, 0, 0], [0, scale, 0]]), math.ceil(scale * size[0]), math.ceil(scale * size[1])
    )
    seen = warped(picture.image, placement, picture.blocks)[..., 0] / 255
    across, down = seen.sum(axis=0), seen.sum(axis=1)
    assert seen.sum() == pytest.approx(scale**2 * (x2 - x1) * (y2 - y1), rel=0.03)
    centre = (down * (np.arange(len(down)) + 0.5)).sum() / down.sum()
    assert centre == pytest.approx(scale * (y1 + y2) / 2, abs=0.05)
    assert across.sum() and (across > 5).argmax() == pytest.approx(scale * x1, abs=1)


def test_kept_photographs_give_the_same_batches_without_their_files_and_only_as_many_as_there_is_room_for(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (100, 200, 3), dtype=np.uint8)
    for name in "ab":
        cv2.imwrite(str(tmp_path / f"{name}.jpg"), pixels)
    boxes, labels, ignored = np.array([[50.0, 20, 20, 20]]), np.zeros(1, dtype=np.int64), np.zeros(1, dtype=bool)
    scenes = tuple(Scene(name, tmp_path / f"{name}.jpg", 200, 100, boxes, labels, ignored) for name in "ab")
    data = SceneSet(("car",), (1,), scenes)

    def batches(epochs, room):
        change = Augmentation(scale=(0.7, 1.4))
        settings = LoadingSettings(Preprocessing(64, 64), change, 1, windows=Windows(64, whole=0), cache_memory=room)
        loader = detection_training_loader(data, settings)
        for epoch in range(epochs):
            loader.sampler.set_epoch(epoch)
            yield [batch.images for batch in loader]

    expected = list(batches(3, 0))
    kept, one = batches(3, 2 * pixels.nbytes), batches(2, 2 * pixels.nbytes - 1)
    found = [next(kept)]
    next(one)
    for scene in scenes:
        scene.image.unlink()
    found.extend(kept)
    assert all(torch.equal(torch.stack(a), torch.stack(b)) for a, b in zip(found, expected, strict=True))
    with pytest.raises(InputError, match="There is no image"):
        next(one)


def test_copies_are_the_object_itself_and_stand_where_nothing_was():
    """Every object has a value of its own: what a new box holds says of which it is a copy, and where it really lies."""
    image, boxes = np.zeros((120, 200, 3), dtype=np.uint8), np.array([[10.0, 10, 40, 30], [150, 60, 162, 100]])
    for number, (x1, y1, x2, y2) in enumerate(boxes.astype(int)):
        image[y1:y2, x1:x2] = 100 * (number + 1)
    regions = np.array([[0.0, 40, 200, 58]])
    copied, rng = [], np.random.default_rng(0)
    for _ in range(300):
        found = with_copies(rng, Sample(image, boxes, np.array([3, 5]), regions), 0.5)
        assert np.array_equal(found.boxes[:2], boxes) and np.array_equal(found.image[40:58], image[40:58])
        for box, label in zip(found.boxes[2:], found.labels[2:], strict=True):
            x1, y1, x2, y2 = box.astype(int)
            value = 100 if label == 3 else 200
            assert [x2 - x1, y2 - y1] == ([30, 20] if label == 3 else [12, 40])
            # The middle is the object, its rim half ground.
            assert (found.image[y1 + 4 : y2 - 4, x1 + 4 : x2 - 4] == value).all()
            assert found.image[y1, x1, 0] == value / 2
            others = np.concatenate([boxes, regions, found.boxes[2:][(found.boxes[2:] != box).any(axis=1)]])
            shared = np.minimum(others[:, 2:], box[2:]) - np.maximum(others[:, :2], box[:2])
            assert not (shared > 0).all(axis=1).any()
            copied.append(label)
    assert 0.35 < len(copied) / 600 < 0.5 and set(copied) == {3, 5}
    there = Augmentation(copy_paste=1).changed(
        rng, Sample(image, boxes, np.array([3, 5]), regions), Placement(np.eye(2, 3), 200, 120)
    )
    assert len(there.boxes) > 2
    # An object that begins and ends between pixels, mirrored or not: its box is as far from the other edge.
    part = with_copies(
        np.random.default_rng(1), Sample(image, np.array([[10.25, 10, 40, 30]]), np.zeros(1), regions), 1
    )
    assert part.boxes[1, 2] - part.boxes[1, 0] == 29.75 and part.boxes[1, 0] % 1 in (0, 0.25)


@pytest.mark.parametrize(
    ("box", "plain", "mirrored"),
    # How far it begins after its first pixel, and ends before the end of its last one.
    [([10.25, 10.5, 40, 30], (0.25, 0.5), (0, 0)), ([10.75, 10.625, 39.25, 29.125], (0.75, 0.625), (0.75, 0.875))],
)
def test_a_copy_is_mirrored_as_its_box_is(box, plain, mirrored):
    """An object that is brighter to the right and below, and begins and ends between pixels."""
    image = np.zeros((90, 200, 3), dtype=np.uint8)
    rows, columns = np.arange(20), np.arange(30)
    image[10:30, 10:40] = (40 + 5 * rows[:, None] + 2 * columns)[..., None]
    sample, rng = Sample(image, np.array([box]), np.zeros(1), np.zeros((0, 4))), np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        found = with_copies(rng, sample, 1)
        if len(found.boxes) == 1:
            continue
        left, top = np.floor(found.boxes[1, :2]).astype(int)
        inside = found.image[top + 5 : top + 15, left + 5 : left + 25, 0].astype(int)
        down, across = inside[-1, 0] < inside[0, 0], inside[0, -1] < inside[0, 0]
        expected = image[10:30, 10:40, 0][:: -1 if down else 1, :: -1 if across else 1]
        assert (inside == expected[5:15, 5:25]).all()
        # Also of pixels that it covers in part, half is the object's: the ground is black.
        assert found.image[top : top + 20, left : left + 30].all()
        begins = mirrored[0] if across else plain[0], mirrored[1] if down else plain[1]
        assert tuple(found.boxes[1, :2] - [left, top]) == begins
        assert (found.boxes[1, 2:] - found.boxes[1, :2]).tolist() == [box[2] - box[0], box[3] - box[1]]
        seen.add((bool(down), bool(across)))
    assert len(seen) == 4


@pytest.mark.parametrize("down", [False, True])
def test_a_copy_may_lie_beside_its_object_and_end_where_the_image_ends(down):
    """The only free place of an image that is as large as two of it."""
    image = np.full((20, 10, 3) if down else (10, 20, 3), 9, dtype=np.uint8)
    sample = Sample(image, np.array([[0.0, 0, 10, 10]]), np.zeros(1), np.zeros((0, 4)))
    found = [with_copies(np.random.default_rng(seed), sample, 1).boxes[1:].tolist() for seed in range(100)]
    place = [0, 10, 10, 20] if down else [10, 0, 20, 10]
    # Five tries of eleven places.
    assert {str(boxes) for boxes in found} == {"[]", str([[float(value) for value in place]])}
    assert 15 < sum(map(len, found)) < 65


def test_batches_of_another_size_take_their_boxes_along():
    scale = MultiScale(0.5, seed=3)
    images = torch.zeros(2, 3, 96, 128)
    images[0, :, 24:48, 64:96] = 1
    targets = [Targets(torch.tensor([[64.0, 24, 96, 48]]), torch.zeros(1, dtype=torch.int64))] * 2
    sizes = set()
    for step in range(60):
        seen, there = scale.apply(images, targets, 1, step)
        height, width = seen.shape[-2:]
        sizes.add((height, width))
        assert height % 32 == width % 32 == 0 and len(there) == 2
        x1, y1, x2, y2 = there[0].boxes[0].tolist()
        assert (x1 / width, y1 / height, x2 / width, y2 / height) == pytest.approx((0.5, 0.25, 0.75, 0.5))
        assert seen[0].sum() == pytest.approx(3 * (x2 - x1) * (y2 - y1), rel=0.02)
    # From 48 to 144 pixels, in multiples of 32.
    assert {height for height, _ in sizes} == {64, 96, 128}
    assert torch.equal(scale.apply(images, targets, 1, 7)[0], MultiScale(0.5, seed=3).apply(images, targets, 1, 7)[0])
    with pytest.raises(InputError, match="--multi_scale 1"):
        MultiScale(1)


def test_ignored_regions_go_with_batches_of_another_size():
    region = torch.tensor([[32.0, 24, 64, 96]])
    for step in range(20):
        seen, (there,) = MultiScale(0.5).apply(torch.zeros(1, 3, 96, 128), [Targets(ignored=region)], 0, step)
        height, width = seen.shape[-2:]
        assert there.ignored.tolist() == [[width / 4, height / 4, width / 2, height]]


def test_sizes_of_batches_follow_from_seed_epoch_and_step():
    def sizes(seed, epoch):
        return [MultiScale(0.5, seed).size(640, 640, epoch, step) for step in range(20)]

    assert sizes(3, 1) == sizes(3, 1) and sizes(3, 1) not in (sizes(4, 1), sizes(3, 2))
    assert len(set(sizes(3, 1))) > 5
