"""The benchmark of small objects: its figures are kept and its page says what they are."""

from pathlib import Path

from benchmarks.aerial_cars import COLUMNS, KEY, cells_of, kept_rows, table
from benchmarks.saved_rows import read_rows, save_rows

DOCS = Path(__file__).parent.parent / "docs/detection"


def cell(ap50: float, ways: tuple[str, ...]) -> dict:
    scores = {"AP50": ap50, "AP": 20.0, "AP_small": 10.0, "count_error": 2.5}
    return {"parameters": 96952, "cpu_minutes": 1.5, "scores": dict.fromkeys(ways, scores)}


def test_cells_are_kept_and_come_back_by_variant_and_length(tmp_path):
    tiled, whole = ("iou", "smaller", "merge"), ("whole",)
    rows = kept_rows(cell(90.0, tiled), "best", 120, 0) | kept_rows(cell(40.0, tiled), "base", 12, 0)
    rows |= kept_rows(cell(50.0, tiled), "base", 12, 1) | kept_rows(cell(5.0, whole), "whole_images", 12, 0)
    save_rows(tmp_path / "figures.csv", COLUMNS, rows, sorted(rows))
    cells = cells_of(read_rows(tmp_path / "figures.csv", KEY))
    assert list(cells) == [("base", 12), ("whole_images", 12), ("best", 120)]
    lines = list(table(cells))
    # Mean and deviation by hand: 45 and sqrt(2 * 25).
    assert lines[2] == "| `base` | 144 | 96,952 | 45.0 ± 7.1 | 20.0 ± 0.0 | 10.0 ± 0.0 | 2.5 ± 0.0 | 1.5 | 2 |"
    assert "| iou | 60.00 | 20.00 | 2.50 | 3 |" in lines


def test_the_page_says_what_the_kept_figures_are():
    text = "\n".join(table(cells_of(read_rows(DOCS / "aerial_cars.csv", KEY))))
    assert text in (DOCS / "aerial_cars.md").read_text(encoding="utf-8")
