"""Syncflow against hand computation, a plain second implementation, and closed forms of deep chains."""

import copy
import math
import sys

import pytest
import torch
from torch import nn

import PlainNet
from Masternet import MasterNet
from ZeroShotProxy import ProxyFailure, ScoringSettings, score
from ZeroShotProxy.compute_syncflow_score import synaptic_flow

SE_AT_ONE_BY_ONE = (
    "SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,2)SuperResIDWE4K5(16,32,2,16,1)SuperResK1K3K1(32,64,2,16,1)"
)
GHOST = "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,64,2,32,1)SuperGhostShuffleK5(64,256,2,64,2)"


@pytest.mark.parametrize("proxy", ["Syncflow", "Syncflow-log"])
def test_a_network_without_parameters_has_no_flow(proxy):
    with pytest.raises(ProxyFailure, match="no convolution or linear weight"):
        score(nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten()), proxy, ScoringSettings(resolution=8))


def test_two_layers_by_hand():
    """One image of ones through |W| = [[1, 2, 3], [0, 4, 1]] and |V| = [[1, 2], [3, 0]]: hidden (6, 5), logits (16, 18)."""
    network = nn.Sequential(
        nn.Conv2d(3, 2, 1, bias=False), nn.BatchNorm2d(2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(2, 2),
    )  # fmt: skip
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([[1.0, -2, 3], [0, -4, -1]]).view(2, 3, 1, 1))
        network[1].running_mean.fill_(7)
        network[1].bias.fill_(-3)
        network[5].weight.copy_(torch.tensor([[1.0, -2], [-3, 0]]))
        network[5].bias.zero_()
    # Each of the two layers carries all of the flow of 34.
    assert synaptic_flow(network, resolution=4) == (68.0, 0)


def plain_flow(network, resolution):
    """Syncflow the plain way: a copy without BN, absolute float64 weights, and autograd."""
    network = copy.deepcopy(network)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(parent, name, nn.Identity())
    network.double().eval()
    for parameter in network.parameters():
        parameter.data.abs_()
    network(torch.ones(1, 3, resolution, resolution, dtype=torch.float64)).sum().backward()
    layers = [layer for layer in network.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    return sum((layer.weight * layer.weight.grad).sum().item() for layer in layers)


@pytest.mark.parametrize("use_se", [False, True])
@pytest.mark.parametrize("structure", [SE_AT_ONE_BY_ONE, GHOST])
def test_networks_with_squeeze_excite_and_one_by_one_maps(structure, use_se):
    torch.manual_seed(0)
    network = MasterNet(num_classes=10, plainnet_struct=structure, use_se=use_se)
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    assert network.forward_pre_GAP(torch.zeros(2, 3, 16, 16)).shape[-1] <= 2
    flow, exponent = synaptic_flow(network, 16)
    assert flow * 2.0**exponent == pytest.approx(plain_flow(network, 16), rel=1e-12)


def test_scaling_between_blocks_changes_no_digit():
    """A flow near the upper end of float64, which the chain reaches in scaled steps."""
    torch.manual_seed(0)
    network = MasterNet(
        num_classes=10, plainnet_struct="SuperResK3K3(3,96,1,96,30)SuperResK3K3(96,96,2,96,20)", use_se=True
    )
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    flow, exponent = synaptic_flow(network, 4)
    plain = plain_flow(network, 4)
    assert exponent > 0
    assert 1e150 < plain < 1e308
    assert math.ldexp(flow, exponent) == pytest.approx(plain, rel=1e-12)


def test_the_logarithm_does_not_overflow():
    """A chain of 1 x 1 convolutions: each of its layers carries the whole flow, a product of matrices."""
    settings = ScoringSettings(resolution=2, num_classes=10)
    depth = 150
    network = PlainNet.parse("ConvKX(3,256,1,1)" + "ConvKX(256,256,1,1)" * (depth - 1))
    with pytest.raises(ProxyFailure, match="Syncflow-log"):
        score(network, "Syncflow", settings)
    # |w| has the mean sqrt(2 / pi), and a row of 256 of them spreads by 5 %, so that the product of means is close.
    mean = math.log(math.sqrt(2 / math.pi))
    expected = mean * (depth + 1) + math.log(3) + math.log(256) * depth + math.log(10) + math.log(depth + 1)
    assert score(network, "Syncflow-log", settings) == pytest.approx(expected, rel=1e-3)
    assert expected > math.log(sys.float_info.max)


def test_the_logarithm_is_that_of_the_score():
    network, settings = PlainNet.parse(GHOST), ScoringSettings(resolution=16)
    assert score(network, "Syncflow-log", settings, 2) == pytest.approx(
        math.log(score(network, "Syncflow", settings, 2))
    )


def test_batch_size_does_not_matter():
    network = PlainNet.parse(GHOST)
    first, second = (score(network, "Syncflow", ScoringSettings(batch_size=size)) for size in (1, 16))
    assert first == second
