"""analyze_model.py --arch gsnet_detector, and structures in their deployed unit."""

import json

import pytest
from ptflops import get_model_complexity_info

import PlainNet
import ZenNet
from gsnet.commands import analyze_model
from Masternet import MasterNet
from tests.detection_golden import GOLDEN

PUBLISHED = GOLDEN["params"]["gsnet_f128_h128_nc10_4lvl"]


def test_the_published_detector_is_counted(capsys):
    argv = ["--arch", "gsnet_detector", "--num_classes", "10", "--input_image_size", "640"]
    assert analyze_model.main([*argv, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["params"] == PUBLISHED["inference_total"] == 6_667_616
    assert found["params_no_BN"] == PUBLISHED["conv_weights_plus_bias_no_batchnorm"] == 6_610_256
    assert found["flops"] == PUBLISHED["conv_macs"]["640"]
    macs = PUBLISHED["conv_macs_by_part_640"]
    assert [part["flops"] for part in found["parts"].values()] == [macs["backbone"], macs["fpn"], macs["head"]]
    assert found["training_only"]["params"] == PUBLISHED["aux"]["total"]
    assert found["output_shape"] == [1, 8500, 42]
    assert analyze_model.main(argv) == 0
    assert "6,667,616     6,610,256    10,636,348,160" in capsys.readouterr().out


def test_another_backbone_under_the_same_neck(capsys):
    structure = "SuperConvK3BNRELU(3,8,2,1)" + "".join(
        f"SuperGhostShuffleK3({a},{b},2,8,1)" for a, b in ((8, 16), (16, 24), (24, 32), (32, 48))
    )
    argv = ["--arch", "gsnet_detector", "--plainnet_struct", structure, "--input_image_size", "64", "--json"]
    assert analyze_model.main([*argv, "--num_classes", "3", "--unit", "searched"]) == 0
    found = json.loads(capsys.readouterr().out)
    cost = PlainNet.parse(structure).cost(64)
    backbone = found["parts"]["backbone"]
    assert (backbone["params"], backbone["flops"]) == (cost.parameters, cost.flops)


@pytest.mark.parametrize("unit", PlainNet.UNITS)
def test_costs_of_either_unit_are_those_of_the_module(unit):
    structure, style = ZenNet.published("gsmodel_l").structure, PlainNet.UNITS[unit]
    cost = PlainNet.parse(structure).cost(32, 10, style)
    network = MasterNet(num_classes=10, plainnet_struct=structure, style=style)
    assert cost.parameters == sum(p.numel() for p in network.parameters())
    golden = GOLDEN["masternet_search_time"]["num_classes_10"]["with_se" if style.use_se else "no_se"]
    assert (cost.parameters, cost.flops) == (golden["params"], golden["conv_linear_macs_32"])
    counted = get_model_complexity_info(
        network.eval(), (3, 32, 32), as_strings=False, print_per_layer_stat=False, backend="pytorch"
    )
    assert counted[1] == cost.parameters
