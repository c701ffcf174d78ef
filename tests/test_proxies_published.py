"""Proxies of other papers against second implementations by the formula, and against what their papers say of them."""

import itertools
import math

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.func import functional_call, jacrev
from torch.nn import functional

from benchmarks import nas_bench_201, nas_bench_macro
from Masternet import MasterNet
from PlainNet.style import PLAIN
from ZeroShotProxy import ProxyFailure, ScoringContext, ScoringSettings, Weights, get_proxy, score
from ZeroShotProxy.block_maps import blocks_of, recorded_block_maps
from ZeroShotProxy.compute_az_nas_score import _gradient_score, map_entropies
from ZeroShotProxy.compute_dextr_score import extrinsic_curvature, inverse_condition_number
from ZeroShotProxy.compute_meco_score import least_correlation_eigenvalue
from ZeroShotProxy.compute_swap_score import distinct_patterns
from ZeroShotProxy.first_weight_jacobian import first_weight_jacobian
from ZeroShotProxy.network_state import normalise_by_batch
from ZeroShotProxy.scoring import _set_weights

SETTINGS = ScoringSettings(resolution=8, batch_size=6)
CELL = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_3x3~0|avg_pool_3x3~1|skip_connect~2|"


class Small(nn.Module):
    """Stem, a residual block whose rectifiers read one map twice, a block of stride 2, and a classifier of four classes."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4))
        self.first = Fork(4)
        self.second = torchvision.models.resnet.BasicBlock(
            4, 8, 2, nn.Sequential(nn.Conv2d(4, 8, 1, 2), nn.BatchNorm2d(8))
        )
        self.classifier = nn.Linear(8, 4)

    def forward(self, x):
        return self.classifier(self.second(self.first(self.stem(x))).mean(dim=(2, 3)))


class Fork(nn.Module):
    """Two convolutions behind rectifiers that read the same map."""

    def __init__(self, channels):
        super().__init__()
        self.left, self.right = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        self.norm = nn.BatchNorm2d(channels)
        self.relu_left, self.relu_right = nn.ReLU(), nn.ReLU()

    def forward(self, x):
        return x + self.norm(self.left(self.relu_left(x)) + 2 * self.right(self.relu_right(x)))


def prepared(proxy, network=None, settings=SETTINGS, seed=3):
    """A network with the weights that a proxy is given, and the context that it gets."""
    network = network or Small()
    context = ScoringContext(settings, PLAIN, seed)
    _set_weights(network, get_proxy(proxy).weights, context)
    normalise_by_batch(network)
    return network, context


def test_kaiming_weights_keep_the_second_moment_of_rectified_maps():
    network = nn.Sequential(*(m for _ in range(8) for m in (nn.Conv2d(256, 256, 3, padding=1, bias=True), nn.ReLU())))
    context = ScoringContext(ScoringSettings(resolution=9), PLAIN, 0)
    _set_weights(network, Weights.KAIMING, context)
    assert float(network[0].weight.detach().std()) == pytest.approx(math.sqrt(2 / (256 * 9)), rel=0.01)
    x = torch.randn(2, 256, 9, 9, generator=context.generator).relu() * math.sqrt(2)
    # Away from the padding, eight layers of He et al.'s initialisation change the mean square by chance alone.
    with torch.no_grad():
        assert float(network[:2](x)[:, :, 2:-2, 2:-2].square().mean()) == pytest.approx(1, abs=0.15)


# Blocks


def test_blocks_of_known_networks():
    # Behind the stem, and behind every residual block (He et al. 2016, table 1; Sandler et al. 2018, table 2).
    assert len(blocks_of(torchvision.models.resnet18())) == 1 + 8
    assert len(blocks_of(torchvision.models.mobilenet_v2())) == 1 + 17 + 1
    assert len(blocks_of(torchvision.models.vgg11())) == 8
    # Stem, three stages of five cells, two reductions; BN and ReLU behind them are no block.
    assert len(blocks_of(nas_bench_201.CellNetwork(nas_bench_201.parse_cell(CELL)))) == 1 + 15 + 2
    structure = nas_bench_macro.network("12200001")
    blocks = blocks_of(MasterNet(num_classes=10, plainnet_struct=structure))
    assert [block.composite for block in blocks] == [False, False, True, False, False, True, False]


def test_recorded_maps_are_those_between_blocks_though_later_layers_overwrite_them():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(4, 5, 1)))
    images = torch.randn(2, 3, 4, 4)
    with recorded_block_maps(network) as maps:
        network(images)
    torch.testing.assert_close(maps[0], network[0](images))
    assert float(maps[0].min()) < 0
    assert [m.shape[1] for m in maps] == [4, 5]


# AZ-NAS


def test_expressivity_and_progressivity_by_the_formula():
    network, context = prepared("AZ-NAS-Expressivity")
    stem = network.stem(context.random_images())
    first = network.first(stem)
    entropies = []
    for feature_map in (stem, first, network.second(first)):
        vectors = feature_map.detach().permute(0, 2, 3, 1).reshape(-1, feature_map.shape[1]).numpy().astype(float)
        variances = np.linalg.eigvalsh(np.cov(vectors.T))
        shares = variances / variances.sum()
        entropies.append(-(shares * np.log(shares)).sum())
    assert score(Small(), "AZ-NAS-Expressivity", SETTINGS, 3) == pytest.approx(sum(entropies), abs=1e-4)
    growth = min(entropies[1] - entropies[0], entropies[2] - entropies[1])
    assert score(Small(), "AZ-NAS-Progressivity", SETTINGS, 3) == pytest.approx(growth, abs=1e-4)


def test_entropy_is_largest_for_white_maps_and_zero_for_maps_of_one_direction():
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=4)))
    white = signs.T.reshape(1, 4, 4, 4)
    one_direction = white[:, :1] * torch.tensor([1.0, -2, 0.5, 3]).view(1, 4, 1, 1)
    assert map_entropies([white, one_direction]) == pytest.approx([math.log(4), 0], abs=1e-4)
    with pytest.raises(ProxyFailure, match="same at all positions"):
        map_entropies([torch.ones(2, 3, 4, 4)])


@pytest.mark.parametrize("gain", [0.5, 1, 3])
@pytest.mark.parametrize("stride", [1, 2])
def test_trainability_of_a_block_with_known_singular_values(gain, stride):
    """A block that mixes its inputs by `gain` times an orthogonal matrix has spectral norm `gain`."""
    channels = 3 * stride * stride
    matrix = torch.linalg.qr(torch.randn(channels, channels, generator=torch.Generator().manual_seed(0))).Q
    before = torch.zeros(64, 3, 32, 32, requires_grad=True)
    after = functional.conv2d(before, gain * matrix.view(channels, 3, stride, stride), stride=stride)
    found = _gradient_score(before, after, torch.Generator().manual_seed(1))
    # The correlation of 12 channels' signs over 16,384 positions has a largest eigenvalue of 1 + 2 sqrt(12 / 16,384) = 1.05.
    assert found == pytest.approx(2 - gain - 1 / gain, abs=0.06 * (gain + 1 / gain))


def test_trainability_of_an_identity_is_a_failure():
    class Identity(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = nn.Conv2d(4, 4, 1)

        def forward(self, x):
            return x.view_as(x)

    network = nn.Sequential(nn.Conv2d(3, 4, 1), Identity(), nn.Flatten(), nn.Linear(256, 2))
    with pytest.raises(ProxyFailure, match="unchanged"):
        score(network, "AZ-NAS-Trainability", SETTINGS)


def test_a_network_of_one_block_has_no_az_nas_score():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(256, 2))
    for name in ("AZ-NAS-Expressivity", "AZ-NAS-Progressivity", "AZ-NAS-Trainability"):
        with pytest.raises(ProxyFailure, match="fewer than two blocks"):
            score(network, name, SETTINGS)


# VKDNW


def test_vkdnw_by_derivatives_of_single_weights():
    network, context = prepared("VKDNW")
    network.eval()
    images = context.random_images()
    parameters = {name: p.detach() for name, p in network.named_parameters()}
    first = {name: p.flatten()[:1] for name, p in parameters.items()}

    def logits_of(first, image):
        changed = {n: torch.cat((first[n], p.flatten()[1:])).view_as(p) for n, p in parameters.items()}
        return functional_call(network, changed, (image[None],))[0]

    fisher = 0
    for image in images:
        derivatives = jacrev(logits_of)(first, image)
        jacobian = torch.cat([derivatives[name] for name in parameters], dim=1).double().numpy()
        p = torch.softmax(logits_of(first, image), 0).detach().double().numpy() * 0.95 + 0.05 / 4
        fisher = fisher + jacobian.T @ (np.diag(p) - np.outer(p, p)) @ jacobian / len(images)
    deciles = np.quantile(np.linalg.eigvalsh(fisher), np.arange(0.1, 0.95, 0.1)).clip(min=0)
    shares = deciles / deciles.sum()
    entropy = -sum(share * math.log(share) for share in shares if share > 0)
    assert score(Small(), "VKDNW", SETTINGS, 3) == pytest.approx(len(parameters) + entropy / math.log(9), abs=1e-4)


class ChannelsLast(nn.Module):
    """A convolution whose border is no zeros, then linear layers at every pixel, as in ConvNeXt."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, 2, 1, padding_mode="reflect")
        self.wide, self.narrow, self.classifier = nn.Linear(6, 12), nn.Linear(12, 6), nn.Linear(6, 4)

    def forward(self, x):
        x = self.stem(x).permute(0, 2, 3, 1)
        x = x + self.narrow(functional.gelu(self.wide(x)))
        return self.classifier(x.mean(dim=(1, 2)))


