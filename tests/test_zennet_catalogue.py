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


def test_no_weights_are_looked_for_unless_asked(monkeypatch):
    monkeypatch.setattr(networks, "find_weights", lambda *_: pytest.fail("weights were looked for"))
    assert inspect.signature(ZenNet.get_ZenNet).parameters["pretrained"].default is False
    assert ZenNet.get_ZenNet("zennet_cifar10_model_size05M_res32").num_classes == 10
