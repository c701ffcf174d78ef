"""What a training tells that writes nothing: how right its network is, how long it would take, how fast images are read."""

from __future__ import annotations

import logging
import time
from dataclasses import asdict
from typing import Any

from torch.utils.data import DataLoader

from gsnet.interface.words import duration
from gsnet.training.dry_run import dry_run
from gsnet.training.loop import Trainer

_LOG = logging.getLogger(__name__)
# Figures by name.
Report = dict[str, Any]


def reported(trainer: Trainer, *, dry: bool) -> Report:
    """What validation images say of the network, or, for a dry run, time and memory; it is logged. See `dry_run`."""
    if not dry:
        found = trainer.evaluated()
        _LOG.info("%s", found)
        return asdict(found)
    times = dry_run(trainer)
    epochs = trainer.settings.epochs
    where = "of GPU memory" if trainer.stepper.device.startswith("cuda") else "of memory, reading processes not counted"
    _LOG.info(
        "Two batches ran. %s an epoch, %s for %d epochs; %.2f GB %s",
        *(duration(times["seconds_per_epoch"]), duration(times["seconds"]), epochs, times["gigabytes"], where),
    )
    return times


def report_reading(training: DataLoader, validation: DataLoader) -> None:
    """How fast images are read while nobody trains, in this process's share of a first epoch."""
    training.sampler.set_epoch(0)  # type: ignore[attr-defined]
    for name, loader in (("training", training), ("validation", validation)):
        begin = time.perf_counter()
        images = sum(len(labels) for _, labels in loader)
        seconds = time.perf_counter() - begin
        _LOG.info(
            "Reading alone: %d %s images in %.1f s with the start of reading processes, %.0f images/s",
            *(images, name, seconds, images / seconds),
        )
