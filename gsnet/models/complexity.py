"""Our counts of a network beside those of ptflops, an independent counter."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from ptflops import get_model_complexity_info
from torch import nn

from gsnet.models.module_costs import output_of
from Masternet import MasterNet
from PlainNet import Cost, Network, Style


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


def compare_with_ptflops(network: Network, num_classes: int, resolution: int, style: Style) -> Comparison:
    """ptflops' count of the built module, and how much of it lies in layers and terms that budgets leave out."""
    model = MasterNet(num_classes=num_classes, plainnet_struct=network, style=style)
    return compare_module_with_ptflops(model, resolution, network.in_channels)


def compare_module_with_ptflops(model: nn.Module, resolution: int, channels: int = 3) -> Comparison:
    """The same of any module, which is put into evaluation mode. Raises InputError where it cannot run on such an image."""
    # ptflops prints an error of the network's, and counts nothing.
    output_of(model, resolution, channels=channels)
    image = (channels, resolution, resolution)

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


def _bias_additions(model: nn.Module, image: tuple[int, int, int]) -> int:
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
