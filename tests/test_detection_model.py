"""The detector's network: the golden values of an independent implementation, counts, taps and weights."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import PlainNet
import ZenNet
from gsnet.detection.auxiliary import Auxiliary
from gsnet.detection.backbone import Backbone
from gsnet.detection.catalogue import published_settings, structure_of
from gsnet.detection.detector import Detector
from gsnet.detection.neck import GhostPAN
from gsnet.detection.settings import DetectorSettings
from gsnet.detection.taps import tap_points
from gsnet.interface.options import InputError
from gsnet.models import load_model
from Masternet import MasterNet
from PlainNet.stages import without_tail
from tests.detection_golden import GOLDEN, agrees, fill, hashed, pattern, unit
from ZenNet import WeightsError

GSMODEL_L = ZenNet.published("gsmodel_l").structure
SMALL = (
    "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,16,2,8,1)SuperGhostShuffleK5(16,24,2,16,2)"
    "SuperGhostShuffleK3(24,32,2,16,3)SuperGhostShuffleK3(32,48,2,24,2)SuperConvK1BNRELU(48,64,1,1)"
)
PUBLISHED = json.loads((Path(__file__).parent / "golden/state_dict/deployed_GhostShuffleNet.json").read_text())


def settings_of(name):
    config = GOLDEN["params"][name]["config"]
    return DetectorSettings(
        GSMODEL_L,
        tuple(f"class {i}" for i in range(config["num_classes"])),
        extra_level=len(config["strides"]) == 4,
        neck_channels=config["neck_channels"],
        head_channels=config["head_channels"],
    )


def parameters(module):
    return sum(p.numel() for p in module.parameters())


def test_the_hash_is_the_golden_files():
    check = GOLDEN["forward"]["hash_check"]
    torch.testing.assert_close(unit(5, 0), torch.tensor(check["first5"], dtype=torch.float64), rtol=1e-11, atol=0)
    torch.testing.assert_close(
        unit(3, 12345), torch.tensor(check["off12345_first3"], dtype=torch.float64), rtol=1e-11, atol=0
    )


@pytest.mark.parametrize("name", GOLDEN["params"])
def test_parameters_are_the_published_ones(name):
    golden = GOLDEN["params"][name]
    with torch.device("meta"):
        detector = Detector(settings_of(name))
        auxiliary = detector.auxiliary()
    neck = golden["neck"]
    assert parameters(detector) == golden["inference_total"]
    assert parameters(detector.backbone) == golden["backbone"]
    assert parameters(detector.neck) == neck["total"]
    assert [parameters(p) for p in detector.neck.reduce] == neck["reduce_layers"]
    assert [parameters(p) for p in detector.neck.top_down] == neck["top_down_blocks"]
    assert [parameters(p) for p in detector.neck.downsample] == neck["downsamples"]
    assert [parameters(p) for p in detector.neck.bottom_up] == neck["bottom_up_blocks"]
    assert [parameters(p) for p in detector.neck.extra] == neck["extra_in"] + neck["extra_out"]
    assert {parameters(p) for p in detector.head.towers} == {golden["head"]["tower_per_level"]}
    assert {parameters(p) for p in detector.head.predict} == {golden["head"]["pred_per_level"]}
    assert parameters(auxiliary.neck) == golden["aux"]["neck_copy"]
    assert parameters(auxiliary.head) == golden["aux"]["head"]


@pytest.mark.parametrize("name", GOLDEN["params"])
def test_multiply_accumulates_are_the_published_ones(name):
    golden = GOLDEN["params"][name]["conv_macs"]
    with torch.device("meta"):
        detector = Detector(settings_of(name)).eval()
        with FlopCounterMode(display=False) as counter:
            detector(torch.empty(1, 3, 640, 640))
    assert counter.get_total_flops() == 2 * golden["640"]


def test_the_value_of_the_backbone_costs_what_the_module_does():
    golden = GOLDEN["backbone"]
    network = without_tail(PlainNet.parse(GSMODEL_L))
    for side, macs in golden["conv_macs"].items():
        cost = network.cost(int(side), style=PlainNet.DEPLOYED)
        assert (cost.parameters, cost.flops) == (golden["total"], macs)
    reported = [row.cost.parameters for row in network.report(320, PlainNet.DEPLOYED)]
    per_module = golden["per_module"]
    assert reported[0] == per_module["stem.conv"] + per_module["stem.bn"]
    stages = [sum(n for key, n in per_module.items() if key.startswith(f"stage{i}.")) for i in (1, 2, 3, 4)]
    assert reported[1:] == stages


@pytest.mark.parametrize("size", GOLDEN["shapes"]["cases"])
def test_shapes_are_the_published_ones(size):
    golden = GOLDEN["shapes"]["cases"][size]
    with torch.device("meta"):
        detector = Detector(replace(published_settings(tuple("0123456789")), head_channels=96)).eval()
        maps = detector.backbone(torch.empty(golden["input"]))
        features = detector.neck(maps)
        out = detector.head(features)
    assert [list(x.shape) for x in maps] == golden["backbone_taps"]
    assert [list(x.shape) for x in features] == golden["neck"]
    assert list(out.shape) == golden["head"]


@pytest.fixture(scope="module")
def golden_detector():
    detector = Detector(settings_of("gsnet_f128_h96_nc10_4lvl")).double()
    return fill(detector).eval()


@torch.no_grad()
def test_forward_values(golden_detector):
    golden = GOLDEN["forward"]["cases"]["f128_h96_nc10"]
    images = pattern((1, 3, 64, 96), 12345)
    agrees(images, golden["input"])
    maps = golden_detector.backbone(images)
    features = golden_detector.neck(maps)
    for found, expected in zip(maps + features, golden["taps"] + golden["neck"], strict=True):
        agrees(found, expected)
    agrees(golden_detector(images), golden["head_raw"])


@torch.no_grad()
def test_neck_and_head_values_on_patterns(golden_detector):
    golden = GOLDEN["forward"]["cases"]["f128_h96_nc10"]
    shapes = [tap["shape"] for tap in golden["taps"]]
    offsets = golden["neck_on_pattern"]["input_offsets"]
    features = golden_detector.neck([pattern(s, o) for s, o in zip(shapes, offsets, strict=True)])
    for found, expected in zip(features, golden["neck_on_pattern"]["out"], strict=True):
        agrees(found, expected)
    shapes = [x["shape"] for x in golden["neck"]]
    offsets = golden["head_on_pattern"]["input_offsets"]
    out = golden_detector.head([pattern(s, o) for s, o in zip(shapes, offsets, strict=True)])
    agrees(out, golden["head_on_pattern"]["out"])


@torch.no_grad()
def test_auxiliary_head_values_on_patterns(golden_detector):
    golden = GOLDEN["forward"]["cases"]["f128_h96_nc10"]
    head = fill(golden_detector.auxiliary().double()).eval().head
    shapes = [[1, 256, *x["shape"][2:]] for x in golden["neck"]]
    offsets = golden["aux_head_on_pattern"]["input_offsets"]
    agrees(head([pattern(s, o) for s, o in zip(shapes, offsets, strict=True)]), golden["aux_head_on_pattern"]["out"])


@torch.no_grad()
def test_values_in_training_mode():
    golden = GOLDEN["forward"]["cases"]["train_mode_f96"]
    backbone = fill(Backbone(GSMODEL_L).double()).train()
    neck = fill(GhostPAN(backbone.channels, 96).double()).train()
    maps = backbone(pattern((2, 3, 64, 96), 555))
    for found, expected in zip(maps, golden["taps"], strict=True):
        agrees(found, expected)
    for found, expected in zip(neck(maps)[:3], golden["neck_first3"], strict=True):
        agrees(found, expected)


def test_float32_is_near_the_golden_values(golden_detector):
    golden = GOLDEN["forward"]["cases"]["f128_h96_nc10"]
    detector = Detector(golden_detector.settings).eval()
    detector.load_state_dict(golden_detector.state_dict())
    with torch.no_grad():
        agrees(detector(pattern((1, 3, 64, 96), 12345).float()), golden["head_raw"], rtol=1e-4)


def test_published_state_dict_loads_and_is_given_back():
    backbone = Backbone(GSMODEL_L)
    names = backbone.published_keys()
    assert set(names.values()) == set(PUBLISHED)
    assert {names[key]: list(value.shape) for key, value in backbone.state_dict().items()} == PUBLISHED
    state = {
        key: hashed(tuple(shape), len(key)).float() if shape else torch.tensor(7) for key, shape in PUBLISHED.items()
    }
    backbone.load_classifier(state, "published")
    back = backbone.published_state()
    assert back.keys() == state.keys()
    assert all(torch.equal(back[key], state[key]) for key in state)
    with pytest.raises(WeightsError, match="published does not fit: 1 of"):
        backbone.load_classifier({k: v for k, v in state.items() if k != "branch_main.0.weight"}, "published")


@pytest.mark.parametrize("unit_name", PlainNet.UNITS)
def test_a_classifiers_weights_load(unit_name):
    style = replace(PlainNet.UNITS[unit_name], use_se=True)
    classifier = MasterNet(num_classes=5, plainnet_struct=SMALL, style=style)
    backbone = Backbone(SMALL, style)
    backbone.load_classifier(classifier.state_dict(), "checkpoint")
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        maps = backbone.eval()(images)
        features, _ = classifier.eval().extract_stage_features_and_logit(images, 8)
    # Where a stage is one super-block, its end is what MasterNet calls the stage's features.
    at_end = Backbone(SMALL, style, tap="stage_end").eval()
    at_end.load_classifier(classifier.state_dict(), "checkpoint")
    with torch.no_grad():
        for found, expected in zip(at_end(images), features, strict=True):
            torch.testing.assert_close(found, expected, rtol=0, atol=0)
    torch.testing.assert_close(maps[2].shape, features[2].shape)


def test_weights_without_squeeze_and_excitation_do_not_fit_the_deployed_unit():
    with pytest.raises(WeightsError, match=r"plain classifier does not fit: .* tensors are missing"):
        Backbone(SMALL).load_classifier(
            MasterNet(num_classes=5, plainnet_struct=SMALL).state_dict(), "plain classifier"
        )


@torch.no_grad()
@pytest.mark.parametrize("use_se", [False, True])
def test_the_searched_unit_is_the_network_that_the_search_scored(use_se):
    """Same structure, same weights, same last map: up to the tail, what the search's proxies see."""
    scored = MasterNet(num_classes=5, plainnet_struct=SMALL, use_se=use_se).double().eval()
    fill(scored)
    settings = DetectorSettings(SMALL, ("a",), unit="searched", use_se=use_se, tap="stage_end")
    backbone = Backbone.of(settings).double().eval()
    backbone.load_classifier(scored.state_dict(), "the scored network")
    images = pattern((2, 3, 64, 96), 9)
    maps = backbone(images)
    tail = scored.module_list[-1]
    torch.testing.assert_close(tail(maps[-1]), scored.forward_pre_GAP(images), rtol=0, atol=0)
    deployed = Backbone(SMALL, replace(PlainNet.DEPLOYED, use_se=use_se), tap="stage_end").double().eval()
    deployed.load_state_dict(backbone.state_dict())
    assert (deployed(images)[-1] - maps[-1]).abs().max() > 1e-3