@pytest.mark.parametrize("kind", [Small, ChannelsLast])
def test_derivatives_of_first_weights_one_by_one(kind):
    torch.manual_seed(0)
    network, images = kind().eval(), torch.randn(3, 3, 8, 8)
    jacobian, _ = first_weight_jacobian(network, images, 128)
    parameters = list(network.parameters())
    for image in range(len(images)):
        for label in range(4):
            logit = network(images[image : image + 1])[0, label]
            gradients = torch.autograd.grad(logit, parameters)
            wanted = [gradient.flatten()[0].item() for gradient in gradients]
            assert jacobian[image, label].tolist() == pytest.approx(wanted, rel=1e-3, abs=1e-5)


def test_vkdnw_of_images_that_batch_normalisation_ties_together_is_a_failure():
    network = nn.Sequential(
        nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2, track_running_stats=False), nn.Flatten(), nn.Linear(128, 4)
    )
    with pytest.raises(ProxyFailure, match="without running statistics"):
        score(network, "VKDNW", SETTINGS)


def test_vkdnw_ranks_by_parameter_tensors_first():
    short, long = (nas_bench_201.parse_cell(CELL.replace("nor_conv_1x1", o)) for o in ("none", "nor_conv_1x1"))
    small = ScoringSettings(resolution=8, batch_size=2)
    scores = [score(nas_bench_201.CellNetwork(operations), "VKDNW", small) for operations in (short, long)]
    # Stem 3, two reductions of 7, last BN 2, classifier 2, and 3 for each convolution of 15 cells.
    assert [math.floor(s) for s in scores] == [21 + 15 * 3 * 2, 21 + 15 * 3 * 3]


