"""Images in memory: the same pixels as from disk, and changes of whole batches that are torchvision's."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, v2
from torchvision.transforms.v2 import functional

from gsnet.data import DataSettings, training_loader, validation_loader
from gsnet.data.batch_changes import BatchChanges, rectangles, resized, shifted
from gsnet.data.batch_policies import OPERATIONS
from gsnet.data.broken import BrokenImageError
from gsnet.data.random_numbers import Draws, mixed_seed
from gsnet.data.settings import DEVICE, RAM
from gsnet.data.skipping import BrokenImages
from gsnet.interface.options import InputError

FAKE = DataSettings("fake", None, batch_size=8, workers=0, input_image_size=32, fake_images=50, fake_classes=4)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Pictures of noise of one size, as a data set of CIFAR's layout."""
    folder, noise = tmp_path_factory.mktemp("cifar"), np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 5)):
        for name in ("cat", "dog"):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                Image.fromarray(noise.integers(0, 256, (32, 32, 3), np.uint8)).save(folder / split / name / f"{i}.png")
    return folder


def smooth_images(count):
    torch.manual_seed(0)
    maps = torch.nn.functional.interpolate(torch.rand(count, 3, 8, 8), size=(32, 32), mode="bicubic")
    return maps.clamp(0, 1).mul(255).to(torch.uint8)


def epoch(loader, number=0, skip=0):
    loader.sampler.set_epoch(number, skip)
    batches = list(loader)
    return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("more", [{}, {"auto_augment": True, "random_erase": 0.5}, {"dataset": "image_folder"}])
def test_kept_images_change_no_bit(tree, workers, more):
    settings = replace(FAKE, **({"dataset": "cifar10", "data_dir": tree, "workers": workers, "batch_size": 4} | more))
    for cache in (RAM, "none"):
        kept = replace(settings, cache=cache)
        found = [
            *epoch(training_loader(kept), 3),
            *(torch.cat(part) for part in zip(*validation_loader(kept), strict=True)),
        ]
        if cache == RAM:
            wanted = found
    assert all(map(torch.equal, wanted, found)) and len(wanted[0]) == 24 and len(wanted[2]) == 10


def test_what_does_not_fit_is_read_as_it_comes(tree, caplog):
    caplog.set_level(logging.INFO)
    settings = replace(FAKE, dataset="cifar10", data_dir=tree, batch_size=4)
    some = training_loader(replace(settings, cache=RAM, cache_memory=10 * 32 * 32 * 3))
    assert "10 training images are kept in memory, 0.0 MB" in caplog.text
    assert "of 24, the others are read as they come" in caplog.text
    assert some.dataset.images.bytes == 30720
    assert torch.equal(epoch(some)[0], epoch(training_loader(settings))[0])


@pytest.mark.parametrize("cache", [RAM, DEVICE])
def test_broken_pictures_are_named_before_the_first_epoch(tmp_path, cache, caplog):
    for split in ("train", "test"):
        (tmp_path / split / "cat").mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (32, 32), (40 * i, 0, 0)).save(tmp_path / split / "cat" / f"{i}.png")
        (tmp_path / split / "cat" / "2.png").write_bytes(b"no picture")
    settings = replace(FAKE, dataset="cifar10", data_dir=tmp_path, batch_size=4, cache=cache, augment=False)
    with pytest.raises(BrokenImageError, match=r"2.png is no picture .*--skip_broken 1"):
        training_loader(settings)
    broken = BrokenImages(2)
    caplog.set_level(logging.INFO)
    images, _ = epoch(training_loader(settings, broken))
    # There is room for them.
    assert "read as they come" not in caplog.text
    # The next one stands in for it in training; validation leaves it out.
    assert len(images) == 4 and len(images.unique(dim=0)) == 3
    assert sum(len(labels) for _, labels in validation_loader(settings, broken)) == 3


def test_held_images_are_those_of_validation(tree):
    settings = replace(FAKE, dataset="cifar10", data_dir=tree, batch_size=4)
    for more in (
        {},
        {"input_image_size": 48},
        {"dataset": "image_folder", "input_image_size": 24},
        {"processes": 2, "rank": 1},
    ):
        plain = replace(settings, **more)
        held = validation_loader(replace(plain, cache=DEVICE))
        for (images, labels), (same, their) in zip(held, validation_loader(plain), strict=True):
            assert torch.equal(images, same) and torch.equal(labels, their)


