"""Networks built for a score: what they are copied from, where their tensors lie, how many operators they take."""

import copy
import math
from dataclasses import dataclass, replace
from statistics import fmean, stdev

import pytest
import torch
from torch import nn

import PlainNet
from benchmarks.gpu_launches import counted, zen_of_few_launches
from benchmarks.gpu_precision import as_bfloat16, as_tf32
from benchmarks.gpu_scores import PUBLISHED, agree
from Masternet import MasterNet
from PlainNet.primitive import SameWidth
from PlainNet.style import PLAIN, Style
from ZeroShotProxy import ProxyFailure, ScoringSettings, compute_zen_score, get_proxy, score, scoring
from ZeroShotProxy.compute_zen_score import running_variances
from ZeroShotProxy.flat_tensors import allocate, draw_at_once
from ZeroShotProxy.registry import Weights
from ZeroShotProxy.scored_network import LeanNetwork, ScoredNetwork, is_of_own_layers
from ZeroShotProxy.scoring import ScoringContext, build

STRUCTURES = {
    "residual": "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,2)SuperResIDWE4K5(16,32,2,64,1)SuperResK1K3K1(32,64,2,16,1)",
    "ghost": "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,64,2,32,2)SuperGhostShuffleK5(64,256,2,64,1)",
    "branches": "ConvKX(3,8,3,1)ResBlock(RELU(8)ConvKX(8,8,3,1)BN(8))MultiSumBlock(RELU(8);BN(8);ConvKX(8,8,1,1))BN(8)HS(8)",
}
# Of the residual structure, 8 images of 16 x 16, seed 0, as the build before gave them, which made every layer anew.
BEFORE = {
    "Zen": 15.703198403120041,
    "Perturbation": 2.528920888900757,
    "NASWOT": 79.24633442806795,
    "GradNorm": 31.239123699650076,
    "Syncflow": 5.06503627057206e30,
    "AZ-NAS-Expressivity": 19.93047817588484,
    "TE-NAS-LR": 34158.0,
    "ZiCo": 202.18098405505185,
}
SEEDS = range(12)


def parsed(name):
    return PlainNet.parse(STRUCTURES[name])


def allocated(name, kind=ScoredNetwork, style=PLAIN):
    network = kind(parsed(name), style, 10)
    return network, allocate(network, "cpu", channels_last=network.lean)


@pytest.mark.parametrize("proxy", BEFORE)
def test_on_a_processor_a_seed_gives_the_score_that_it_always_gave(proxy):
    settings = ScoringSettings(batch_size=8, resolution=16)
    # Other processors round differently.
    assert score(parsed("residual"), proxy, settings) == pytest.approx(BEFORE[proxy], rel=1e-4)


@pytest.mark.parametrize("style", [PLAIN, Style(use_se=True), Style(no_reslink=True), Style(no_BN=True)])
@pytest.mark.parametrize("name", STRUCTURES)
def test_a_copy_has_the_tensors_of_the_network_and_computes_what_it_computes(name, style):
    torch.manual_seed(0)
    ordinary = MasterNet(num_classes=10, plainnet_struct=STRUCTURES[name], style=style).train()
    made, _ = allocated(name, style=style)
    missing, unexpected = made.train().load_state_dict(ordinary.state_dict(), strict=False)
    # Counters of batches are all that a copy does without.
    assert not missing and all(key.endswith("num_batches_tracked") for key in unexpected)
    images = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(made(images), ordinary(images), rtol=1e-4, atol=1e-5)
    for ours, expected in zip(running_variances(made), running_variances(ordinary), strict=True):
        torch.testing.assert_close(ours, expected)


def test_copies_share_neither_hooks_nor_tensors_nor_modes():
    (first, _), (second, _) = allocated("ghost"), allocated("ghost")
    assert not {id(layer) for layer in first.modules()} & {id(layer) for layer in second.modules()}
    first.eval()
    for layer in first.modules():
        layer.register_forward_hook(lambda *_: None)
    with torch.no_grad():
        for tensor in (*first.parameters(), *first.buffers()):
            tensor.fill_(7)
    assert all(layer.training and not layer._forward_hooks for layer in second.modules())
    third, _ = allocated("ghost")
    for network in (second, third):
        assert not any(layer._forward_hooks for layer in network.modules())
        assert all((variance == 1).all() for variance in running_variances(network))
    # What a proxy does to one weight between forward and backward pass is no change of another.
    versions = [parameter._version for parameter in second.parameters()]
    next(second.parameters()).data.mul_(2)
    with torch.no_grad():
        next(second.parameters()).mul_(2)
    assert [parameter._version for parameter in second.parameters()][1:] == versions[1:]


