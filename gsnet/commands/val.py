"""Validate networks on ImageNet, or on any folder of pictures with val/CLASS/IMAGE.

python val.py --arch save_dir/my_training                  # all the rest it knows itself
python val.py --fp16 --gpu 0 --arch zennet_imagenet1k_latency01ms_res224
python val.py --arch 'zennet_imagenet*' --data_dir ~/data/imagenet --limit 5000 --json
torchrun --nproc_per_node=8 val.py --device cuda --apex --arch resnet50
"""

from __future__ import annotations

from collections.abc import Sequence

from gsnet.interface.running import run
from gsnet.validation.options import folder_parser, parse


def main(argv: Sequence[str] | None = None) -> int:
    """Validate; returns the exit status."""
    options = parse(folder_parser(__doc__ or "", argv), argv)
    from gsnet.validation.command import report

    return report(options)


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main)
