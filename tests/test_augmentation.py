"""Changes of training images beyond the published ones, against the libraries that make them."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from gsnet.data import DataSettings, training_loader
from gsnet.data import timm_policy as of_timm
from gsnet.data.policies import policy
from gsnet.data.timm_policy import TimmPolicy
from gsnet.data.transforms import Lighting, three_augment, training_transform
from gsnet.interface.options import InputError

FAKE = DataSettings("fake", None, batch_size=8, workers=0, input_image_size=32, fake_images=50, fake_classes=4)
CIFAR = replace(FAKE, dataset="cifar10")
GREY = [128, 128, 128]


def picture(side=32):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8))


def changed(transform, seed=3):
    torch.manual_seed(seed)
    return transform(picture())


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("ra", v2.RandAugment(2, 9, fill=GREY)),
        ("ra-m15-n3", v2.RandAugment(3, 15, fill=GREY)),
        ("ta_wide", v2.TrivialAugmentWide(fill=GREY)),
        (True, v2.AutoAugment(v2.AutoAugmentPolicy.CIFAR10, fill=GREY)),
    ],
)
def test_policies_are_torchvisions(name, theirs):
    """Crop and flip, then the policy, with the random numbers that torchvision draws after them."""
    mean, deviation = CIFAR.normalisation
    whole = v2.Compose(
        [
            *(v2.RandomCrop(32, padding=4), v2.RandomHorizontalFlip(), theirs),
            *(v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(list(mean), list(deviation))),
        ]
    )
    ours = training_transform(replace(CIFAR, auto_augment=name))
    for seed in range(12):
        assert torch.equal(changed(ours, seed), changed(whole, seed))


def test_timms_policy_is_timms_by_random_numbers_of_torch():
    pytest.importorskip("timm", reason="timm is not installed")
    from timm.data.auto_augment import rand_augment_transform

    # As timm's own training makes it of a side of 32 and CIFAR's mean.
    theirs = rand_augment_transform("rand-m7-mstd0.5-inc1", {"translate_const": 14, "img_mean": (125, 123, 114)})
    ours = TimmPolicy("rand-m7-mstd0.5-inc1", 32, CIFAR.normalisation[0])
    found = set()
    for seed in range(8):
        torch.manual_seed(seed)
        drawn = int(torch.randint(2**32, ()))
        random.seed(drawn)
        np.random.seed(drawn)
        wanted = theirs(picture())
        python, numpy = random.getstate(), np.random.get_state()
        assert changed(ours, seed).tobytes() == wanted.tobytes()
        # What others draw is as if nothing had been drawn.
        assert random.getstate() == python and np.array_equal(np.random.get_state()[1], numpy[1])
        found.add(wanted.tobytes())
    assert len(found) > 4


@pytest.mark.parametrize("name", ["rand-m10-inc1", "rand-m2"])
def test_timms_policy_makes_an_image_black_where_it_keeps_no_bit_of_it(name):
    """Pillow 13 refuses 0 bits, with which a training ended; by Pillow 12 such an image is black."""
    pytest.importorskip("timm", reason="timm is not installed")
    ours = TimmPolicy(name, 32, CIFAR.normalisation[0])
    posterise = next(operation for operation in ours.change.ops if operation.name.startswith("Posterize"))
    posterise.prob = 1.0
    ours.change.ops = [posterise]
    assert np.asarray(changed(ours, 0)).tolist() == np.zeros((32, 32, 3)).tolist()


def test_without_timm_its_policy_is_refused_by_name(monkeypatch):
    monkeypatch.setattr(of_timm.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="rand-m9 is timm's, which is not installed: pip install timm"):
        training_transform(replace(CIFAR, auto_augment="rand-m9"))


def test_three_augment_is_grey_or_solarised_or_blurred():
    image, seen = picture(), set()
    grey = v2.functional.rgb_to_grayscale(image, 3).tobytes()
    solarised = v2.functional.solarize(image, 128).tobytes()
    for seed in range(20):
        torch.manual_seed(seed)
        found = three_augment(32)(image)
        kind = "grey" if found.tobytes() == grey else "solarised" if found.tobytes() == solarised else "blurred"
        # A blur brings neighbours nearer to each other, and keeps the mean.
        if kind == "blurred":
            before, after = np.asarray(image, float), np.asarray(found, float)
            assert np.abs(np.diff(after, axis=0)).mean() < np.abs(np.diff(before, axis=0)).mean()
            assert abs(after.mean() - before.mean()) < 3
        seen.add(kind)
    assert seen == {"grey", "solarised", "blurred"}
    assert three_augment(4)(picture(4)).size == (4, 4)


def steps(**change):
    return list(training_transform(replace(FAKE, **change)).transforms)


def kinds(**change):
    return [type(step).__name__ for step in steps(**change)]


def test_which_changes_come_in_which_order():
    end = ["ToImage", "ToDtype"]
    crop = ["RGB", "RandomResizedCrop", "RandomHorizontalFlip"]
    assert kinds() == [*crop, "ColorJitter", *end, "Lighting", "Normalize"]
    assert kinds(auto_augment=True) == [*crop, "AutoAugment", *end, "Lighting", "Normalize"]
    assert kinds(auto_augment="ra", lighting=0.0) == [*crop, "RandAugment", *end, "Normalize"]
    assert kinds(auto_augment="ra", color_jitter=(0.1,) * 3)[3:5] == ["RandAugment", "ColorJitter"]
    assert kinds(auto_augment="3a")[3:5] == ["RandomChoice", "ColorJitter"]
    assert "ColorJitter" not in kinds(auto_augment="3a", color_jitter=(0.0,) * 3)
    assert kinds(color_jitter=(0.0, 0.0, 0.0)) == [*crop, *end, "Lighting", "Normalize"]
    small = ["RGB", "RandomCrop", "RandomHorizontalFlip"]
    assert kinds(dataset="cifar10") == [*small, *end, "Normalize"]
    assert kinds(dataset="cifar10", color_jitter=(0.4,) * 3, lighting=0.2)[3:7] == ["ColorJitter", *end, "Lighting"]
    assert kinds(dataset="cifar10", crop_scale=(0.5, 1.0)) == [*crop, *end, "Normalize"]
    assert kinds(dataset="cifar10", input_image_size=64)[:3] == ["RGB", "Resize", "RandomResizedCrop"]


def test_numbers_reach_what_they_are_for():
    crop, jitter, light = (
        next(
            step
            for step in steps(crop_scale=(0.35, 0.9), color_jitter=(0.1, 0.2, 0.3, 0.05), lighting=0.2)
            if wanted(step)
        )
        for wanted in (
            *(lambda step: isinstance(step, v2.RandomResizedCrop), lambda step: isinstance(step, v2.ColorJitter)),
            lambda step: isinstance(step, Lighting),
        )
    )
    assert tuple(crop.scale) == (0.35, 0.9) and light.deviation == 0.2
    assert (jitter.brightness, jitter.contrast, jitter.saturation) == ((0.9, 1.1), (0.8, 1.2), (0.7, 1.3))
    assert jitter.hue == (-0.05, 0.05)
    assert tuple(steps(dataset="cifar10", input_image_size=64, crop_scale=(0.3, 1.0))[2].scale) == (0.3, 1.0)
    with pytest.raises(InputError, match=r"--scale 0.9 0.2 are no shares"):
        replace(FAKE, crop_scale=(0.9, 0.2))


@pytest.mark.parametrize("name", ["ra-m31", "ra-x3", "rand-m9-q3", "rand", "trivial", "rand-mstd"])
def test_policies_that_are_none(name):
    with pytest.raises(InputError, match="--auto_augment"):
        replace(FAKE, auto_augment=name)


def test_names_that_switch():
    assert (policy("none"), policy("autoaugment"), policy("rand-m9-n3-mstd0.5-inc1")) == (
        *(False, True),
        "rand-m9-n3-mstd0.5-inc1",
    )


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_repeated_images_are_those_of_timms_sampler(monkeypatch, processes):
    """By the permutation that timm draws; it fills no whole batches and counts its epochs by images."""
    pytest.importorskip("timm", reason="timm is not installed")
    from timm.data.distributed_sampler import RepeatAugSampler

    monkeypatch.setattr("gsnet.data.loaders.mixed_seed", lambda *numbers: numbers[-1])
    for rank in range(processes):
        theirs = RepeatAugSampler(range(50), processes, rank, num_repeats=3, selected_round=0)
        theirs.set_epoch(5)
        ours = training_loader(replace(FAKE, batch_size=2, aug_repeats=3, rank=rank, processes=processes)).sampler
        ours.set_epoch(5)
        indices = [index for _, index, _ in ours]
        assert indices == list(theirs)[: len(indices)] and len(indices) == len(ours) == 50 // (2 * processes) * 2


def test_repeated_images_come_once_to_each_of_as_many_processes_and_differ():
    settings = replace(FAKE, aug_repeats=2, processes=2)
    loaders = [training_loader(replace(settings, rank=rank)) for rank in (0, 1)]
    for loader in loaders:
        loader.sampler.set_epoch(1)
    first, second = (list(loader.sampler) for loader in loaders)
    assert [place[:2] for place in first] == [place[:2] for place in second] and len({p[1] for p in first}) == len(
        first
    )
    assert {place[2] for place in first} == {0} and {place[2] for place in second} == {1}
    (one, labels), (other, same) = (next(iter(loader)) for loader in loaders)
    assert torch.equal(labels, same) and not any(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    # An interrupted epoch goes on with the same images.
    whole = list(loaders[0])
    loaders[0].sampler.set_epoch(1, skip=2)
    assert all(torch.equal(a, b) for (a, _), (b, _) in zip(whole[2:], loaders[0], strict=True))


@pytest.mark.parametrize("name", ["ra-m9", "ta_wide", "3a", "rand-m9-mstd0.5-inc1"])
def test_changes_follow_from_the_image_alone(name):
    if name.startswith("rand-"):
        pytest.importorskip("timm", reason="timm is not installed")
    settings = replace(FAKE, dataset="fake", auto_augment=name, color_jitter=(0.2,) * 3, fake_images=16, aug_repeats=2)
    loader = training_loader(settings)
    loader.sampler.set_epoch(1)
    first = torch.cat([images for images, _ in loader])
    random.seed(99)
    np.random.seed(99)
    torch.manual_seed(99)
    before = random.getstate()
    again = torch.cat([images for images, _ in loader])
    assert torch.equal(first, again) and random.getstate() == before
