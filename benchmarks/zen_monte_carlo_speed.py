"""Monte-Carlo Zen-Score against the plain way, on the same networks of CIFAR size, one thread.

    python -m benchmarks.zen_monte_carlo_speed

The plain way builds the network with PyTorch's default initialisation, draws Gaussian weights over it and runs two forward
passes. The figures are processor seconds of one score, the smaller of --rounds; both ways take turns. The mean scores of
both are printed beside them and have to agree up to their noise.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

import PlainNet
from gsnet.interface.running import run
from Masternet import MasterNet
from PlainNet import Network
from ZeroShotProxy import ScoringSettings, score

STRUCTURES = Path(__file__).parent.parent / "tests/golden/structures.json"
WANTED = re.compile(r"(init_\w+_cifar|zennet_cifar_.*|init_GS_2M|mut_XXBL_\d+|mut_GS2_\d+)$")


def plain_zen(network: Network, settings: ScoringSettings, seed: int) -> float:
    """Zen-Score as the published code computes it."""
    torch.manual_seed(seed)
    module = MasterNet(num_classes=settings.num_classes, plainnet_struct=network, no_reslink=True)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)
    module = module.to(settings.device)
    images = torch.randn(settings.batch_size, 3, settings.resolution, settings.resolution, device=settings.device)
    with torch.no_grad():
        clean = module.forward_pre_GAP(images)
        disturbed = module.forward_pre_GAP(images + settings.gamma * torch.randn_like(images))
    response = (clean - disturbed).abs().sum(dim=(1, 2, 3)).mean().log().item()
    scales = [
        layer.running_var.mean().sqrt().log().item()
        for layer in module.modules()
        if isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None
    ]
    return response + sum(scales)


def fast_zen(network: Network, settings: ScoringSettings, seed: int) -> float:
    """Zen-Score as a search computes it."""
    return score(network, "Zen", settings, seed)


def processor_seconds(compute: Callable, network: Network, settings: ScoringSettings, seed: int) -> tuple[float, float]:
    """Seconds of one score, and the score."""
    start = time.process_time()
    value = compute(network, settings, seed)
    return time.process_time() - start, value


def main() -> int:
    """Print one row a network and batch size, and the ratio of the totals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="scores of each way (default: 3)")
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    cases = [c for c in json.loads(STRUCTURES.read_text())["structures"] if WANTED.match(c["id"])]
    print(f"{'network':<34} {'batch':>5} {'plain s':>8} {'fast s':>8} {'ratio':>6} {'plain Zen':>10} {'fast Zen':>10}")
    for batch_size in (16, 64):
        totals = [0.0, 0.0]
        for case in cases:
            network = PlainNet.parse(case["string"])
            settings = ScoringSettings(batch_size=batch_size)
            results = [
                [processor_seconds(compute, network, settings, seed) for compute in (plain_zen, fast_zen)]
                for seed in range(rounds)
            ]
            seconds = [min(row[way][0] for row in results) for way in (0, 1)]
            means = [sum(row[way][1] for row in results) / rounds for way in (0, 1)]
            totals = [total + spent for total, spent in zip(totals, seconds, strict=True)]
            print(
                f"{case['id']:<34} {batch_size:>5} {seconds[0]:>8.3f} {seconds[1]:>8.3f} {seconds[0] / seconds[1]:>6.2f} "
                f"{means[0]:>10.2f} {means[1]:>10.2f}",
                flush=True,
            )
        print(
            f"{'total':<34} {batch_size:>5} {totals[0]:>8.3f} {totals[1]:>8.3f} {totals[0] / totals[1]:>6.2f}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
