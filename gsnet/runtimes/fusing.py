"""Networks rewritten so that runtimes run them faster: the same outputs, fewer copies of maps.

Exporters fold batch normalisation into the convolution before it, and leave everything else as it was written. Here

- concatenation, split and channel shuffle are no layers but say where channels come from: a convolution whose outputs go to
  different readers becomes one for each (so that a split has nothing to do), and the readers' weights are put into the order in
  which channels lie (so that a shuffle has nothing to do);
- batch normalisation behind a concatenation is folded channel by channel, into those convolutions behind which nothing else
  reads;
- convolutions are widened by channels of zeros to multiples of what processors compute at once, for ONNX Runtime keeps maps in
  its blocked layout only then.
"""

from __future__ import annotations

import logging

from torch import nn

from gsnet.runtimes.channel_groups import Readers, fold_norms
from gsnet.runtimes.channel_reading import Reading
from gsnet.runtimes.channel_writing import Widths, Writing

log = logging.getLogger(__name__)


def fused(
    network: nn.Module, size: tuple[int, int], multiple: int, *, norms_as_convolutions: bool = False
) -> nn.Module:
    """A network that computes the same for images (N, 3, *size), up to rounding; the network itself where nothing is gained.

    network: in evaluation mode, on the processor; it stays as it is. multiple: of which convolutions' widths shall be.
    norms_as_convolutions: write batch normalisation that stays as depth-wise convolutions, which int8 has integer operators of.
    Nothing is gained in a network without concatenation, split and shuffle, and in one that torch.fx cannot trace.
    """
    try:
        reading = Reading(network, size)
    # Whatever a module of somebody else's does where it is given no numbers.
    except Exception as error:
        log.info("the network is written as it is: %s", " ".join(str(error).split()))
        return network
    if not reading.copies:
        return network
    fold_norms(reading.layers)
    writing = Writing(reading, Readers(reading.layers), Widths(multiple), norms_as_convolutions)
    return writing.network().eval()