def test_the_published_backbone_as_a_deployed_classifier():
    classifier = load_model("gsmodel_l", num_classes=10, unit="deployed")
    assert classifier.style == PlainNet.DEPLOYED
    # The backbone, the search's 1 x 1 tail and the classifier.
    assert parameters(classifier) == GOLDEN["backbone"]["total"] + 73_984 + 1_290
    backbone = Backbone(GSMODEL_L, tap="stage_end").eval()
    backbone.load_classifier(classifier.state_dict(), "gsmodel_l")
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        last = classifier.eval().module_list[-1](backbone(images)[-1])
        torch.testing.assert_close(last, classifier.forward_pre_GAP(images))
    with pytest.raises(InputError, match="has no GhostShuffle units"):
        ZenNet.get_ZenNet("zennet_cifar10_model_size05M_res32", pretrained=False, unit="deployed")


def test_taps_by_rule():
    network = without_tail(PlainNet.parse(GSMODEL_L))
    reference = tap_points(network, PlainNet.DEPLOYED, (4, 8, 16, 32), "reference")
    assert reference == [(1, 0, 4, 144), (2, 0, 8, 192), (3, 0, 16, 2048), (4, 0, 32, 576)]
    stage_end = tap_points(network, PlainNet.DEPLOYED, (8, 16, 32), "stage_end")
    assert stage_end == [(2, 0, 8, 192), (3, 4, 16, 2048), (4, 0, 32, 576)]
    # Layers of a residual network end with the activation behind the sum.
    residual = PlainNet.parse("SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,2)SuperResK3K3(16,24,2,8,1)")
    assert tap_points(residual, PlainNet.PLAIN, (4, 8), "stage_end") == [(1, 3, 4, 16), (2, 1, 8, 24)]
    with pytest.raises(InputError, match="strides 2, 4, 8, and none at 16"):
        tap_points(residual, PlainNet.PLAIN, (8, 16, 32), "reference")


