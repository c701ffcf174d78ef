"""Networks rewritten so that runtimes run them faster: the same outputs, fewer copies of maps.

Exporters fold batch normalisation into the convolution before it, and leave everything else as it was written. Here

- concatenation, split and channel shuffle are no layers but say where channels come from: a convolution whose outputs go to
  different readers becomes one for each (so that a split has nothing to do), and the readers' weights are put into the order in
  which channels lie (so that a shuffle has nothing to do);
- batch normalisation behind a concatenation is folded channel by channel, into those convolutions behind which nothing else
  reads;
- what stays of it is computed by a depth-wise convolution beside it, and a convolution of several maps side by side becomes a
  sum of convolutions of each, where that takes less time;
- convolutions are widened by channels of zeros to multiples of what processors compute at once, for ONNX Runtime keeps maps in
  its blocked layout only then.
"""

from __future__ import annotations

import logging
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree

from gsnet.runtimes.channel_groups import Readers, fold_norms
from gsnet.runtimes.channel_maps import Widths
from gsnet.runtimes.channel_pairs import pair_norms
from gsnet.runtimes.channel_reading import Reading
from gsnet.runtimes.channel_writing import Writing

log = logging.getLogger(__name__)
# Of the largest output: what the order of sums explains in float32.
_TOLERANCE = 1e-4


def fused(
    network: nn.Module, size: tuple[int, int], multiple: int, *, norms_as_convolutions: bool = False
) -> nn.Module:
    """A network that computes the same for images (N, 3, *size), up to rounding; the network itself where nothing is gained.

    network: in evaluation mode, on the processor; it stays as it is. multiple: of which convolutions' widths shall be.
    norms_as_convolutions: write batch normalisation that stays as depth-wise convolutions, which int8 has integer operators of.
    Nothing is gained in a network without concatenation, split and shuffle, and in one that torch.fx cannot trace. Both are
    run on noise: where outputs differ, as those of a map that is changed in place and read again, the network is given back.
    """
    try:
        reading = Reading(network, size)
        if not reading.copies:
            return network
        fold_norms(reading.layers)
        widths = Widths(multiple)
        if multiple > 1:
            pair_norms(reading.layers, widths)
        writing = Writing(reading, Readers(reading.layers), widths, norms_as_convolutions)
        rewritten = writing.network().eval()
        same = _agree(rewritten, reading)
    # Whatever a module of somebody else's does where it is given no numbers.
    except Exception as error:
        log.info("the network is written as it is: %s", " ".join(str(error).split()))
        return network
    if not same:
        log.info("the network is written as it is: it would compute something else")
        return network
    return rewritten


@torch.no_grad()
def _agree(rewritten: nn.Module, reading: Reading) -> bool:
    """Whether every output is the one that was read."""
    expected, found = (_pytree.tree_leaves(one) for one in (reading.outputs, rewritten(reading.images.clone())))
    return len(expected) == len(found) and all(map(_same, expected, found))


def _same(expected: Any, found: Any) -> bool:
    if not isinstance(expected, torch.Tensor) or not isinstance(found, torch.Tensor):
        return bool(expected == found)
    if expected.shape != found.shape:
        return False
    # A comparison with NaN is false.
    return bool((found - expected).abs().max() <= _TOLERANCE * expected.abs().max())
