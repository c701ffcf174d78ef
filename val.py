"""Validate networks on ImageNet, or on any folder of pictures with val/CLASS/IMAGE.

`python val.py --help` says how.
"""

import sys

from gsnet.commands.val import command

if __name__ == "__main__":
    sys.exit(command())
