"""The neural tangent kernel of TE-NAS against one backward pass an image, on the same networks of CIFAR size, one thread.

    python -m benchmarks.neural_tangent_kernel_speed

Networks of the three search spaces, a published one, and one of each trained benchmark. The last column is the largest
difference of the two kernels over the largest entry; the figures are processor seconds, the smaller of --rounds, both ways
taking turns.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from gsnet.interface.running import run
from benchmarks import nas_bench_201, nas_bench_macro
from benchmarks.collected_networks import network_of
from benchmarks.turns import least_seconds
from Masternet import MasterNet
from ZeroShotProxy.neural_tangent_kernel import neural_tangent_kernel

WANTED = ("init_XX_cifar", "mut_XXBL_0", "mut_IDW_0", "init_GS_2M", "zennet_cifar_model_size05M_res32")
CELL = "|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
MACRO = "21021012"


def kernel_of_backward_passes(network: nn.Module, images: Tensor) -> Tensor:
    """One backward pass an image, as TE-NAS is published; the weight gradients' inner products in float64."""
    weights = [parameter for name, parameter in network.named_parameters() if "weight" in name]
    outputs = network(images).sum(dim=1)
    gradients = []
    for output in outputs:
        parts = torch.autograd.grad(output, weights, retain_graph=True)
        gradients.append(torch.cat([part.flatten() for part in parts]))
    jacobian = torch.stack(gradients).double()
    return jacobian @ jacobian.T


def networks() -> Iterator[tuple[str, nn.Module]]:
    """Names and networks, with PyTorch's default weights."""
    for name in WANTED:
        yield name, MasterNet(num_classes=10, plainnet_struct=network_of(name))
    yield f"NAS-Bench-Macro {MACRO}", MasterNet(num_classes=10, plainnet_struct=nas_bench_macro.network(MACRO))
    yield "NAS-Bench-201, a cell", nas_bench_201.CellNetwork(nas_bench_201.parse_cell(CELL))


def main() -> int:
    """Print one row a network, and the ratio of the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="kernels of each way (default: 2)")
    parser.add_argument("--batch_size", type=int, default=16, metavar="N", help="images (default: 16)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'network':<34} {'backward s':>10} {'ours s':>8} {'ratio':>6} {'difference':>11}")
    totals = [0.0, 0.0]
    torch.manual_seed(0)
    for name, network in networks():
        images = torch.randn(options.batch_size, 3, 32, 32)
        seconds, kernels = least_seconds(
            (
                lambda _: kernel_of_backward_passes(network, images),  # noqa: B023
                lambda _: neural_tangent_kernel(network, images),  # noqa: B023
            ),
            options.rounds,
        )
        expected, kernel = kernels[0][0], kernels[1][0]
        difference = float((kernel - expected).abs().max() / expected.abs().max())
        totals = [total + spent for total, spent in zip(totals, seconds, strict=True)]
        print(f"{name:<34} {seconds[0]:>10.2f} {seconds[1]:>8.2f} {seconds[0] / seconds[1]:>6.2f} {difference:>11.1e}",
              flush=True)  # fmt: skip
    print(f"{'total':<34} {totals[0]:>10.2f} {totals[1]:>8.2f} {totals[0] / totals[1]:>6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