# Jacov, ZiCo


def test_jacov_by_one_backward_pass_an_image():
    network, context = prepared("Jacov")
    images = context.random_images().requires_grad_()
    logits = network(images)
    gradients = torch.autograd.grad(logits.sum(), images)[0].flatten(1).numpy().astype(float)
    eigenvalues = np.linalg.eigvalsh(np.corrcoef(gradients)) + 1e-5
    expected = -(np.log(eigenvalues) + 1 / eigenvalues).sum()
    assert score(Small(), "Jacov", SETTINGS, 3) == pytest.approx(expected, rel=1e-5)
    # log v + 1 / v is at least 1, and is 1 where no two images are correlated.
    assert expected < -len(images)


def test_zico_weight_by_weight():
    network, context = prepared("ZiCo")
    gradients = []
    for _ in range(2):
        logits = network(context.random_images())
        network.zero_grad()
        functional.cross_entropy(logits, context.random_labels(4)).backward()
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        gradients.append([layer.weight.grad.flatten().tolist() for layer in layers])
    expected = 0.0
    for one, other in zip(*gradients, strict=True):
        quotients = [
            (abs(a) + abs(b)) / 2 / (abs(a - b) / 2) for a, b in zip(one, other, strict=True) if np.float32(a) != b
        ]
        # Gradients of different signs give exactly one, all others more.
        assert all(q >= 1 - 1e-12 for q in quotients)
        expected += math.log(sum(quotients))
    assert score(Small(), "ZiCo", SETTINGS, 3) == pytest.approx(expected, rel=1e-5)


