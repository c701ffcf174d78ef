"""A trained detector in a file: its weights, and everything that is needed to use them.

A checkpoint of a training holds, beside what `gsnet.training.checkpoints` keeps, `detector` (`DetectorSettings`),
`preprocessing` (`Preprocessing`) and, after a training on windows, `tiles` (of `TileSettings`) as plain values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from gsnet.detection.detector import Detector
from gsnet.detection.preprocessing import CHANNEL_ORDER, Preprocessing
from gsnet.detection.settings import DetectorSettings
from gsnet.detection.tiles import TileSettings
from gsnet.interface.options import InputError
from gsnet.models.described import checkpoint_of
from ZenNet.files import WeightsError
from ZenNet.state import State, is_safetensors, load_into
from ZenNet.unpickling import load_plain

_FORMAT = 1
# In the checkpoints from which a training goes on, the detector is one part of what is trained.
TRAINED_PREFIX = "network."


@dataclass(frozen=True)
class LoadedDetector:
    """A detector in evaluation mode, and how images are prepared for it; `settings.classes` are the names of its labels.

    tiles: how it looks at large images, where it was trained on windows of them.
    """

    detector: Detector
    preprocessing: Preprocessing
    tiles: TileSettings | None = None

    @property
    def settings(self) -> DetectorSettings:
        """What the detector is made of."""
        return self.detector.settings


def description(
    settings: DetectorSettings, preprocessing: Preprocessing, tiles: TileSettings | None = None
) -> dict[str, Any]:
    """The plain values of a checkpoint that say what its weights are for."""
    prepared = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(preprocessing).items()}
    return {
        "detector_format": _FORMAT,
        "detector": settings.to_dict(),
        "preprocessing": prepared | {"channel_order": CHANNEL_ORDER},
        **({} if tiles is None else {"tiles": {"side": tiles.side, "whole": tiles.whole}}),
        "counting": "parameters include batch normalisation's; multiply-accumulates are those of convolutions",
    }


def load_detector(file: str | Path, device: str = "cpu") -> LoadedDetector:
    """The detector of a checkpoint that train_detection.py wrote: of its best, or of its latest.

    Of the latest the averaged weights are taken, where the training averages. Raises InputError.
    """
    state = read_checkpoint(Path(file).expanduser())
    settings, preprocessing = described(state, str(file))
    detector = Detector(settings)
    load_into(detector, detector_weights(state), str(file))
    return LoadedDetector(detector.to(device).eval(), preprocessing, trained_tiles(state))


def holds_detector(file: Path) -> bool:
    """Whether a file is a detector's checkpoint; False for whatever else it is. Raises OSError where it cannot be read."""
    if is_safetensors(file):
        return False
    try:
        return _is_detector(load_plain(file))
    except WeightsError:
        return False


def _is_detector(state: object) -> bool:
    return isinstance(state, dict) and {"detector", "preprocessing", "state_dict"} <= state.keys()


def read_checkpoint(file: Path) -> dict[str, Any]:
    """The content of a detector's checkpoint, or of the best of a training's folder, as plain values. Raises InputError."""
    file = checkpoint_of(file)
    if not file.is_file():
        raise InputError(f"There is no file {file}: a checkpoint of train_detection.py or its folder was expected")
    state = load_plain(file)
    if not _is_detector(state):
        raise InputError(f"{file} is no checkpoint of a detector: train_detection.py writes them")
    return state


def described(state: Mapping[str, Any], source: str) -> tuple[DetectorSettings, Preprocessing]:
    """What a checkpoint says of itself. Raises InputError where it is of another version."""
    values = dict(state["preprocessing"])
    known = {field.name for field in fields(Preprocessing)}
    if values.pop("channel_order", None) != CHANNEL_ORDER or not values.keys() <= known:
        raise InputError(f"{source} expects images in a form that this version does not know")
    prepared: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    return DetectorSettings.from_dict(state["detector"]), Preprocessing(**prepared)


def trained_tiles(state: Mapping[str, Any]) -> TileSettings | None:
    """How a checkpoint's detector looks at large images; None where it was trained on whole ones."""
    values = state.get("tiles")
    return None if values is None else TileSettings(values["side"], whole=values["whole"])


def detector_weights(state: Mapping[str, Any]) -> State:
    """The weights of a checkpoint that are meant to be used."""
    weights: State = state["state_dict"]
    if state.get("ema") is not None:
        return {key.removeprefix("module."): v for key, v in state["ema"].items() if key.startswith("module.")}
    if any(key.startswith(TRAINED_PREFIX) for key in weights):
        return {k.removeprefix(TRAINED_PREFIX): v for k, v in weights.items() if k.startswith(TRAINED_PREFIX)}
    return weights
