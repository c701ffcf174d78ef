"""Networks by name: each source, the weights, and what their images should be."""

import json
import pickle
import re

import pytest
import torch
from torchvision.models import GoogLeNet_Weights, ResNet18_Weights, googlenet, resnet18

import PlainNet
from gsnet.interface.description import KEY
from gsnet.interface.options import InputError
from gsnet.models import expected_input, libraries, load_model
from gsnet.training.describing import complete
from gsnet.training.networks import build_network
from gsnet.training.options import parse, parser
from ZenNet.files import NoWeightsError

STRUCTURE = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperConvK1BNRELU(16,32,1,1)"


def parameters(network):
    return sum(p.numel() for p in network.parameters())


# Figures of the papers and of torchvision's documentation, for 1000 classes.
@pytest.mark.parametrize(
    ("arch", "count"),
    [
        ("resnet18", 11_689_512),
        ("mobilenet_v2", 3_504_872),
        ("myresnet50", 25_557_032),
        ("shufflenet_v2_x0_5", 1_366_792),
    ],
)
def test_torchvision_names(arch, count):
    assert parameters(load_model(arch)) == count


def test_classes_are_passed_on():
    assert load_model("resnet18", num_classes=10).eval()(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    assert load_model("googlenet", num_classes=3).fc.out_features == 3
    assert load_model("zennet_cifar10_model_size05M_res32", num_classes=4).num_classes == 4


def test_inception_weights_normalise_images_their_own_way(monkeypatch):
    source = googlenet(init_weights=False).state_dict()
    monkeypatch.setattr(GoogLeNet_Weights, "get_state_dict", lambda self, **_: source)
    assert load_model("googlenet", pretrained=True).transform_input
    assert not load_model("googlenet", num_classes=10).transform_input


def test_myresnet_begins_as_its_shortcuts():
    network = load_model("myresnet18", num_classes=10)
    assert not any(m.bn2.weight.any() for m in network.modules() if hasattr(m, "bn2"))
    with pytest.raises(InputError, match="There is no myresnet20"):
        load_model("myresnet20")


def test_structures(tmp_path):
    file = tmp_path / "best_structure.txt"
    file.write_text(STRUCTURE + "\n")
    count = PlainNet.parse(STRUCTURE).cost(32, 10).parameters
    for arch, options in [
        (str(file), {}),
        ("PlainNet", {"plainnet_struct": STRUCTURE}),
        ("Masternet.py:MasterNet", {"plainnet_struct": STRUCTURE}),
    ]:
        network = load_model(arch, num_classes=10, **options)
        assert parameters(network) == count
        assert type(network).__module__ == "Masternet"
    assert parameters(load_model(str(file), num_classes=10, use_se=True)) > count
    with pytest.raises(InputError, match="built from a structure"):
        load_model("Masternet.py:MasterNet")
    with pytest.raises(InputError, match=r"No weights of .* were published"):
        load_model(str(file), pretrained=True)
    with pytest.raises(InputError, match="There is no file"):
        load_model("absent.txt")


def test_what_has_no_weights_says_what_can_be_done_in_any_script():
    """Some take a checkpoint by another option, and lack others."""
    error = NoWeightsError("No host:", before=("put it at a.pth",), after=("name a mirror with --weights_url",))
    for one in (error, pickle.loads(pickle.dumps(error))):
        told = "No host: put it at a.pth, give a checkpoint with --weights FILE, or name a mirror with --weights_url"
        assert str(one) == told
        assert one.told("--load_parameters_from") == (
            "No host: put it at a.pth, or give a checkpoint with --load_parameters_from FILE"
        )
    assert NoWeightsError("None:").told("--start") == "None: give a checkpoint with --start FILE"


@pytest.mark.parametrize(
    ("arch", "why"), [("PlainNet", "No weights of PlainNet were published"), (None, "of a search")]
)
def test_a_training_names_its_own_option_for_weights(arch, why, tmp_path):
    description = {"structure": STRUCTURE, "resolution": 8, "classes": 10}
    (tmp_path / "best.json").write_text(json.dumps({KEY: description}))
    network = ["--arch", str(tmp_path)] if arch is None else ["--arch", arch, "--plainnet_struct", STRUCTURE]
    asked = [*network, "--pretrained", "--dataset", "fake", "--num_classes", "10", "--input_image_size", "8"]
    asked += ["--save_dir", str(tmp_path / "out")]
    options = parse(parser("", asked), asked)
    complete(options)
    with pytest.raises(InputError, match=why) as caught:
        build_network(options, 10)
    assert str(caught.value).endswith("give a checkpoint with --load_parameters_from FILE")
    assert "--weights " not in str(caught.value) and "--untrained" not in str(caught.value)


def test_a_class_in_a_python_file(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch import nn\n"
        "class Mine(nn.Linear):\n    def __init__(self, num_classes):\n        super().__init__(2, num_classes)\n"
        "def number():\n    return 3\n"
    )
    assert load_model(f"{file}:Mine", num_classes=5).out_features == 5
    with pytest.raises(InputError, match="has no class Yours; it has Mine"):
        load_model(f"{file}:Yours")
    with pytest.raises(InputError, match=r"gives a int, not a torch.nn.Module"):
        load_model(f"{file}:number")
    with pytest.raises(InputError, match="There is no file"):
        load_model("absent.py:Mine")


def test_unknown_names_name_the_nearest():
    with pytest.raises(InputError, match="resnet18"):
        load_model("resent18")
    with pytest.raises(InputError, match="known are"):
        load_model("nothing like any")


def test_weights_from_a_file_are_strict(tmp_path):
    source = resnet18(num_classes=10)
    torch.save({"state_dict": source.state_dict()}, tmp_path / "r18.pth")
    network = load_model("resnet18", num_classes=10, weights=str(tmp_path / "r18.pth"))
    assert torch.equal(network.conv1.weight, source.conv1.weight)
    with pytest.raises(InputError, match="2 have another shape"):
        load_model("resnet18", num_classes=11, weights=str(tmp_path / "r18.pth"))
    with pytest.raises(InputError, match="does not fit"):
        load_model("resnet34", num_classes=10, weights=str(tmp_path / "r18.pth"))


def test_pretrained_weights_keep_all_but_another_classifier(monkeypatch):
    source = resnet18().state_dict()
    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", lambda self, **_: source)
    network = load_model("resnet18", num_classes=10, pretrained=True).state_dict()
    assert all(torch.equal(network[k], source[k]) for k in source if not k.startswith("fc."))
    assert network["fc.weight"].shape == (10, 512)
    assert torch.equal(load_model("resnet18", pretrained=True).fc.weight, source["fc.weight"])


def test_weights_without_a_network_connection(monkeypatch):
    def fail(self, **_):
        raise OSError("no route to host")

    monkeypatch.setattr(ResNet18_Weights, "get_state_dict", fail)
    with pytest.raises(InputError, match=r"no route to host.*--weights FILE"):
        load_model("resnet18", pretrained=True)


def test_expected_inputs():
    expected = expected_input("zennet_imagenet1k_latency12ms_res224")
    assert (expected.resolution, expected.crop, expected.resize, expected.interpolation) == (224, 380, 435, "bicubic")
    cifar = expected_input("zennet_cifar100_model_size1M_res32")
    assert (cifar.resolution, cifar.resize, cifar.classes, cifar.mean[0]) == (32, 32, 100, 0.4914)
    # torchvision's documentation of its second weights: resized to 232, cropped to 224, bilinear.
    resnet = expected_input("resnet50")
    assert (resnet.resolution, resnet.resize, resnet.interpolation, resnet.classes) == (224, 232, "bilinear", 1000)
    assert expected_input("best_structure.txt").crop == 224


@pytest.mark.parametrize(
    ("geffnet", "timm"),
    [
        ("tf_efficientnet_b3_ns", "tf_efficientnet_b3.ns_jft_in1k"),
        ("tf_efficientnet_b7_ap", "tf_efficientnet_b7.ap_in1k"),
        ("tf_efficientnet_b0", "tf_efficientnet_b0.aa_in1k"),
        ("tf_efficientnet_b8", "tf_efficientnet_b8.ra_in1k"),
        ("tf_efficientnet_l2_ns_475", "tf_efficientnet_l2.ns_jft_in1k_475"),
        ("tf_efficientnet_lite4", "tf_efficientnet_lite4.in1k"),
        ("mnasnet_a1", "semnasnet_100"),
        ("mixnet_s", "mixnet_s"),
    ],
)
def test_geffnet_names(geffnet, timm):
    assert libraries.geffnet_to_timm(geffnet) == timm
    if libraries.timm_installed():
        import timm as library

        assert library.is_model(timm)
        assert "." not in timm or timm in library.list_pretrained(timm)


def test_timm():
    pytest.importorskip("timm", reason="timm is not installed")
    network = load_model("geffnet_efficientnet_lite0", num_classes=10).eval()
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 10)
    assert expected_input("geffnet_tf_efficientnet_b3_ns").crop == 300
    with pytest.raises(InputError, match="has no network"):
        load_model("geffnet_nothing")


def test_timm_names_without_timm(monkeypatch):
    monkeypatch.setattr(libraries, "timm_installed", lambda: False)
    with pytest.raises(InputError, match=re.escape("tf_mixnet_l.in1k is a network of timm, which is not installed")):
        load_model("geffnet_tf_mixnet_l")
