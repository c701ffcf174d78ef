"""TE-NAS: the kernel against one backward pass an image, regions against exact geometry, ranks by hand."""

import math

import pytest
import torch
import torchvision
from torch import nn

import PlainNet
from Masternet import MasterNet
from ZeroShotProxy import ProxyFailure, ScoringSettings, score
from ZeroShotProxy.activation_patterns import activation_patterns
from ZeroShotProxy.compute_NASWOT_score import agreement_kernel
from ZeroShotProxy.compute_te_nas_score import crossed_regions, distinct_regions, rank_combine
from ZeroShotProxy.neural_tangent_kernel import _channels_last_backward, condition_number, neural_tangent_kernel

GHOST = "SuperConvK3BNRELU(3,8,2,1)SuperGhostShuffleK3(8,64,2,32,1)SuperGhostShuffleK5(64,256,2,64,2)"
RESIDUAL = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperResIDWE4K5(16,32,2,64,1)SuperResK1K3K1(32,64,2,16,1)"


class Awkward(nn.Module):
    """A layer used twice, in-place ReLU right behind convolutions, a layer that is never used, a sequence of vectors."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1), nn.ReLU(inplace=True))
        self.twice = nn.Conv2d(16, 16, 3, padding=1)
        self.wide = nn.Conv2d(16, 8, 5, padding=2, dilation=1)
        self.unused = nn.Linear(4, 4)
        self.tokens = nn.Linear(8, 12)
        self.classifier = nn.Linear(12, 5)

    def forward(self, x):
        x = self.stem(x)
        x = self.twice(self.twice(x).relu_()).relu_()
        x = nn.functional.max_pool2d(self.wide(x).relu_(), 4)
        return self.classifier(self.tokens(x.flatten(2).transpose(1, 2)).mean(dim=1))


KERNEL_NETWORKS = {
    "residual": lambda: MasterNet(num_classes=10, plainnet_struct=RESIDUAL),
    "ghost_se": lambda: MasterNet(num_classes=10, plainnet_struct=GHOST, use_se=True),
    "resnet18": lambda: torchvision.models.resnet18(num_classes=10),
    "awkward": Awkward,
}


@pytest.mark.parametrize("at_once", [1, 3])
@pytest.mark.parametrize("name", KERNEL_NETWORKS)
def test_the_kernel_equals_one_backward_pass_an_image(name, at_once):
    torch.manual_seed(0)
    network = KERNEL_NETWORKS[name]().double().train()
    images = torch.randn(7, 3, 32, 32, dtype=torch.float64)
    expected = kernel_of_backward_passes(network, images)
    torch.testing.assert_close(neural_tangent_kernel(network, images, at_once), expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize("name", KERNEL_NETWORKS)
def test_the_kernel_in_float32_equals_it_as_far_as_float32_goes(name):
    """Other rounding in the forward pass would switch rectifiers, and the difference would be far above this tolerance."""
    torch.manual_seed(0)
    network = KERNEL_NETWORKS[name]().train()
    images = torch.randn(7, 3, 32, 32)
    expected = kernel_of_backward_passes(network, images)
    largest = float(expected.abs().max())
    torch.testing.assert_close(neural_tangent_kernel(network, images), expected, rtol=0, atol=3e-6 * largest)


def kernel_of_backward_passes(network, images):
    gradients = []
    for i in range(len(images)):
        network.zero_grad()
        network(images)[i].sum().backward()
        named = [p.grad for n, p in network.named_parameters() if "weight" in n and p.grad is not None]
        gradients.append(torch.cat([gradient.flatten() for gradient in named]).double())
    return torch.stack(gradients) @ torch.stack(gradients).T


@pytest.mark.parametrize(("channels", "rearranged"), [(15, False), (16, True)])
def test_narrow_maps_stay_as_they_are(channels, rearranged):
    """The graph keeps wide maps with channels last, for speed, and narrow ones as they were."""
    images = torch.randn(2, channels, 8, 8)
    weights = torch.randn(16, channels, 1, 1, requires_grad=True)
    with _channels_last_backward(images):
        output = nn.functional.conv2d(images, weights, stride=2)
    saved = output.grad_fn._saved_input
    assert saved.is_contiguous(memory_format=torch.channels_last) == rearranged
    torch.testing.assert_close(saved, images, rtol=0, atol=0)


def test_condition_number_of_known_kernels():
    rotation = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64))[0]
    kernel = rotation @ torch.diag(torch.tensor([8.0, 3.0, 2.0], dtype=torch.float64)) @ rotation.T
    assert condition_number(kernel) == pytest.approx(4)
    assert condition_number(torch.eye(5)) == pytest.approx(1)


@pytest.mark.parametrize("smallest", [0.0, -1e-17, -1e-3])
def test_a_kernel_that_is_not_positive_has_the_largest_condition_number(smallest):
    worst = condition_number(torch.diag(torch.tensor([1.0, 1.0, smallest], dtype=torch.float64)))
    assert worst == pytest.approx(1 / (3 * 2**-52))


def test_a_kernel_of_zeros_is_a_failure():
    with pytest.raises(ProxyFailure, match="vanish"):
        condition_number(torch.zeros(3, 3))


def test_a_score_never_changes_sign_where_an_image_lights_up_nothing():
    """Two units before the classifier: some image has neither of them on, and so no gradient."""
    network = PlainNet.parse("SuperConvK3BNRELU(3,8,2,1)SuperConvK1BNRELU(8,2,2,1)")
    settings = ScoringSettings(resolution=4, batch_size=16)
    scores = [score(network, "TE-NAS-NTK", settings, seed) for seed in range(6)]
    assert all(value <= -1 for value in scores)
    assert min(scores) < -1e14


def test_regions_on_a_segment_are_the_hyperplanes_that_it_crosses():
    torch.manual_seed(1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(12, 200), nn.ReLU(), nn.Linear(200, 2)).double()
    start, end = torch.randn(2, 1, 3, 2, 2, dtype=torch.float64)
    weight, bias = network[1].weight, network[1].bias
    # w (a + t (b - a)) + c = 0 has its solution t inside (0, 1) where the segment crosses a unit's hyperplane.
    crossings = -(weight @ start.flatten() + bias) / (weight @ (end - start).flatten())
    expected = 1 + int(((crossings > 0) & (crossings < 1)).sum())
    steps = torch.linspace(0, 1, 9, dtype=torch.float64).view(-1, 1, 1, 1)
    assert crossed_regions(activation_patterns(network, torch.lerp(start, end, steps))) == expected > 20


def test_distinct_regions_of_known_patterns():
    first = torch.tensor([[True, False], [True, False], [False, False]])
    second = torch.tensor([[True], [False], [False]])
    assert (distinct_regions([first]), distinct_regions([first, second])) == (2, 3)


def test_distinct_patterns_saturate_where_crossings_do_not():
    """Why TE-NAS-LR walks along a segment: random images all have patterns of their own."""
    torch.manual_seed(0)
    small = MasterNet(num_classes=10, plainnet_struct="SuperConvK3BNRELU(3,8,2,1)SuperConvK1BNRELU(8,8,2,1)")
    images = torch.randn(64, 3, 32, 32)
    assert distinct_regions(activation_patterns(small, images)) == 64
    settings = ScoringSettings(batch_size=16)
    wide = PlainNet.parse("SuperConvK3BNRELU(3,16,2,1)SuperConvK1BNRELU(16,16,2,1)")
    narrow = PlainNet.parse("SuperConvK3BNRELU(3,8,2,1)SuperConvK1BNRELU(8,8,2,1)")
    ratio = score(wide, "TE-NAS-LR", settings) / score(narrow, "TE-NAS-LR", settings)
    assert 1.5 < ratio < 2.5


def test_one_network_is_scored_by_the_difference_of_logarithms():
    network, settings = PlainNet.parse(GHOST), ScoringSettings(batch_size=8)
    regions = score(network, "TE-NAS-LR", settings, 4)
    kernel = score(network, "TE-NAS-NTK", settings, 4)
    # The combined score draws the kernel's images first and the segment's after them.
    assert score(network, "TE-NAS", settings, 4) == pytest.approx(math.log(regions) - math.log(-kernel), abs=0.2)


def test_ranks_of_a_population():
    assert rank_combine([-5.0, -1.0, -3.0], [100.0, 50.0, 200.0]) == [-5.0, -4.0, -3.0]
    assert rank_combine([-2.0, -2.0, -9.0], [1.0, 2.0, 3.0]) == [-4.5, -3.5, -4.0]
    assert rank_combine([], []) == []
    with pytest.raises(ValueError, match="not one population"):
        rank_combine([-1.0], [])


def test_agreement_kernel_is_the_published_formula():
    torch.manual_seed(0)
    patterns = [torch.rand(5, units) > 0.5 for units in (7, 13)]
    expected = torch.zeros(5, 5, dtype=torch.float64)
    for pattern in patterns:
        on, off = pattern.double(), 1 - pattern.double()
        expected += on @ on.T + off @ off.T
    assert torch.equal(agreement_kernel(patterns), expected)


def test_naswot_refuses_images_that_it_cannot_tell_apart():
    with pytest.raises(ProxyFailure, match="same units"):
        score(PlainNet.parse("SuperConvK1BNRELU(3,1,1,1)"), "NASWOT", ScoringSettings(resolution=1, batch_size=8))
