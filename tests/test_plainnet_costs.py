"""Costs of random networks against the built modules."""

import random
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import PlainNet
from Masternet import MasterNet
from PlainNet import Style
from PlainNet.costs import Cost
from PlainNet.primitive import SameWidth
from PlainNet.style import PLAIN
from SearchSpace import load_search_space
from SearchSpace.mutation import mutate

ROOT = Path(__file__).parent.parent
START = {
    "XXBL": "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,1,8,1)SuperResK3K3(16,32,2,16,1)SuperConvK1BNRELU(32,64,1,1)",
    "IDW_fixfc": "SuperConvK3BNRELU(3,8,2,1)SuperResIDWE6K3(8,32,2,8,1)SuperConvK1BNRELU(32,256,1,1)",
    "ghostshuffle": "SuperConvK3BNRELU(3,8,1,1)SuperGhostShuffleK3(8,16,2,8,1)SuperGhostShuffleK3(16,32,1,16,1)",
}
STYLES = [Style(), Style(use_se=True), Style(no_reslink=True), Style(no_BN=True, use_se=True)]


def random_networks(space_name, count, seed):
    """Networks along mutation chains, restarted when they grow large."""
    space, generator = load_search_space(ROOT / f"SearchSpace/search_space_{space_name}.py"), random.Random(seed)
    network = PlainNet.parse(START[space_name])
    for _ in range(count):
        network = mutate(network, space.sample_block, generator, 2)
        if network.cost(32, 10).parameters > 3e6 or network.layers > 25:
            network = PlainNet.parse(START[space_name])
        yield network


def counted(module, resolution):
    """Parameters, multiply-accumulates, memory access and peak feature map of a module, by hooks on its layers."""
    figures = []

    def count(layer, inputs, output):
        accessed = inputs[0].numel() + output.numel() + layer.weight.numel()
        figures.append((output.numel() * layer.weight[0].numel(), accessed, output.numel()))

    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d | torch.nn.Linear):
            layer.register_forward_hook(count)
    with torch.inference_mode():
        module(torch.zeros(1, 3, resolution, resolution))
    flops, accessed, outputs = zip(*figures, strict=True)
    return sum(p.numel() for p in module.parameters()), sum(flops), sum(accessed), max(outputs)


@pytest.mark.parametrize("space_name", START)
def test_costs_of_20_random_networks_equal_the_modules(space_name):
    for index, network in enumerate(random_networks(space_name, 20, seed=11)):
        style = STYLES[index % len(STYLES)]
        with torch.device("meta"):
            module = MasterNet.uninitialised(
                num_classes=10,
                plainnet_struct=network,
                use_se=style.use_se,
                no_reslink=style.no_reslink,
                no_BN=style.no_BN,
            ).eval()
            assert network.cost(33, 10, style) == counted(module, 33)
            if index % 30 == 0:
                with FlopCounterMode(display=False) as counter:
                    module(torch.zeros(1, 3, 33, 33))
                assert 2 * network.cost(33, 10, style).flops == counter.get_total_flops()


def test_a_layer_of_ones_own_costs_what_each_style_makes_of_it():
    """Also when it was counted in another style before."""

    @dataclass(frozen=True)
    class Scale(SameWidth):
        channels: int
        stride = 1

        def cost(self, size, style=PLAIN):
            return Cost(parameters=self.channels if style.no_BN else 2 * self.channels)

    layer = Scale(8)
    counted = [layer.figures(16, style)[0] for style in (Style(), Style(no_BN=True), Style(), Style(no_BN=True))]
    assert counted == [16, 8, 16, 8]
