"""The training of a detector on the loop that classifiers train on."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.utils.data import DataLoader

from gsnet.detection.checkpoint import description
from gsnet.detection.coco_evaluation import evaluate_coco
from gsnet.detection.curves import draw_curves
from gsnet.detection.inference import Finder
from gsnet.detection.multi_scale import MultiScale
from gsnet.detection.postprocess import VISDRONE, PostprocessSettings
from gsnet.detection.preprocessing import Preprocessing
from gsnet.detection.scene import ImageResults, SceneSet
from gsnet.detection.schedule import RampedAverage
from gsnet.detection.sharing import in_order, of_all_processes
from gsnet.detection.targets import Batch, Targets
from gsnet.detection.task import DetectionTask
from gsnet.detection.tiles import TileSettings
from gsnet.training.loop import Trainer
from gsnet.training.settings import TrainingSettings
from gsnet.training.step import Stepper
from gsnet.validation.processes import place

_LOG = logging.getLogger(__name__)


class DetectionStepper(Stepper):
    """Steps of a `DetectionTask`; from epoch `detach_epoch` (from 0) on the guidance module no longer teaches the rest.

    multi_scale: sizes of batches, None for those that they are read at.
    """

    task: DetectionTask  # type: ignore[assignment]

    def __init__(  # type: ignore[no-untyped-def]
        self, *arguments, detach_epoch: int = 10, multi_scale: MultiScale | None = None, **options
    ) -> None:
        super().__init__(*arguments, **options)
        self.detach_epoch, self.multi_scale = detach_epoch, multi_scale

    def step(self, images: Tensor, targets: list[Targets], epoch: int, number: int, lr: float) -> Tensor:  # type: ignore[override]
        """Learn from one batch; returns its loss, summed over images, and the positive priors: (2,) in float64."""
        self.task.detached = epoch >= self.detach_epoch
        if self.multi_scale is not None:
            images = images.to(self.device, non_blocking=True)
            images, targets = self.multi_scale.apply(images, targets, epoch, number)
        return super().step(images, targets, epoch, number, lr)  # type: ignore[arg-type]

    def _average(self, decay: float) -> RampedAverage:  # type: ignore[override]
        return RampedAverage(self.task.network, decay)

    def _chunks(self, images: Tensor, targets: list[Targets]) -> list[tuple[Tensor, Any, Any]]:  # type: ignore[override]
        targets = [target.to(self.device) for target in targets]
        parts = images.chunk(self.settings.accumulate)
        begins = [sum(len(part) for part in parts[:i]) for i in range(len(parts))]
        return [(part, targets[b : b + len(part)], None) for part, b in zip(parts, begins, strict=True)]

    def _hits(self, positives: Tensor, labels: None) -> Tensor:  # type: ignore[override]
        return positives.detach()


@dataclass(frozen=True)
class Precision:
    """COCO's average precision in per cent on the validation images, at most 500 detections each; None: not measured."""

    ap: float | None = None
    ap50: float | None = None
    ap75: float | None = None
    images: int = 0

    def __str__(self) -> str:
        if self.ap is None:
            return "not validated"
        return f"AP {self.ap:.2f}%, AP50 {self.ap50:.2f}%, AP75 {self.ap75:.2f}% on {self.images} images"


