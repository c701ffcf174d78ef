"""GradNorm in closed form: the norm of the loss's gradient over all parameters of a random network (docs/gradient_norm.md)."""

from __future__ import annotations

import math

import numpy as np

from PlainNet import Network, Style
from PlainNet.compiling import prepare
from PlainNet.style import PLAIN
from ZeroShotProxy.gradient_growth import GradientGrowth
from ZeroShotProxy.gradient_growth import examples as growth_examples
from ZeroShotProxy.gradient_logits import logit_gradient
from ZeroShotProxy.gradient_shares import SHARES
from ZeroShotProxy.gradient_weights import LAST_SIZE, MEANS, VARIANCES, run
from ZeroShotProxy.mean_field_map import STACK
from ZeroShotProxy.per_thread import PerThread
from ZeroShotProxy.registry import Needs, ProxyFailure, proxy
from ZeroShotProxy.scoring import ScoringContext

# Squares are of weights of convolutions and of depth-wise ones, BN's scales and shifts, the classifier's weights and biases.
KINDS = ("convolutions", "depth-wise", "scales", "shifts", "classifier", "biases")
_BODY = len(KINDS) - 2


class GradientNorm(GradientGrowth):
    """Expected squares of the gradient of the cross-entropy over parameters, for one resolution and style.

    Weights and images are standard normal, labels uniformly random, BN is in training mode. One object serves one thread.
    Raises ValueError where the style has no BN.
    """

    def __init__(self, resolution: int = 32, style: Style = PLAIN) -> None:
        super().__init__(resolution, style)
        self._shares = np.zeros((STACK + 1, SHARES))

    def prepare(self) -> None:
        prepare("the closed form of gradients of weights (about 30 seconds)", [(run, examples())])

    def squares(self, network: Network, images: int = 16, classes: int = 10) -> np.ndarray:
        """Expected squared gradient by kind of parameter, `KINDS`: (6,). images: of the batch. Raises ProxyFailure."""
        squares, last = np.zeros(len(KINDS)), np.zeros(LAST_SIZE + 1)
        self.follow(network, run, self._shares, last, squares[:_BODY], 0.0, 0.0)
        positions = last[LAST_SIZE] ** 2
        if images * positions < 2:
            raise ProxyFailure("batch normalisation has a single value per channel")
        # Pooled: what positions have of their own averages out.
        common, pooled = last[MEANS], last[MEANS] + last[VARIANCES] / positions
        found = logit_gradient(math.sqrt(pooled), common / pooled, classes)
        self.follow(network, run, self._shares, last, squares[:_BODY], float(images), found.product / found.square)
        squares[:_BODY] *= found.square / (images * positions) ** 2
        own, others = found.square / images, found.product * (images - 1) / images
        squares[_BODY:] = own * pooled + others * common, own + others
        return squares

    def norm(self, network: Network, images: int = 16, classes: int = 10) -> float:
        """The root of the expected squared norm. Raises ProxyFailure."""
        return math.sqrt(self.squares(network, images, classes).sum())


_closed_forms = PerThread(GradientNorm)


@proxy("GradNormClosedForm", needs=Needs.VALUE)
def gradient_norm_closed_form(network: Network, context: ScoringContext) -> float:
    """The root of the expected square of `GradNorm`, over weights, images and labels. Larger is better.

    Without batch normalisation and with squeeze-and-excitation there is none: raises ProxyFailure.
    """
    if context.style.no_BN:
        raise ProxyFailure("the closed form of GradNorm is that of networks with batch normalisation")
    settings = context.settings
    form = _closed_forms.get(settings.resolution, context.style)
    return form.norm(network, settings.batch_size, settings.num_classes)


def examples() -> tuple:
    """Arguments of `gradient_weights.run` with the types of every call: numba compiles for types."""
    return (*growth_examples()[:-1], np.zeros((STACK + 1, SHARES)), np.zeros(3), np.zeros(_BODY), 0.0, 0.0)
