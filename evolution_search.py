"""Find the network with the best zero-shot score under budgets, by evolution.

`python evolution_search.py --help` says how.
"""

import sys

from gsnet.commands.evolution_search import command

if __name__ == "__main__":
    sys.exit(command())