@pytest.mark.parametrize("more", [{}, {"auto_augment": "ta_wide", "random_erase": 0.5}, {"aug_repeats": 2}])
def test_changes_of_an_image_follow_from_seed_epoch_and_place_alone(tree, more):
    settings = replace(FAKE, dataset="cifar10", data_dir=tree, batch_size=4, cache=DEVICE, **more)
    whole, labels = epoch(training_loader(settings), 5)
    # The rest of an interrupted epoch, and an image asked for on its own.
    loader = training_loader(settings)
    assert torch.equal(epoch(loader, 5, skip=2)[0], whole[8:])
    loader.sampler.set_epoch(5)
    place = list(loader.sampler)[9]
    image, label = loader.dataset[place]
    assert torch.equal(image, whole[9]) and label == labels[9]
    assert not torch.equal(epoch(loader, 6)[0].sort(0)[0], whole.sort(0)[0])
    # Two processes see what one with both their batches sees.
    parts = [epoch(training_loader(replace(settings, batch_size=2, processes=2, rank=rank)), 5)[0] for rank in (0, 1)]
    together = torch.stack(parts, dim=1).flatten(0, 1)
    assert torch.equal(together, whole)


def test_held_images_have_one_size_and_fit(tmp_path):
    for split in ("train", "test"):
        for name, size in (("cat", (40, 32)), ("dog", (40, 30))):
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", size).save(tmp_path / split / name / "0.png")
    settings = replace(FAKE, dataset="image_folder", data_dir=tmp_path, batch_size=1, cache=DEVICE)
    with pytest.raises(InputError, match="some have 40x32, others 40x30 pixels: use --cache ram"):
        training_loader(settings)
    with pytest.raises(
        InputError, match=r"2 images of 32x32 pixels take 0 MB, more than --cache_memory allows \(0 MB\)"
    ):
        validation_loader(replace(settings, cache_memory=6143))


@pytest.mark.parametrize(
    "more", [{"auto_augment": "3a"}, {"auto_augment": "rand-m9"}, {"color_jitter": (0.1, 0.1, 0.1, 0.1)}]
)
def test_what_is_made_of_single_images_is_refused_before_any_is_read(more):
    with pytest.raises(InputError, match="use --cache ram instead of device"):
        replace(FAKE, cache=DEVICE, **more)


def test_seeds_are_the_published_numbers_of_splitmix64():
    """The first ones from 0 and from 1234567, as its authors' program prints them; 63 bits of each are kept."""
    assert mixed_seed(0) == 0xE220A8397B1DCDAF >> 1
    assert mixed_seed(1234567) == 6457827717110365317 >> 1
    # From a number the next ones count on from what it was mixed to.
    assert mixed_seed(0, 5) == mixed_seed((0xE220A8397B1DCDAF + 5) % 2**64)


def test_random_numbers_are_those_of_single_images():
    places = [(0, 3), (0, 4), (7, 2**40)]
    draws = Draws(11, places)
    both = np.concatenate([draws.take(2), draws.take(3)], axis=1)
    wanted = [[(mixed_seed(11, *place, column) >> 10) * 2.0**-53 for column in range(5)] for place in places]
    assert both.tolist() == wanted
    many = Draws(0, [(0, i) for i in range(20_000)]).take(2)
    assert abs(many.mean() - 0.5) < 0.01 and abs(np.corrcoef(many.T)[0, 1]) < 0.02


@pytest.mark.parametrize("name", OPERATIONS)
def test_operations_are_those_of_torchvision(name):
    """One magnitude for each image here, one image after the other there."""
    auto = v2.AutoAugment(fill=[128] * 3)
    levels_of, signed = auto._AUGMENTATION_SPACE[name]
    levels = levels_of(10, 32, 32)
    images = smooth_images(20)
    values = [0.0 if levels is None else float(levels[i % 10]) * (-1 if signed and i % 2 else 1) for i in range(20)]
    ours = OPERATIONS[name](images, torch.tensor(values)).int()
    theirs = torch.stack(
        [
            auto._apply_image_or_video_transform(image, name, value, InterpolationMode.NEAREST, auto._fill)
            for image, value in zip(images, values, strict=True)
        ]
    ).int()
    # Blends round in another order: a step of 255 in about one pixel of a hundred.
    assert (ours - theirs).abs().max() <= 1 and (ours != theirs).float().mean() < 0.02


