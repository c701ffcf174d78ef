"""On a pretended GPU: nothing lies on another device than its neighbours, and nobody waits in the middle of a step."""

from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException

import PlainNet
from gsnet.data import DataSettings
from gsnet.data.held_batches import ChangedImages, HeldImages
from gsnet.training import losses
from gsnet.training.optimisers import OptimiserSettings
from gsnet.training.precision import TorchPrecision
from gsnet.training.schedules import Schedule
from gsnet.training.settings import TrainingSettings
from gsnet.training.step import Stepper
from gsnet.training.tasks import Classification
from gsnet.validation import measure
from gsnet.validation.tally import Tally
from Masternet import MasterNet
from ZeroShotProxy import ScoringSettings, get_proxy
from ZeroShotProxy.compute_wrcor_score import _Responses
from ZeroShotProxy.scoring import ScoringContext, build

STRUCTURE = "SuperConvK3BNRELU(3,16,1,1)SuperGhostShuffleK3(16,32,2,16,1)SuperResIDWE4K5(32,64,2,64,1)"
CHANGES = [
    {},
    {"auto_augment": True, "random_erase": 0.5},
    {"auto_augment": "ta_wide"},
    {"auto_augment": "ra-m9-n2"},
    {"color_jitter": (0.4, 0.4, 0.4), "lighting": 0.1},
]
STEPS = [
    *({}, {"mixup": 0.2}, {"ema": 0.9}, {"accumulate": 2}),
    *({"grad_clip": 1.0, "grad_norm": 1.0}, {"channels_last": True}, {"grad_checkpointing": True}),
]


@pytest.mark.parametrize("more", CHANGES)
@pytest.mark.parametrize("kind", ["cifar10", "imagenet"])
def test_held_images_are_changed_without_waiting(pretended, kind, more):
    settings = DataSettings(kind, Path(), batch_size=8, workers=0, input_image_size=32, **more)
    changed = ChangedImages(HeldImages(None, torch.empty(0), torch.empty(0), settings))
    with pretended.pretended_gpu():
        changed.pixels = torch.empty(20, 3, 40, 40, dtype=torch.uint8, device="cuda")
        changed.labels = torch.zeros(20, dtype=torch.int64, device="cuda")
        # Mean and deviation are put there once.
        changed.__getitems__([(0, place) for place in range(8)])
        with pretended.waits() as places:
            images, labels = changed.__getitems__([(1, place) for place in range(8)])
    assert places == []
    assert (images.device.type, labels.device.type, images.dtype) == ("cuda", "cuda", torch.float32)


def gradients_of_zero(self, loss, optimiser, last):
    """In place of a backward pass, whose threads ask a real GPU for its number."""
    self.scaler.scale(loss)
    for group in optimiser.param_groups:
        for weight in group["params"]:
            weight.grad = torch.zeros_like(weight)


@pytest.fixture
def without_backward_pass(monkeypatch):
    monkeypatch.setattr(TorchPrecision, "backward", gradients_of_zero)
    # Numbers of the processor have no values there either.
    monkeypatch.setattr(losses, "_share", lambda alpha: 0.3)


@pytest.mark.parametrize("more", STEPS, ids=str)
def test_a_step_is_made_without_waiting(pretended, more, without_backward_pass):
    """But for the backward pass."""
    found, places = two_steps(pretended, more)
    assert places == [] and found.device.type == "cuda"


@pytest.fixture
def autocast_on_the_gpu(monkeypatch):
    """torch leaves layers in float32 where it finds no GPU."""
    monkeypatch.setattr(torch.cuda.amp.common, "amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)


def test_a_step_in_bfloat16_is_made_without_waiting(pretended, without_backward_pass, autocast_on_the_gpu, monkeypatch):
    """One in float16 asks, for the optimiser's part of it, whether a gradient has overflowed."""
    seen = []
    forward = torch.nn.Linear.forward
    monkeypatch.setattr(torch.nn.Linear, "forward", lambda self, x: seen.append(y := forward(self, x)) or y)
    found, places = two_steps(pretended, {"amp": True, "amp_dtype": "bfloat16"})
    assert places == [] and found.device.type == "cuda"
    assert {logits.dtype for logits in seen} == {torch.bfloat16}
    seen.clear()
    with pytest.raises(DataDependentOutputException):
        two_steps(pretended, {"amp": True})
    assert {logits.dtype for logits in seen} == {torch.float16}


def two_steps(pretended, more):
    """What the second returns, and where the GPU would be waited for."""
    images, labels = torch.zeros(8, 3, 32, 32), torch.zeros(8, dtype=torch.int64)
    settings = TrainingSettings(
        Schedule("cosine", 0.1, 0.0, 10, 8), OptimiserSettings(nesterov=True), 10, smoothing=0.1, **more
    )
    with pretended.pretended_gpu():
        with torch.device("cuda"):
            network = Classification(MasterNet(num_classes=10, plainnet_struct=STRUCTURE))
        stepper = Stepper(network, settings, "cuda")
        with pretended.waits() as places:
            for number in range(2):
                found = stepper.step(images, labels, 0, number, 0.1)
    return found, places


def test_a_validation_counts_without_waiting(pretended):
    with pretended.pretended_gpu():
        tally, confusion = Tally("cuda"), measure._Confusion(10, "cuda")
        logits, labels = torch.zeros(8, 10, device="cuda"), torch.zeros(8, dtype=torch.int64, device="cuda")
        with pretended.waits() as places:
            predicted = tally.add(logits, labels)
            confusion.add(predicted, labels)
    assert places == [] and {predicted.device.type, tally._sums.device.type} == {"cuda"}


# Those without a backward pass, which a pretended GPU has not; whose first number is read layer by layer are not among them.
@pytest.mark.parametrize("name", ["Zen", "Perturbation", "NASWOT", "TE-NAS-LR"])
def test_scores_wait_for_their_figures_alone(pretended, name):
    proxy, settings = get_proxy(name), ScoringSettings(batch_size=4, device="cuda")
    with pretended.pretended_gpu(), torch.no_grad():
        context = ScoringContext(settings, settings.style_for(proxy), 0, few_launches=True)
        context.generator = None
        network = build(PlainNet.parse(STRUCTURE), proxy, context)
        with pretended.waits() as places, pytest.raises(DataDependentOutputException):
            proxy.compute(network, context)
    assert places == []


def test_wrcor_adds_up_where_maps_lie(pretended, monkeypatch):
    """torch's own correlations look at a number inside: they stand aside."""
    monkeypatch.setattr(torch, "corrcoef", lambda values: values @ values.T)
    with pretended.pretended_gpu():
        maps = torch.randn(4, 3, 8, 8, device="cuda")
        with pretended.waits() as places:
            responses = _Responses(4, maps.device)
            responses._add(maps, 2.0)
    assert places == [] and responses.total.device.type == "cuda"


def test_parts_of_partners_are_pasted_without_waiting(pretended):
    with pretended.pretended_gpu():
        images, targets = torch.zeros(8, 3, 32, 32, device="cuda"), torch.zeros(8, 10, device="cuda")
        with pretended.waits() as places:
            mixed, shares = losses.pasted(images, targets, losses._partners(images), 0.3, (16, 16))
    assert places == [] and {mixed.device.type, shares.device.type} == {"cuda"}
