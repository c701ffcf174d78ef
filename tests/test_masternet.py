"""MasterNet against the reference's state dictionaries, forward values, stages and initialisation."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import PlainNet
from Masternet import MasterNet

GOLDEN = Path(__file__).parent / "golden"
LANGUAGE = json.loads((GOLDEN / "language.json").read_text())
STRUCTURES = {case["id"]: case for case in json.loads((GOLDEN / "structures.json").read_text())["structures"]}
FORWARD = [
    pytest.param(case, activation, id=f"{case['id']}-se{case['use_se']:d}-nolink{case['no_reslink']:d}-{activation}")
    for file, activation in (("forward.json", "hard_swish"), ("forward_relu_se.json", "relu"))
    for case in json.loads((GOLDEN / file).read_text())["structures"]
]
CHECKPOINTS = [path.stem for path in sorted((GOLDEN / "state_dict").glob("*.json")) if "deployed" not in path.stem]


def checkpoint_network(name):
    """Structure, classes and SE of a golden state dictionary."""
    if name.startswith("masternet_"):
        identity = {"gsmodel_l": "GSmodel-L@32", "gsmodel_l_se": "GSmodel-L@32", "init_gs_2m": "init_GS_2M"}
        return STRUCTURES[identity[name.removeprefix("masternet_")]]["string"], 10, name.endswith("_se")
    classes = 10 if "cifar10_" in name else 100 if "cifar100_" in name else 1000
    structure = name.replace("cifar100_", "cifar_").replace("cifar10_", "cifar_").replace("_SE", "")
    return STRUCTURES[structure]["string"], classes, "_SE" in name


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_state_dict_keys_order_and_shapes(name):
    golden = json.loads((GOLDEN / "state_dict" / f"{name}.json").read_text())
    structure, classes, use_se = checkpoint_network(name)
    with torch.device("meta"):
        network = MasterNet(num_classes=classes, plainnet_struct=structure, use_se=use_se)
    assert [(key, list(value.shape)) for key, value in network.state_dict().items()] == list(golden.items())


def test_there_are_eighteen_checkpoints():
    assert len(CHECKPOINTS) == 18


def unit(i, shape):
    """The golden files' pseudo-random numbers in [-1, 1): u(i, j) of their fill formula."""
    j = np.arange(math.prod(shape), dtype=np.int64)
    return torch.from_numpy(((31 * j * j + 17 * j + 101 * i) % 10007) / 10007 * 2 - 1).reshape(shape)


def fill(network, kind):
    """Set every tensor by the golden files' formula."""
    state = network.state_dict()
    for i, (key, tensor) in enumerate(state.items()):
        if key.endswith("num_batches_tracked"):
            continue
        shape = tuple(tensor.shape)
        name = key.rsplit(".", 1)[-1]
        is_norm = key.rsplit(".", 1)[0] + ".running_mean" in state
        wave = torch.sin(0.1 * i + 0.37 * torch.arange(tensor.numel(), dtype=torch.float64)).reshape(shape)
        if is_norm:
            base = {"weight": 1.0, "bias": 0.0, "running_mean": 0.0, "running_var": 1.0}[name]
            spread = {"weight": 0.25, "bias": 0.1, "running_mean": 0.1, "running_var": 0.25}[name]
            value = base + (spread * unit(i, shape) if kind == "hashbn" else torch.zeros(shape, dtype=torch.float64))
        elif tensor.dim() > 1:
            noise = wave if kind == "sin" else math.sqrt(3) * unit(i, shape)
            value = noise / math.sqrt(tensor.numel() / shape[0])
        else:
            value = 0.1 * (wave if kind == "sin" else math.sqrt(3) * unit(i, shape))
        tensor.copy_(value)


@torch.no_grad()
@pytest.mark.parametrize(("case", "activation"), FORWARD)
def test_forward_values(case, activation):
    if activation == "relu" and not case["use_se"]:
        pytest.skip("without SE this equals the other file")
    network = MasterNet.uninitialised(
        num_classes=case["num_classes"],
        plainnet_struct=case["string"],
        use_se=case["use_se"],
        no_reslink=case["no_reslink"],
        se_activation=activation,
    ).double()
    assert list(network.state_dict()) == case["key_order"]
    # One of three fillings, says enough of published networks, which take ten times as long as others.
    published = case["id"].startswith(("zennet", "GSmodel"))
    for run in case["runs"][: 1 if published else None]:
        side = run["resolution"]
        images = torch.cos(0.05 * torch.arange(4 * 3 * side * side, dtype=torch.float64)).reshape(4, 3, side, side)
        fill(network, run["fill"])
        for mode in ("eval", "train"):
            golden = run[mode]
            network.train(mode == "train")
            got = figures(network, images)
            expected = [
                *(*golden["logits_0"], *golden["logits_3"]),
                *(golden["pre_gap_mean"], golden["pre_gap_std"], *golden["pre_gap_first8"]),
            ]
            assert list(network.forward_pre_GAP(images).shape) == golden["pre_gap_shape"]
            # Deep networks in training mode amplify a change in the last bit of the image a million million times.
            # There, the order in which a machine adds decides the digits: the tolerance is what such changes do.
            rounding = 0.0 if mode == "eval" else rounding_error(network, images, got)
            np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-12 + 10 * rounding)