class DetectionTrainer(Trainer):
    """A training of a detector in a results folder.

    truth: the validation images' objects; interval: epochs between validations, of which the last is always one. tiles: how
    the detector will look at images, and is validated, where it is trained on windows of them.
    """

    measure, best_at = "val_AP", "best_AP_at_epoch"
    columns = ("epoch", "lr", "train_loss", "positives", "val_AP", "val_AP50", "val_AP75", "images_per_second")
    stepper: DetectionStepper

    def __init__(
        self,
        stepper: DetectionStepper,
        settings: TrainingSettings,
        training: DataLoader[Batch],
        validation: DataLoader[Batch],
        folder: Path,
        options: dict[str, Any],
        truth: SceneSet,
        preprocessing: Preprocessing,
        interval: int = 10,
        postprocess: PostprocessSettings = VISDRONE,
        tiles: TileSettings | None = None,
    ) -> None:
        super().__init__(stepper, settings, training, validation, folder, options)
        self.truth, self.preprocessing = truth, preprocessing
        self.interval, self.postprocess, self.tiles = interval, postprocess, tiles
        times = {"training_elasped_time": 0.0, "validation_elasped_time": 0.0}
        self.status = {"best_AP": 0.0, "best_AP50": 0.0, "best_AP_at_epoch": 0} | times

    def evaluated(self, limit: int | None = None) -> Precision:
        """Average precision of the network that counts; limit: batches, for a dry run."""
        stepper = self.stepper
        finder = Finder(
            stepper.validated.eval(),
            stepper.task.network.settings,
            self.preprocessing,
            self.postprocess,
            stepper.device,
            dtype=stepper.precision.dtype,
        )
        found = of_all_processes(dict(self._found(finder, limit)))
        figures = evaluate_coco(self.truth, in_order(found, self.truth)).figures
        ap, ap50, ap75 = (figures[f"{name}_500"] or 0.0 for name in ("AP", "AP50", "AP75"))
        return Precision(ap, ap50, ap75, len(found))

    def _found(self, finder: Finder, limit: int | None) -> Iterator[tuple[str, ImageResults]]:
        """What is found in the images of this process."""
        if self.tiles is None:
            return finder.find_all(islice(self.validation, limit))
        rank, processes = place()
        mine = self.truth.scenes[rank::processes]
        return finder.find_all_in_tiles(mine[: limit and limit * (self.validation.batch_size or 1)], self.tiles)

    def draw_curves(self) -> None:
        """Loss and average precision over epochs, as curves.png."""
        draw_curves(self.folder, self.history)

    def _validated(self) -> Precision:
        due = (self.epoch + 1) % self.interval == 0 or self.epoch + 1 == self.settings.epochs
        return self.evaluated() if due else Precision()

    def _figures(self, hits: float, accuracy: Precision) -> dict[str, Any]:  # type: ignore[override]
        return {"positives": hits, "val_AP": accuracy.ap, "val_AP50": accuracy.ap50, "val_AP75": accuracy.ap75}

    def _note_best(self, accuracy: Precision) -> bool:  # type: ignore[override]
        if accuracy.ap is None:
            return False
        measured_before = any(row["val_AP"] is not None for row in self.history[:-1])
        best = self.lacks_best or not measured_before or accuracy.ap > self.status["best_AP"]
        self.lacks_best = False
        if best:
            self.status |= {"best_AP": accuracy.ap, "best_AP50": accuracy.ap50, "best_AP_at_epoch": self.epoch}
        return best

    def _class_names(self) -> Sequence[str]:
        return self.stepper.task.network.settings.classes

    def _class_names_of(self, state: Mapping[str, Any]) -> Sequence[str]:
        return state.get("detector", {}).get("classes", ())

    def _progress(self, accuracy: Precision | None) -> dict[str, Any]:  # type: ignore[override]
        state = super()._progress(None) | {"AP": accuracy.ap if accuracy else None}
        return state | description(self.stepper.task.network.settings, self.preprocessing, self.tiles)

    def _step_words(self, hits: float) -> str:
        return f" positives {hits:.1f} an image"

    def _print_epoch(self, row: dict[str, Any]) -> None:
        measured = "" if row["val_AP"] is None else f" AP {row['val_AP']:.2f}% AP50 {row['val_AP50']:.2f}%,"
        if any(earlier["val_AP"] is not None for earlier in self.history):
            measured += f" best AP {self.status['best_AP']:.2f}%,"
        _LOG.info(
            "epoch %d/%d loss %.4f,%s %.1f images/s, %s so far, %s left",
            *(self.epoch, self.settings.epochs, row["train_loss"], measured),
            *(row["images_per_second"], *self._times()),
        )
