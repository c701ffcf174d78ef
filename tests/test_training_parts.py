"""Schedules, optimisers, losses and initialisers against values worked out by hand."""

import math

import pytest
import torch
from torch import nn
from torchvision.ops import SqueezeExcitation

from gsnet.interface.options import InputError
from gsnet.models.own import set_batch_norm
from gsnet.training import optimisers
from gsnet.training import step as steps_of_training
from gsnet.training.averaged import AveragedWeights
from gsnet.training.evaluation import evaluate
from gsnet.training.initialisers import initialise
from gsnet.training.layout import check_layout
from gsnet.training.losses import (
    BinaryCrossEntropy,
    blended,
    cutmix,
    mixup,
    pasted,
    smoothed_targets,
    soft_cross_entropy,
)
from gsnet.training.optimisers import OptimiserSettings, optimiser, parameter_groups
from gsnet.training.record import curves_figure
from gsnet.training.schedules import Schedule
from gsnet.training.settings import TrainingSettings
from gsnet.training.step import Stepper
from gsnet.training.tasks import Classification
from Masternet import MasterNet

# 10 epochs of 100 images, the first 2 of them warm-up.
WARM = {"lr": 0.1, "target_lr": 0.0, "epochs": 10, "epoch_images": 100, "warmup": 2}


@pytest.mark.parametrize(
    ("mode", "seen", "rate"),
    [
        ("cosine", 9, 0.005),  # 10 / 200
        ("cosine", 199, 0.1),  # 200 / 200
        ("cosine", 399, 0.0853553391),  # q = 1/4: (1 + cos 45 degrees) / 20
        ("cosine", 599, 0.05),  # q = 1/2
        ("cosine", 799, 0.0146446609),  # q = 3/4
        ("cosine", 999, 0.0),
        ("cosine", 1000, 0.0),
        ("linear", 99, 0.05),
        ("linear", 399, 0.075),
        ("linear", 799, 0.025),
        ("linear", 1000, 0.0),
    ],
)
def test_rates_by_hand(mode, seen, rate):
    assert Schedule(mode, **WARM).learning_rate(seen) == pytest.approx(rate, abs=1e-9)


def test_a_rate_may_end_above_zero():
    assert Schedule("cosine", 0.4, 0.2, 4, 10).learning_rate(19) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("seen", "rate"), [(50, 0.051), (350, 0.1), (399, 0.1), (400, 0.02), (699, 0.02), (700, 0.004), (999, 0.004)]
)
def test_stages_by_hand(seen, rate):
    schedule = Schedule("stagedecay", **(WARM | {"warmup": 1}), stages=(3, 6), decay=0.2)
    assert schedule.learning_rate(seen) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("mode", "change"),
    [
        *(("exp", {}), ("stagedecay", {}), ("stagedecay", {"stages": (6, 3)}), ("cosine", {"warmup": 10})),
        # The tenth epoch is the last, so that none comes after the stage that it ends.
        ("stagedecay", {"stages": (10,)}),
    ],
)
def test_schedules_that_make_no_sense(mode, change):
    with pytest.raises(InputError):
        Schedule(mode, **(WARM | change))


def small_network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))


def test_only_kernels_and_matrices_decay():
    network = small_network()
    network[4].weight.requires_grad_(False)
    decayed, free = parameter_groups(network, 0.01)
    assert [p.numel() for p in decayed["params"]] == [108] and decayed["weight_decay"] == 0.01
    assert [p.numel() for p in free["params"]] == [4, 4, 4, 2] and free["weight_decay"] == 0


def test_nesterov_by_hand():
    weight = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        weight.weight.fill_(1.0)
    sgd = optimiser(weight, OptimiserSettings(nesterov=True, momentum=0.5, weight_decay=0.1), lr=0.2)
    # First gradient 2 + 0.1 = velocity: step 0.2 (2.1 + 1.05) = 0.63. Second gradient 2.037, velocity 3.087:
    # step 0.2 (2.037 + 1.5435) = 0.7161.
    for expected in (0.37, -0.3461):
        sgd.zero_grad()
        (2 * weight.weight).sum().backward()
        sgd.step()
        assert float(weight.weight.detach()) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "rmsprop", "adadelta"])
def test_every_optimiser_descends(name):
    torch.manual_seed(0)
    network = nn.Linear(3, 1)
    steps = optimiser(network, OptimiserSettings(name), lr=0.01)
    images = torch.randn(16, 3)
    losses = []
    for _ in range(20):
        steps.zero_grad()
        loss = network(images).square().mean()
        loss.backward()
        steps.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def stepped(settings, gradients, lr=0.1):
    """A weight that begins at 1, after a step for each gradient."""
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    steps = optimiser(layer, settings, lr)
    for gradient in gradients:
        steps.zero_grad()
        (gradient * layer.weight).sum().backward()
        steps.step()
    return layer.weight.item()


