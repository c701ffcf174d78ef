"""Compare networks: what they cost, how long they take, what proxies, searches and trainings say of them.

`python compare.py --help` says how.
"""

import sys

from gsnet.commands.compare import command

if __name__ == "__main__":
    sys.exit(command())
