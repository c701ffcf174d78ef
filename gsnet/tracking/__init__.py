"""Where the figures of a training or a search are logged beside its results folder: --log csv,tensorboard,wandb,mlflow."""

from gsnet.tracking.contract import Outcome, TrackedRun, Tracker, TrackerError
from gsnet.tracking.options import add_log, known_kinds
from gsnet.tracking.tracking import Tracking

__all__ = ["Outcome", "TrackedRun", "Tracker", "TrackerError", "Tracking", "add_log", "known_kinds"]
