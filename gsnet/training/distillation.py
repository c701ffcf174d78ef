"""A student learns from labels and from a frozen teacher: from its logits, and from its maps through projections."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from gsnet.interface.options import InputError
from gsnet.interface.result_files import BEST_CHECKPOINT
from gsnet.models.module_costs import as_logits
from gsnet.training.features import StageFeatures, map_shapes, stage_features
from gsnet.training.ignored_options import TEACHES_NOTHING
from gsnet.training.initialisers import initialise_normal
from gsnet.training.losses import teacher_feature_loss, teacher_logit_loss
from gsnet.training.tasks import Classification, Place
from gsnet.training.teacher_cache import TeacherCache

_LOG = logging.getLogger(__name__)
_PROJECTION_FACTOR = 1e-4
_BN_EPS = 1e-3
Normalisation = tuple[tuple[float, ...], tuple[float, ...]]


@dataclass(frozen=True)
class DistillationSettings:
    """How a teacher's word counts beside the labels.

    feature_weight and logit_weight: of the losses in `gsnet.training.losses`, 0 for none. ratio: the smallest down-sampling
    ratio whose maps are compared; its doubles follow. clip: bound of the teacher's maps. project_bn and project_relu:
    what follows the 1 x 1 convolution of a projection. student_side and teacher_side: of the images that each network
    sees, in pixels. Raises InputError.
    """

    feature_weight: float = 0.0
    logit_weight: float = 0.0
    ratio: int = 16
    temperature: float = 1.0
    clip: float | None = None
    project_bn: bool = True
    project_relu: bool = True
    student_side: int = 224
    teacher_side: int = 224

    def __post_init__(self) -> None:
        if min(self.feature_weight, self.logit_weight) < 0 or self.feature_weight + self.logit_weight == 0:
            raise InputError(TEACHES_NOTHING)

    def student_features(self, network: nn.Module) -> StageFeatures:
        """The student with the maps that are compared."""
        return self._features(network, self.student_side)

    def teacher_features(self, network: nn.Module) -> StageFeatures:
        """The teacher with the maps that are compared."""
        return self._features(network, self.teacher_side)

    def _features(self, network: nn.Module, side: int) -> StageFeatures:
        return stage_features(network, self.ratio, side) if self.feature_weight else StageFeatures(network)


class Distillation(Classification):
    """A student, a frozen teacher, and a projection for each pair of maps.

    teacher: a network of images of teacher_side, its logits as wide as the student's where they are compared.
    prepare: what images pass on their way to the teacher; cache: of the teacher's logits. The latest checkpoint holds
    student and projections, the best ones the student alone. Raises InputError where no maps can be compared.
    """

    best_names = (BEST_CHECKPOINT, "student_best-params_rank0.pth")

    def __init__(
        self,
        network: nn.Module,
        teacher: nn.Module,
        settings: DistillationSettings,
        prepare: nn.Module | None = None,
        cache: TeacherCache | None = None,
    ) -> None:
        nn.Module.__init__(self)
        self.settings, self.cache = settings, cache
        self.weigh(None)
        self.student = settings.student_features(network)
        self.teacher = settings.teacher_features(teacher).requires_grad_(False).eval()
        self.prepare = prepare or nn.Identity()
        self.projections = nn.ModuleList(self._projections())

    @property
    def network(self) -> nn.Module:  # type: ignore[override]
        """The student, which is the one that is validated."""
        return self.student.network

    @property
    def trained(self) -> nn.Module:
        return nn.ModuleDict({"student": self.network, "projections": self.projections})

    def train(self, mode: bool = True) -> Self:
        """Training mode of what is trained of student and projections; the teacher stays in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    @torch.no_grad()
    def guidance(self, images: Tensor, place: Place) -> tuple[Tensor, ...]:
        """The teacher's logits (N, classes) and maps; from the cache where it has the logits of this place."""
        if self.cache is None:
            return self._ask(images)
        return (self.cache.logits(place, images, lambda: self._ask(images)[0]),)

    def forward(self, images: Tensor, targets: Tensor, *guidance: Tensor) -> tuple[Tensor, Tensor]:
        """Images, targets and the teacher's guidance to the mean loss and the student's logits."""
        s = self.settings
        teacher_logits, *teacher_maps = guidance
        maps, output = self.student(resized(images, s.student_side))
        logits = as_logits(output, targets.shape[1], "The student")
        loss = self.label_loss(logits.float(), targets, self.class_weights)
        if s.logit_weight:
            wanted = as_logits(teacher_logits, targets.shape[1], "The teacher")
            loss = loss + s.logit_weight * teacher_logit_loss(logits.float(), wanted.float(), s.temperature)
        for projection, own, teacher in zip(self.projections, maps, teacher_maps, strict=False):
            loss = loss + s.feature_weight * teacher_feature_loss(projection(own).float(), teacher.float(), s.clip)
        return loss, logits

    def _ask(self, images: Tensor) -> tuple[Tensor, ...]:
        maps, logits = self.teacher(resized(self.prepare(images), self.settings.teacher_side))
        return (logits, *maps[: len(self.projections)])

    def _projections(self) -> list[nn.Module]:
        s = self.settings
        if not s.feature_weight:
            return []
        own, teacher = map_shapes(self.student, s.student_side), map_shapes(self.teacher, s.teacher_side)
        common = min(len(own), len(teacher))
        if not common:
            lacking = "student" if not own else "teacher"
            raise InputError(
                f"The {lacking} has no map at the down-sampling ratio {s.ratio}: choose another "
                "--target_downsample_ratio, or leave --teacher_feature_weight out"
            )
        ratios = [s.ratio * 2**i for i in range(common)]
        _LOG.info("Maps are compared at down-sampling ratios %s", ", ".join(map(str, ratios)))
        return [projection(own[i][1], teacher[i][1], s.project_bn, s.project_relu) for i in range(common)]


def projection(channels: int, teacher_channels: int, bn: bool, relu: bool) -> nn.Sequential:
    """1 x 1 convolution with bias, batch normalisation and ReLU if wanted; the kernel starts near zero."""
    layers: list[nn.Module] = [nn.Conv2d(channels, teacher_channels, 1)]
    layers += [nn.BatchNorm2d(teacher_channels, eps=_BN_EPS)] if bn else []
    layers += [nn.ReLU()] if relu else []
    built = nn.Sequential(*layers)
    initialise_normal(built, _PROJECTION_FACTOR)
    return built


def resized(images: Tensor, side: int) -> Tensor:
    """Images (N, 3, H, W) brought to a side by bilinear interpolation; themselves where they have it."""
    if images.shape[2:] == (side, side):
        return images
    return functional.interpolate(images, (side, side), mode="bilinear")


class Renormalise(nn.Module):
    """Images that were normalised with given constants as another network expects them.

    given and expected: pairs (mean, standard deviation) by channel, of pixels in [0, 1].
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, given: Normalisation, expected: Normalisation) -> None:
        super().__init__()
        mean, std = map(torch.tensor, given)
        own_mean, own_std = map(torch.tensor, expected)
        self.register_buffer("scale", (std / own_std)[:, None, None])
        self.register_buffer("shift", ((mean - own_mean) / own_std)[:, None, None])

    def forward(self, images: Tensor) -> Tensor:
        return images * self.scale + self.shift
