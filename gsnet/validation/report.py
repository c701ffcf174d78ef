"""What a validation says: a line for one network, a table for several, one JSON object, a picture."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from gsnet.interface.files import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_HEAD = ("data set", "images", "top-1", "top-5", "loss", "images/s")
_NAMED = 30
# Of a picture of the confusion: the side of a cell in inches, the share of the picture that cells have beside names, and
# the size of the text.
_CELL, _SHARE_OF_CELLS = 0.45, 0.7
_LARGEST_TEXT, _WIDTH_OF_DIGIT, _POINTS_AN_INCH = 12.0, 0.65, 72


@dataclass(frozen=True)
class Row:
    """One network's figures, or why there are none."""

    arch: str
    figures: dict[str, Any] | None
    error: str | None = None
    bad_input: bool = False

    def to_dict(self) -> dict[str, Any]:
        """The figures, or the error, as plain values."""
        return self.figures or {"arch": self.arch, "error": self.error}


def text_of(rows: Sequence[Row], as_json: bool) -> str:
    """The rows as lines, or as one JSON object (under "networks" where there are several)."""
    if as_json:
        found = [finite(row.to_dict()) for row in rows]
        return json.dumps(found[0] if len(found) == 1 else {"networks": found})
    lines = [_line(rows[0])] if len(rows) == 1 else _table(rows)
    return "\n".join([*lines, *_inputs(rows), *(line for row in rows for line in _classes(row, len(rows) > 1))])


def finite(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same with None for numbers that JSON has no word for."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value for name, value in values.items()
    }


def status_of(rows: Sequence[Row]) -> int:
    """0 where a network was validated, 2 where every row is bad input, 1 where all failed otherwise."""
    if any(row.error is None for row in rows):
        return 0
    return 2 if all(row.bad_input for row in rows) else 1


def _line(row: Row) -> str:
    if row.figures is None:
        return f"*** arch={row.arch}, error: {row.error}"
    f = row.figures
    return (
        f"*** arch={row.arch}, top1 {f['top1']:.3f}%, top5 {f['top5']:.3f}%, loss {f['loss']:.4f}, "
        f"{f['images']} images of {f['dataset']}, {f['images_per_second']:.1f} images/s"
    )


def _table(rows: Sequence[Row]) -> list[str]:
    width = max(len("network"), *(len(row.arch) for row in rows))
    cells = [_HEAD, *(_cells(row.figures) for row in rows if row.figures)]
    widths = [max(10, 2 + max(map(len, column))) for column in zip(*cells, strict=True)]
    lines = ["network".ljust(width) + _in_columns(_HEAD, widths)]
    for row in rows:
        text = _in_columns(_cells(row.figures), widths) if row.figures else f"  error: {row.error}"
        lines.append(row.arch.ljust(width) + text)
    return lines


def _in_columns(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


def _inputs(rows: Sequence[Row]) -> list[str]:
    """How images came to the networks: one line for all that saw them alike."""
    inputs: dict[str, list[str]] = {}
    for row in rows:
        if row.figures:
            inputs.setdefault(row.figures["input"], []).append(row.arch)
    return list(inputs) if len(rows) == 1 else [f"{', '.join(names)}: {text}" for text, names in inputs.items()]


def _cells(f: dict[str, Any]) -> tuple[str, ...]:
    accuracies = f"{f['top1']:.3f}%", f"{f['top5']:.3f}%", f"{f['loss']:.4f}"
    return (f["dataset"], f"{f['images']}", *accuracies, f"{f['images_per_second']:.1f}")


def _classes(row: Row, named: bool) -> list[str]:
    f = row.figures or {}
    prefix = f"{row.arch}, " if named else ""
    return [
        f"{prefix}{name}: {'no images' if accuracy is None else f'{accuracy:.2f}%'}"
        for name, accuracy in zip(f.get("class_names", []), f.get("per_class", []), strict=True)
    ]


def draw_confusion(file: Path, confusion: Tensor, names: Sequence[str]) -> None:
    """`confusion_figure` as a PNG file."""
    with written_whole(file, "wb") as stream:
        confusion_figure(confusion, names).savefig(stream, format="png", dpi=120)


def confusion_figure(confusion: Tensor, names: Sequence[str]) -> Figure:
    """A picture of counts (classes, classes), each row divided by its sum; of few classes with the counts and names."""
    from matplotlib.figure import Figure

    shares = confusion / confusion.sum(dim=1, keepdim=True).clamp(min=1)
    few = len(names) <= _NAMED
    side = max(6.0, _CELL * len(names)) if few else 6.0
    figure = Figure(figsize=(side + 1, side), layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.imshow(shares.numpy(), vmin=0, vmax=1, cmap="viridis"), label="share of the true class")
    axes.set(xlabel="predicted class", ylabel="true class", title=f"{int(confusion.sum())} images")
    if few:
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
        axes.set_yticks(range(len(names)), names)
        _write_counts(axes, confusion, shares, cell=_SHARE_OF_CELLS * side / len(names))
    return figure


def _write_counts(axes: Axes, confusion: Tensor, shares: Tensor, cell: float) -> None:
    """The counts into their cells, as large as the longest fits; cell: its side in inches."""
    digits = len(str(int(confusion.max())))
    size = min(_LARGEST_TEXT, _POINTS_AN_INCH * cell / (_WIDTH_OF_DIGIT * digits + 0.5))
    for row, counts in enumerate(confusion.tolist()):
        for column, count in enumerate(counts):
            colour = "black" if shares[row, column] > 0.6 else "white"
            text = axes.text(column, row, f"{int(count)}", ha="center", va="center", color=colour, fontsize=size)
            # It lies within the axes: asking each of a thousand texts for its extent takes seconds.
            text.set_in_layout(False)
