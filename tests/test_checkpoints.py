"""Checkpoints of other programs, each made by the program itself or in its layout: read with nothing executed."""

import argparse
import collections
import datetime
import os
import pathlib

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torchvision.models import resnet18

from gsnet.detection.checkpoint import read_checkpoint
from gsnet.models import load_model
from ZenNet import WeightsError
from ZenNet.state import read_state
from ZenNet.unpickling import load_plain


class Small(nn.Sequential):
    """A linear layer, a normalisation, a linear layer."""

    def __init__(self):
        super().__init__(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.Linear(3, 2))


def small(value):
    network = Small()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)
    return network


def saved(tmp_path, content, name="checkpoint.pth"):
    torch.save(content, tmp_path / name)
    return tmp_path / name


def assert_all(state, value):
    assert state.keys() == Small().state_dict().keys()
    assert all((v == value).all() for k, v in state.items() if k.endswith(("weight", "bias")))


def saver(tmp_path, model, **options):
    """timm's own saver, with what its train.py gives it."""
    utils = pytest.importorskip("timm.utils", reason="timm is not installed")
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    args = argparse.Namespace(model="small", lr=0.1, output="out", split=None, mean=(0.5, 0.5))
    return utils.CheckpointSaver(model, optimizer, args=args, checkpoint_dir=str(tmp_path), **options)


def test_a_checkpoint_of_timm(tmp_path, caplog):
    saver(tmp_path, small(2)).save_checkpoint(0, metric=np.float64(71.5))
    assert_all(read_state(tmp_path / "last.pth.tar"), 2)
    assert "averaged" not in caplog.text


def test_timms_averaged_weights_are_chosen_and_it_is_said(tmp_path, caplog):
    utils = pytest.importorskip("timm.utils", reason="timm is not installed")
    from timm.models import load_state_dict

    average = utils.ModelEmaV3(small(5), decay=0.5)
    saver(tmp_path, small(2), model_ema=average).save_checkpoint(0, metric=71.5)
    found = read_state(tmp_path / "last.pth.tar")
    assert_all(found, 5)
    assert "its averaged weights (state_dict_ema) are used, not those beside them" in caplog.text
    theirs = load_state_dict(str(tmp_path / "last.pth.tar"))
    assert found.keys() == theirs.keys() and all(torch.equal(found[k], theirs[k]) for k in theirs)


def test_a_checkpoint_of_a_compiled_network_of_timm(tmp_path):
    # As timm's train.py does with --torchcompile, which leaves the wrapper's name in the keys of the averaged weights.
    utils = pytest.importorskip("timm.utils", reason="timm is not installed")
    compiled = torch.compile(small(2))
    average = utils.ModelEmaV3(compiled, decay=0.5)
    saver(tmp_path, compiled, model_ema=average).save_checkpoint(0)
    assert_all(read_state(tmp_path / "last.pth.tar", Small().state_dict()), 2)


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda network: torch.compile(network),
        lambda network: nn.DataParallel(network),
        lambda network: nn.DataParallel(torch.compile(network)),
        lambda network: torch.compile(nn.DataParallel(network)),
        lambda network: nn.Sequential(collections.OrderedDict(model=torch.compile(network))),
        lambda network: AveragedModel(network),
    ],
    ids=["compile", "parallel", "parallel-compile", "compile-parallel", "model-compile", "averaged"],
)
def test_what_was_wrapped_around_a_network_is_taken_off(tmp_path, wrapped):
    keys = wrapped(small(3)).state_dict()
    assert keys.keys() != Small().state_dict().keys()
    assert_all(read_state(saved(tmp_path, keys)), 3)
    assert_all(read_state(saved(tmp_path, {"model_ema": keys}), Small().state_dict()), 3)


def test_a_compiled_part_of_a_network(tmp_path):
    network = small(3)
    network[0] = torch.compile(network[0])
    assert "0._orig_mod.weight" in network.state_dict()
    assert_all(read_state(saved(tmp_path, network.state_dict()), Small().state_dict()), 3)