def test_rmsprop_by_hand():
    # Squares: 0.1 * 4 = 0.4, then 0.9 * 0.4 + 0.4 = 0.76. Velocities: 2 / sqrt 0.4, then half of that and 2 / sqrt 0.76.
    first, second = 2 / math.sqrt(0.4), 2 / math.sqrt(0.76)
    weight = stepped(OptimiserSettings("rmsprop", momentum=0.5, weight_decay=0.0), [2, 2])
    assert weight == pytest.approx(1 - 0.1 * first - 0.1 * (first / 2 + second), rel=1e-5)


def test_adadelta_by_hand():
    # Of a gradient of 2 the mean square is (1 - rho) 4; nothing was stepped before, so that its root is that of eps.
    settings = OptimiserSettings("adadelta", rho=0.75, eps=0.25, weight_decay=0.0)
    assert stepped(settings, [2]) == pytest.approx(1 - 0.1 * 2 * math.sqrt(0.25) / math.sqrt(1 + 0.25))


@pytest.mark.parametrize(("name", "weight"), [("adam", 0.9), ("adamw", 0.95)])
def test_weight_decay_of_adam_is_a_gradient_and_of_adamw_a_part_of_the_weight(name, weight):
    # Without another gradient Adam's first step is one whole rate. AdamW takes rate times decay of the weight.
    assert stepped(OptimiserSettings(name, weight_decay=0.5), [0.0]) == pytest.approx(weight)


def test_everything_decays_where_that_is_asked_for():
    decayed, vectors = parameter_groups(small_network(), 0.01, decay_all=True)
    assert decayed["weight_decay"] == vectors["weight_decay"] == 0.01
    steps = optimiser(small_network(), OptimiserSettings(weight_decay=0.02, decay_all=True), 0.1)
    assert [group["weight_decay"] for group in steps.param_groups] == [0.02, 0.02]


@pytest.mark.parametrize("name", ["lamb", "lion", "muon"])
def test_timms_optimisers_are_timms_and_go_on_from_their_state(name):
    theirs_by_name = pytest.importorskip("timm.optim", reason="timm is not installed")
    if name not in theirs_by_name.list_optimizers():
        pytest.skip(f"this timm has no {name}")

    def trained(made, steps, batches):
        torch.manual_seed(1)
        network = nn.Sequential(nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(8, 8))
        stepping, found = made(network), []
        for step in range(steps):
            stepping.zero_grad()
            network(batches[step]).square().sum().backward()
            stepping.step()
            found.append([p.detach().clone() for p in network.parameters()])
            if step == 1:
                state = stepping.state_dict()
                stepping = made(network)
                stepping.load_state_dict(state)
        return found

    batches = torch.randn(4, 5, 3, 3, 3)
    nesterov = {"nesterov": True} if name == "muon" else {}
    settings = OptimiserSettings(name, momentum=0.7, weight_decay=0.02, **nesterov)
    ours = trained(lambda network: optimiser(network, settings, 0.005), 4, batches)
    theirs = trained(
        lambda network: theirs_by_name.create_optimizer_v2(network, name, 0.005, 0.02, momentum=0.7, **nesterov),
        4,
        batches,
    )
    for one, two in zip(ours, theirs, strict=True):
        for a, b in zip(one, two, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7)
    assert not torch.equal(ours[0][0], ours[3][0])


def test_without_timm_its_optimisers_are_refused_by_name(monkeypatch):
    monkeypatch.setattr(optimisers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="--optimizer lamb is timm's, which is not installed: pip install timm"):
        optimiser(nn.Linear(2, 2), OptimiserSettings("lamb"), 0.1)


@pytest.mark.parametrize(
    "settings",
    [
        *(OptimiserSettings("lyon"), OptimiserSettings("adam", nesterov=True)),
        OptimiserSettings("sgd", momentum=0.0, nesterov=True),
    ],
)
def test_optimisers_that_do_not_exist(settings):
    with pytest.raises(InputError):
        optimiser(nn.Linear(1, 1), settings, 0.1)


