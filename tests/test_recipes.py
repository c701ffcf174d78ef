"""Recipes: options of published trainings, below what is given, in both training scripts."""

import csv
import json
import math
from pathlib import Path

import pytest
import torch
import torchvision

from gsnet.commands import train_image_classification, ts_train_image_classification
from gsnet.interface.config import recipe_names
from gsnet.interface.options import InputError
from gsnet.models.own import batch_norm_of, set_batch_norm
from gsnet.training import checkpoints
from gsnet.training.distillation_options import add_distillation_options
from gsnet.training.finished import plain
from gsnet.training.ignored_options import refuse_ignored
from gsnet.training.network_options import checkpoint_gradients, with_drop_path
from gsnet.training.networks import build_network
from gsnet.training.optimisers import OptimiserSettings
from gsnet.training.options import RECIPES, parse, parser
from gsnet.training.schedules import Schedule
from gsnet.training.settings import TrainingSettings
from gsnet.training.settings_of_options import data_settings, training_settings
from gsnet.training.step import Stepper
from gsnet.training.tasks import Classification
from Masternet import MasterNet

NEEDED = "--arch a --dataset fake --save_dir b"
STRUCTURE = "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,2)"
GHOST = "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,16,2,8,1)"


def options_of(line, build=parser):
    given = f"{NEEDED} {line}".split()
    described = build("", given)
    options = parse(described, given)
    refuse_ignored(described, options)
    return options


def distilling(description, argv=()):
    described = parser(description, argv)
    add_distillation_options(described)
    return described


def without(options, *names):
    return {name: value for name, value in vars(options).items() if name not in names}


# Table 2 of "ResNet strikes back", the published scripts of ZenNAS, and TrivialAugment's configuration of WRN-28-10.
PUBLISHED = {
    "zennet": {
        "epochs": 480,
        "optimizer": "sgd",
        "nesterov": True,
        "wd": 4e-5,
        "lr_per_256": 0.1,
        "warmup": 5,
        "label_smoothing": 0.1,
        "mixup": 0.2,
        "random_erase": 0.5,
        "auto_augment": True,
        "weight_init": "custom",
    },
    "timm-a2": {
        "epochs": 300,
        "batch_size": 2048,
        "optimizer": "lamb",
        "wd": 0.02,
        "warmup": 5,
        "lr_mode": "cosine",
        "label_smoothing": 0.0,
        "drop_path": 0.05,
        "aug_repeats": 3,
        "auto_augment": "rand-m7-mstd0.5-inc1",
        "mixup": 0.1,
        "cutmix": 1.0,
        "random_erase": 0.0,
        "bce_loss": True,
        "bce_target_thresh": 0.2,
        "input_image_crop": 0.95,
        "train_crop_size": None,
        "ema": None,
    },
    "timm-a3": {
        "epochs": 100,
        "batch_size": 2048,
        "optimizer": "lamb",
        "wd": 0.02,
        "warmup": 5,
        "lr_mode": "cosine",
        "label_smoothing": 0.0,
        "drop_path": 0.0,
        "aug_repeats": 0,
        "auto_augment": "rand-m6-mstd0.5-inc1",
        "mixup": 0.1,
        "cutmix": 1.0,
        "random_erase": 0.0,
        "bce_loss": True,
        "bce_target_thresh": 0.2,
        "input_image_crop": 0.95,
        "train_crop_size": 160,
        "ema": None,
    },
    "cifar": {
        "epochs": 200,
        "batch_size": 128,
        "optimizer": "sgd",
        "nesterov": True,
        "wd": 5e-4,
        "warmup": 0,
        "lr_mode": "cosine",
        "auto_augment": "ta_wide",
        "mixup": 0.0,
        "label_smoothing": 0.0,
    },
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipes_are_the_published_ones(name):
    options = options_of(f"--recipe {name}")
    assert {key: getattr(options, key) for key in PUBLISHED[name]} == PUBLISHED[name]
    # The rates of their own batches: 5e-3 and 8e-3 of 2,048 images, 0.1 of 128 and of 256.
    rate = options.lr_per_256 * (options.batch_size or 256) / 256
    assert rate == pytest.approx({"timm-a2": 5e-3, "timm-a3": 8e-3}.get(name, 0.1))
    assert "Source: " in (RECIPES / f"{name}.toml").read_text(encoding="utf-8")
    distilled = options_of(f"--recipe {name} --teacher_arch c --teacher_untrained", distilling)
    assert {key: getattr(distilled, key) for key in PUBLISHED[name]} == PUBLISHED[name]


def test_every_recipe_is_tested_and_none_is_the_default():
    assert recipe_names(RECIPES) == sorted(PUBLISHED)
    default = options_of("")
    published = {"epochs": 90, "optimizer": "sgd", "lr_per_256": 0.1, "wd": 4e-5, "mixup": 0.0, "auto_augment": False}
    assert {key: getattr(default, key) for key in published} == published and default.recipe is None


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("--recipe timm-a2 --epochs 90 --mixup 0 --bce_loss False", {"epochs": 90, "mixup": 0.0, "bce_loss": False}),
        ("--lr 0.1 --recipe cifar", {"lr": 0.1, "lr_per_256": 0.1, "epochs": 200}),
        ("--recipe timm-a2 --batch_size_per_gpu 8", {"batch_size": None, "batch_size_per_gpu": 8}),
        ("--recipe timm-a2 --target_lr_per_256 0", {"target_lr": None, "target_lr_per_256": 0.0}),
        ("--recipe timm-a3 --aa none --drop_path 0.1", {"auto_augment": False, "drop_path": 0.1}),
        ("--recipe zennet --start_from c", {"weight_init": "None", "start_from": "c", "nesterov": True}),
        # What others leave without effect goes, too: nobody typed it.
        ("--recipe cifar --optimizer adamw", {"optimizer": "adamw", "nesterov": False, "wd": 5e-4}),
        ("--recipe timm-a2 --bce_loss false", {"bce_target_thresh": None}),
        ("--recipe zennet --no_data_augment", {"auto_augment": False, "random_erase": 0.0, "mixup": 0.2}),
        ("--recipe timm-a2 --lr_mode stagedecay --lr_stage_list 3,6", {"target_lr": None}),
    ],
)
def test_what_is_given_counts_more(line, wanted):
    options = options_of(line)
    assert {key: getattr(options, key) for key in wanted} == wanted


