"""Detectors of searched backbones beside NanoDet-Plus-m-1.5x: parameters, operations and time in one run.

    python -m benchmarks.detector_speed save_dir/GSNet_VisDrone_params1.5M/best_structure.txt
    python -m benchmarks.detector_speed one.txt other.txt --input 640 384 --runtimes torch onnxruntime openvino

NanoDet-Plus-m-1.5x is rebuilt of torchvision's ShuffleNetV2 1.5x, without its last convolution, under the neck and head that
this toolkit shares with it; with ten classes it has the 2.44M parameters that are published. Detectors of the structures have
neck and head of the same width, 128 channels. All networks run in turn, one image at a time, so that what else the machine does
meets all of them; milliseconds are processor time of one thread, the median of the rounds, and the ratio is the median of the
rounds' ratios.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import shufflenet_v2_x1_5

from gsnet.interface.running import run
from gsnet.detection.catalogue import structure_of
from gsnet.detection.counts import macs_of
from gsnet.detection.detector import Detector
from gsnet.detection.head import Head
from gsnet.detection.neck import GhostPAN
from gsnet.detection.settings import DetectorSettings
from gsnet.detection.visdrone_format import CLASS_NAMES
from gsnet.runtimes import Session, Settings, runtime

NANODET = "NanoDet-Plus-m-1.5x"


class NanoDet(nn.Module):
    """NanoDet-Plus-m-1.5x: images (N, 3, H, W) to predictions (N, priors, classes + 32)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        whole = shufflenet_v2_x1_5(weights=None)
        self.stem = nn.Sequential(whole.conv1, whole.maxpool)
        self.stages = nn.ModuleList([whole.stage2, whole.stage3, whole.stage4])
        self.neck = GhostPAN((176, 352, 704), 128)
        self.head = Head(128, 128, classes + 32, 4)

    def forward(self, images: Tensor) -> Tensor:
        x, maps = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return self.head(self.neck(maps))


def spent(sessions: dict[str, Session], images: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Processor milliseconds of every round of every network, in turn; a first round is not counted."""
    times: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(rounds + 1):
        for name, session in sessions.items():
            begin = time.process_time()
            session.run(images)
            times[name].append(1000 * (time.process_time() - begin))
    return {name: values[1:] for name, values in times.items()}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("structures", nargs="+", help="what --arch of train_detection.py takes")
    parser.add_argument("--input", type=int, nargs=2, default=[640, 384], metavar="PIXELS", help="width and height")
    parser.add_argument("--runtimes", nargs="+", default=["torch", "onnxruntime"], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=10, metavar="N")
    options = parser.parse_args()
    torch.set_num_threads(1)
    width, height = options.input
    networks: dict[str, nn.Module] = {NANODET: NanoDet(len(CLASS_NAMES)).eval()}
    for arch in options.structures:
        settings = DetectorSettings(structure_of(arch), CLASS_NAMES)
        networks[str(Path(arch).parent.name or arch)] = Detector(settings).eval()
    images = torch.randn(1, 3, height, width)
    print("| detector | parameters | GMACs |" + "".join(f" {name}, ms | of NanoDet's |" for name in options.runtimes))
    print("|---|---:|---:|" + "---:|---:|" * len(options.runtimes))
    times = {}
    for name in options.runtimes:
        kept = runtime(name)
        sessions = {key: kept.make(net, (height, width), Settings(threads=1)) for key, net in networks.items()}
        times[name] = spent(sessions, images.numpy(), options.rounds)
    for key, network in networks.items():
        count = sum(p.numel() for p in network.parameters())
        line = f"| {key} | {count:,} | {macs_of(network, images)[0] / 1e9:.2f} |"
        for rounds in times.values():
            ratios = [mine / theirs for mine, theirs in zip(rounds[key], rounds[NANODET], strict=True)]
            line += f" {statistics.median(rounds[key]):.0f} | {statistics.median(ratios):.2f} |"
        print(line)


if __name__ == "__main__":
    sys.exit(run(main))