def test_all_tensors_lie_in_one_buffer_at_aligned_places():
    network, tensors = allocated("residual")
    begin = tensors.buffer.data_ptr()
    places = sorted((t.data_ptr() - begin, 4 * t.numel()) for t in (*network.parameters(), *network.buffers()))
    assert all(place % 256 == 0 for place, _ in places)
    ends = [place + size for place, size in places]
    assert all(end <= place for end, (place, _) in zip(ends, places[1:], strict=False))
    assert ends[-1] <= 4 * len(tensors.buffer)


@pytest.mark.parametrize("lean", [False, True])
def test_weights_of_one_draw_are_those_of_standard_numbers_scaled_layer_by_layer(lean):
    kind = LeanNetwork if lean else ScoredNetwork
    network, tensors = allocated("residual", kind)
    (plain, _), generator = allocated("residual", kind), torch.Generator()
    for weights in (Weights.GAUSSIAN, Weights.KAIMING):
        draw_at_once(tensors, weights, generator.manual_seed(5))
        whole = torch.randn(len(tensors.buffer), generator=generator.manual_seed(5))
        for layer in tensors.weighted:
            # (out, in / groups, kernel, kernel): He et al. 2015, equation 10.
            deviation = math.sqrt(2 / layer.weight[0].numel()) if weights is Weights.KAIMING else 1.0
            place = (layer.weight.data_ptr() - tensors.buffer.data_ptr()) // 4
            expected = whole[place : place + layer.weight.numel()] * deviation
            flat = layer.weight.permute(0, 2, 3, 1) if lean and layer.weight.dim() == 4 else layer.weight
            torch.testing.assert_close(flat.flatten(), expected, rtol=1e-6, atol=0)
    assert all((norm.weight == 1).all() and (norm.bias == 0).all() for norm in tensors.norms)
    assert all((layer.bias == 0).all() for layer in tensors.biased)
    assert [p.shape for p in network.parameters()] == [p.shape for p in plain.parameters()]


def test_default_weights_of_one_draw_are_distributed_as_those_of_torch():
    _, tensors = allocated("ghost")
    draw_at_once(tensors, Weights.DEFAULT, torch.Generator().manual_seed(5))
    torch.manual_seed(0)
    for layer in tensors.weighted:
        twin = copy.deepcopy(layer)
        twin.reset_parameters()
        limit, count = 1 / math.sqrt(layer.weight[0].numel()), layer.weight.numel()
        assert layer.weight.abs().max() <= limit
        assert layer.bias is None or 0 < layer.bias.abs().max() <= limit
        # The deviation of so many uniform numbers has a relative error of about 0.45 / sqrt(count).
        assert float(layer.weight.detach().std() / twin.weight.detach().std()) == pytest.approx(
            1, abs=3 / math.sqrt(count)
        )


@pytest.mark.parametrize("style", [PLAIN, Style(use_se=True)])
@pytest.mark.parametrize("name", STRUCTURES)
def test_two_passes_as_one_give_the_maps_and_statistics_of_two(name, style):
    networks = [allocated(name, LeanNetwork, style) for _ in range(2)]
    for _, tensors in networks:
        draw_at_once(tensors, Weights.GAUSSIAN, torch.Generator().manual_seed(1))
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    other = 2 * images.flip(0) + 1
    with torch.no_grad():
        expected = compute_zen_score._separate_maps(networks[0][0], images, other)
        found = compute_zen_score._joined_maps(networks[1][0], images, other)
    for ours, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-3, atol=1e-3)
    for ours, plain in zip(*(running_variances(network) for network, _ in networks), strict=True):
        torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-6)


def test_two_passes_follow_where_one_of_both_has_not_the_memory(monkeypatch):
    plain, settings = compute_zen_score.last_map, ScoringSettings(batch_size=4)
    expected = zen_of_few_launches(parsed("residual"), settings, 3)

    def small(network, images):
        result = plain(network, images)
        if len(images) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return result

    monkeypatch.setattr(compute_zen_score, "last_map", small)
    assert zen_of_few_launches(parsed("residual"), settings, 3) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", ["residual", "ghost"])
def test_the_way_of_few_launches_scores_as_the_other(name):
    settings = ScoringSettings(batch_size=4)
    ours = [zen_of_few_launches(parsed(name), settings, seed) for seed in SEEDS]
    others = [score(parsed(name), "Zen", settings, seed) for seed in SEEDS]
    spread = math.sqrt((stdev(ours) ** 2 + stdev(others) ** 2) / len(SEEDS))
    assert abs(fmean(ours) - fmean(others)) < 3 * spread


