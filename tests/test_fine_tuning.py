"""Trainings that begin with what another one learnt."""

import pytest
import torch

from gsnet.commands import train_image_classification as script
from gsnet.interface.options import InputError
from gsnet.training import checkpoints
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
    return train(folder, *network, "--weight_init", "custom")


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


def test_a_published_network_begins_a_training(tmp_path, monkeypatch, capsys):
    whole = get_ZenNet(CIFAR)
    monkeypatch.setenv("ZENNET_HOME", str(tmp_path))
    (tmp_path / CIFAR).mkdir()
    torch.save(whole.state_dict(), tmp_path / CIFAR / "best-params_rank0.pth")
    more = ("--lr", 1e-30, "--wd", 0, "--input_image_size", 8)
    folder = train(tmp_path / "out", "--start_from", CIFAR, *more, classes=3, images=32)
    assert f"{CIFAR}: the classifier starts anew, with 3 classes instead of 10" in capsys.readouterr().err
    stem = "module_list.0.module_list.0.netblock.weight"
    assert torch.equal(weights(folder)[stem], whole.state_dict()[stem])


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
