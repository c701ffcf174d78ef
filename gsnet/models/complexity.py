"""Our counts of a network beside those of ptflops, an independent counter."""

from __future__ import annotations

from collections.abc import Callable
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
        "layer normalisation": (nn.LayerNorm,),
        "activations": (nn.ReLU, nn.Hardswish, nn.SiLU, nn.Sigmoid, nn.GELU),
        "pooling": (nn.AdaptiveAvgPool2d, nn.MaxPool2d),
    }
    left_out = {kind: total - count(*types)[0] for kind, types in kinds.items()}
    return Comparison(total, left_out | _additions(model, image), parameters)


def _additions(model: nn.Module, image: tuple[int, int, int]) -> dict[str, int]:
    """What is added beside products: biases, and within attention its scales, biases and softmax."""
    found = {"bias": 0, "attention's scales, biases and softmax": 0}
    bias, attention = found

    def layer_done(module: nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        if module.bias is not None:
            found[bias] += output.numel()

    def attention_done(module: nn.MultiheadAttention, inputs: tuple, output: tuple) -> None:
        queries, keys, values = (one.numel() // module.embed_dim for one in inputs)
        biases = queries + keys + values if module.in_proj_bias is not None else 0
        # ptflops always takes the last projection for one with a bias.
        found[attention] += (2 * queries + biases) * module.embed_dim + module.num_heads * queries * keys

    kinds: dict[type[nn.Module], Callable] = {
        nn.Conv2d: layer_done,
        nn.Linear: layer_done,
        nn.MultiheadAttention: attention_done,
    }
    handles = [m.register_forward_hook(done) for m in model.modules() for k, done in kinds.items() if isinstance(m, k)]
    with torch.inference_mode():
        model(torch.zeros(1, *image))
    for handle in handles:
        handle.remove()
    return found


def describe(comparison: Comparison, total: Cost) -> str:
    """The comparison in words."""
    parts = ", ".join(f"{count:,} in {kind}" for kind, count in comparison.left_out.items() if count)
    agree = comparison.comparable == total.flops and comparison.parameters == total.parameters
    # As attention's products of many networks of timm.
    unseen = " (ptflops leaves out products that are functions and no modules)" * (comparison.comparable < total.flops)
    differs = f"the rest differs: {comparison.comparable:,}, here {total.flops:,}{unseen}"
    verdict = "the rest agrees exactly" if agree else differs
    # Its default setting counts the function within a module once more (docs/counters.md).
    return (
        f"ptflops, default backend, modules alone (count_functional=False), counts {comparison.total:,} "
        f"multiply-accumulates and {comparison.parameters:,} parameters. "
        f"It includes {parts or 'nothing else'}, which budgets leave out; {verdict}."
    )
