"""How long a training would take, and how much memory, by a few of its batches."""

from __future__ import annotations

import resource
import time

import torch

from gsnet.training.loop import Trainer


def dry_run(trainer: Trainer, steps: int = 2) -> dict[str, float]:
    """A few batches of training and validation, after which nothing is kept.

    Returns seconds_per_epoch and seconds (of the whole training), and gigabytes: the most memory that this process
    had, on its GPU or else of the machine. Raises TrainingFailed where a loss is no number.
    """
    stepper, sampler = trainer.stepper, trainer.training.sampler
    sampler.set_epoch(0)  # type: ignore[attr-defined]
    seconds = []
    stepper.task.train()
    begin = time.perf_counter()
    for step, (images, labels) in zip(range(steps), trainer.training, strict=False):
        loss = stepper.step(images, labels, 0, step, trainer.rate(0, step))
        trainer.check(float(loss[0]))
        seconds.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    begin = time.perf_counter()
    trainer.evaluated(limit=steps)
    # A process of several may have no image to validate on.
    validated = max(1, min(steps, len(trainer.validation)))
    validation = (time.perf_counter() - begin) / validated * len(trainer.validation)
    epoch = min(seconds) * sampler.batches + validation  # type: ignore[attr-defined]
    total = epoch * trainer.settings.epochs
    return {"seconds_per_epoch": epoch, "seconds": total, "gigabytes": _gigabytes(stepper.device)}


def _gigabytes(device: str) -> float:
    if device.startswith("cuda"):
        return torch.cuda.max_memory_reserved(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