def test_what_is_left_out_of_a_recipe_is_said(caplog):
    caplog.set_level("INFO")
    options_of("--recipe cifar --optimizer adamw")
    assert "cifar.toml: --nesterov does nothing with --optimizer adamw and is left out" in caplog.text


def test_a_recipe_s_format_of_16_bits_goes_with_torch_alone(tmp_path, caplog):
    caplog.set_level("INFO")
    file = tmp_path / "mine.toml"
    file.write_text('fp16 = true\namp_dtype = "bfloat16"\n')
    assert options_of(f"--recipe {file}").amp_dtype == "bfloat16"
    assert options_of(f"--recipe {file} --apex").amp_dtype is None
    assert "mine.toml: --amp_dtype does nothing with NVIDIA Apex and is left out" in caplog.text


def test_options_reach_the_images_the_loss_and_the_network():
    changes = "--color_jitter 0.1 --scale 0.3 0.9 --lighting 0.2 --input_image_size 32 --num_classes 3"
    options = options_of(f"--recipe timm-a2 --grad_checkpointing --batch_size 8 {changes}")
    data = data_settings(options)
    assert (data.auto_augment, data.aug_repeats, data.color_jitter) == ("rand-m7-mstd0.5-inc1", 3, (0.1, 0.1, 0.1))
    assert (data.crop_scale, data.lighting) == ((0.3, 0.9), 0.2)
    settings = training_settings(options, 1000, data)
    assert (settings.bce, settings.bce_threshold, settings.grad_checkpointing) == (True, 0.2, True)
    options.arch, options.plainnet_struct = "Masternet.py:MasterNet", STRUCTURE
    network = build_network(options, 3)
    assert network.drop_path_rate == 0.05 and network.grad_checkpointing


def test_what_is_typed_without_effect_is_refused_beside_a_recipe():
    with pytest.raises(InputError, match="--random_erase does nothing with --no_data_augment"):
        options_of("--recipe zennet --no_data_augment --random_erase 0.2")