def test_windows_and_parts_are_those_of_torchvision():
    images = smooth_images(3)
    numbers = np.array([[0.0, 0.0], [0.5, 0.999], [0.999, 0.25]])
    padded = functional.pad(images, [4])
    wanted = [functional.crop(padded[i], top, left, 32, 32) for i, (top, left) in enumerate(((0, 0), (4, 8), (8, 2)))]
    assert torch.equal(shifted(images, numbers, 4), torch.stack(wanted))
    top, left, height, width = (np.array(part) for part in ((0, 3, 8), (0, 5, 2), (32, 20, 16), (32, 16, 24)))
    found = resized(images, top, left, height, width, 32)
    for i, box in enumerate(zip(top, left, height, width, strict=True)):
        bicubic = {"interpolation": v2.InterpolationMode.BICUBIC, "antialias": False}
        theirs = functional.resized_crop(images[i].float(), *map(int, box), [32, 32], **bicubic).round().clamp(0, 255)
        # Beyond the part torchvision repeats its border, here the image goes on.
        assert (found[i, :, 4:-4, 4:-4] - theirs[:, 4:-4, 4:-4]).abs().max() <= 1


def test_parts_have_the_shares_that_torchvision_draws():
    numbers = np.random.default_rng(0).random((20_000, 22))
    top, left, height, width = rectangles(numbers, (32, 32), (0.08, 1.0), (3 / 4, 4 / 3))
    assert ((top >= 0) & (top + height <= 32) & (left >= 0) & (left + width <= 32) & (height > 0)).all()
    crop = v2.RandomResizedCrop(32)
    torch.manual_seed(0)
    theirs = np.array(
        [[p["height"], p["width"]] for p in (crop.make_params([torch.zeros(3, 32, 32)]) for _ in range(4_000))]
    )
    for ours, other in ((height, theirs[:, 0]), (width, theirs[:, 1]), (height * width, theirs.prod(axis=1))):
        assert abs(ours.mean() / other.mean() - 1) < 0.03 and abs(ours.std() / other.std() - 1) < 0.05


@pytest.mark.parametrize("size", [(32, 32), (30, 80), (80, 30)])
def test_the_part_of_an_image_that_no_try_fits(size):
    """All of the area with a ratio that the image does not have: torchvision takes the middle then."""
    crop = v2.RandomResizedCrop(32, (1.0, 1.0))
    numbers = np.random.default_rng(0).random((50, 22))
    theirs = crop.make_params([torch.zeros(3, *size)])
    for name, ours in zip(
        ("top", "left", "height", "width"), rectangles(numbers, size, (1.0, 1.0), crop.ratio), strict=True
    ):
        assert set(ours.tolist()) == {theirs[name]}


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("share", [0.4, 2.5])
def test_jitter_is_that_of_torchvision_however_strong(place, share):
    """Of one kind, for an image of two colours: a factor below 0 would turn them about."""
    strengths = tuple(share * (i == place) for i in range(3))
    image = torch.tensor([[90, 130], [110, 100], [60, 120]], dtype=torch.uint8)[:, None]
    changes = BatchChanges(replace(FAKE, dataset="cifar10", color_jitter=strengths))
    ours = changes._jittered(image.expand(2000, 3, 1, 2), Draws(0, [(0, i) for i in range(2000)])).float()
    torch.manual_seed(0)
    theirs = torch.stack([v2.ColorJitter(*strengths)(image) for _ in range(2000)]).float()
    for of in (torch.mean, torch.std):
        assert (of(ours, dim=0) - of(theirs, dim=0)).abs().max() < 4


class Told:
    """Numbers that are told in the place of those that are drawn: for each time that is asked, a row for all images."""

    def __init__(self, *rows):
        self.rows = iter(rows)

    def take(self, count):
        found = np.array(next(self.rows), dtype=float)
        assert found.shape[1] == count
        return found


def magnitude(space, levels, name, level, sign):
    """As torchvision has it for an image of 32 pixels a side."""
    of_levels, signed = space[name]
    found = of_levels(levels, 32, 32)
    return 0.0 if found is None else float(found[level]) * (-1 if signed and sign <= 0.5 else 1)


@pytest.mark.parametrize(("dataset", "kind"), [("cifar10", "CIFAR10"), ("image_folder", "IMAGENET")])
@pytest.mark.parametrize("sign", [0.2, 0.8])
def test_autoaugment_takes_the_pairs_of_its_data_set(dataset, kind, sign):
    """All 25, used as often as each says: its number is at or below the probability."""
    theirs = v2.AutoAugment(v2.AutoAugmentPolicy[kind])
    pairs = theirs._policies
    indices = [[(place + 0.5) / len(pairs)] for place in range(len(pairs))]
    settings = replace(FAKE, dataset=dataset, auto_augment=True, data_dir=None if dataset == "cifar10" else "pictures")
    for below in (True, False):
        uses = [[[pair[turn][1] if below else pair[turn][1] + 1e-6, sign] for pair in pairs] for turn in (0, 1)]
        for turn, choice in enumerate(BatchChanges(settings).policy.choices(Told(indices, *uses))):
            expected = [pair[turn] for pair in pairs]
            assert choice.names.tolist() == [name if below else "" for name, _, _ in expected]
            for found, (name, _, level) in zip(choice.magnitudes, expected, strict=True):
                wanted = magnitude(theirs._AUGMENTATION_SPACE, 10, name, level or 0, sign)
                assert found == pytest.approx(wanted if below else 0.0, rel=1e-6)


