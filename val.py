"""Validate networks on ImageNet, or on any folder of pictures with val/CLASS/IMAGE.

python val.py --fp16 --gpu 0 --arch zennet_imagenet1k_latency01ms_res224
python val.py --arch 'zennet_imagenet*' --data_dir ~/data/imagenet --limit 5000 --json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from Interface.running import log_to, run
from Validation import command


def main(argv: Sequence[str] | None = None) -> int:
    """Validate; returns the exit status."""
    parser = command.parser(__doc__ or "", batch_size=128)
    parser.add_argument("--dataset", choices=("imagenet", "fake"), default="imagenet", help="data set")
    options = parser.parse_args(argv)
    log_to(quiet=options.json)
    if options.predict:
        print(command.predict_all(options))
        return 0
    rows = command.validate_all(options)
    if command.is_first():
        print(command.text_of(rows, options.json))
    return command.status_of(rows)


if __name__ == "__main__":
    sys.exit(run(main))
