"""Score networks with a zero-shot proxy, without training them.

`python compute_score.py --help` says how.
"""

import sys

from gsnet.commands.compute_score import command

if __name__ == "__main__":
    sys.exit(command())