@pytest.mark.parametrize(
    ("name", "theirs", "levels"),
    [
        ("ra-m7-n3", v2.RandAugment(3, 7), [7, 7, 7]),
        ("ra", v2.RandAugment(), [9, 9]),
        ("ta_wide", v2.TrivialAugmentWide(), [30]),
    ],
)
def test_other_policies_take_as_many_operations_as_strong_as_they_say(name, theirs, levels):
    space, count = theirs._AUGMENTATION_SPACE, len(theirs._AUGMENTATION_SPACE)
    # Each kind once, at the largest strength, of signed ones every second in the opposite direction.
    rows = [[(place + 0.5) / count, 0.999, place % 2] for place in range(count)]
    found = BatchChanges(replace(FAKE, auto_augment=name)).policy.choices(Told(*[rows] * len(levels)))
    assert [choice.names.tolist() for choice in found] == [list(space)] * len(levels)
    for choice, level in zip(found, levels, strict=True):
        wanted = [magnitude(space, 31, kind, level, place % 2) for place, kind in enumerate(space)]
        assert choice.magnitudes.tolist() == pytest.approx(wanted, rel=1e-6)


def test_shifts_of_colours_have_the_spread_of_imagenets():
    """The covariance of the colours (Krizhevsky et al. 2012, 4.1), a deviation of 0.2, in units of the data set's."""
    settings = replace(FAKE, dataset="cifar10", lighting=0.2)
    found = BatchChanges(settings)._light(Draws(1, [(0, place) for place in range(20_000)]))[:, :, 0, 0].numpy()
    vectors = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    values = 0.2 * np.array([0.2175, 0.0188, 0.0045])
    deviation = np.array(settings.normalisation[1])
    expected = vectors @ np.diag(values**2) @ vectors.T / np.outer(deviation, deviation)
    assert np.cov(found.T) == pytest.approx(expected, rel=0.05)
    assert np.abs(found.mean(axis=0)).max() < 0.01
    # Of a normal number about as much lies beyond two deviations.
    assert np.mean(np.abs(found[:, 0]) > 2 * found[:, 0].std()) == pytest.approx(0.0455, abs=0.006)


def test_what_is_erased_is_as_large_and_as_wide_as_by_torchvision():
    """In images twice as wide as high, three of ten of which lose nothing."""
    settings = replace(FAKE, dataset="cifar10", random_erase=0.7)
    erased = BatchChanges(settings)._erased(torch.ones(6000, 3, 24, 48), Draws(0, [(0, i) for i in range(6000)])) == 0
    assert torch.equal(erased.all(dim=1), erased.any(dim=1))
    lost = erased.any(dim=(1, 2, 3))
    assert lost.float().mean() == pytest.approx(0.7, abs=0.02)
    torch.manual_seed(0)
    erasing = v2.RandomErasing(p=1, scale=(0.02, 0.33), ratio=(0.3, 3.3))
    theirs = torch.stack([erasing(torch.ones(3, 24, 48)) for _ in range(3000)]) == 0

    def sides(images):
        return [images[:, 0].any(dim=axis).sum(dim=1).float() for axis in (2, 1)]

    for ours, other in zip(sides(erased[lost]), sides(theirs), strict=True):
        assert ours.mean() == pytest.approx(float(other.mean()), rel=0.03)
        assert ours.std() == pytest.approx(float(other.std()), rel=0.05)
    # Where it lies: each pixel about as often.
    ours, other = (images[:, 0].float().mean(dim=0) for images in (erased[lost], theirs))
    assert (ours - other).abs().max() < 0.05


def test_all_changes_have_the_mean_and_the_spread_of_single_images(tree):
    """Changed images of both ways, over many epochs: the same distribution."""
    settings = replace(FAKE, dataset="cifar10", data_dir=tree, batch_size=24)
    for more in ({"random_erase": 0.5}, {"dataset": "image_folder"}, {"auto_augment": "ra-m9-n2"}):
        changed = replace(settings, **more)
        found = []
        for cache in ("none", DEVICE):
            loader = training_loader(replace(changed, cache=cache))
            maps = torch.cat([epoch(loader, number)[0] for number in range(12)])
            found.append((maps.mean(), maps.std(), (maps == 0).float().mean()))
        for ours, theirs, near in zip(found[1], found[0], (0.06, 0.06, 0.02), strict=True):
            assert abs(ours - theirs) < near