def test_channels_last_is_refused_where_torch_is_not_reliable_with_it():
    narrow, wide = (nn.Sequential(nn.Conv2d(channels, 16, 1, stride=2)) for channels in (8, 16))
    with pytest.raises(InputError, match="0 is a 1 x 1 convolution with stride 2 and 8 channels"):
        check_layout(narrow, "cpu")
    check_layout(wide, "cpu")
    check_layout(narrow, "cuda:0")
    # The stride belongs to a 3 x 3 convolution, or nothing is learnt.
    check_layout(nn.Conv2d(8, 16, 3, stride=2), "cpu")
    check_layout(narrow.requires_grad_(False), "cpu")


def test_smoothed_targets_by_hand():
    assert smoothed_targets(torch.tensor([2]), 4, 0.1).tolist() == [pytest.approx([0.025, 0.025, 0.925, 0.025])]


def test_soft_cross_entropy_by_hand():
    # log softmax of (0, log 3) is (log 1/4, log 3/4).
    loss = soft_cross_entropy(torch.tensor([[0.0, math.log(3)]]), torch.tensor([[0.5, 0.5]]))
    assert float(loss) == pytest.approx(-(math.log(1 / 4) + math.log(3 / 4)) / 2)


def test_soft_cross_entropy_is_torch_s_with_smoothing():
    logits, labels = torch.randn(5, 7), torch.tensor([0, 6, 3, 3, 1])
    expected = nn.functional.cross_entropy(logits, labels, label_smoothing=0.1)
    assert float(soft_cross_entropy(logits, smoothed_targets(labels, 7, 0.1))) == pytest.approx(float(expected))


def test_binary_cross_entropy_by_hand():
    # Of logits 0 and log 3 the sigmoids are 1/2 and 3/4; each class counts half.
    logits, targets = torch.tensor([[0.0, math.log(3)]]), torch.tensor([[0.25, 0.75]])
    soft = -(math.log(1 / 2) + 0.75 * math.log(3 / 4) + 0.25 * math.log(1 / 4)) / 2
    assert float(BinaryCrossEntropy()(logits, targets)) == pytest.approx(soft)
    hard = -(math.log(1 / 2) + math.log(3 / 4)) / 2
    assert float(BinaryCrossEntropy(0.3)(logits, targets)) == pytest.approx(hard)
    weighted = -(3 * math.log(1 / 2) + math.log(3 / 4)) / 2
    assert float(BinaryCrossEntropy(0.3)(logits, targets, torch.tensor([3.0, 1.0]))) == pytest.approx(weighted)


@pytest.mark.parametrize("threshold", [None, 0.2])
def test_binary_cross_entropy_is_timms(threshold):
    timm_loss = pytest.importorskip("timm.loss", reason="timm is not installed")
    logits, targets = torch.randn(5, 7), torch.rand(5, 7).softmax(1)
    theirs = timm_loss.BinaryCrossEntropy(0.1, threshold)
    assert float(BinaryCrossEntropy(threshold)(logits, targets)) == pytest.approx(float(theirs(logits, targets)))
    labels = torch.tensor([0, 6, 3, 3, 1])
    ours = BinaryCrossEntropy(threshold)(logits, smoothed_targets(labels, 7, 0.1))
    assert float(ours) == pytest.approx(float(theirs(logits, labels)))


def test_blending_by_hand():
    mixed = blended(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([1, 0]), 0.75)
    assert mixed.tolist() == [[0.75, 0.25], [0.25, 0.75]]


def test_a_pasted_rectangle_by_hand():
    images = torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)])
    mixed, targets = pasted(images, torch.eye(2), torch.tensor([1, 0]), 0.75, (2, 2))
    assert mixed[0, 0].tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert targets.tolist() == [[0.75, 0.25], [0.25, 0.75]]
    # In the corner only one of the four pixels lies inside.
    mixed, targets = pasted(images, torch.eye(2), torch.tensor([1, 0]), 0.75, (0, 0))
    assert float(mixed[0, 0].sum()) == 1 and targets[0].tolist() == [0.9375, 0.0625]


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_mixed_targets_stay_probabilities_and_match_the_pixels(mix):
    torch.manual_seed(3)
    images = torch.eye(4)[:, :, None, None].expand(4, 4, 8, 8)
    for _ in range(10):
        mixed, targets = mix(images, torch.eye(4))
        assert torch.allclose(mixed.mean((2, 3)), targets, atol=1e-6)
        assert torch.allclose(targets.sum(1), torch.ones(4))


