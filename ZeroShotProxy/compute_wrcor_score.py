"""WRCor: how differently the units of a network respond to different images, forwards and backwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from ZeroShotProxy.activation_patterns import clamps_at_zero
from ZeroShotProxy.block_maps import blocks_of
from ZeroShotProxy.network_state import normalise_by_batch
from ZeroShotProxy.registry import Needs, ProxyFailure, Weights, proxy
from ZeroShotProxy.scoring import ScoringContext

_RECTIFIERS = frozenset(
    {
        *(functional.relu, functional.relu_, torch.relu, torch.relu_, Tensor.relu, Tensor.relu_),
        *(functional.relu6, functional.leaky_relu, functional.leaky_relu_, functional.prelu),
        *(functional.elu, functional.elu_, functional.gelu, functional.silu, functional.mish, functional.hardswish),
    }
)
# nn.ReLU6 is a clamp.
_CLAMPS = frozenset(
    {
        *(functional.hardtanh, functional.hardtanh_, functional.threshold),
        *(torch.clamp, torch.clamp_, torch.clamp_min, torch.clamp_min_),
        *(Tensor.clamp, Tensor.clamp_, Tensor.clamp_min, Tensor.clamp_min_),
    }
)


@proxy("WRCor", needs=Needs.GRADIENT, weights=Weights.DEFAULT)
def wrcor_score(network: nn.Module, context: ScoringContext) -> float:
    """log |det K|, K = sum over rectifiers of 2^l (|corr of inputs| + |corr of their gradients|). Larger is better.

    Jing et al., "Zero-Shot Neural Architecture Search with Weighted Response Correlation", 2025. For the rectifier's input, and
    for the gradient of the cross-entropy with respect to it, corr holds the Pearson correlations between images, (batch,
    batch); l is the number of the rectifier's block from the stem on, so that each block weighs as much as all before it.
    PyTorch's own weights, BN in training mode, standard normal images and uniformly random labels; published figures are of 64
    real images.

    A rectifier whose correlations are undefined (an image's inputs or gradients are all equal) is left out, as in the published
    code. Adding a factor to K only shifts all scores of a batch size. With blocks weighed by powers of two the last three or
    four decide. Raises ProxyFailure where nothing rectifies or K is singular.
    """
    normalise_by_batch(network)
    images = context.random_images()
    with _Responses(len(images), images.device).of(network) as responses:
        logits = network(images)
        if not responses.rectifiers:
            raise ProxyFailure("the network has no rectifying activation")
        loss = functional.cross_entropy(logits, context.random_labels(logits.shape[1]))
        if loss.requires_grad:
            torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
    return float(torch.linalg.slogdet(responses.total).logabsdet)


class _Responses(TorchFunctionMode):
    """Inside this mode, `total` adds up the weighted correlations of rectifiers' inputs and, later, of their gradients."""

    def __init__(self, batch_size: int, device: torch.device) -> None:
        super().__init__()
        self.total = torch.zeros(batch_size, batch_size, dtype=torch.float64, device=device)
        self.rectifiers = 0
        self.blocks_done = 0

    @contextmanager
    def of(self, network: nn.Module) -> Iterator[_Responses]:
        """The mode for one network, whose blocks are counted as they end."""
        handles = [block.modules[-1].register_forward_hook(self._end_block) for block in blocks_of(network)]
        try:
            with self:
                yield self
        finally:
            for handle in handles:
                handle.remove()

    def _end_block(self, module: nn.Module, inputs: tuple, output: object) -> None:
        self.blocks_done += 1

    def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        kwargs = kwargs or {}
        if func not in _RECTIFIERS and not (func in _CLAMPS and clamps_at_zero(args, kwargs)):
            return func(*args, **kwargs)
        weight = 2.0**self.blocks_done
        self.rectifiers += 1
        self._add(args[0].detach(), weight)
        output = func(*args, **kwargs)
        if output.grad_fn is not None:
            # The node's own hook sees the gradient through this rectifier alone, not that of all that reads the map.
            output.grad_fn.register_hook(lambda inner, outer: self._add(inner[0], weight))
        return output

    def _add(self, values: Tensor | None, weight: float) -> None:
        if values is None:
            return
        correlations = torch.corrcoef(values.detach().flatten(1)).abs().double()
        # Chosen where they are: to look at each rectifier's would be to wait for a GPU as often.
        self.total += torch.where(torch.isfinite(correlations).all(), weight * correlations, 0.0)
