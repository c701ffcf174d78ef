"""What page faults cost: passes with the C library's own habit of handing freed memory back, and with `gsnet.runtimes.memory`.

    python -m benchmarks.freed_memory

Each in a process of its own, on one thread by the thread's clock; the ratio is of medians.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from statistics import median

from gsnet.interface.running import run

WIDE = "SuperConvK3BNRELU(3,32,2,1)SuperGhostShuffleK5(32,128,2,160,2)SuperGhostShuffleK3(128,160,2,240,2)"
NETWORKS = {
    "zennet_imagenet1k_flops400M_SE_res224": ["--resolution", "224", "--batch", "8"],
    "zennet_imagenet1k_latency01ms_res224": ["--resolution", "224", "--batch", "8"],
    WIDE: ["--resolution", "224", "--batch", "8"],
    "zennet_cifar10_model_size1M_res32": ["--resolution", "32", "--batch", "1"],
}


def time_one(options: argparse.Namespace) -> None:
    """Print median seconds and page faults of a forward pass as JSON."""
    import torch

    import PlainNet
    import ZenNet
    from gsnet.runtimes.memory import keep_freed_memory
    from Masternet import MasterNet

    torch.set_num_threads(1)
    if options.keep:
        keep_freed_memory()
    name, resolution = options.network, options.resolution
    structure = ZenNet.published(name).structure if name in ZenNet.list_models() else name
    model = MasterNet(num_classes=10, plainnet_struct=PlainNet.parse(structure)).eval()
    images = torch.randn(options.batch, 3, resolution, resolution)
    seconds: list[float] = []
    with torch.inference_mode():
        for _ in range(3):
            model(images)
        faults = _faults()
        while len(seconds) < 5 or (len(seconds) < 50 and sum(seconds) < 1):
            start = time.thread_time()
            model(images)
            seconds.append(time.thread_time() - start)
    print(json.dumps([median(seconds), (_faults() - faults) / len(seconds)]))


def _faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def main() -> None:
    """Compare all networks, or with --network time one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", help="time only this one, in this process")
    parser.add_argument("--resolution", type=int, default=224)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="with freed memory kept")
    options = parser.parse_args()
    if options.network:
        time_one(options)
        return
    for name, conditions in NETWORKS.items():
        command = [sys.executable, "-m", "benchmarks.freed_memory", "--network", name, *conditions]
        (usual, faults), (kept, left) = (
            json.loads(subprocess.run([*command, *keep], check=True, capture_output=True, text=True).stdout)
            for keep in ([], ["--keep"])
        )
        print(
            f"{name[:45]} {' '.join(conditions)}: {usual * 1e3:.2f} ms with {faults:,.0f} page faults, "
            f"{kept * 1e3:.2f} ms with {left:,.0f}: {usual / kept:.2f} times faster",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(run(main))