def rounding_error(network, images, got):
    """The largest change of a figure when each pixel goes up, down or not at all by its last bit, of four drawings."""
    generator = torch.Generator().manual_seed(0)
    changes = [torch.randint(-1, 2, images.shape, generator=generator).double() for _ in range(4)]
    return max(np.abs(figures(network, images * (1 + change * 2**-52)) - got).max() for change in changes)


@torch.no_grad()
def figures(network, images):
    """The golden files' figures: logits of two images, and moments and first values of the last map."""
    last_map, logits = network.forward_pre_GAP(images), network(images)
    return np.array([*logits[0, :10], *logits[3, :10], last_map.mean(), last_map.std(), *last_map.flatten()[:8]])


INITS = {
    "XX": "init_XX_cifar",
    "IDW": "init_IDW_flops",
    "GS1": "init_GS_1M",
    "GS2": "init_GS_2M",
    "GSL": "GSmodel-L@32",
}


@pytest.mark.parametrize("name", INITS)
def test_stages_and_initialisation(name):
    golden = {k: v for k, v in LANGUAGE["stages_and_init"].items() if k.startswith((f"{name}@", f"{name} "))}
    network = MasterNet(num_classes=10, plainnet_struct=STRUCTURES[INITS[name]]["string"]).eval()
    for ratio in (1, 2, 4, 8, 16):
        features, logits = network.extract_stage_features_and_logit(torch.zeros(1, 3, 64, 64), ratio)
        assert [list(f.shape) for f in features] == golden[f"{name}@64 t={ratio}"]
        assert logits.shape == (1, 10)
    torch.manual_seed(0)
    network.init_parameters()
    state = network.state_dict()
    zero = [k for k, v in state.items() if k.endswith("weight") and not v.any()]
    assert zero == golden[f"{name} zero BN weights after init_parameters"]
    for key, std in golden[f"{name} weight std after init_parameters (seed 0), first 6 conv"].items():
        assert float(state[key].std()) == pytest.approx(std, rel=1e-5)


@pytest.mark.parametrize("resolution", [31, 32, 45])
@pytest.mark.parametrize("identity", ["mut_XXBL_0", "mut_IDW_0", "mut_GS2_4", "init_XX_cifar", "rnd_IDW_2"])
@pytest.mark.parametrize(
    "options", [{}, {"use_se": True}, {"no_reslink": True}, {"no_BN": True, "use_se": True}], ids=lambda o: "+".join(o)
)
def test_costs_equal_the_module_and_torchs_counter(identity, options, resolution):
    case = STRUCTURES[identity]
    network = MasterNet(num_classes=10, plainnet_struct=case["string"], **options).eval()
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, resolution, resolution))
    cost = network.network.cost(resolution, 10, network.style)
    assert cost.parameters == sum(p.numel() for p in network.parameters())
    assert cost.flops * 2 == counter.get_total_flops()


def test_init_parameters_without_batch_norm():
    network = MasterNet(num_classes=10, plainnet_struct=STRUCTURES["init_XX_cifar"]["string"], no_BN=True)
    network.init_parameters()
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in network.modules())
    assert torch.isfinite(network(torch.randn(2, 3, 32, 32))).all()


def test_training_on_a_one_pixel_map_runs():
    network = MasterNet(num_classes=10, plainnet_struct=STRUCTURES["init_GS_1M"]["string"])
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 10)


def test_uninitialised_builds_the_same_network():
    structure = STRUCTURES["init_GS_2M"]["string"]
    plain = MasterNet(num_classes=10, plainnet_struct=structure)
    bare = MasterNet.uninitialised(num_classes=10, plainnet_struct=structure)
    assert [(k, v.shape) for k, v in plain.state_dict().items()] == [(k, v.shape) for k, v in bare.state_dict().items()]
    norms = [m for m in bare.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all((m.weight == 1).all() and (m.running_var == 1).all() for m in norms)


def test_a_value_is_accepted_in_place_of_text():
    value = PlainNet.parse(STRUCTURES["init_GS_2M"]["string"])
    assert MasterNet(num_classes=3, plainnet_struct=value).network is value