@pytest.mark.parametrize(
    "key", ["state_dict", "model", "net", "model_state_dict", "state_dict_ema", "model_ema", "ema_state_dict"]
)
def test_names_under_which_trainings_keep_weights(tmp_path, key):
    content = {"epoch": 3, "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]}, key: small(4).state_dict()}
    assert_all(read_state(saved(tmp_path, content)), 4)


def test_weights_under_a_name_that_only_their_training_knows(tmp_path, caplog):
    caplog.set_level("INFO")
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    content = {"epoch": 3, "optim": optimizer, "my_network": small(4).state_dict()}
    assert_all(read_state(saved(tmp_path, content)), 4)
    assert "checkpoint.pth: the weights under my_network are used" in caplog.text
    # Which of two it is, nobody knows.
    with pytest.raises(WeightsError, match=r"holds no weights: .*it has epoch, optim, my_network, critic"):
        read_state(saved(tmp_path, content | {"critic": small(1).state_dict()}))


def test_the_part_of_a_larger_module_that_is_the_network(tmp_path, caplog):
    whole = nn.ModuleDict({"backbone": small(3), "projector": nn.Linear(2, 2)})
    assert_all(read_state(saved(tmp_path, {"state_dict": whole.state_dict()}), Small().state_dict()), 3)
    assert "2 tensors beside the network's are left out (projector.weight, …)" in caplog.text
    deeper = nn.ModuleDict({"encoder": nn.ModuleDict({"net": small(4)}), "head": nn.Linear(2, 2)})
    assert_all(read_state(saved(tmp_path, deeper.state_dict()), Small().state_dict()), 4)
    # Which of two networks is meant, is not guessed.
    both = nn.ModuleDict({"student": small(3), "teacher": small(2)})
    with pytest.raises(
        WeightsError, match=r"pth holds the network's weights more than once, as student and teacher: save one"
    ):
        read_state(saved(tmp_path, both.state_dict()), Small().state_dict())


def test_no_averaged_weights_where_a_training_had_none(tmp_path):
    content = {"model": small(4).state_dict(), "model_ema": None}
    assert_all(read_state(saved(tmp_path, content)), 4)


def lightning(**others):
    """What pytorch-lightning 2.6 writes for a module with the network as `model` and weighted classes in its loss."""
    state = {f"model.{key}": value for key, value in small(6).state_dict().items()}
    return {
        "epoch": 1,
        "global_step": 2,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": state | others,
        "loops": {"fit_loop": {}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": None}},
        "lr_schedulers": [{"milestones": collections.Counter({30: 1, 60: 1}), "gamma": 0.1}],
        "hyper_parameters": {"lr": 0.1, "folder": pathlib.Path("data"), "args": argparse.Namespace(seed=1)},
    }


def test_a_checkpoint_of_lightning(tmp_path, caplog):
    assert_all(read_state(saved(tmp_path, lightning())), 6)
    assert not caplog.text
    file = saved(tmp_path, lightning(**{"loss.weight": torch.ones(2)}))
    for own in ((), Small().state_dict()):
        caplog.clear()
        assert_all(read_state(file, own), 6)
        assert "1 tensors beside the network's are left out (loss.weight, …)" in caplog.text


def test_lightning_with_the_network_under_another_name(tmp_path):
    content = lightning(**{"loss.weight": torch.ones(2)})
    content["state_dict"] = {key.replace("model.", "student."): v for key, v in content["state_dict"].items()}
    assert_all(read_state(saved(tmp_path, content), Small().state_dict()), 6)


@pytest.mark.parametrize("prefix", ["model", "module"])
def test_a_network_whose_own_keys_begin_like_a_wrapper_is_left_as_it_is(tmp_path, prefix):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\nclass Mine(nn.Module):\n    def __init__(self, num_classes):\n"
        f"        super().__init__()\n        self.{prefix} = nn.Linear(2, num_classes)\n"
        f"    def forward(self, images):\n        return self.{prefix}(images.mean(dim=(2, 3)))\n"
    )
    weights = {f"{prefix}.weight": torch.ones(3, 2), f"{prefix}.bias": torch.zeros(3)}
    arch = f"{tmp_path}/mine.py:Mine"
    for content in (weights, {f"_orig_mod.{key}": value for key, value in weights.items()}):
        network = load_model(arch, num_classes=3, weights=str(saved(tmp_path, content)))
        assert torch.equal(getattr(network, prefix).weight, torch.ones(3, 2))


def test_a_whole_network_of_torchvision_from_its_references(tmp_path):
    network = resnet18(num_classes=3)
    average = AveragedModel(network)
    args = argparse.Namespace(data_path="/data", model="resnet18", start_epoch=0)
    content = {"model": network.state_dict(), "model_ema": average.state_dict(), "args": args, "epoch": 1}
    loaded = load_model("resnet18", num_classes=3, weights=str(saved(tmp_path, content)))
    assert torch.equal(loaded.fc.weight, network.fc.weight)


@pytest.mark.parametrize("arch", ["resnet18", "SuperConvK3BNRELU(3,8,2,1)", "mine"])
def test_a_checkpoint_says_how_many_classes_its_network_has(tmp_path, arch):
    if arch == "mine":
        (tmp_path / "mine.py").write_text(
            "from torch import nn\ndef network(num_classes=10):\n"
            "    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, num_classes))\n"
        )
        arch = f"{tmp_path / 'mine.py'}:network"
    trained = load_model(arch, num_classes=7).eval()
    file = str(saved(tmp_path, trained.state_dict()))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    loaded = load_model(arch, weights=file).eval()
    with torch.no_grad():
        assert torch.equal(loaded(images), trained(images))
    assert loaded(images).shape == (2, 7)
    with pytest.raises(WeightsError, match=r"; it has 7 classes, not 5$"):
        load_model(arch, num_classes=5, weights=file)


def test_harmless_objects_beside_the_weights(tmp_path):
    beside = {
        "args": argparse.Namespace(out=pathlib.PurePosixPath("a/b"), when=datetime.datetime(2026, 1, 2)),
        "numpy": (np.float32(1.5), np.int64(3), np.bool_(True), np.random.default_rng(0).standard_normal(3)),
        "state": np.random.RandomState(0).get_state(),
        "meters": collections.defaultdict(list, loss=[1.0]),
        "last": collections.deque([1, 2]),
    }
    found = load_plain(saved(tmp_path, beside | {"model": small(1).state_dict()}))
    assert found["args"] == beside["args"] and found["meters"] == beside["meters"]
    assert found["numpy"][:3] == beside["numpy"][:3]
    np.testing.assert_array_equal(found["state"][1], beside["state"][1])


def test_a_path_of_windows_is_read_anywhere(tmp_path):
    file = saved(
        tmp_path, {"model": {"a": torch.ones(1)}, "args": argparse.Namespace(out=pathlib.PureWindowsPath("a"))}
    )
    assert load_plain(file)["args"].out == pathlib.PureWindowsPath("a")


class Bomb:
    """Runs a command when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return os.system, (f"touch {self.file}",)


@pytest.mark.parametrize("new", [True, False], ids=["zip", "before torch 1.6"])
@pytest.mark.parametrize("place", ["beside", "inside", "alone"])
def test_nothing_is_executed(tmp_path, place, new):
    bomb, weights = Bomb(tmp_path / "ran"), small(1).state_dict()
    content = {
        "beside": {"model": weights, "args": bomb},
        "inside": {"model": weights, "args": argparse.Namespace(inner=bomb)},
        "alone": bomb,
    }[place]
    torch.save(content, tmp_path / "bomb.pth", _use_new_zipfile_serialization=new)
    with pytest.raises(
        WeightsError, match=r"holds other objects than weights .*\(posix.system\), and nothing .* executed"
    ):
        read_state(tmp_path / "bomb.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("new", [True, False], ids=["zip", "before torch 1.6"])
def test_a_pickled_module_is_refused_in_true_words(tmp_path, new):
    torch.save(
        {"epoch": 1, "model": nn.Sequential(nn.Linear(2, 2))}, tmp_path / "m.pth", _use_new_zipfile_serialization=new
    )
    with pytest.raises(WeightsError, match=r"holds a pickled module \(torch.nn.*state_dict\(\)") as caught:
        read_state(tmp_path / "m.pth")
    assert "torn" not in str(caught.value) and "\n" not in str(caught.value)
    # The detector's checkpoints go the same way.
    with pytest.raises(WeightsError, match="holds a pickled module"):
        read_checkpoint(tmp_path / "m.pth")


def test_files_that_are_no_checkpoints_are_named_what_they_are(tmp_path):
    torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "script.pt")
    np.savez(tmp_path / "arrays.npz", a=np.zeros(3))
    whole = saved(tmp_path, small(1).state_dict()).read_bytes()
    for cut in (100, len(whole) // 2):
        (tmp_path / f"torn{cut}.pth").write_bytes(whole[:-cut])
        with pytest.raises(WeightsError, match="is torn"):
            read_state(tmp_path / f"torn{cut}.pth")
    with pytest.raises(WeightsError, match="is a TorchScript archive"):
        read_state(tmp_path / "script.pt")
    with pytest.raises(WeightsError, match="archive of another kind"):
        read_state(tmp_path / "arrays.npz")
    with pytest.raises(WeightsError, match=r"holds no weights.*it has epoch, history"):
        read_state(saved(tmp_path, {"epoch": 1, "history": [1.0]}))