@pytest.mark.parametrize("name", ZenNet.list_models("zennet_imagenet*")[:3])
def test_published_classifiers_serve_as_backbones(name):
    with torch.device("meta"):
        backbone = Backbone(structure_of(name), PlainNet.PLAIN)
        maps = backbone(torch.empty(2, 3, 64, 96))
    assert [tuple(x.shape[2:]) for x in maps] == [(8, 12), (4, 6), (2, 3)]
    assert tuple(x.shape[1] for x in maps) == backbone.channels


def test_stride_four_and_no_extra_level():
    settings = DetectorSettings(SMALL, ("a", "b"), tap_strides=(4, 8, 16, 32), extra_level=False, neck_channels=32)
    detector = Detector(settings)
    assert settings.strides == (4, 8, 16, 32)
    assert detector(torch.randn(2, 3, 64, 96)).shape == (2, 16 * 24 + 8 * 12 + 4 * 6 + 2 * 3, 34)


def test_gradients_stop_before_the_auxiliary_module_when_detached():
    detector = Detector(DetectorSettings(SMALL, ("a",), neck_channels=32, head_channels=32))
    auxiliary = detector.auxiliary()
    assert isinstance(auxiliary, Auxiliary)
    for own, copied in zip(detector.neck.parameters(), auxiliary.neck.parameters(), strict=True):
        assert torch.equal(own, copied) and own is not copied
    maps = detector.backbone(torch.randn(2, 3, 64, 64))
    auxiliary(maps, detector.neck(maps), detached=True).sum().backward()
    assert all(p.grad is None for p in detector.parameters())
    auxiliary(maps, detector.neck(maps), detached=False).sum().backward()
    assert all(p.grad is not None for p in [*detector.backbone.parameters(), *detector.neck.parameters()])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "other"}, "no --unit 'other'"),
        ({"tap": "last"}, "no --tap 'last'"),
        ({"tap_strides": (8, 32)}, "without a gap"),
        ({"classes": ()}, "names of its classes"),
        ({"neck_channels": 40}, "multiple of 16"),
    ],
)
def test_settings_that_make_no_detector(change, message):
    with pytest.raises(InputError, match=re.escape(message)):
        replace(published_settings(("a",)), **change)


def test_settings_survive_a_checkpoint():
    settings = published_settings(("car", "person"))
    assert DetectorSettings.from_dict(json.loads(json.dumps(settings.to_dict()))) == settings
    with pytest.raises(InputError, match="no detector"):
        DetectorSettings.from_dict({"structure": "x"})