@pytest.mark.parametrize(
    ("name", "convolution", "linear"),
    [
        ("xavier", math.sqrt(2) * math.sqrt(2 / (64 * 9 + 128 * 9)), 3.26033 * math.sqrt(2 / 640)),
        ("MSRAPrelu", 3.26033 * math.sqrt(2 / (64 * 9 + 128 * 9)), 3.26033 * math.sqrt(2 / 640)),
        ("stupid", 1 / math.sqrt(128 * 9), 1 / math.sqrt(512)),
        ("01", 0.1 / math.sqrt(128 * 9), 0.1 / math.sqrt(512)),
        ("zero", 1e-3 / math.sqrt(128 * 9), 1e-3 / math.sqrt(512)),
    ],
)
def test_spread_of_initial_weights(name, convolution, linear):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(64, 128, 3), nn.BatchNorm2d(128), nn.Linear(128, 512))
    nn.init.constant_(network[1].weight, 5)
    initialise(network, name)
    assert float(network[0].weight.detach().std()) == pytest.approx(convolution, rel=0.02)
    assert float(network[2].weight.detach().std()) == pytest.approx(linear, rel=0.02)
    assert network[1].weight.unique().tolist() == [1] and network[0].bias.abs().max() == 0


def test_the_network_s_own_initialisation():
    network = MasterNet(num_classes=2, plainnet_struct="SuperResK3K3(3,8,1,8,1)")
    initialise(network, "custom")
    assert any(isinstance(m, nn.BatchNorm2d) and not m.weight.any() for m in network.modules())
    with pytest.raises(InputError, match="no initialisation of its own"):
        initialise(SqueezeExcitation(4, 2), "custom")
    with pytest.raises(InputError, match="kaiming"):
        initialise(network, "kaiming")


def test_batch_norm_constants():
    network = small_network()
    set_batch_norm(network, 0.01, None)
    assert network[1].momentum == 0.01 and network[1].eps == 1e-5


@pytest.mark.parametrize("decay", [0.9, 0.9999])
def test_averaged_weights_are_those_of_timm_with_warm_up(decay):
    model_ema = pytest.importorskip("timm.utils.model_ema", reason="timm is not installed")
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    ours, theirs = AveragedWeights(network, decay), model_ema.ModelEmaV3(network, decay=decay, use_warmup=True)
    for update in range(45):
        with torch.no_grad():
            for values in (*network.parameters(), *(b for b in network.buffers() if b.is_floating_point())):
                values.add_(torch.randn_like(values))
        if update == 20:
            kept = ours.state_dict()
            ours = AveragedWeights(network, decay)
            ours.load_state_dict(kept)
        ours.update_parameters(network)
        theirs.update(network, update + 1)
    state = theirs.module.state_dict()
    for name, own in ours.module.state_dict().items():
        if own.is_floating_point():
            torch.testing.assert_close(own, state[name], msg=name)
    assert not torch.allclose(ours.module[1].running_mean, network[1].running_mean)


def stepper(**settings):
    """Of images of 3 x 2 x 2 pixels in four classes, by gradients alone."""
    torch.manual_seed(0)
    task = Classification(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)))
    plain = OptimiserSettings(momentum=0.0, weight_decay=0.0)
    return Stepper(task, TrainingSettings(Schedule("linear", 0.1, 0.1, 1, 100), plain, 4, **settings), "cpu")


def batch_of(images):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(images, 3, 2, 2, generator=generator), torch.arange(images) % 4


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("parts", [1, 2])
def test_a_step_follows_the_gradient_and_counts_loss_and_hits(smoothing, parts):
    one, (images, labels) = stepper(smoothing=smoothing, accumulate=parts), batch_of(6)
    layer = nn.Linear(12, 4)
    layer.load_state_dict(one.task.network[1].state_dict())
    logits = layer(images.flatten(1))
    loss = nn.functional.cross_entropy(logits, labels, label_smoothing=smoothing)
    loss.backward()
    found = one.step(images, labels, 0, 0, 0.25)
    assert found.tolist() == pytest.approx([6 * float(loss), int((logits.argmax(1) == labels).sum())], rel=1e-6)
    torch.testing.assert_close(one.task.network[1].weight, layer.weight - 0.25 * layer.weight.grad)


@pytest.mark.parametrize(
    ("given", "dtype", "scale"),
    [
        ({}, torch.float32, None),
        # Nothing that is asked for is what a processor has arithmetic for, float16 what torch begins to scale with 2^16.
        ({"amp": True}, torch.bfloat16, None),
        ({"amp": True, "amp_dtype": "bfloat16"}, torch.bfloat16, None),
        ({"amp": True, "amp_dtype": "float16"}, torch.float16, 65536.0),
    ],
)
def test_a_step_computes_in_the_format_that_is_asked_for(given, dtype, scale):
    """So does what is validated; the loss of float16 alone is scaled, and weights stay in float32."""
    made, single, (images, labels) = stepper(**given), stepper(), batch_of(8)
    network, seen = made.task.network, []
    network[1].register_forward_hook(lambda layer, images, logits: seen.append(logits.dtype))
    for one in (made, single):
        one.step(images, labels, 0, 0, 0.1)
    evaluate(network, [(images, labels)], "cpu", made.precision.dtype)
    assert seen == [dtype, dtype]
    assert made.precision.state_dict().get("scale") == scale
    assert network[1].weight.dtype is torch.float32
    torch.testing.assert_close(network[1].weight, single.task.network[1].weight, atol=1e-3, rtol=0)


