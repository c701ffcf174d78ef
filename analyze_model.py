"""Print parameters, FLOPs, memory access cost and output shape of a network, block by block.

    python analyze_model.py --plainnet_struct_txt best_structure.txt --input_image_size 32 --num_classes 10

FLOPs are multiply-accumulates of convolutions and linear layers; MAC is memory access cost: the elements that those layers
read and write plus their weights. The figures are counted on the structure and compared with ptflops on the built module.
"""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import PlainNet
from Interface.options import InputError, OptionParser, positive_int
from Interface.running import run
from PlainNet import BlockReport, Cost, Network, Style

_MASTERNET = "Masternet.py:MasterNet"


@dataclass(frozen=True)
class Comparison:
    """ptflops' count of one image: in all, by kind of layer that we leave out, and what is left to compare with ours."""

    total: int
    left_out: dict[str, int]
    parameters: int

    @property
    def comparable(self) -> int:
        """Multiply-accumulates of convolutions and linear layers, bias left out."""
        return self.total - sum(self.left_out.values())


def parse_options(argv: Sequence[str] | None) -> Namespace:
    """The command line."""
    parser = OptionParser(__doc__ or "")
    network = parser.add_argument_group("network")
    network.add_argument("--plainnet_struct", metavar="TEXT", help="structure string")
    network.add_argument("--plainnet_struct_txt", type=Path, metavar="FILE", help="file with a structure string")
    network.add_argument("--arch", default=_MASTERNET, metavar="NAME", help="what the structure is built as")
    network.add_argument(
        "--input_image_size", type=positive_int, default=224, metavar="PIXELS", help="height and width"
    )
    network.add_argument("--num_classes", type=positive_int, default=1000, metavar="N", help="classes")
    network.add_argument("--use_se", action="store_true", help="with squeeze-and-excitation in super-blocks")
    network.add_argument("--no_BN", action="store_true", help="without batch normalisation")
    network.add_argument("--no_reslink", action="store_true", help="without residual links")
    output = parser.add_argument_group("output")
    output.add_argument("--json", action="store_true", help="one JSON object on standard output, no cross-check")
    output.add_argument("--no_ptflops", action="store_true", help="leave the comparison with ptflops out")
    return parser.parse_args(argv)


def load_network(options: Namespace) -> Network:
    """The network that the options name."""
    if options.arch != _MASTERNET:
        raise InputError(f"--arch {options.arch} is not known here: use {_MASTERNET} with --plainnet_struct")
    if bool(options.plainnet_struct) == bool(options.plainnet_struct_txt):
        raise InputError("Give one of --plainnet_struct and --plainnet_struct_txt")
    if options.plainnet_struct:
        return PlainNet.parse(options.plainnet_struct)
    return PlainNet.read_structure_file(options.plainnet_struct_txt)


def rows_of(network: Network, options: Namespace, style: Style) -> list[BlockReport]:
    """One row a block, the classifier last."""
    classifier = network.classifier(options.num_classes)
    last = BlockReport(str(classifier), classifier.cost(1, style), (options.num_classes, 1, 1))
    return [*network.report(options.input_image_size, style), last]


def as_json(network: Network, rows: list[BlockReport], total: Cost) -> str:
    """The analysis as one JSON object."""
    blocks = [{"structure": r.structure, **_figures(r.cost), "output_shape": r.output_shape} for r in rows]
    # The map that is pooled, before the classifier.
    shape = rows[-2].output_shape
    head = {"structure": str(network), **_figures(total), "layers": network.layers, "output_shape": shape}
    return json.dumps(head | {"blocks": blocks})


def as_table(network: Network, rows: list[BlockReport], total: Cost) -> str:
    """The analysis as text."""
    width = max(len(row.structure) for row in rows)
    line = "{:<" + str(width) + "}  {:>12}  {:>15}  {:>13}  {}"
    lines = [line.format("block", "parameters", "FLOPs", "MAC", "output (C, H, W)")]
    lines += [_table_row(line, row.structure, row.cost, row.output_shape) for row in rows]
    lines.append(_table_row(line, "total", total, rows[-1].output_shape))
    lines.append(f"{network.layers} layers, largest feature map {total.peak_feature_map:,} elements")
    return "\n".join(lines)


def _table_row(line: str, name: str, cost: Cost, shape: tuple[int, int, int]) -> str:
    return line.format(name, f"{cost.parameters:,}", f"{cost.flops:,}", f"{cost.memory_access:,}", shape)


def _figures(cost: Cost) -> dict[str, int]:
    return {"params": cost.parameters, "flops": cost.flops, "mac": cost.memory_access}


def compare_with_ptflops(network: Network, options: Namespace, style: Style) -> Comparison:
    """ptflops' count of the built module, and how much of it lies in layers and terms that budgets leave out."""
    from ptflops import get_model_complexity_info
    from torch import nn

    from Masternet import MasterNet

    model = MasterNet(
        num_classes=options.num_classes,
        plainnet_struct=network,
        no_reslink=style.no_reslink,
        no_BN=style.no_BN,
        use_se=style.use_se,
    ).eval()
    image = (3, options.input_image_size, options.input_image_size)

    def count(*ignored: type[nn.Module]) -> tuple[int, int]:
        return get_model_complexity_info(
            model,
            image,
            as_strings=False,
            print_per_layer_stat=False,
            backend="pytorch",
            ignore_modules=list(ignored),
            backend_specific_config={"count_functional": False},
        )

    total, parameters = count()
    kinds = {
        "BN": (nn.BatchNorm2d,),
        "activations": (nn.ReLU, nn.Hardswish, nn.SiLU, nn.Sigmoid),
        "pooling": (nn.AdaptiveAvgPool2d, nn.MaxPool2d),
    }
    left_out = {kind: total - count(*types)[0] for kind, types in kinds.items()}
    return Comparison(total, left_out | {"bias": _bias_additions(model, image)}, parameters)


def _bias_additions(model, image: tuple[int, int, int]) -> int:  # type: ignore[no-untyped-def]
    import torch
    from torch import nn

    additions = 0

    def add(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        nonlocal additions
        if module.bias is not None:
            additions += output.numel()

    handles = [m.register_forward_hook(add) for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    with torch.inference_mode():
        model(torch.zeros(1, *image))
    for handle in handles:
        handle.remove()
    return additions


def describe(comparison: Comparison, total: Cost) -> str:
    """The comparison in words."""
    parts = ", ".join(f"{count:,} in {kind}" for kind, count in comparison.left_out.items() if count)
    agree = comparison.comparable == total.flops and comparison.parameters == total.parameters
    verdict = (
        "the rest agrees exactly" if agree else f"the rest differs: {comparison.comparable:,} here {total.flops:,}"
    )
    return (
        f"ptflops counts {comparison.total:,} multiply-accumulates and {comparison.parameters:,} parameters. "
        f"It includes {parts or 'nothing else'}, which budgets leave out; {verdict}."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Analyse one network; returns the exit status."""
    options = parse_options(argv)
    network = load_network(options)
    style = Style(use_se=options.use_se, no_reslink=options.no_reslink, no_BN=options.no_BN)
    rows = rows_of(network, options, style)
    total = network.cost(options.input_image_size, options.num_classes, style)
    if options.json:
        print(as_json(network, rows, total))
        return 0
    print(as_table(network, rows, total))
    if not options.no_ptflops:
        print(describe(compare_with_ptflops(network, options, style), total))
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
