"""Validate networks on the test images of CIFAR-10 or CIFAR-100.

`python val_cifar.py --help` says how.
"""

import sys

from gsnet.commands.val_cifar import command

if __name__ == "__main__":
    sys.exit(command())
