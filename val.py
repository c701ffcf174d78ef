"""Validate networks on ImageNet, or on any folder of pictures with val/CLASS/IMAGE.

python val.py --fp16 --gpu 0 --arch zennet_imagenet1k_latency01ms_res224
python val.py --arch 'zennet_imagenet*' --data_dir ~/data/imagenet --limit 5000 --json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from Interface.running import run
from Validation import command


def main(argv: Sequence[str] | None = None) -> int:
    """Validate; returns the exit status."""
    parser = command.parser(__doc__ or "", batch_size=128)
    parser.add_argument("--dataset", choices=("imagenet", "fake"), default="imagenet", help="data set")
    return command.report(parser.parse_args(argv))


if __name__ == "__main__":
    sys.exit(run(main))
