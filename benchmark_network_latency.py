"""Time a network on a device, or predict its latency from a table of that device.

`python benchmark_network_latency.py --help` says how.
"""

import sys

from gsnet.commands.benchmark_network_latency import command

if __name__ == "__main__":
    sys.exit(command())
