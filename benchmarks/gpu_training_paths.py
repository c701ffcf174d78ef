"""Paths of `benchmarks.gpu_check` that train: classifiers, students, a detector, and what becomes of them."""

from __future__ import annotations

import argparse
import csv
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_machine import ROOT, STRUCTURE, Machine, Seen, printed
from benchmarks.image_caches import measure
from benchmarks.training_speed import CLASSES, LR, ByHand
from gsnet.commands import benchmark_network_latency, export, train_detection, val, val_detection
from gsnet.commands import train_image_classification as train
from gsnet.commands import ts_train_image_classification as distil
from gsnet.data import DataSettings
from gsnet.data.settings import CACHES, DEVICE
from gsnet.detection.synthetic import SyntheticSettings, write_synthetic
from gsnet.runtimes import runtime
from gsnet.training.optimisers import OptimiserSettings
from gsnet.training.schedules import Schedule
from gsnet.training.settings import TrainingSettings
from gsnet.training.step import Stepper
from gsnet.training.tasks import Classification
from gsnet.training.usual import AMP_TYPES
from Masternet import MasterNet

_NETWORK = ("--arch", "PlainNet", "--plainnet_struct", STRUCTURE)
# Maps at strides of 8, 16 and 32, as a detector reads them.
_BACKBONE = (
    "SuperConvK3BNRELU(3,16,2,1)SuperGhostShuffleK3(16,32,2,16,1)SuperGhostShuffleK3(32,48,2,32,1)"
    "SuperGhostShuffleK3(48,64,2,32,1)SuperGhostShuffleK3(64,96,2,48,1)"
)
# Images of noise that val.py validates with.
_SCORED = 256
_LATEST = "latest-params_rank0.pth"
# A compiler takes a minute on a processor, and its path has tests of its own.
_ON_A_GPU: dict[str, tuple[object, ...]] = {
    "--cache device --fp16 --compile": ("--cache", "device", "--fp16", "--compile")
}
_VARIANTS: dict[str, tuple[object, ...]] = {
    "plain": (),
    "--fp16": ("--fp16",),
    "--amp_dtype bfloat16": ("--fp16", "--amp_dtype", "bfloat16"),
    "--channels-last": ("--channels-last", True),
    "--ema": ("--ema", 0.99),
    "--cache device": ("--cache", "device", "--auto_augment"),
}


def step(machine: Machine) -> Seen:
    """A step with images in memory beside the same by hand."""
    images, labels, repeats = _batch(machine)
    plain = ByHand(STRUCTURE, machine.device)
    by_hand = machine.milliseconds(lambda: plain.step(images, labels), repeats)
    own = _step_milliseconds(machine)
    return Seen(f"{own:.1f} ms for {len(images)} images, by hand {by_hand:.1f}; as fast as that", by_hand / own, 0.8)


def tuned_step(machine: Machine) -> Seen:
    """A step in half precision with channels last, on a GPU compiled, too, beside a plain one."""
    plain = _step_milliseconds(machine)
    tuned = _step_milliseconds(machine, amp=True, channels_last=True, compile=machine.is_gpu)
    batch = len(_batch(machine)[0])
    return Seen(f"{plain:.1f} and {tuned:.1f} ms for {batch} images; times as fast", plain / tuned, 2.0)


