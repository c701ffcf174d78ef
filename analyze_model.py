"""Print parameters, FLOPs, memory access cost and output shape of a network, block by block.

`python analyze_model.py --help` says how.
"""

import sys

from gsnet.commands.analyze_model import command

if __name__ == "__main__":
    sys.exit(command())