def test_a_file_of_options_counts_more_than_the_recipe_that_it_names(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('recipe = "timm-a2"\nepochs = 7\nbce_loss = false\nlr = 0.01\ncutmix = false\n')
    options = options_of(f"--config {file} --wd 0.5")
    assert (options.epochs, options.bce_loss, options.lr, options.cutmix, options.wd) == (7, False, 0.01, 0.0, 0.5)
    assert (options.optimizer, options.lr_per_256, options.mixup, options.recipe) == ("lamb", 0.1, 0.1, "timm-a2")
    assert options_of(f"--config {file} --recipe cifar").optimizer == "sgd"


def test_a_recipe_of_ones_own(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('epochs = 3\nscale = [0.35, 1]\nauto_augment = "3a"\ncolor_jitter = 0.3\n')
    options = options_of(f"--recipe {file}")
    assert (options.epochs, options.scale, options.auto_augment) == (3, [0.35, 1.0], "3a")
    assert options.color_jitter == (0.3, 0.3, 0.3)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "There is no recipe 'timm-a1': use one of cifar, timm-a2, timm-a3, zennet, or a TOML file"),
        ("epocs = 3", "mine.toml: there is no option epocs; did you mean epochs?"),
        ("epochs = 0", "mine.toml: argument --epochs: '0' is not a whole number"),
        ('recipe = "cifar"', "mine.toml is a recipe and names another one"),
        ("epochs =", "mine.toml cannot be read"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_one_sentence(text, told, tmp_path, capsys):
    file = tmp_path / "mine.toml"
    if text is not None:
        file.write_text(text)
    try:
        options_of(f"--recipe {'timm-a1' if text is None else file}")
    except InputError as error:
        said = str(error)
    except SystemExit as end:
        assert end.code == 2
        said = capsys.readouterr().err
    assert told in said


@pytest.mark.parametrize(
    "line", ["--recipe timm-a2 --epochs 90 --mixup 0", "--recipe timm-a3 --nesterov false --aa ra"]
)
def test_a_record_with_a_recipe_asks_for_the_same_again(line, tmp_path):
    """Also where an option that the recipe has was set back to its default."""
    options = options_of(line)
    (tmp_path / "config.json").write_text(json.dumps({"options": {k: plain(v) for k, v in vars(options).items()}}))
    again = options_of(f"--config {tmp_path}")
    assert {k: plain(v) for k, v in vars(again).items()} == {k: plain(v) for k, v in vars(options).items()}
    with pytest.raises(InputError, match="leaves nothing to --recipe cifar: leave one of the two out"):
        options_of(f"--config {tmp_path} --recipe cifar")


def run(folder, *more, script=train_image_classification):
    base = ["--dataset", "fake", "--fake_images", 16, "--input_image_size", 16, "--workers", 0, "--batch_size", 8]
    network = ["--arch", "Masternet.py:MasterNet", "--plainnet_struct", STRUCTURE, "--num_classes", 10]
    assert script.main([str(word) for word in (*base, *network, "--save_dir", folder, *more)]) == 0
    return torch.load(folder / checkpoints.LATEST, weights_only=True)


A2 = ("--recipe", "timm-a2", "--epochs", 2, "--warmup", 1, "--grad_checkpointing", "--train_crop_size", 12)
ZENNET = (
    "--recipe",
    "zennet",
    "--epochs",
    2,
    "--warmup",
    0,
    "--optimizer",
    "muon",
    "--aa",
    "3a",
    "--weight_init",
    "None",
)
CIFAR = (
    "--recipe",
    "cifar",
    "--epochs",
    2,
    "--optimizer",
    "lion",
    "--bce_loss",
    "--drop_path",
    0.2,
    "--aug_repeats",
    2,
)
TEACHER = ("--teacher_arch", "Masternet.py:MasterNet", "--teacher_plainnet_struct", STRUCTURE, "--teacher_untrained")


@pytest.mark.parametrize(
    ("more", "script", "loss"),
    [
        (A2, train_image_classification, math.log(2)),
        (ZENNET, train_image_classification, math.log(10)),
        (
            *((*CIFAR, *TEACHER, "--teacher_logit_weight", 1, "--train_crop_size", 12), ts_train_image_classification),
            math.log(2) + math.log(10),
        ),
    ],
)
def test_a_training_of_a_recipe_that_is_broken_off_ends_with_the_same_bits(more, script, loss, tmp_path, capsys):
    """loss: of a network that holds all ten classes for equally likely, and of one that agrees with such a teacher."""
    theirs = pytest.importorskip("timm.optim", reason="timm is not installed").list_optimizers()
    if "muon" in more and "muon" not in theirs:
        pytest.skip("this timm has no muon")
    whole = run(tmp_path / "whole", *more, script=script)
    with (tmp_path / "whole/log.csv").open() as file:
        assert float(next(csv.DictReader(file))["train_loss"]) == pytest.approx(loss, rel=0.2)
    # No time at all: the run leaves after a step.
    torn = run(tmp_path / "torn", *more, "--time_limit", "1e-9", script=script)
    assert torn["step"] == 1
    torn = run(tmp_path / "torn", *more, "--auto_resume", script=script)
    names = whole["state_dict"].keys()
    assert torn["epoch"] == 1 and names == torn["state_dict"].keys()
    assert all(torch.equal(whole["state_dict"][name], torn["state_dict"][name]) for name in names)
    assert "Options differ" not in capsys.readouterr().err


def stepper(network, **settings):
    schedule = Schedule("linear", 0.1, 0.1, 1, 100)
    return Stepper(Classification(network), TrainingSettings(schedule, OptimiserSettings(), 3, **settings), "cpu")


def test_checkpointing_of_timms_networks_counts_batches_once():
    timm = pytest.importorskip("timm", reason="timm is not installed")
    states = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        network = with_drop_path(timm.create_model("resnet10t", num_classes=3), 0.3)
        if checkpointing:
            checkpoint_gradients(network)
        steps = stepper(network, grad_checkpointing=checkpointing, accumulate=2)
        steps.task.train()
        torch.manual_seed(0)
        steps.step(torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 2, 0]), 0, 0, 0.1)
        states.append(network.state_dict())
    assert int(states[1]["layer1.0.bn1.num_batches_tracked"]) == 2
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, msg=name)