# MeCo, Dextr, SWAP


def test_meco_and_its_rectified_form_by_numpy():
    network, context = prepared("MeCo")
    image = context.random_images()[:1]
    sums = {nn.ReLU: 0.0, nn.Module: 0.0}

    def add(layer, inputs, output):
        correlations = np.corrcoef(output[0].detach().flatten(1).numpy().astype(float))
        for kind in sums:
            if isinstance(layer, kind):
                sums[kind] += np.linalg.eigvalsh(correlations)[0]

    for layer in network.modules():
        if not any(layer.children()) and not isinstance(layer, nn.Linear):
            layer.register_forward_hook(add)
    network(image)
    assert score(Small(), "MeCo", SETTINGS, 3) == pytest.approx(sums[nn.Module], rel=1e-4)
    assert score(Small(), "MeCo-Rectified", SETTINGS, 3) == pytest.approx(sums[nn.ReLU], rel=1e-4)


def test_least_eigenvalues_by_hand():
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=4))).T
    assert least_correlation_eigenvalue(signs) == pytest.approx(1)
    assert least_correlation_eigenvalue(torch.cat((signs, signs[:1] - 5))) == pytest.approx(0, abs=1e-12)
    # Two channels of correlation r have the eigenvalues 1 - r and 1 + r.
    mixed = torch.stack((signs[0], 0.6 * signs[0] + 0.8 * signs[1]))
    assert least_correlation_eigenvalue(mixed) == pytest.approx(0.4)
    assert least_correlation_eigenvalue(torch.randn(9, 9)) == 0


def test_the_grouping_of_layers_does_not_change_meco_and_dextr():
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)]
    flat = nn.Sequential(*layers, *head)
    nested = nn.Sequential(nn.Sequential(nn.Sequential(*layers[:3]), nn.Sequential(*layers[3:])), *head)
    for name in ("MeCo", "Dextr"):
        assert score(flat, name, SETTINGS) == score(nested, name, SETTINGS)


