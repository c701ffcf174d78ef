"""Trainings that begin with what another one learnt."""

import json
import shutil
from types import SimpleNamespace

import pytest
import torch
import torchvision
from torch import nn

from gsnet.commands import train_image_classification as script
from gsnet.commands import val
from gsnet.interface.options import InputError
from gsnet.models import described
from gsnet.training import checkpoints
from gsnet.training.class_weights import weights_of
from gsnet.training.ending import has_no_progress
from gsnet.training.ending_options import time_limit
from gsnet.training.fine_tuning import freeze, rate_scales
from gsnet.training.losses import smoothed_targets
from gsnet.training.optimisers import OptimiserSettings
from gsnet.training.schedules import Schedule
from gsnet.training.settings import TrainingSettings
from gsnet.training.starting import load_start
from gsnet.training.step import Stepper
from gsnet.training.tasks import Classification
from gsnet.validation.mirrored import Mirrored
from Masternet import MasterNet
from ZenNet import get_ZenNet

STRUCTURE = "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,2)SuperResK3K3(16,24,1,16,1)"
CIFAR = "zennet_cifar10_model_size05M_res32"
HEAD = "fc_linear.netblock.weight"


def train(folder, *more, classes=10, images=64):
    data = ("--dataset", "fake", "--num_classes", classes, "--fake_images", images, "--batch_size", 32)
    argv = [*data, "--workers", 0, "--epochs", 1, "--save_dir", folder, *more]
    assert script.main([str(argument) for argument in argv]) == 0
    return folder


def weights(folder, name=checkpoints.LATEST):
    return torch.load(folder / name, weights_only=True)["state_dict"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One epoch on ten classes of noise, at 16 pixels."""
    folder = tmp_path_factory.mktemp("trained")
    network = ("--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--input_image_size", 16)
    return train(folder, *network, "--weight_init", "custom", "--bn_eps", 0.01)


@pytest.mark.parametrize("option", ["--start_from", "--load_parameters_from"])
def test_what_weights_say_of_themselves_need_not_be_said_beside_arch(tmp_path, trained, option):
    structure = tmp_path / "structure.txt"
    structure.write_text(STRUCTURE)
    # A folder is its best checkpoint.
    for name, source in (("file", trained / checkpoints.BEST), ("folder", trained)):
        folder = train(tmp_path / name, "--arch", structure, option, source)
        found = described(folder).description
        assert (found.resolution, found.bn_eps) == (16, 0.01)


def test_a_folder_begins_a_training_of_other_classes(tmp_path, trained, capsys):
    # A rate of nothing: what the training ends with is what it began with.
    folder = train(tmp_path / "three", "--start_from", trained, "--lr", 1e-30, "--wd", 0, classes=3)
    said = capsys.readouterr().err
    assert said.count("the classifier starts anew, with 3 classes instead of 10") == 1
    assert "at 16 x 16 pixels" in said
    before, after = weights(trained, checkpoints.BEST), weights(folder)
    assert after[HEAD].shape == (3, 24)
    kernels = [key for key, value in before.items() if value.dim() > 1 and key != HEAD]
    assert len(kernels) > 5 and all(torch.equal(before[key], after[key]) for key in kernels)
    # The same number of classes keeps the classifier; a file does as well as its folder, and any network of that structure.
    structure = tmp_path / "mine.txt"
    structure.write_text(STRUCTURE)
    file = trained / checkpoints.BEST
    folder = train(tmp_path / "ten", "--start_from", file, "--arch", structure, "--lr", 1e-30, "--wd", 0)
    assert torch.equal(before[HEAD], weights(folder)[HEAD])
    assert "Begins with the weights of" in capsys.readouterr().err
    # What the weights were trained with, which the structure alone does not say.
    assert described(folder).description.bn_eps == 0.01


def test_a_published_network_begins_a_training(tmp_path, monkeypatch, capsys):
    whole = get_ZenNet(CIFAR)
    monkeypatch.setenv("ZENNET_HOME", str(tmp_path))
    (tmp_path / CIFAR).mkdir()
    torch.save(whole.state_dict(), tmp_path / CIFAR / "best-params_rank0.pth")
    train(tmp_path / "out", "--start_from", CIFAR, "--input_image_size", 8, "--dry_run", classes=3, images=32)
    assert f"{CIFAR}: the classifier starts anew, with 3 classes instead of 10" in capsys.readouterr().err


def test_weights_without_a_classifier_begin_a_training(tmp_path, caplog):
    """What was learnt without labels has none; a layer elsewhere that is missing is another network's."""
    caplog.set_level("INFO")
    source, network = (torchvision.models.resnet18(num_classes=3) for _ in range(2))
    weights = {key: value for key, value in source.state_dict().items() if not key.startswith("fc.")}
    before = network.fc.weight.clone()
    torch.save(weights, tmp_path / "backbone.pth")
    load_start(network, tmp_path / "backbone.pth", "resnet18", 3)
    assert torch.equal(network.conv1.weight, source.conv1.weight) and torch.equal(network.fc.weight, before)
    assert "the classifier starts anew, with 3 classes, for these weights have none" in caplog.text
    torch.save({key: value for key, value in weights.items() if key != "bn1.weight"}, tmp_path / "torn.pth")
    with pytest.raises(InputError, match=r"3 of 122 tensors are missing \(the first is bn1.weight\)"):
        load_start(network, tmp_path / "torn.pth", "resnet18", 3)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--pretrained",), "--start_from and --pretrained both say which weights"),
        (("--load_parameters_from", "x.pth"), "--start_from and --load_parameters_from both say"),
        (("--weight_init", "custom"), "--weight_init would overwrite the weights of --start_from"),
        (("--start_from", "nothing/here"), "There is no file nothing/here: --start_from takes a training's folder"),
        (("--start_from", CIFAR, "--arch", "resnet18"), "leave --arch resnet18 out"),
        (("--start_from", "resnet81"), "did you mean resnet18"),
    ],
)
def test_contradictions_are_one_sentence(tmp_path, trained, more, said):
    with pytest.raises(InputError, match=said):
        train(tmp_path, "--start_from", trained, *more)


