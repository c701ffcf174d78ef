"""Which block of the language becomes which operator in the files of ExecuTorch and LiteRT, which tell no times of operators.

    python -m benchmarks.block_files            # prints the table
    python -m benchmarks.block_files --write    # and puts it into docs/runtimes.md

Blocks stand in networks as in `benchmarks.block_operators`, but statistics of normalisations are drawn: exporters leave a shift
out that is 0. Of ExecuTorch it is the graph whose parts XNNPACK is given, which folds normalisation itself.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gsnet.interface.running import run
from benchmarks.block_operators import BLOCKS, PAGE, SIDE, STEM, Kinds, added, table
from benchmarks.pages import replace_section
from gsnet.runtimes import runtime
from Masternet import MasterNet

OUTSIDE = "outside XNNPACK"
# Names that say more than people need.
_SHORT = {"native_batch_norm_legit_no_training": "batch_norm", "split_with_sizes": "split"}
# What hands maps on, and computes nothing.
_PLUMBING = ("getitem", "executorch_call_delegate", "clone_dim_order")


def network_of(structure: str) -> nn.Module:
    """A network whose normalisations scale and shift."""
    torch.manual_seed(0)
    network = MasterNet(num_classes=10, plainnet_struct=structure).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for vector in (*module.parameters(), module.running_mean, module.running_var):
                nn.init.uniform_(vector, 0.5, 2)  # type: ignore[arg-type]  # it has statistics
    return network


def executorch_operators(network: nn.Module) -> Kinds:
    """Operators of the graph before it is written; a note follows those that XNNPACK is not given."""
    from gsnet.runtimes.executorch_runtime import lowered

    graph = lowered(network, (SIDE, SIDE)).exported_program().graph_module
    found = Counter({f"{name} {OUTSIDE}": count for name, count in _called(graph).items()})
    for _, part in graph.named_children():
        found += _called(part.original_module)
    return found


def _called(graph: Any) -> Kinds:
    names = (_name(node.target) for node in graph.graph.nodes if node.op == "call_function")
    return Counter(name for name in names if name not in _PLUMBING)


def _name(target: Any) -> str:
    """Of an operator such as aten.view_copy.default: view."""
    name = getattr(target, "__name__", str(target))
    inner = re.search(r"(?:^|[.<: ])[a-z_]+\.(\w+)\.\w+", name) or re.search(r"(\w+)$", name)
    plain = (inner[1] if inner else name).strip("_").removesuffix("_copy")
    return _SHORT.get(plain, plain)


def litert_operators(network: nn.Module) -> Kinds:
    """Operators of the file, as they are before a delegate takes them."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "network.tflite"
        runtime("litert").write(network, file, (SIDE, SIDE), "logits", half=False)
        plain = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        interpreter = Interpreter(model_content=file.read_bytes(), experimental_op_resolver_type=plain)
        return Counter(one["op_name"] for one in interpreter._get_ops_details())


COLUMNS: dict[str, Callable[[nn.Module], Kinds]] = {"executorch": executorch_operators, "litert": litert_operators}


def operators(structure: str) -> dict[str, Kinds | str]:
    """Kinds of a network's operators by column, or why there are none."""
    network = network_of(structure)
    found: dict[str, Kinds | str] = {}
    for name, operators_of in COLUMNS.items():
        try:
            found[name] = operators_of(network)
        except Exception as error:  # each exporter has errors of its own
            found[name] = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, and write it where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the table into docs/runtimes.md")
    options = parser.parse_args(argv)
    for name in COLUMNS:
        runtime(name).require(writing=True)
    found: dict[str, dict[str, Kinds | str]] = {}
    for block in ("", *BLOCKS):
        print(block or "the stem alone", file=sys.stderr)
        found[block] = operators(STEM + block)
    rows = [(block, [added(found[block][name], found[""][name]) for name in COLUMNS]) for block in BLOCKS]
    text = table(tuple(COLUMNS), rows)
    print(text)
    if options.write:
        replace_section(PAGE, "operators in files", text)
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
