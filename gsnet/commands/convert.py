"""Convert checkpoints to safetensors, which hold tensors and nothing that could run.

    gsnet convert zennet_imagenet1k_latency01ms_res224     # in the cache, beside the original
    gsnet convert zennet_cifar10_model_size05M_res32 --weights best-params_rank0.pth --output small.safetensors

The checkpoint must fit the network exactly; the new file is read back and compared before it takes its place.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from gsnet.interface.running import run
from gsnet.interface.files import check_replaceable, target_of, written_whole
from gsnet.interface.logs import log_to
from gsnet.interface.partial import remove_leftovers
from gsnet.interface.path_options import new_file, path
from gsnet.interface.script_options import script_parser
from ZenNet.catalogue import published
from ZenNet.files import WeightsError, find_weights

_LOG = logging.getLogger(__name__)


def convert(name: str, weights: Path | None = None, output: Path | None = None, weights_url: str | None = None) -> Path:
    """Write a network's weights as safetensors; returns the new file, by default the checkpoint's name with that suffix.

    Raises WeightsError where the checkpoint does not fit the network, OSError where the file cannot be written.
    """
    # A name is checked before torch is loaded, which takes seconds.
    entry = published(name)
    if output is not None:
        check_replaceable(output)
    import torch
    from safetensors.torch import load_file, save

    from Masternet import MasterNet
    from ZenNet.state import load_into, read_state

    source = find_weights(entry, weights, weights_url)
    target = output or source.with_suffix(".safetensors")
    if target.exists() and target.samefile(source):
        raise WeightsError(f"{source} is safetensors already; give another --output FILE for a copy")
    network = MasterNet.uninitialised(num_classes=entry.classes, plainnet_struct=entry.structure, use_se=entry.se)
    state = {key: value.contiguous() for key, value in read_state(source, network.state_dict()).items()}
    load_into(network, state, f"{source} as {name}")
    remove_leftovers(target_of(target))
    with written_whole(target, "wb") as file:
        file.write(save(state))
        file.flush()
        read_back = load_file(file.name)
        if read_back.keys() != state.keys() or not all(torch.equal(read_back[key], state[key]) for key in state):
            raise WeightsError(f"{target} reads back with other values: is the disk sound?")
    return target


def main(argv: Sequence[str] | None = None) -> int:
    """Convert one checkpoint; returns the exit status."""
    parser = script_parser(__doc__ or "", argv)
    parser.add_argument("name", help="a published network")
    parser.add_argument("--weights", type=path, metavar="FILE", help="its checkpoint, instead of the cached one")
    parser.add_argument("--weights_url", metavar="URL", help="base address of a mirror")
    parser.add_argument("--output", type=new_file, metavar="FILE", help="the new file")
    options = parser.parse_args(argv)
    if options.weights:
        parser.refuse_ignored(options, "beside --weights", ("weights_url",))
    log_to()
    file = convert(options.name, options.weights, options.output, options.weights_url)
    _LOG.info("%s, %s bytes", file, f"{file.stat().st_size:,}")
    return 0


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main)
