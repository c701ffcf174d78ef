"""Every proxy on modules that are not ours: scores, and the module given back bit for bit."""

import copy
import gc
import weakref

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

import PlainNet
from Masternet import MasterNet
from ZeroShotProxy import Needs, ProxyFailure, ScoringSettings, get_proxy, list_proxies, score

STRUCTURE = "SuperConvK3BNRELU(3,8,1,1)SuperResK3K3(8,16,2,8,1)SuperGhostShuffleK3(16,16,1,16,1)"
SETTINGS = ScoringSettings(resolution=32, batch_size=4)
MODULE_PROXIES = [name for name in list_proxies() if get_proxy(name).needs is not Needs.VALUE]
NETWORKS = {
    "masternet": lambda: MasterNet(num_classes=10, plainnet_struct=STRUCTURE, use_se=True),
    "resnet18": lambda: torchvision.models.resnet18(num_classes=10),
    "mobilenet_v3_small": lambda: torchvision.models.mobilenet_v3_small(num_classes=10),
}


def state(network):
    """All that a proxy could change: tensors, their place in memory, gradients, modes, hooks."""
    tensors = [(name, t.clone(), t.dtype, t.data_ptr()) for name, t in network.state_dict(keep_vars=True).items()]
    gradients = [(p.requires_grad, p.grad if p.grad is None else p.grad.clone()) for p in network.parameters()]
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    layers = [(m.training, *(list(getattr(m, name)) for name in hooks)) for m in network.modules()]
    return tensors, gradients, layers


def same(left, right):
    """Equality of nested states, with tensors compared bit for bit."""
    if isinstance(left, torch.Tensor):
        return isinstance(right, torch.Tensor) and torch.equal(left, right)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


@pytest.mark.parametrize("network_name", NETWORKS)
@pytest.mark.parametrize("proxy", MODULE_PROXIES)
def test_a_module_comes_back_bit_identical_and_scores_the_same_twice(proxy, network_name):
    torch.manual_seed(0)
    network = NETWORKS[network_name]().train()
    network.get_submodule("fc_linear" if network_name == "masternet" else "").register_forward_hook(lambda *_: None)
    first_parameter = next(network.parameters())
    first_parameter.grad = torch.full_like(first_parameter, 2.0)
    first_parameter.requires_grad_(False)
    list(network.modules())[3].eval()
    before, random_state = state(network), torch.random.get_rng_state()
    first = score(network, proxy, SETTINGS, seed=3)
    assert same(before, state(network))
    assert torch.equal(random_state, torch.random.get_rng_state())
    assert first_parameter is next(network.parameters())
    assert score(network, proxy, SETTINGS, seed=3) == first


class Token:
    """What a graph holds as long as it lives."""


@pytest.mark.parametrize("proxy", MODULE_PROXIES)
def test_no_graph_outlives_a_score(proxy):
    held = []

    def mark(layer, inputs, output):
        if output.grad_fn is not None:
            token = output.grad_fn.metadata["token"] = Token()
            held.append(weakref.ref(token))

    network = NETWORKS["masternet"]()
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(mark)
    score(network, proxy, SETTINGS)
    gc.collect()
    assert not [token for token in held if token() is not None]
    assert held or proxy not in ("GradNorm", "TE-NAS-NTK")


def test_a_module_comes_back_after_a_failure():
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 2)
    )
    before = state(network)
    for proxy in MODULE_PROXIES:
        with pytest.raises(ProxyFailure):
            score(network, proxy, SETTINGS)
        assert same(before, state(network))


def test_a_value_and_its_module_score_the_same():
    settings = ScoringSettings(resolution=32, batch_size=4, keep_links=True)
    value = PlainNet.parse(STRUCTURE)
    module = MasterNet(num_classes=10, plainnet_struct=STRUCTURE)
    for proxy in MODULE_PROXIES:
        assert score(value, proxy, settings, 1) == pytest.approx(score(module, proxy, settings, 1), rel=1e-4)


def test_every_way_to_write_a_rectifier_gives_the_same_naswot_score():
    ways = [
        nn.ReLU(),
        nn.ReLU(inplace=True),
        functional.relu,
        torch.relu,
        torch.relu_,
        lambda x: x.relu(),
        lambda x: x.clamp(min=0),
        lambda x: torch.clamp_min(x, 0),
        nn.ReLU6(),
        functional.hardswish,
        nn.Hardswish(inplace=True),
        functional.silu,
        nn.SiLU(inplace=True),
        nn.LeakyReLU(0.1),
        nn.GELU(),
    ]
    scores = {score(OneActivation(way), "NASWOT", SETTINGS) for way in ways}
    assert len(scores) == 1


class OneActivation(nn.Module):
    """Convolution, a given activation, pooling, linear layer."""

    def __init__(self, activation):
        super().__init__()
        self.convolution = nn.Conv2d(3, 8, 3)
        self.activation = activation
        self.classifier = nn.Linear(8, 2)

    def forward(self, x):
        return self.classifier(self.activation(self.convolution(x)).mean(dim=(2, 3)))


@pytest.mark.parametrize("activation", [nn.Sigmoid(), lambda x: x.clamp(min=-1), nn.Hardsigmoid()])
def test_what_does_not_rectify_does_not_count(activation):
    with pytest.raises(ProxyFailure, match="no rectifying activation"):
        score(OneActivation(activation), "NASWOT", SETTINGS)


def test_the_perturbation_proxy_is_zen_without_its_scale():
    settings = ScoringSettings(resolution=32, batch_size=4, keep_links=True)
    plain = copy.deepcopy(PlainNet.parse(STRUCTURE))
    without_scale = score(MasterNet(num_classes=10, plainnet_struct=STRUCTURE, no_BN=True), "Zen", settings)
    assert without_scale == score(
        MasterNet(num_classes=10, plainnet_struct=STRUCTURE, no_BN=True), "Perturbation", settings
    )
    assert score(plain, "Zen", settings) > score(plain, "Perturbation", settings)


def test_the_perturbation_proxy_keeps_links():
    network = PlainNet.parse(STRUCTURE)
    kept = ScoringSettings(batch_size=4, keep_links=True)
    assert score(network, "Perturbation", ScoringSettings(batch_size=4)) == score(network, "Perturbation", kept)


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("proxy", MODULE_PROXIES)
def test_images_have_the_channels_that_the_structure_reads(proxy, channels):
    network = PlainNet.parse(STRUCTURE).with_in_channels(channels)
    settings = ScoringSettings(resolution=16, batch_size=4)
    found = score(network, proxy, settings)
    # A module that says what it reads gets such images too.
    module = MasterNet(num_classes=10, plainnet_struct=network, no_reslink=not get_proxy(proxy).keeps_links)
    assert score(module, proxy, settings) == pytest.approx(found, rel=1e-3)
