"""All commands of GSNet under one name.

    gsnet evolution_search --help
    gsnet val --arch resnet18 --data_dir ~/data/imagenet

The same as `python evolution_search.py --help` in the project's folder, from anywhere. Dashes do for underscores.
"""

from __future__ import annotations

import importlib
import sys

from gsnet.interface.options import OptionParser

COMMANDS = {
    "analyze_model": "parameters, FLOPs and memory access cost of a network",
    "benchmark_network_latency": "time a network, fill latency tables, predict",
    "compute_score": "zero-shot scores of networks",
    "convert": "a published checkpoint as safetensors",
    "detection_data": "convert, count and draw data of detectors; synthetic scenes",
    "evolution_search": "search a network under budgets",
    "export": "write a network or a detector as ONNX, TorchScript or safetensors",
    "train_detection": "train a detector",
    "train_image_classification": "train an image classifier",
    "ts_train_image_classification": "train an image classifier with a teacher",
    "val": "validate networks on ImageNet or a folder of pictures",
    "val_cifar": "validate networks on CIFAR",
    "val_detection": "evaluate a detector",
}


def main() -> int:
    """Run the command that the command line names; returns the exit status."""
    name = sys.argv[1].replace("-", "_") if sys.argv[1:] else ""
    if name in COMMANDS:
        sys.argv = [f"gsnet {sys.argv[1]}", *sys.argv[2:]]
        return importlib.import_module(f"gsnet.commands.{name}").command()
    table = "\n".join(f"    {name:<32}{what}" for name, what in COMMANDS.items())
    parser = OptionParser(f"{__doc__}\n{table}\n")
    parser.add_argument(
        "command", choices=tuple(COMMANDS), metavar="command", help="one of the above; its options follow"
    )
    parser.parse_args()
    return 0


if __name__ == "__main__":
    sys.exit(main())