def test_curvature_of_an_ellipse():
    """Without BN and activation the logits run along an ellipse W u cos t + W w sin t."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5, bias=False))
    _, context = prepared("Dextr", network)
    found = extrinsic_curvature(network, context)
    _, context = prepared("Dextr", network)
    plane = np.linalg.qr(torch.randn(192, 2, generator=context.generator).numpy().astype(float)).Q
    u, w = (network[1].weight.detach().double().numpy() @ plane).T
    area = np.linalg.norm(u) ** 2 * np.linalg.norm(w) ** 2 - (u @ w) ** 2
    assert found == pytest.approx(math.sqrt(area) / np.linalg.norm(w) ** 3, rel=1e-4)


def test_curvature_by_derivatives_of_single_logits():
    network, context = prepared("Dextr")
    found = extrinsic_curvature(network, context)
    network, context = prepared("Dextr")
    u, w = torch.linalg.qr(torch.randn(192, 2, generator=context.generator)).Q.T.reshape(2, 1, 3, 8, 8)
    angle = torch.zeros((), requires_grad=True)
    first, second = [], []
    for logit in network(u * angle.cos() + w * angle.sin())[0]:
        (slope,) = torch.autograd.grad(logit, angle, create_graph=True)
        first.append(float(slope))
        second.append(float(torch.autograd.grad(slope, angle, retain_graph=True)[0]))
    v, a = np.array(first), np.array(second)
    assert found == pytest.approx(math.sqrt(v @ v * (a @ a) - (v @ a) ** 2) / (v @ v) ** 1.5, rel=1e-3)


def test_dextr_puts_its_two_parts_together():
    network, context = prepared("Dextr")
    image = context.random_images()[:1]
    total = 0.0
    for output in _layer_maps(network, image):
        singular = np.linalg.svd(output, compute_uv=False)
        total += singular[-1] / singular[0]
    # The batch of images is drawn before the circle, here as in the score.
    a, b = math.log(1 + total), math.log(1 + extrinsic_curvature(network, context))
    assert score(Small(), "Dextr", SETTINGS, 3) == pytest.approx(a * b / (a + b), rel=1e-3)
    assert inverse_condition_number(torch.zeros(3, 9)) == 0


def _layer_maps(network, image):
    found = []

    def keep(layer, inputs, output):
        if output.dim() == 4:
            found.append(output[0].detach().flatten(1).numpy().astype(float))

    handles = [m.register_forward_hook(keep) for m in network.modules() if not any(m.children())]
    network(image)
    for handle in handles:
        handle.remove()
    return found


def test_swap_counts_columns_by_hand():
    patterns = [torch.tensor([[1, 0, 1], [1, 1, 1]]).bool(), torch.tensor([[0, 1], [0, 0]]).bool()]
    # Columns (1,1), (0,1), (1,1), (0,0), (1,0).
    assert distinct_patterns(patterns) == 4
    # The same patterns again at more images than a table of all patterns can hold.
    assert distinct_patterns([p.repeat(20, 1) for p in patterns]) == 4


def test_swap_by_brute_force():
    network, context = prepared("SWAP")
    images = context.random_images()
    seen = set()

    def look(layer, inputs, output):
        seen.update(tuple(column) for column in (inputs[0] > 0).flatten(1).T.tolist())

    for layer in network.modules():
        if isinstance(layer, nn.ReLU):
            layer.register_forward_pre_hook(lambda layer, inputs: look(layer, inputs, None))
    network(images)
    found = score(Small(), "SWAP", SETTINGS, 3)
    assert found == len(seen) <= 2**6
    with pytest.raises(ProxyFailure, match="at most 62 images"):
        score(Small(), "SWAP", ScoringSettings(resolution=8, batch_size=63))


# WRCor


def test_wrcor_rectifier_by_rectifier():
    network, context = prepared("WRCor")
    images, labels = context.random_images(), context.random_labels(4)
    # Each rectifier's input as a leaf of its own, so that its gradient is the one through that rectifier alone.
    block = network.second
    stem = network.stem(images)
    left, right = (stem.clone() for _ in range(2))
    first = network.first
    middle = stem + first.norm(first.left(left.relu()) + 2 * first.right(right.relu()))
    inner = block.bn1(block.conv1(middle))
    outer = block.bn2(block.conv2(inner.relu())) + block.downsample(middle)
    logits = network.classifier(outer.relu().mean(dim=(2, 3)))
    inputs = [left, right, inner, outer]
    gradients = torch.autograd.grad(functional.cross_entropy(logits, labels), inputs)
    total = 0
    for weight, values, gradient in zip((2, 2, 4, 4), inputs, gradients, strict=True):
        for rows in (values, gradient):
            total = total + weight * np.abs(np.corrcoef(rows.detach().flatten(1).numpy().astype(float)))
    assert score(Small(), "WRCor", SETTINGS, 3) == pytest.approx(np.linalg.slogdet(total).logabsdet, rel=1e-4)
    with pytest.raises(ProxyFailure, match="no rectifying"):
        score(nn.Sequential(nn.Conv2d(3, 2, 1), nn.Flatten(), nn.Linear(128, 4)), "WRCor", SETTINGS)


@pytest.mark.parametrize("rectifier", [nn.ReLU6, lambda: nn.Threshold(0.0, 0.0), lambda: nn.Hardtanh(0.0, 99.0)])
def test_rectifiers_that_are_clamps_count_in_wrcor(rectifier):
    """On maps below six they are the rectifier: MobileNetV2, which has nn.ReLU6 alone, had no score."""

    def scored(kind):
        torch.manual_seed(0)
        layers = (
            nn.Conv2d(3, 6, 3, 2, 1),
            nn.BatchNorm2d(6),
            kind(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, 4),
        )
        return score(nn.Sequential(*layers), "WRCor", SETTINGS, 3)

    assert scored(rectifier) == scored(nn.ReLU)
    with pytest.raises(ProxyFailure, match="no rectifying"):
        scored(nn.Hardtanh)
