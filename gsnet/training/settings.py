"""What a training is made of, checked before anything is built."""

from __future__ import annotations

from dataclasses import dataclass

from gsnet.interface.options import InputError
from gsnet.training.optimisers import OptimiserSettings
from gsnet.training.schedules import Rates


class TrainingFailed(Exception):  # noqa: N818 - the outcome of a training, not a programming error
    """A training that cannot go on: one sentence that says why, and what is kept."""


class Terminated(Exception):  # noqa: N818 - a state of affairs, not a programming error
    """SIGTERM ended the training after everything was saved."""

    status = 143


class OutOfTime(Terminated):
    """The time that a run was given is over; everything was saved, as asked for."""

    status = 0


@dataclass(frozen=True)
class TrainingSettings:
    """One training.

    smoothing: share of the label that goes to all classes; mixup and cutmix: parameter of the Beta distribution of shares,
    0 without; bce: binary cross-entropy instead of cross-entropy, for which targets above bce_threshold count as 1 and
    others as 0. grad_clip and grad_norm: bounds of each gradient value and of the norm of all. grad_checkpointing: the
    network computes maps again in the backward pass. accumulate: parts that a batch is computed in. ema: decay of averaged
    weights, which are then the ones that are validated. amp: mixed precision, in the format of amp_dtype (`usual.AMP_TYPES`;
    None: float16 on a GPU, bfloat16 on a CPU). fp16_allreduce: gradients travel between processes in float16. save_freq in
    epochs, print_freq in steps. patience: epochs without a better validation after which the training ends; time_limit:
    seconds after which a run of it saves and leaves; keep_best: how many of the best epochs are kept, in files of their own
    where there are several. log: trackers beside log.csv and TensorBoard (`gsnet.tracking`). seed: everything random in a
    step follows from it, the epoch, the step and the process.
    """

    schedule: Rates
    optimiser: OptimiserSettings
    classes: int
    smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    bce: bool = False
    bce_threshold: float | None = None
    grad_checkpointing: bool = False
    grad_clip: float | None = None
    grad_norm: float | None = None
    accumulate: int = 1
    ema: float | None = None
    amp: bool = False
    amp_dtype: str | None = None
    fp16_allreduce: bool = False
    channels_last: bool = False
    compile: bool = False
    save_freq: int = 1
    print_freq: int = 100
    patience: int | None = None
    time_limit: float | None = None
    keep_best: int = 1
    log: tuple[str, ...] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        if self.ema is not None and not 0 < self.ema < 1:
            raise InputError(f"--ema {self.ema} is not a decay: above 0 and below 1, as 0.999")
        if min(self.save_freq, self.print_freq, self.accumulate) < 1:
            raise InputError("--save_freq, --print_freq and --batches_per_allreduce start at 1")
        if self.bce and self.bce_threshold is not None:
            self._check_threshold(self.bce_threshold)

    def _check_threshold(self, threshold: float) -> None:
        right = 1 - self.smoothing + self.smoothing / self.classes
        if threshold >= right:
            raise InputError(
                f"--bce_target_thresh {threshold} is not below what the right class of an image has, {right:g}, so that no "
                "class would be right: use a smaller one"
            )

    @property
    def epochs(self) -> int:
        """Passes over the data, as the schedule has them."""
        return self.schedule.epochs

    @property
    def mixes(self) -> bool:
        """Whether images are mixed, so that there is no single right class to count."""
        return self.mixup > 0 or self.cutmix > 0
