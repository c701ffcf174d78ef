"""All commands of GSNet under one name.

    gsnet evolution_search --help
    gsnet val --arch resnet18 --data_dir ~/data/imagenet

The same as `python evolution_search.py --help` in the project's folder, from anywhere. Dashes do as well as underscores.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

# First of all, for the rest may be interrupted.
import gsnet.interface.interrupts  # noqa: F401  # isort: skip

from gsnet.interface.options import BAD_INPUT

# Name -> what it does; each is a module of gsnet.commands.
COMMANDS = {
    "analyze_model": "parameters, FLOPs and memory access cost of a network",
    "benchmark_network_latency": "time a network, fill latency tables, predict",
    "compare": "networks side by side: table, CSV, a page of figures",
    "compute_score": "zero-shot scores of networks",
    "convert": "a published checkpoint as safetensors",
    "detection_data": "convert, count or draw data for detectors",
    "evolution_search": "search a network under budgets",
    "export": "write a classifier or a detector as ONNX, TorchScript or safetensors",
    "train_detection": "train a detector",
    "train_image_classification": "train an image classifier",
    "ts_train_image_classification": "train an image classifier with a teacher",
    "val": "validate networks on ImageNet or a folder of pictures",
    "val_cifar": "validate networks on CIFAR",
    "val_detection": "evaluate a detector",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the command line names; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return 0
    if arguments[0] == "--version":
        print(version_line())
        return 0
    name = arguments[0].replace("-", "_")
    if name not in COMMANDS:
        print(f"gsnet: {_unknown(arguments[0], name)} See gsnet --help", file=sys.stderr)
        return BAD_INPUT
    sys.argv = [f"gsnet {arguments[0]}", *arguments[1:]]
    return importlib.import_module(f"gsnet.commands.{name}").command()


def overview() -> str:
    """What `gsnet` alone says: every command and what it does."""
    width = max(map(len, COMMANDS)) + 2
    table = "\n".join(f"    {name:<{width}}{what}" for name, what in COMMANDS.items())
    usage = "usage: gsnet [--help] [--version] command ...\n\n" + (__doc__ or "").strip()
    return f"{usage}\n\n{table}\n\nThe options of a command: gsnet command --help"


def version_line() -> str:
    """The version, and the commit where it is known."""
    from gsnet.interface.version import commit, version

    known = commit()
    return f"gsnet {version()}" + (f" ({known})" if known else "")


def _unknown(given: str, name: str) -> str:
    kind = "option" if given.startswith("-") else "command"
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    return f"there is no {kind} {given}" + (f"; did you mean {near[0]}?" if near else ".")


if __name__ == "__main__":
    sys.exit(main())