def test_timms_networks_are_made_anew_with_their_weights_and_drop_paths():
    timm = pytest.importorskip("timm", reason="timm is not installed")
    network = timm.create_model("resnet10t", num_classes=3)
    set_batch_norm(network, 0.02, 1e-4)
    dropping = with_drop_path(network, 0.3)
    rates = [layer.drop_prob for layer in dropping.modules() if type(layer).__name__ == "DropPath"]
    assert max(rates) == pytest.approx(0.3)
    assert batch_norm_of(dropping) == (0.02, 1e-4)
    state = dropping.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in network.state_dict().items())


def test_drop_paths_of_a_structure_grow_to_the_rate():
    network = with_drop_path(MasterNet(num_classes=3, plainnet_struct=STRUCTURE), 0.2)
    rates = [layer.p for layer in network.modules() if type(layer).__name__ == "StochasticDepth"]
    assert rates == [0, 0.2] and network.drop_path_rate == 0.2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda: with_drop_path(torchvision.models.resnet18(), 0.1), "ResNet is neither: use --drop_path 0"),
        (
            lambda: with_drop_path(MasterNet(num_classes=3, plainnet_struct=GHOST), 0.1),
            "this structure has no residual link, whose body could be left out: use --drop_path 0",
        ),
        (lambda: checkpoint_gradients(torchvision.models.resnet18()), "ResNet cannot do --grad_checkpointing"),
    ],
)
def test_networks_that_cannot(change, told):
    with pytest.raises(InputError, match=told):
        change()


def test_a_larger_training_side_than_validations_is_refused(tmp_path):
    with pytest.raises(InputError, match="--train_crop_size 160 is larger than --input_image_size 16"):
        run(tmp_path, "--recipe", "timm-a3")


def test_the_folder_at_the_top_is_that_of_the_package():
    assert (Path(__file__).parent.parent / "recipes").resolve() == RECIPES.resolve()