def test_gradients_are_bounded_one_by_one_or_by_their_norm():
    images, labels = batch_of(8)
    gradients = {}
    for name, bounds in (("free", {}), ("clip", {"grad_clip": 0.05}), ("norm", {"grad_norm": 0.1})):
        one = stepper(**bounds)
        one.step(images, labels, 0, 0, 0.1)
        gradients[name] = torch.cat([p.grad.flatten() for p in one.task.network.parameters()])
    assert gradients["free"].abs().max() > 0.05 and gradients["free"].norm() > 0.1
    torch.testing.assert_close(gradients["clip"], gradients["free"].clamp(-0.05, 0.05))
    torch.testing.assert_close(gradients["norm"], 0.1 * gradients["free"] / gradients["free"].norm())


@pytest.mark.parametrize(
    ("alphas", "shares"),
    [
        ({"mixup": 0.3}, {("mixup", 0.3): 1.0}),
        ({"cutmix": 0.6}, {("cutmix", 0.6): 1.0}),
        ({"mixup": 0.3, "cutmix": 0.6}, {("mixup", 0.3): 0.5, ("cutmix", 0.6): 0.5}),
    ],
)
def test_batches_are_mixed_in_the_ways_that_are_asked_for(monkeypatch, alphas, shares):
    told = []

    def noting(name):
        return lambda images, targets, alpha: (told.append((name, alpha)), (images, targets))[1]

    for name in ("mixup", "cutmix"):
        monkeypatch.setattr(steps_of_training, name, noting(name))
    one, batch = stepper(**alphas), batch_of(4)
    for number in range(200):
        assert one.step(*batch, 0, number, 0.1)[1] == 0
    assert {way: told.count(way) / 200 for way in set(told)} == pytest.approx(shares, abs=0.1)


def test_random_numbers_of_a_step_follow_from_seed_epoch_and_step(monkeypatch):
    drawn = []

    def noting(images, targets, alpha):
        drawn.append(float(torch.rand(())))
        return images, targets

    monkeypatch.setattr(steps_of_training, "mixup", noting)
    for seed, epoch, number in ((0, 1, 2), (0, 1, 2), (1, 1, 2), (0, 2, 2), (0, 1, 3)):
        stepper(mixup=0.2, seed=seed).step(*batch_of(4), epoch, number, 0.1)
    assert drawn[0] == drawn[1] and len(set(drawn)) == 4


@pytest.mark.parametrize("alpha", [0.2, 4.0])
def test_shares_have_the_spread_of_their_beta_distribution(alpha):
    torch.manual_seed(0)
    shares = torch.tensor([float(mixup(torch.ones(2, 3, 1, 1), torch.eye(2), alpha)[1][0, 0]) for _ in range(3000)])
    # An image that is its own partner has all of itself. Beta(a, a) has the variance 1 / (4 (2 a + 1)).
    mixed = shares[shares < 1]
    assert float(mixed.mean()) == pytest.approx(0.5, abs=0.03)
    assert float(mixed.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def epochs_of(count, top5):
    row = {"train_loss": 1.0, "val_loss": 1.2, "train_acc1": 40.0, "val_acc1": 38.0, "val_acc5": top5}
    return [row | {"epoch": epoch} for epoch in range(count)]


@pytest.mark.parametrize(("count", "ticks"), [(1, [1]), (2, [1, 2]), (3, [1, 2, 3])])
def test_curves_have_no_ticks_between_epochs(count, ticks):
    figure = curves_figure(epochs_of(count, 90.0))
    figure.canvas.draw()
    for axes in figure.axes:
        shown = [tick for tick in axes.get_xticks() if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
        assert shown == ticks
        assert count > 1 or all(line.get_marker() == "." for line in axes.lines)


def test_top_5_of_three_classes_is_not_drawn():
    labels = [[line.get_label() for line in curves_figure(epochs_of(3, top5)).axes[1].lines] for top5 in (100.0, 90.0)]
    assert labels == [["train_acc1", "val_acc1"], ["train_acc1", "val_acc1", "val_acc5"]]
