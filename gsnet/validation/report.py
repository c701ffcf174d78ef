"""What a validation says: a line for one network, a table for several, one JSON object, a picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from gsnet.interface.files import written_whole

_HEAD = ("data set", "images", "top-1", "top-5", "loss", "images/s")
_NAMED = 30


@dataclass(frozen=True)
class Row:
    """One network's figures, or why there are none."""

    arch: str
    figures: dict[str, Any] | None
    error: str | None = None
    bad_input: bool = False


def text_of(rows: Sequence[Row], as_json: bool) -> str:
    """The rows as lines, or as one JSON object (under "networks" where there are several)."""
    if as_json:
        found = [row.figures or {"arch": row.arch, "error": row.error} for row in rows]
        return json.dumps(found[0] if len(found) == 1 else {"networks": found})
    lines = [_line(rows[0])] if len(rows) == 1 else _table(rows)
    return "\n".join([*lines, *(line for row in rows for line in _classes(row, len(rows) > 1))])


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
    width = max(len(row.arch) for row in rows)
    lines = ["network".ljust(width) + "".join(name.rjust(10) for name in _HEAD)]
    for row in rows:
        lines.append(row.arch.ljust(width) + (_cells(row.figures) if row.figures else f"  error: {row.error}"))
    return lines


def _cells(f: dict[str, Any]) -> str:
    cells = (f["dataset"], f["images"], f"{f['top1']:.3f}%", f"{f['top5']:.3f}%", f"{f['loss']:.4f}")
    return "".join(str(cell).rjust(10) for cell in (*cells, f"{f['images_per_second']:.1f}"))


def _classes(row: Row, named: bool) -> list[str]:
    f = row.figures or {}
    prefix = f"{row.arch}, " if named else ""
    return [
        f"{prefix}{name}: {'no images' if accuracy is None else f'{accuracy:.2f}%'}"
        for name, accuracy in zip(f.get("class_names", []), f.get("per_class", []), strict=True)
    ]


def draw_confusion(file: Path, confusion: Tensor, names: Sequence[str]) -> None:
    """A picture of the counts (classes, classes), each row divided by its sum; few classes are named."""
    from matplotlib.figure import Figure

    shares = confusion / confusion.sum(dim=1, keepdim=True).clamp(min=1)
    figure = Figure(figsize=(7, 6), layout="constrained")
    axes = figure.subplots()
    figure.colorbar(axes.imshow(shares.numpy(), vmin=0, vmax=1, cmap="viridis"), label="share of the true class")
    axes.set(xlabel="predicted class", ylabel="true class", title=f"{int(confusion.sum())} images")
    if len(names) <= _NAMED:
        axes.set_xticks(range(len(names)), names, rotation=60, ha="right")
        axes.set_yticks(range(len(names)), names)
        for row, counts in enumerate(confusion.tolist()):
            for column, count in enumerate(counts):
                colour = "black" if shares[row, column] > 0.6 else "white"
                axes.text(column, row, f"{int(count)}", ha="center", va="center", color=colour, fontsize=8)
    with written_whole(file, "wb") as stream:
        figure.savefig(stream, format="png", dpi=120)
