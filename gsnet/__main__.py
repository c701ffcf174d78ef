"""All scripts of GSNet under one command.

    gsnet evolution_search --help
    gsnet val --arch resnet18 --data_dir ~/data/imagenet

The same as `python evolution_search.py --help` in the project's folder, from anywhere.
"""

from __future__ import annotations

import runpy
import sys

from Interface.options import OptionParser

SCRIPTS = {
    "analyze_model": "parameters, FLOPs and memory access cost of a network",
    "benchmark_network_latency": "time a network, fill latency tables, predict",
    "compute_score": "zero-shot scores of networks",
    "evolution_search": "search a network under budgets",
    "train_detection": "train a detector",
    "train_image_classification": "train an image classifier",
    "ts_train_image_classification": "train an image classifier with a teacher",
    "val": "validate networks on ImageNet or a folder of pictures",
    "val_cifar": "validate networks on CIFAR",
    "val_detection": "evaluate a detector",
}


def main() -> None:
    """Run the script that the command line names, as if it had been started itself."""
    if sys.argv[1:] and sys.argv[1] in SCRIPTS:
        script = sys.argv[1]
        sys.argv = [f"gsnet {script}", *sys.argv[2:]]
        runpy.run_module(script, run_name="__main__")
        return
    table = "\n".join(f"    {name:<28}{what}" for name, what in SCRIPTS.items())
    parser = OptionParser(f"{__doc__}\n{table}\n")
    parser.add_argument("script", choices=tuple(SCRIPTS), metavar="script", help="one of the above; its options follow")
    parser.parse_args()


if __name__ == "__main__":
    main()