def test_another_structures_weights_do_not_fit(tmp_path, trained):
    other = tmp_path / "other.txt"
    other.write_text(STRUCTURE.replace("24", "32"))
    with pytest.raises(InputError, match="does not fit"):
        train(tmp_path, "--start_from", trained, "--arch", other, classes=32)


def own(**options):
    torch.manual_seed(0)
    return MasterNet(plainnet_struct=STRUCTURE, num_classes=5, **options)


@pytest.mark.parametrize(
    ("parts", "trained", "moving"),
    [
        (("backbone",), {"fc_linear"}, set()),
        (("1",), {"module_list.1", "module_list.2", "fc_linear"}, {"module_list.1", "module_list.2"}),
        (("3",), {"fc_linear"}, set()),
        (("2", "bn"), {"module_list.2", "fc_linear"}, set()),
    ],
)
def test_what_is_frozen_keeps_weights_and_statistics(parts, trained, moving):
    network = own()
    task = Classification(network)
    task.frozen = freeze(network, parts, 5)
    task.train()
    block = {name: ".".join(name.split(".")[: 2 if name.startswith("module") else 1]) for name in network.state_dict()}
    assert {block[name] for name, p in network.named_parameters() if p.requires_grad} == trained
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(torch.randn(4, 3, 16, 16))
    changed = {block[name] for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == moving
    norms = {p for layer in network.modules() if isinstance(layer, nn.BatchNorm2d) for p in layer.parameters()}
    assert not any(p.requires_grad for p in norms) or "bn" not in parts
    task.eval()
    assert not network.training


def test_frozen_parts_of_other_networks():
    network = torchvision.models.resnet18(num_classes=5)
    # conv1, bn1, and two units in each of four stages.
    freeze(network, ("4",), 5)
    assert {name.split(".")[0] for name, p in network.named_parameters() if not p.requires_grad} == {
        *("conv1", "bn1", "layer1")
    }
    for wrong, said in ((("11",), "has 10 blocks"), (("backbone",), "does not end with a layer of 7 classes")):
        with pytest.raises(InputError, match=said):
            freeze(network, wrong, 7 if "7" in said else 5)


def test_layer_decay_is_timms():
    pytest.importorskip("timm", reason="timm is not installed")
    from timm.optim import param_groups_layer_decay

    network = own()
    theirs = param_groups_layer_decay(network, layer_decay=0.7)
    expected = {p: group["lr_scale"] for group in theirs for p in group["params"]}
    assert rate_scales(network, 5, layer_decay=0.7) == pytest.approx(expected)


def test_layer_decay_of_other_networks():
    network = torchvision.models.resnet18(num_classes=5)
    scales = rate_scales(network, 5, head_scale=10, layer_decay=0.5)
    # Of torchvision's: conv1, bn1, eight units and the classifier are eleven layers.
    assert scales[network.conv1.weight] == 0.5**10
    assert scales[network.layer4[1].conv1.weight] == 0.5
    assert scales[network.fc.weight] == 10


def test_rates_reach_the_optimiser(tmp_path):
    settings = OptimiserSettings(head_scale=3.0, layer_decay=0.5)
    schedule = Schedule("linear", 0.1, 0.1, 1, 100)
    task = Classification(own())
    stepper = Stepper(task, TrainingSettings(schedule, settings, 5), "cpu")
    before = {name: p.detach().clone() for name, p in task.network.named_parameters()}
    stepper.step(torch.randn(4, 3, 16, 16), torch.tensor([0, 1, 2, 3]), 0, 0, 0.1)
    rates = {p: group["lr"] for group in stepper.optimiser.param_groups for p in group["params"]}
    assert rates[task.network.get_classifier().weight] == pytest.approx(0.3)
    # Two blocks of two units and one unit, and the stem: four layers in front of the classifier.
    assert rates[task.network.module_list[0].module_list[0].netblock.weight] == pytest.approx(0.1 * 0.5**4)
    # The first step of SGD with momentum is the gradient times the rate.
    for name, p in task.network.named_parameters():
        decayed = p.grad + (4e-5 * before[name] if p.ndim > 1 else 0)
        torch.testing.assert_close(before[name] - p, rates[p] * decayed, atol=1e-6, rtol=1e-3)


def test_a_frozen_fine_tuning_leaves_in_time_and_is_resumed_to_the_same_bits(tmp_path, trained, capsys):
    more = ("--start_from", trained, "--freeze", "1,bn", "--lr", 0.01, "--lr_head", "0.05", "--layer_decay", "0.8")
    more += ("--epochs", 2, "--batch_size", 16)
    whole = train(tmp_path / "whole", *more, classes=3)
    # No time at all: the run leaves after a step.
    torn = train(tmp_path / "torn", *more, "--time_limit", "1e-9", classes=3)
    assert "The time is over (--time_limit" in capsys.readouterr().err
    assert not (torn / "train_image_classification.done").exists()
    assert torch.load(torn / checkpoints.LATEST, weights_only=True)["step"] == 1
    train(torn, *more, "--auto_resume", "--time_limit", "2h", classes=3)
    assert (torn / "train_image_classification.done").exists()
    first, second, begun = weights(whole), weights(torn), weights(trained, checkpoints.BEST)
    assert all(torch.equal(first[key], value) for key, value in second.items())
    stem, last = "module_list.0.module_list.0.netblock.weight", "module_list.2.module_list.0.proj.0.weight"
    assert torch.equal(second[stem], begun[stem]) and not torch.equal(second[last], begun[last])


def test_times_have_units():
    assert [time_limit(text) for text in ("90m", "7.5h", "1d", "5400")] == [5400, 27000, 86400, 5400]


HISTORY = [{"epoch": i, "val_acc1": top1} for i, top1 in enumerate([10.0, 30.0, 20.0, 30.0, None, 25.0])]


@pytest.mark.parametrize(
    ("epochs", "patience", "ends"),
    [
        # Best at epoch 1; the same at 3 is not better; nobody knows after 4, which was not validated.
        (2, 1, False),
        (3, 1, True),
        (4, 2, True),
        (4, 3, False),
        (5, 3, False),
        (6, 4, True),
        (6, None, False),
    ],
)
def test_patience_by_hand(epochs, patience, ends):
    assert has_no_progress(HISTORY[:epochs], "val_acc1", 1, patience, 10) == ends
    assert not has_no_progress(HISTORY[:epochs], "val_acc1", 1, patience, epochs)


def test_the_best_epochs_are_kept(tmp_path):
    (tmp_path / "best-params_epoch9.pth").touch()  # of an earlier training
    for epochs in range(1, 7):
        checkpoints.keep_best(tmp_path, HISTORY[:epochs], "val_acc1", 2, lambda file: file.write_text(file.name))
    # Top-1 of 30 twice, at the second and the fourth epoch.
    assert sorted(file.name for file in tmp_path.iterdir()) == ["best-params_epoch2.pth", "best-params_epoch4.pth"]


def test_checkpoints_are_kept_where_a_file_has_one_name_alone(tmp_path, monkeypatch):
    """As on FAT, and on cloud drives."""

    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(checkpoints.os, "link", refuse)
    for epoch in range(3):
        checkpoints.save_latest(tmp_path, {"epoch": epoch})
    kept = {file.name: torch.load(file, weights_only=True)["epoch"] for file in tmp_path.iterdir()}
    assert kept == {checkpoints.LATEST: 2, checkpoints.BACKUP: 1}


def test_a_training_ends_without_progress_and_goes_on_with_more_patience(tmp_path, capsys):
    # A rate of nothing, and no statistics: every epoch validates to the same figure, so that the first one is the best.
    network = ("--arch", "PlainNet", "--plainnet_struct", "SuperConvK1BNRELU(3,4,2,1)", "--input_image_size", 8)
    more = (*network, "--lr", 1e-30, "--wd", 0, "--bn_momentum", 0, "--keep_best", 2)
    folder = train(tmp_path, *more, "--epochs", 9, "--patience", 2, "--save_freq", 4)
    assert "Nothing better for 2 epochs (patience): the training ends after 3 of 9 epochs" in capsys.readouterr().err
    kept = torch.load(folder / "best-params_epoch2.pth", weights_only=True)
    assert (kept["epoch"], (folder / "best-params_epoch1.pth").is_file()) == (1, True)
    assert torch.load(folder / checkpoints.LATEST, weights_only=True)["epoch"] == 2
    # The folder means its best epoch.
    assert described(folder).description.accuracy["epoch"] == 0
    assert described(folder / checkpoints.LATEST).description.accuracy["epoch"] == 2
    assert (
        train(tmp_path, *more, "--epochs", 9, "--patience", 2, "--save_freq", 4) and "skip" in capsys.readouterr().err
    )
    with pytest.raises(InputError, match="ended by --patience: go on"):
        train(tmp_path, *more, "--epochs", 9, "--patience", 3)
    train(tmp_path, *more, "--epochs", 9, "--patience", 3, "--auto_resume")
    assert len((folder / "log.csv").read_text().splitlines()) == 1 + 4


def test_class_weights_by_hand(caplog):
    logits, targets = torch.tensor([[1.0, 2, 3], [0, 0, 1]]), torch.tensor([2, 0])
    weights = torch.tensor([2.0, 1, 0.5])
    # torch divides by the sum of the weights met, and has the same sum.
    theirs = nn.functional.cross_entropy(logits, targets, weights, reduction="sum") / 2
    task = Classification(nn.Identity())
    task.weigh(weights)
    assert task(logits, smoothed_targets(targets, 3))[0] == pytest.approx(float(theirs))
    assert not task.state_dict()
    # Six images: 6 / (3 * 1), 6 / (3 * 2), 6 / (3 * 3); a fourth class without images counts as 1.
    images = SimpleNamespace(targets=[0, 1, 1, 2, 2, 2])
    assert weights_of("balanced", images, 4).tolist() == pytest.approx([2, 1, 2 / 3, 1])
    assert weights_of((1, 2), images, 2).tolist() == [1, 2]
    for wanted, images, said in (
        ((1, 2), None, "2 numbers for 3 classes"),
        ((0, 0, 0), None, "0 for every class"),
        ("balanced", object(), "give a number for each class"),
    ):
        with pytest.raises(InputError, match=said):
            weights_of(wanted, images, 3)


def test_flips_are_the_mean_of_both_probabilities():
    network = own().eval()
    images = torch.randn(3, 3, 16, 16)
    with torch.no_grad():
        mean = (network(images).softmax(1) + network(images.flip(3)).softmax(1)) / 2
        torch.testing.assert_close(Mirrored(network)(images).softmax(1), mean)


def test_options_of_fine_tuning(capsys):
    for option, value, said in (
        ("--freeze", "heads", "neither a number of blocks"),
        ("--layer_decay", "1.5", "is not a factor"),
        ("--class_weights", "1,x", "neither balanced nor a list"),
        ("--time_limit", "5x", "90m or 7.5h"),
    ):
        with pytest.raises(SystemExit, match="2"):
            script.main(["--dataset", "fake", "--save_dir", "x", option, value])
        assert said in capsys.readouterr().err


def test_a_real_sets_classes_are_weighed_validated_with_flips_and_called_otherwise(tmp_path, noise_images, capsys):
    folder, others = tmp_path / "training", tmp_path / "others"
    common = ("--batch_size", 8, "--workers", 0, "--epochs", 1)
    network = ("--arch", "PlainNet", "--plainnet_struct", STRUCTURE, "--input_image_size", 16)
    run = ("--dataset", "cifar10", "--data_dir", noise_images, *common, "--save_dir", folder)
    script.main([str(argument) for argument in (*run, *network, "--class_weights", "balanced")])
    assert "Classes count from" in capsys.readouterr().err
    assert val.main(["--arch", str(folder), "--flip", "--json", "--workers", "0"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["flip"] is True and found["loss"] != described(folder).description.accuracy["loss"]
    # As many classes, of which the last is another.
    shutil.copytree(noise_images, others)
    for split in ("train", "test"):
        (others / split / "9").rename(others / split / "rose")
    for data_dir, warnings in ((noise_images, 0), (others, 1)):
        begin = ("--start_from", folder, "--dataset", "image_folder", "--data_dir", data_dir, *common, "--dry_run")
        script.main([str(argument) for argument in (*begin, "--save_dir", tmp_path / "none")])
        said = "the classifier is kept, and 1 of its 10 classes have other names: class 9 was 9 and is now rose"
        assert capsys.readouterr().err.count(said) == warnings