def _batch(machine: Machine) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Images in memory, their labels, and how many steps are timed with them."""
    batch, repeats = (16, 2) if machine.smoke else (128, 50)
    images = torch.randn(batch, 3, 32, 32, device=machine.device)
    return images, torch.arange(batch, device=machine.device) % CLASSES, repeats


def _step_milliseconds(machine: Machine, **more: Any) -> float:
    images, labels, repeats = _batch(machine)
    stepper = _stepper(machine, **more)
    return machine.milliseconds(lambda: stepper.step(images, labels, 0, 0, LR), repeats)


def bfloat16_step(machine: Machine) -> Seen:
    """A step in bfloat16 beside one in float16, whose loss is scaled: they learn the same, and neither is slower."""
    batch, repeats = (16, 2) if machine.smoke else (128, 50)
    images = torch.randn(batch, 3, 32, 32, device=machine.device)
    labels = torch.arange(batch, device=machine.device) % CLASSES
    times, losses = {}, {}
    for name in AMP_TYPES:
        torch.manual_seed(0)
        one = _stepper(machine, amp=True, amp_dtype=name, channels_last=True)
        losses[name] = [float(one.step(images, labels, 0, number, LR)[0]) / batch for number in range(3)][-1]
        times[name] = machine.milliseconds(lambda: one.step(images, labels, 0, 0, LR), repeats)  # noqa: B023
    if not math.isclose(*losses.values(), rel_tol=0.1):
        raise RuntimeError(
            f"the loss of the third step is {losses['bfloat16']:.3f}, in float16 {losses['float16']:.3f}"
        )
    words = f"{times['float16']:.1f} and {times['bfloat16']:.1f} ms for {batch} images; times as fast"
    return Seen(words, times["float16"] / times["bfloat16"], 0.9)


def _stepper(machine: Machine, **more: Any) -> Stepper:
    settings = TrainingSettings(
        Schedule("cosine", LR, 0.0, 10, 128), OptimiserSettings(nesterov=True), CLASSES, smoothing=0.1, **more
    )
    network = Classification(MasterNet(num_classes=CLASSES, plainnet_struct=STRUCTURE)).to(machine.device)
    layout = torch.channels_last if settings.channels_last else torch.preserve_format
    return Stepper(network.to(memory_format=layout), settings, machine.device)  # type: ignore[call-overload]


def epochs(machine: Machine) -> Seen:
    """Whole epochs with images on the device beside steps whose images are in memory and changed already."""
    batches, rounds = (2, 1) if machine.smoke else (24, 3)
    batch = 16 if machine.smoke else 128
    data = DataSettings("fake", None, batch, 0, 32, fake_images=batches * batch, auto_augment=True, random_erase=0.5)
    options = argparse.Namespace(structure=STRUCTURE, batches=batches, rounds=rounds)
    found = measure(data, options, machine.device, machine.folder / "epochs")
    share, speed = found[DEVICE]
    words = f"AutoAugment and erasing; {speed:.1f} times as fast as read from files; of a step's speed"
    return Seen(words, share, 0.9)


def trainings(machine: Machine) -> Seen:
    """A short training with each of what a GPU is used with: images a second of the last epoch."""
    words: list[str] = []
    epochs = 1 if machine.smoke else 2
    for name, more in (_VARIANTS | (_ON_A_GPU if machine.is_gpu else {})).items():
        row = _rows(_trained(machine, f"training_{len(words)}", *more, epochs=epochs))[-1]
        if not math.isfinite(float(row["train_loss"])):
            raise RuntimeError(f"{name}: the loss is {row['train_loss']}")
        words.append(f"{name} {float(row['images_per_second']):,.0f}")
    return Seen(f"images a second: {', '.join(words)}")


def resume(machine: Machine) -> Seen:
    """A training that goes on from its first epoch's checkpoint ends with the bits of one that was never stopped."""
    for cache in CACHES:
        how = ("--cache", cache, "--auto_augment", "--mixup")
        whole = _trained(machine, f"whole_{cache}", *how, epochs=2)
        again = machine.folder / f"again_{cache}"
        again.mkdir()
        # What was saved before the last epoch.
        shutil.copy(whole / f"{_LATEST}.backup", again / _LATEST)
        _trained(machine, again.name, *how, "--auto_resume", epochs=2)
        first, second = _weights(whole), _weights(again)
        other = [name for name, value in first.items() if not torch.equal(value, second[name])]
        if other:
            raise RuntimeError(f"--cache {cache}: {len(other)} of {len(first)} tensors differ, {other[0]} among them")
    return Seen(f"equal bits with --cache {', '.join(CACHES)}", compared=True)


def distillation(machine: Machine) -> Seen:
    """A student of another network."""
    teacher = ("--teacher_arch", "PlainNet", "--teacher_plainnet_struct", STRUCTURE, "--teacher_untrained")
    row = _rows(_trained(machine, "distillation", *teacher, "--teacher_logit_weight", 1, main=distil.main))[-1]
    return Seen(f"loss {float(row['train_loss']):.3f}, {float(row['images_per_second']):,.0f} images a second")


