"""The validation loop."""

from __future__ import annotations

import logging
import math
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset, Subset

from gsnet.data.class_folder import ClassFolder
from gsnet.data.loaders import WholeImages, without_gaps
from gsnet.data.sharded import ShardedPictures
from gsnet.interface.options import InputError
from gsnet.interface.words import counted
from gsnet.models.module_costs import as_logits
from gsnet.validation.precision import Precision, autocast, half_type, warn_of_slow_half
from gsnet.validation.processes import place, summed
from gsnet.validation.tally import Accuracy, Tally

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result(Accuracy):
    """What a validation found.

    images_per_second: of the whole loop, reading included; batch_size: the one that fitted into memory; confusion: counts,
    (classes, classes), row true label, column prediction.
    """

    images_per_second: float
    batch_size: int
    confusion: Tensor

    def per_class(self) -> list[float | None]:
        """Top-1 in per cent of each class; None for a class without images."""
        counts = self.confusion.sum(dim=1)
        hits = self.confusion.diagonal()
        return [100 * int(h) / int(n) if n else None for h, n in zip(hits, counts, strict=True)]


def loader(images: Dataset, batch_size: int, workers: int = 0, limit: int | None = None) -> DataLoader:
    """Batches in order, the last one as small as it is. limit: that many images, evenly spread over the data set.

    Of several processes each gets its own share, and no image twice. Raises InputError where one would get none.

    An image that is None, as in `gsnet.data.loaders.WholeImages`, is left out of its batch.
    """
    total = len(images)  # type: ignore[arg-type]
    chosen = range(total) if limit is None or limit >= total else [i * total // limit for i in range(limit)]
    rank, processes = place()
    if len(chosen) < processes:
        raise InputError(
            f"{counted(processes, 'process', 'processes')} for {counted(len(chosen), 'image')}: each needs one"
        )
    if len(chosen) < total or processes > 1:
        images = Subset(images, chosen[rank::processes])
    pinned = torch.cuda.is_available()
    return DataLoader(images, batch_size, num_workers=workers, collate_fn=without_gaps, pin_memory=pinned)


def validate(
    network: nn.Module,
    images: Dataset,
    *,
    resolution: int,
    batch_size: int = 128,
    device: str = "cpu",
    workers: int = 0,
    precision: Precision = Precision.SINGLE,
    channels_last: bool = False,
    limit: int | None = None,
) -> Result:
    """Classify test images; maps images (N, 3, H, W) of another size to `resolution` (bilinear) first.

    precision: see `Precision`; the loss is taken in float32 always. Where a batch does not fit into memory, the validation
    begins anew with half of it. The network is left on the device, in evaluation mode and its precision. Raises InputError
    where a label has no logit.
    """
    kind = half_type(device) if precision is Precision.HALF else torch.float32
    if precision is not Precision.SINGLE and half_type(device) is torch.bfloat16:
        _LOG.info("Half precision on a CPU is bfloat16")
        warn_of_slow_half(device, torch.bfloat16)
    layout = torch.channels_last if channels_last else torch.preserve_format
    network = network.eval().to(device, kind).to(memory_format=layout)
    while True:
        try:
            batches = loader(images, batch_size, workers, limit)
            with autocast(device, half_type(device) if precision is Precision.MIXED else None):
                return _pass(network, batches, resolution, device, kind, layout)
        except torch.OutOfMemoryError:
            if batch_size == 1:
                raise InputError(f"One image does not fit into the memory of {device}: use another --device") from None
        batch_size //= 2
        _LOG.warning("Out of memory: starting again with batches of %d", batch_size)
        if device.startswith("cuda"):
            torch.cuda.empty_cache()


class _Confusion:
    """Pairs of true and predicted classes, counted on the device."""

    def __init__(self, classes: int, device: str) -> None:
        self._classes = classes
        self._pairs = torch.zeros(classes * classes, dtype=torch.int64, device=device)

    def add(self, predicted: Tensor, labels: Tensor) -> None:
        """Count a batch: both (N,) below classes, on the device."""
        self._pairs.scatter_add_(0, labels * self._classes + predicted, torch.ones_like(labels))

    def of_all_processes(self) -> Tensor:
        """(classes, classes), row true class, column predicted one."""
        return summed(self._pairs.cpu()).reshape(self._classes, self._classes)


@torch.inference_mode()
def _pass(
    network: nn.Module,
    batches: DataLoader,
    resolution: int,
    device: str,
    kind: torch.dtype,
    layout: torch.memory_format,
) -> Result:
    from tqdm import tqdm

    tally, confusion = Tally(device), None
    begin = time.perf_counter()
    for images, labels in tqdm(batches, disable=place()[0] > 0 or not sys.stderr.isatty(), desc="validation"):
        if not len(labels):
            # Broken images were all that it held.
            continue
        placed = images.to(device, non_blocking=True)
        logits = as_logits(network(prepared(placed, resolution, kind, layout))).float()
        classes = logits.shape[1]
        if int(labels.max()) >= classes:
            raise InputError(f"The data set has label {int(labels.max())}, but the network only {classes} classes")
        if confusion is None:
            check_whose_classes(batches.dataset, classes)
            confusion = _Confusion(classes, device)
        labels = labels.to(device, non_blocking=True)
        confusion.add(tally.add(logits, labels), labels)
    if confusion is None:
        raise InputError("The data set has no validation images")
    found, table = tally.accuracy(), confusion.of_all_processes()
    speed = found.images / (time.perf_counter() - begin)
    if not math.isfinite(found.loss):
        _LOG.warning("Some outputs are no finite numbers, so that there is no loss, and top-1 says little")
    figures = (found.images, found.loss, found.top1, found.top5)
    return Result(*figures, speed, batches.batch_size or 1, table)


def check_whose_classes(images: Dataset, classes: int) -> None:
    """Raise InputError where folders of pictures count as they please: fewer than classes, and none to say which these are."""
    while isinstance(images, Subset | WholeImages):
        images = images.dataset if isinstance(images, Subset) else images.images
    if (
        not isinstance(images, ClassFolder | ShardedPictures)
        or images.names is not None
        or len(images.classes) == classes
    ):
        return
    raise InputError(
        f"{images.root} has {len(images.classes)} class folders, the network {classes} classes, and there is no folder train "
        f"beside it that says which of them these are: give {Path(images.root).parent} a train/ with a folder for every "
        "class, empty ones will do, or --num_classes"
    )


def prepared(images: Tensor, resolution: int, kind: torch.dtype, layout: torch.memory_format) -> Tensor:
    """Images (N, 3, H, W) at the network's resolution (bilinear), in its precision and memory layout."""
    if images.shape[-2:] != (resolution, resolution):
        images = functional.interpolate(images, size=(resolution, resolution), mode="bilinear", align_corners=False)
    return images.to(dtype=kind, memory_format=layout)
