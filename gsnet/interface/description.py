"""What a network is, in plain values that travel with it: inside checkpoints, best.json and exported files. No torch needed.

    description = NetworkDescription("SuperConvK3BNRELU(3,8,1,1)…", classes=10, resolution=32)
    NetworkDescription.from_json(description.to_json()) == description

gsnet.models.described reads it back from a file or a results folder.
"""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from importlib import metadata
from typing import Any

from gsnet.interface.options import InputError
from gsnet.interface.values import wrong_count
from gsnet.interface.version import commit, version
from PlainNet import UNITS, StructureError, Style, parse

# Under this name a checkpoint, best.json and the metadata of other formats hold it.
KEY = "description"
# How an image of another shape becomes a square: its centre is cut out, or the whole of it is stretched.
CENTRE, WHOLE = "center", "squash"
_FORMAT = 1
_TUPLES = ("mean", "std", "class_names")
_PACKAGES = ("torch", "numpy")


@dataclass(frozen=True)
class NetworkDescription:
    """One network, and how images reach it.

    structure: its structure string; arch: its name where it has none. unit ("searched" or "deployed"), use_se, se_activation,
    no_BN, no_reslink: how the structure is built (`PlainNet.Style`). bn_eps, bn_momentum: of every batch normalisation, None as
    built.

    resolution: side that it sees; crop: side that a test image is cut to, by default the resolution; resize: what its shorter
    side is brought to before, by default the crop over 0.875; all in pixels. crop_mode: "center", or "squash" for the whole
    image at `crop` x `crop`. interpolation: of that resizing. mean, std: of pixels in [0, 1] by channel, None
    where nobody knows yet.

    classes: width of the logits; class_names: in their order, empty where unknown. dataset: what it was trained on. accuracy:
    top1, top5 (per cent) and loss of a validation, with its images, batch_size and epoch. search: what found it (proxy, score,
    budgets). versions: of the programs that made it. seed: of that work.

    Raises InputError for values that no network has.
    """

    structure: str | None = None
    arch: str | None = None
    unit: str = "searched"
    use_se: bool = False
    se_activation: str = "hard_swish"
    no_BN: bool = False
    no_reslink: bool = False
    bn_eps: float | None = None
    bn_momentum: float | None = None
    resolution: int = 224
    crop: int | None = None
    resize: int | None = None
    crop_mode: str = CENTRE
    interpolation: str = "bicubic"
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    classes: int = 1000
    class_names: tuple[str, ...] = ()
    dataset: str | None = None
    accuracy: dict[str, Any] = field(default_factory=dict)
    search: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None

    def __post_init__(self) -> None:
        for name in ("structure", "arch", "dataset"):
            _check(name, getattr(self, name), str, None)
        for name in ("use_se", "no_BN", "no_reslink"):
            _check(name, getattr(self, name), bool)
        for name in ("resolution", "classes"):
            _check_count(name, getattr(self, name))
        for name in ("crop", "resize"):
            if getattr(self, name) is not None:
                _check_count(name, getattr(self, name))
        for name in ("accuracy", "search", "versions"):
            _check(name, getattr(self, name), dict)
        if self.structure is None and self.arch is None:
            raise InputError("A description of a network names neither its structure nor its arch")
        if self.unit not in UNITS:
            raise InputError(f"A description of a network has unit {self.unit!r}: one of {', '.join(UNITS)} is known")
        if self.crop_mode not in (CENTRE, WHOLE):
            raise InputError(f"A description of a network has crop_mode {self.crop_mode!r}, which is not known")
        for name in ("mean", "std"):
            _check_channels(name, getattr(self, name))
        if self.class_names and len(self.class_names) != self.classes:
            raise InputError(f"A description of a network has {len(self.class_names)} names for {self.classes} classes")

    @property
    def style(self) -> Style:
        """How the structure's blocks are built. Raises InputError."""
        base = UNITS[self.unit]
        try:
            return replace(
                base,
                use_se=self.use_se or base.use_se,
                no_reslink=self.no_reslink,
                no_BN=self.no_BN,
                se_activation=self.se_activation,
            )
        except ValueError as error:
            raise InputError(f"A description of a network is not of this version: {error}") from error

    def normalised_structure(self) -> str | None:
        """The structure in its canonical spelling. Raises StructureError."""
        return None if self.structure is None else str(parse(self.structure))

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        values = {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}
        return {"format": _FORMAT} | values

    def to_json(self) -> str:
        """One line of text."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, values: object) -> NetworkDescription:
        """From `to_dict`'s values. Raises InputError where they are none."""
        if not isinstance(values, Mapping):
            raise InputError("A description of a network is no table of values")
        given = dict(values)
        if given.pop("format", _FORMAT) != _FORMAT or given.keys() - {each.name for each in fields(cls)}:
            raise InputError("A description of a network is of a later version: update this project to read it")
        given |= {name: tuple(given[name]) for name in _TUPLES if isinstance(given.get(name), list | tuple)}
        found = cls(**given)
        try:
            found.normalised_structure()
        except StructureError as error:
            # What was made with a plugin is read with it.
            missing = error.reason.startswith("No block is called")
            hint = " (if the block is of a file of your own, name it: --plugin FILE.py)" if missing else ""
            raise InputError(f"A description of a network has no sound structure{hint}: {error}") from error
        return found

    @classmethod
    def from_json(cls, text: str) -> NetworkDescription:
        """From `to_json`'s text. Raises InputError."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise InputError(f"A description of a network is no JSON ({error})") from error
        return cls.from_dict(values)


def versions() -> dict[str, Any]:
    """Of this project, with its commit, of Python and of what computes."""
    own: dict[str, Any] = {"gsnet": version(), "commit": commit(), "python": platform.python_version()}
    return own | {name: found for name in _PACKAGES if (found := package_version(name))}


def package_version(package: str) -> str | None:
    """The version of an installed package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _check(name: str, value: object, kind: type, *others: object) -> None:
    if not isinstance(value, kind) and not any(value is other for other in others):
        raise InputError(f"A description of a network has {name} {value!r}, which is no {kind.__name__}")


def _check_count(name: str, value: object) -> None:
    if wrong := wrong_count(value):
        raise InputError(f"A description of a network has a wrong {name}, which {wrong}")


def _check_channels(name: str, values: object) -> None:
    if values is None:
        return
    numbers = isinstance(values, tuple) and len(values) == 3
    if not numbers or not all(isinstance(v, int | float) and math.isfinite(v) for v in values):  # type: ignore[attr-defined]
        raise InputError(f"A description of a network has {name} {values!r}: three numbers were expected")


def other_names(before: Sequence[str], now: Sequence[str]) -> list[tuple[int, str, str]]:
    """The labels whose classes have other names now than before, with both names, as far as there are both."""
    return [(label, *names) for label, names in enumerate(zip(before, now, strict=False)) if names[0] != names[1]]
