"""Validate networks on the test images of CIFAR-10 or CIFAR-100.

python val_cifar.py --arch zennet_cifar10_model_size05M_res32 --dataset cifar10 --download
python val_cifar.py --arch 'zennet_cifar*'        # each on the data set of its name
"""

from __future__ import annotations

from collections.abc import Sequence

from gsnet.interface.running import run
from gsnet.data import DATASETS
from gsnet.validation.options import option_parser, parse


def main(argv: Sequence[str] | None = None) -> int:
    """Validate; returns the exit status."""
    parser = option_parser(__doc__ or "", batch_size=512, argv=argv)
    help_text = "data set (default: the one that it was trained on, or in the network's name)"
    parser.add_argument("--dataset", choices=[name for name, kind in DATASETS.items() if kind.cifar], help=help_text)
    parser.set_defaults(usual_dataset=None)
    options = parse(parser, argv)
    from gsnet.validation.command import report

    return report(options)


def command() -> int:
    """The command as a process: its errors as sentences, and its exit status."""
    return run(main)
