"""The one caller of all proxies: seeds, device, weights, link mode, memory, and the network given back untouched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Self

from PlainNet import Network, StructureError, Style, user_files
from PlainNet.style import PLAIN
from ZeroShotProxy.registry import Needs, Proxy, ProxyFailure, Weights, finite, get_proxy

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ZeroShotProxy.scored_network import ScoredNetwork


# How torch refuses float64 on Apple's GPUs.
_OF_MPS = re.compile("float64|Double")


@dataclass(frozen=True)
class ScoringSettings:
    """How networks are scored; the same for every network of a search.

    resolution and batch_size: of the images. gamma: Zen's perturbation. device: a torch device name. keep_links: None leaves
    the choice to the proxy. style: squeeze-and-excitation and BN.
    """

    resolution: int = 32
    batch_size: int = 16
    num_classes: int = 10
    gamma: float = 1e-2
    device: str = "cpu"
    keep_links: bool | None = None
    style: Style = PLAIN

    def style_for(self, proxy: Proxy) -> Style:
        """The style of the network that a proxy sees."""
        return _with_links(self.style, proxy.keeps_links if self.keep_links is None else self.keep_links)


# Asked for every candidate of a search: the same object each time is found at once wherever a style is a key.
@lru_cache(maxsize=100)
def _with_links(style: Style, keep: bool) -> Style:
    return replace(style, no_reslink=not keep)


@dataclass
class ScoringContext:
    """What a proxy may use beside the network: settings, the style it is built in, and random numbers of its own.

    channels: of the images. few_launches: whether all weights are drawn at once and both passes of Zen made as one. On a GPU,
    where a launch costs more than most layers, they are; on a CPU random numbers come layer by layer, as they always did, and
    its caches hold one pass.
    """

    settings: ScoringSettings
    style: Style
    seed: int
    few_launches: bool = False
    channels: int = 3

    @cached_property
    def generator(self) -> torch.Generator:
        """Random numbers on the scoring device, the same for the same seed."""
        import torch

        return torch.Generator(self.settings.device).manual_seed(self.seed)

    def random_images(self) -> Tensor:
        """Standard normal images, (batch, channels, resolution, resolution)."""
        import torch

        side = self.settings.resolution
        shape = (self.settings.batch_size, self.channels, side, side)
        return torch.randn(shape, generator=self.generator, device=self.settings.device)

    def random_labels(self, num_classes: int) -> Tensor:
        """Labels drawn uniformly, (batch,)."""
        import torch

        shape = (self.settings.batch_size,)
        return torch.randint(num_classes, shape, generator=self.generator, device=self.settings.device)


@dataclass(frozen=True)
class RepeatedScore:
    """Mean and standard deviation of a score over independent repeats (deviation 0 for a single one)."""

    mean: float
    std: float
    scores: tuple[float, ...]

    @classmethod
    def of(cls, scores: Sequence[float]) -> Self:
        """The scores of all repeats, of which there is one at least."""
        return cls(fmean(scores), stdev(scores) if len(scores) > 1 else 0.0, tuple(scores))


def score(network: Network | nn.Module, proxy: str | Proxy, settings: ScoringSettings, seed: int = 0) -> float:
    """The proxy's score of a network value or of any torch classifier.

    A module is given back as it came: weights, buffers, gradients, mode, dtype and hooks. Raises ProxyFailure with the
    reason when the network cannot be scored, as one by which a user's file fails; a program's own function fails as it does.
    """
    try:
        return _score(network, proxy, settings, seed)
    except (ProxyFailure, StructureError):
        raise
    except Exception as error:
        # Written out, as a context manager takes a tenth of what a closed form does.
        sentence = user_files.sentence_of(error)
        if sentence is None:
            raise
        raise ProxyFailure(sentence) from error


def _score(network: Network | nn.Module, proxy: str | Proxy, settings: ScoringSettings, seed: int) -> float:
    chosen = get_proxy(proxy) if isinstance(proxy, str) else proxy
    few_launches = not settings.device.startswith("cpu")
    # A module that does not say it is taken for one of colour images.
    channels = network.in_channels if isinstance(network, Network) else getattr(network, "in_chans", 3)
    context = ScoringContext(settings, settings.style_for(chosen), seed, few_launches, channels)
    if chosen.needs is Needs.VALUE:
        if not isinstance(network, Network):
            raise ProxyFailure(f"{chosen.name} scores structure strings, not torch modules")
        return finite(chosen.compute(network, context))
    return finite(_score_module(network, chosen, context))


def repeated_score(
    network: Network | nn.Module, proxy: str | Proxy, settings: ScoringSettings, seeds: range
) -> RepeatedScore:
    """Mean and spread of a score over seeds, each with weights, images and BN statistics of its own."""
    return RepeatedScore.of([score(network, proxy, settings, seed) for seed in seeds])


def _score_module(network: Network | nn.Module, proxy: Proxy, context: ScoringContext) -> float:
    import torch

    from ZeroShotProxy.network_state import untouched

    needs_gradient = proxy.needs is Needs.GRADIENT
    try:
        with torch.set_grad_enabled(needs_gradient):
            if isinstance(network, Network):
                return proxy.compute(build(network, proxy, context), context)
            with untouched(network):
                network.to(context.settings.device)
                network.requires_grad_(needs_gradient)
                _set_weights(network, proxy.weights, context)
                return proxy.compute(network, context)
    except torch.OutOfMemoryError:
        torch.cuda.empty_cache()
        raise ProxyFailure(f"not enough memory on {context.settings.device} at this batch size") from None
    except RuntimeError as error:
        raise ProxyFailure(user_files.sentence_of(error) or f"{type(error).__name__}: {error}") from error
    except ValueError as error:
        # torch's own refusal of BN in training mode with a single value per channel
        raise ProxyFailure(user_files.sentence_of(error) or str(error)) from error
    except (AttributeError, TypeError, LookupError) as error:
        if context.settings.device.startswith("mps") and isinstance(error, TypeError) and _OF_MPS.search(str(error)):
            raise ProxyFailure(
                f"{proxy.name} is computed in float64, which Apple's GPUs have not: use --device cpu"
            ) from error
        if isinstance(network, Network) or (output := _other_output(network, context)) is None:
            raise
        raise ProxyFailure(
            f"the network gives {output} for a batch of images, and no logits (images, classes)"
        ) from error


def _other_output(network: nn.Module, context: ScoringContext) -> str | None:
    """What a module gives for images in place of logits; None where these are what it gives."""
    import torch

    from ZeroShotProxy.network_state import untouched

    with torch.no_grad(), untouched(network):
        output = network.to(context.settings.device)(context.random_images())
    return None if isinstance(output, torch.Tensor) else f"a {type(output).__name__}"


def build(network: Network, proxy: Proxy, context: ScoringContext) -> nn.Module:
    """The module that a proxy is given, with its weights, for this score alone."""
    from ZeroShotProxy.scored_network import LeanNetwork, ScoredNetwork, is_of_own_layers

    if not is_of_own_layers(network, context.style):
        return _build_by_layer(network, proxy, context)
    kind = LeanNetwork if proxy.needs is Needs.MODULE else ScoredNetwork
    module = kind(network, context.style, context.settings.num_classes)
    _give_tensors(module, proxy.weights, context)
    return module


def _give_tensors(module: ScoredNetwork, weights: Weights, context: ScoringContext) -> None:
    """Memory and weights."""
    from ZeroShotProxy.flat_tensors import allocate, draw_at_once
    from ZeroShotProxy.lean_network import lay_channels_last
    from ZeroShotProxy.network_state import draw_normal_weights, set_default_weights

    device = context.settings.device
    if context.few_launches:
        draw_at_once(allocate(module, device, channels_last=module.lean), weights, context.generator)
        return
    tensors = allocate(module, device, channels_last=False)
    if weights is Weights.DEFAULT:
        set_default_weights(module, context.seed)
    else:
        draw_normal_weights(tensors.weighted, weights, context.generator)
    if module.lean:
        lay_channels_last(module)


def _build_by_layer(network: Network, proxy: Proxy, context: ScoringContext) -> nn.Module:
    """The same where a block makes layers of its own."""
    from Masternet import MasterNet

    module = MasterNet.uninitialised(
        num_classes=context.settings.num_classes,
        plainnet_struct=network,
        style=context.style,
    ).to(context.settings.device)
    _set_weights(module, proxy.weights, context)
    if proxy.needs is Needs.MODULE and context.settings.device == "cpu":
        from ZeroShotProxy.lean_network import make_lean

        make_lean(module)
    return module


def _set_weights(module: nn.Module, weights: Weights, context: ScoringContext) -> None:
    from ZeroShotProxy.network_state import set_default_weights, set_normal_weights

    if weights is Weights.DEFAULT:
        set_default_weights(module, context.seed)
    else:
        set_normal_weights(module, weights, context.generator)