def several_processes(machine: Machine) -> Seen:
    """torchrun with one process for each GPU, by NCCL; on a processor with one, by Gloo."""
    count, folder = torch.cuda.device_count() if machine.is_gpu else 1, machine.folder / "processes"
    data = (
        "--dataset",
        "fake",
        "--fake_images",
        64 * count,
        "--num_classes",
        10,
        "--input_image_size",
        32,
        "--workers",
        0,
    )
    loop = ("--dist_mode", "ddp", "--epochs", 1, "--warmup", 0, "--batch_size", 32 * count, "--save_dir", folder)
    launcher = (sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={count}", "--standalone")
    command = [*launcher, ROOT / "train_image_classification.py", *data, *_NETWORK, *loop]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(done.stderr.strip()[-300:])
    return Seen(f"{count} of them, {float(_rows(folder)[-1]['images_per_second']):,.0f} images a second")


def validation(machine: Machine) -> Seen:
    """val.py finds the accuracy that the training wrote down."""
    folder = _trained(machine, "validated", "--fake_images", _SCORED)
    expected = float(_rows(folder)[-1]["val_acc1"])
    how = ("--dataset", "fake", "--workers", 0, "--json", *machine.options)
    top1 = json.loads(printed(val.main, "--arch", folder, *how))["top1"]
    if abs(top1 - expected) > 0.5:
        raise RuntimeError(f"val.py has {top1:.2f} %, the training {expected:.2f} %")
    return Seen(f"top-1 {top1:.2f} % in both", compared=True)


def detector(machine: Machine) -> Seen:
    """A detector on synthetic scenes, trained, then validated by the other script."""
    scenes, folder = machine.folder / "scenes", machine.folder / "detector"
    images, side = (4, 96) if machine.smoke else (32, 320)
    write_synthetic(scenes, SyntheticSettings(images=images))
    data = ("--data_dir", scenes, "--workers", 0, "--batch_size", 4)
    network = ("--arch", _BACKBONE, "--neck_channels", 16, "--head_channels", 16, "--input_image_size", side)
    printed(train_detection.main, *network, *data, *machine.training_options, "--epochs", 1, "--save_dir", folder)
    scored = ("--protocol", "coco", "--json", *machine.options)
    found = json.loads(printed(val_detection.main, "--weights", folder, *data, *scored))["AP"]
    expected = float(_rows(folder)[-1]["val_AP"])
    if abs(found - expected) > 0.5:
        raise RuntimeError(f"val_detection.py has AP {found:.2f}, the training {expected:.2f}")
    return Seen(f"AP {found:.2f} in both", compared=True)


def exported(machine: Machine) -> Seen:
    """What was trained on the device as ONNX, compared with torch."""
    folder, file = _trained(machine, "exported"), machine.folder / "network.onnx"
    printed(export.main, "--arch", folder, "--format", "onnx", "--output", file)
    return Seen(f"{file.stat().st_size / 1e3:.0f} kB, outputs agree", compared=True)


def by_tensorrt(machine: Machine) -> Seen:
    """What TensorRT makes of what was trained, whose outputs are compared before it is timed."""
    machine.needs_gpu()
    runtime("tensorrt").require(writing=True)
    folder = _trained(machine, "tensorrt")
    how = ("--backend", "tensorrt", "--input_image_size", 32, "--batch_size_list", "1,64", "--json")
    told = json.loads(printed(benchmark_network_latency.main, "--arch", folder, *how, *machine.options))
    milliseconds = ", ".join(f"{row['batch']}: {1e3 * row['median']:.3g}" for row in told["rows"])
    return Seen(f"outputs differ by {told['max_difference']:.1g}, ms by batch {milliseconds}", compared=True)


def _size(machine: Machine) -> tuple[int, int]:
    """Images of an epoch and of a batch."""
    return (64, 32) if machine.smoke else (4096, 128)


def _trained(machine: Machine, name: str, *more: object, main: Callable = train.main, epochs: int = 1) -> Path:
    folder, (images, batch) = machine.folder / name, _size(machine)
    data = ("--dataset", "fake", "--fake_images", images, "--num_classes", 10, "--input_image_size", 32)
    loop = ("--epochs", epochs, "--warmup", 0, "--batch_size", batch, "--lr", 0.05, "--save_dir", folder)
    printed(main, *data, *_NETWORK, *loop, *machine.training_options, *more)
    return folder


def _rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / _LATEST, "cpu", weights_only=True)["state_dict"]
