"""Validate networks on the test images of CIFAR-10 or CIFAR-100.

python val_cifar.py --arch zennet_cifar10_model_size05M_res32 --dataset cifar10 --download
python val_cifar.py --arch 'zennet_cifar*'        # each on the data set of its name
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from Interface.options import InputError
from Interface.running import log_to, run
from Validation import command

_BY_NAME = {"cifar10": "cifar10", "cifar100": "cifar100"}


def main(argv: Sequence[str] | None = None) -> int:
    """Validate; returns the exit status."""
    parser = command.parser(__doc__ or "", batch_size=512)
    choices = ("cifar10", "cifar100")
    parser.add_argument("--dataset", choices=choices, help="data set (default: the one in the network's name)")
    options = parser.parse_args(argv)
    if options.dataset is None and not any(f"_{name}_" in options.arch for name in choices) and "*" not in options.arch:
        raise InputError(f"The name {options.arch} does not say which data set: give --dataset cifar10 or cifar100")
    log_to(quiet=options.json)
    options.dataset, by_name = options.dataset or "cifar10", None if options.dataset else _BY_NAME
    if options.predict:
        print(command.predict_all(options))
        return 0
    rows = command.validate_all(options, by_name)
    if command.is_first():
        print(command.text_of(rows, options.json))
    return command.status_of(rows)


if __name__ == "__main__":
    sys.exit(run(main))
