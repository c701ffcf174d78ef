"""The rearranged network computes what the ordinary one does."""

import copy

import pytest
import torch
from torch import nn

from Masternet import MasterNet
from ZeroShotProxy.compute_zen_score import running_variances
from ZeroShotProxy.lean_network import InPlaceBatchNorm, make_lean

STRUCTURES = {
    "residual": "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,2)SuperResIDWE4K5(16,32,2,64,1)SuperResK1K3K1(32,64,2,16,1)",
    "ghost": "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,64,2,32,2)SuperGhostShuffleK5(64,256,2,64,1)",
    # Of an odd GhostConv the last map is cut off.
    "odd": "ConvKX(3,8,3,1)BN(8)GhostConv(8,7,3,1)BN(7)RELU(7)SuperGhostShuffleK3(7,10,2,6,1)",
    # Activations that come first in a body or branch read a map that the shortcut reads too.
    "shared": "ConvKX(3,8,3,1)ResBlock(RELU(8)ConvKX(8,8,3,1)BN(8))MultiSumBlock(RELU(8);BN(8);ConvKX(8,8,1,1))BN(8)HS(8)",
    "sequential": "Sequential(ConvKX(3,8,3,1)BN(8)Swish(8))MultiCatBlock(BN(8);Sequential(RELU(8)ConvDW(8,3,1)BN(8)))RELU(16)",
}


@pytest.mark.parametrize("use_se", [False, True])
@pytest.mark.parametrize("name", STRUCTURES)
def test_maps_and_running_variances_are_those_of_the_ordinary_network(name, use_se):
    torch.manual_seed(0)
    ordinary = MasterNet(num_classes=10, plainnet_struct=STRUCTURES[name], use_se=use_se).train()
    lean = copy.deepcopy(ordinary)
    make_lean(lean)
    for _ in range(2):
        images = torch.randn(4, 3, 32, 32)
        kept = images.clone()
        with torch.no_grad():
            expected, found = ordinary.forward_pre_GAP(images), lean.forward_pre_GAP(images)
        assert torch.equal(images, kept)
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)
    for expected, found in zip(running_variances(ordinary), running_variances(lean), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_every_normalisation_of_a_residual_network_is_in_place():
    network = MasterNet(num_classes=10, plainnet_struct=STRUCTURES["residual"])
    make_lean(network)
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert all(isinstance(layer, InPlaceBatchNorm) for layer in layers)


def test_a_single_value_per_channel_is_refused():
    layer = InPlaceBatchNorm(3)
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        layer(torch.zeros(1, 3, 1, 1))