def test_how_many_operators_a_score_takes():
    """Counted by torch's dispatcher; convolutions and normalisation by torchinfo's way, from the module."""
    layers = [type(layer) for layer in MasterNet(num_classes=10, plainnet_struct=STRUCTURES["ghost"]).modules()]
    calls = counted(zen_of_few_launches, parsed("ghost"))
    assert calls.waits == 0, "all logarithms are read as one vector"
    assert calls.calls["convolution"] == layers.count(nn.Conv2d)
    assert calls.calls["native_batch_norm"] == 2 * layers.count(nn.BatchNorm2d)
    assert (calls.calls["normal_"], calls.calls["randn"]) == (1, 2)
    # Nothing is counted, converted, or set tensor by tensor.
    assert not {"add_", "copy_", "_to_copy", "uniform_"} & set(calls.calls)
    assert (calls.calls["zero_"], calls.calls["fill_"]) == (1, 1)


def test_on_a_gpu_nothing_lies_elsewhere(pretended):
    """On a pretended one, where tensors have a device and no numbers."""
    network = LeanNetwork(parsed("ghost"), PLAIN, 10)
    with torch.no_grad(), pretended.pretended_gpu():
        tensors = allocate(network, "cuda", channels_last=True)
        for weights in Weights:
            draw_at_once(tensors, weights, None)
        images = torch.randn(4, 3, 32, 32, device="cuda")
        clean, _ = compute_zen_score._joined_maps(network, images, images)
    assert clean.device.type == "cuda" and clean.is_contiguous(memory_format=torch.channels_last)
    assert {t.device.type for t in (*network.parameters(), *network.buffers())} == {"cuda"}


def test_blocks_that_make_layers_of_their_own_are_built_as_they_say():
    @dataclass(frozen=True)
    class Fixed(SameWidth):
        channels: int
        stride = 1

        def module(self, style=PLAIN):
            layer = nn.BatchNorm2d(self.channels)
            layer.register_buffer("own", torch.tensor([3.0]))
            return layer

    network = PlainNet.Network((*parsed("residual").blocks, Fixed(64)))
    assert is_of_own_layers(parsed("residual"), PLAIN) and not is_of_own_layers(network, PLAIN)
    zen, settings = get_proxy("Zen"), ScoringSettings(batch_size=4)
    module = build(network, zen, ScoringContext(settings, PLAIN, 0, few_launches=True))
    assert dict(module.named_buffers())[f"module_list.{len(network.blocks) - 1}.own"] == 3
    assert math.isfinite(score(network, "Zen", settings)) and math.isfinite(zen_of_few_launches(network, settings, 0))


@pytest.mark.parametrize("name", [name for name, (_, comparable) in PUBLISHED.items() if comparable])
def test_published_ways_that_ours_are_timed_beside_give_the_same_scores(name):
    network = PlainNet.parse("SuperConvK3BNRELU(3,8,2,1)SuperResK3K3(8,16,2,8,1)")
    assert agree(name, network, ScoringSettings(batch_size=8, resolution=16))


@pytest.mark.parametrize(
    "words",
    [
        "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64.",
        "Trying to convert Double to the MPS backend but it does not have support for that dtype.",
    ],
)
def test_what_apples_gpus_have_not_is_a_sentence(monkeypatch, words):
    """As torch refuses it."""

    def compute(network, context):
        raise TypeError(words)

    monkeypatch.setattr(scoring, "build", lambda *_: None)
    settings = ScoringSettings(device="mps")
    with pytest.raises(ProxyFailure, match="NASWOT is computed in float64, which Apple's GPUs have not"):
        score(parsed("residual"), replace(get_proxy("NASWOT"), compute=compute), settings)
    with pytest.raises(TypeError):
        score(parsed("residual"), replace(get_proxy("NASWOT"), compute=compute), ScoringSettings())


def test_numbers_are_rounded_to_the_bits_that_tensor_cores_have():
    """TF32 has 10 bits of mantissa behind the leading one, bfloat16 has 7; signs and exponents stay."""
    values = torch.tensor([1 + 2**-12, 1 + 3 * 2**-12, -(1 + 2**-10), 3.0e-30, 0.0, 2.0 - 2**-12])
    expected = torch.tensor([1.0, 1 + 2**-10, -(1 + 2**-10), 3.0e-30, 0.0, 2.0])
    found = as_tf32(values)
    torch.testing.assert_close(found, expected, rtol=2**-11, atol=0)
    assert torch.equal(found[[0, 1, 2, 4, 5]], expected[[0, 1, 2, 4, 5]])
    assert as_bfloat16(torch.tensor([1 + 2**-9])).item() == 1.0
