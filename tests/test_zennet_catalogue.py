"""The table of published networks against the golden keys, shapes and parameter counts."""

import inspect
import json
from pathlib import Path

import pytest
import torch

import PlainNet
import ZenNet
from Masternet import MasterNet
from PlainNet import Style
from ZenNet import networks

GOLDEN = Path(__file__).parent / "golden"
PUBLISHED = ZenNet.list_models("zennet_*")


def test_fifteen_published_networks_and_the_backbone():
    assert len(PUBLISHED) == 15
    assert ZenNet.list_models("zennet_imagenet*") == [n for n in PUBLISHED if "imagenet" in n]
    assert len(ZenNet.list_models("zennet_imagenet*")) == 9
    assert set(ZenNet.list_models()) - set(PUBLISHED) == {"gsmodel_l"}


@pytest.mark.parametrize("name", ZenNet.list_models())
def test_keys_and_shapes_are_the_checkpoints(name):
    entry = ZenNet.published(name)
    file = "masternet_gsmodel_l" if name == "gsmodel_l" else name
    golden = json.loads((GOLDEN / "state_dict" / f"{file}.json").read_text())
    with torch.device("meta"):
        network = MasterNet(num_classes=entry.classes, plainnet_struct=entry.structure, use_se=entry.se)
    assert [(key, list(value.shape)) for key, value in network.state_dict().items()] == list(golden.items())
    assert sum(p.numel() for p in network.parameters()) == entry.parameters
    cost = PlainNet.parse(entry.structure).cost(entry.resolution, entry.classes, Style(use_se=entry.se))
    assert cost.parameters == entry.parameters


def test_crops_and_paths():
    crops = {name: ZenNet.published(name).crop for name in PUBLISHED if "imagenet" in name}
    assert {n: c for n, c in crops.items() if c != 320} == {"zennet_imagenet1k_latency12ms_res224": 380}
    paths = {ZenNet.published(name).path for name in PUBLISHED}
    assert len(paths) == 15
    assert "zennet_imagenet1k_flops900M_SE_res224/student_best-params_rank0.pth" in paths
    assert "iccv2021_zennet_imagenet1k_flops400M_SE_res224/student_best-params_rank0.pth" in paths


def test_an_unknown_name_names_the_nearest():
    with pytest.raises(ZenNet.UnknownNetworkError, match="zennet_imagenet1k_latency01ms_res224"):
        ZenNet.get_ZenNet("zennet_imagenet1k_latency1ms_res224")
    with pytest.raises(ValueError, match="it must be one of zennet_cifar10"):
        ZenNet.published("nothing alike")


def test_timm_creates_them():
    timm = pytest.importorskip("timm", reason="timm is not installed")
    assert ZenNet.register_with_timm() == ZenNet.list_models()
    network = timm.create_model("zennet_cifar10_model_size05M_res32", num_classes=7)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize(
    "option",
    [
        {"features_only": True},
        {"in_chans": 1},
        {"drop_path_rate": 0.1},
        {"drop_rate": 0.2},
        {"global_pool": "max"},
        {"pretrained_cfg_overlay": {"num_classes": 3}},
        {"nonsense": 1},
    ],
    ids=lambda option: next(iter(option)),
)
def test_timm_options_that_would_be_swallowed_are_refused(option):
    timm = pytest.importorskip("timm", reason="timm is not installed")
    ZenNet.register_with_timm()
    with pytest.raises(TypeError, match=rf"cannot be made with {next(iter(option))}=.*its options are num_classes"):
        timm.create_model("zennet_cifar10_model_size05M_res32", **option)


def test_timm_options_that_ask_for_what_is_there_are_taken():
    timm = pytest.importorskip("timm", reason="timm is not installed")
    ZenNet.register_with_timm()
    # What timm's own train.py passes to every model.
    network = timm.create_model(
        "zennet_cifar10_model_size05M_res32",
        in_chans=3,
        drop_rate=0.0,
        drop_path_rate=None,
        global_pool=None,
        use_se=True,
    )
    assert network.style.use_se


def test_no_weights_are_looked_for_unless_asked(monkeypatch):
    monkeypatch.setattr(networks, "find_weights", lambda *_: pytest.fail("weights were looked for"))
    assert inspect.signature(ZenNet.get_ZenNet).parameters["pretrained"].default is False
    assert ZenNet.get_ZenNet("zennet_cifar10_model_size05M_res32").num_classes == 10
