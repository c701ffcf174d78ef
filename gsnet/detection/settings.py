"""What a detector is made of: plain values that a checkpoint keeps, checked before anything is built. No torch needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from gsnet.interface.options import InputError
from PlainNet import UNITS, Style

TAPS = ("reference", "stage_end")
TAP_STRIDES = (4, 8, 16, 32)
# Distances from a prior to the sides of its box are read from this many bins and one more.
REG_MAX = 7
# Channels of the group normalisation in the auxiliary head.
_GROUPS = 32


@dataclass(frozen=True)
class DetectorSettings:
    """One detector, whatever its weights.

    structure: the backbone's structure string. unit: its GhostShuffle unit, "deployed" or "searched" (`PlainNet.UNITS`);
    use_se: squeeze-and-excitation in a searched unit, which a deployed one always has. tap: which map of a stride goes to
    the neck, "stage_end" for the last or "reference" for the output of the first unit at that stride, the coarsest
    excepted. tap_strides: strides of the maps that do, ascending by doubling up to 32; extra_level: one more at 64.

    neck_channels, head_channels: widths. classes: their names, in the order of the logits. auxiliary: with the assignment
    guidance module, which exists in training alone.
    """

    structure: str
    classes: tuple[str, ...]
    unit: str = "deployed"
    use_se: bool = False
    tap: str = "reference"
    tap_strides: tuple[int, ...] = (8, 16, 32)
    extra_level: bool = True
    neck_channels: int = 128
    head_channels: int = 128
    auxiliary: bool = True

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise InputError(f"There is no --unit {self.unit!r}: use one of {', '.join(UNITS)}")
        if self.tap not in TAPS:
            raise InputError(f"There is no --tap {self.tap!r}: use one of {', '.join(TAPS)}")
        if not self.tap_strides or self.tap_strides != TAP_STRIDES[-len(self.tap_strides) :]:
            raise InputError(f"--tap_strides are the last of 4,8,16,32 without a gap, not {self.tap_strides}")
        if not self.classes:
            raise InputError("A detector needs the names of its classes")
        if self.neck_channels < 1 or self.head_channels < 1:
            raise InputError("--neck_channels and --head_channels start at 1")
        if self.auxiliary and 2 * self.neck_channels % _GROUPS:
            raise InputError(f"--neck_channels {self.neck_channels} must be a multiple of 16 for the auxiliary head")

    @property
    def style(self) -> Style:
        """How the backbone's blocks are built."""
        style = UNITS[self.unit]
        return replace(style, use_se=True) if self.use_se and not style.use_se else style

    @property
    def strides(self) -> tuple[int, ...]:
        """Strides of the maps on which objects are found."""
        return (*self.tap_strides, 64) if self.extra_level else self.tap_strides

    @property
    def outputs(self) -> int:
        """Numbers per prior: class logits, then the bins of left, top, right and bottom."""
        return len(self.classes) + 4 * (REG_MAX + 1)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as a checkpoint holds them."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DetectorSettings:
        """The settings of a checkpoint. Raises InputError where they are not a detector's."""
        known = {field.name for field in fields(cls)}
        if not {"structure", "classes"} <= values.keys() <= known:
            raise InputError("The checkpoint describes no detector of this version")
        given: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in values.items()}
        return cls(**given)
