"""SWAP: how many different patterns the units of a network show over a batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ZeroShotProxy.activation_patterns import PatternRecorder
from ZeroShotProxy.network_state import normalise_by_batch
from ZeroShotProxy.registry import Needs, ProxyFailure, proxy
from ZeroShotProxy.scoring import ScoringContext


@proxy("SWAP", needs=Needs.MODULE)
@torch.no_grad()
def swap_score(network: nn.Module, context: ScoringContext) -> float:
    """Number of distinct sample-wise activation patterns (Peng et al. 2024, definition of the SWAP-Score). Larger is better.

    Peng et al., "SWAP-NAS: Sample-Wise Activation Patterns for Ultra-fast NAS", ICLR 2024. The pattern of a unit (one channel
    at one position of the map behind a rectifier) is the batch's images at which it is on; the score counts how many patterns
    there are among all units. NASWOT looks at the same bits image by image. Standard normal weights, BN in training mode, and
    the published 16 images, here standard normal ones, not real ones. Published scores are means over 32 draws of weights; this
    is one.

    There are 2 ^ batch patterns: with small batches and wide networks the count saturates (65,536 at 16, 256 at 8), and it
    orders wide networks by little else than the number of their units. At most 62 images. The paper also multiplies by
    exp(-(parameters - mu)^2 / sigma), with mu and sigma chosen for each space; budgets do that here, so it is left out. Raises
    ProxyFailure where nothing rectifies.
    """
    normalise_by_batch(network)
    images = context.random_images()
    if len(images) > _MOST_IMAGES:
        raise ProxyFailure(f"patterns are counted over at most {_MOST_IMAGES} images, this batch has {len(images)}")
    with PatternRecorder(len(images)) as recorder:
        network(images)
    if not recorder.patterns:
        raise ProxyFailure("the network has no rectifying activation")
    return float(distinct_patterns(recorder.patterns))


# Patterns are the bits of a 64-bit integer; up to this many images they are ticked off in a table.
_MOST_IMAGES = 62
_MOST_IN_TABLE = 20


def distinct_patterns(patterns: list[Tensor]) -> int:
    """How many different columns there are among (images, units) patterns."""
    images = len(patterns[0])
    if images > _MOST_IN_TABLE:
        found = [torch.unique(_as_numbers(pattern)) for pattern in patterns]
        return len(torch.unique(torch.cat(found)))
    seen = torch.zeros(2**images, dtype=torch.bool, device=patterns[0].device)
    # Sums of powers of two up to 2 ^ 20 are exact in float32.
    powers = 2.0 ** torch.arange(images, device=seen.device)
    for pattern in patterns:
        seen[(powers @ pattern.to(torch.float32)).long()] = True
    return int(seen.sum())


def _as_numbers(pattern: Tensor) -> Tensor:
    bits = torch.arange(len(pattern), device=pattern.device)
    return (pattern.to(torch.int64) << bits[:, None]).sum(dim=0)
