"""Scores of several networks by several proxies, as a file that spreadsheets and pandas take."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gsnet.interface.files import written_whole


@dataclass
class ScoreRow:
    """One network: its figures by column, and why there are none."""

    figures: dict[str, object]
    failures: dict[str, str] = field(default_factory=dict)

    def add(self, proxy: str, score: float, std: float) -> None:
        """A score, and its standard deviation over repeats."""
        self.figures |= {proxy: score, deviation(proxy): std}

    def fail(self, proxies: Iterable[str], reason: str) -> None:
        """Why these proxies give no score."""
        self.failures |= dict.fromkeys(proxies, reason)

    def reasons(self) -> str:
        """The failures as one text: "NASWOT: why; Zen: why", proxies that failed alike together."""
        alike: dict[str, list[str]] = {}
        for proxy, reason in self.failures.items():
            alike.setdefault(reason, []).append(proxy)
        return "; ".join(f"{', '.join(proxies)}: {reason}" for reason, proxies in alike.items())


class ScoreTable:
    """A row a network, a column a proxy, with repeats one of deviations too, and last the reasons of what failed."""

    def __init__(self, proxies: Sequence[str], repeats: int = 1) -> None:
        spread = (lambda proxy: (proxy, deviation(proxy))) if repeats > 1 else (lambda proxy: (proxy,))
        scores = [column for proxy in proxies for column in spread(proxy)]
        self._columns = ("arch", "resolution", "classes", *scores)
        self._rows: list[ScoreRow] = []

    def row(self, network: str) -> ScoreRow:
        """A new row, to be filled."""
        self._rows.append(ScoreRow({"arch": network}))
        return self._rows[-1]

    def write(self, path: Path) -> None:
        """The table as CSV; a cell without a figure is empty."""
        with written_whole(path) as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow((*self._columns, "error"))
            for row in self._rows:
                table.writerow([*(row.figures.get(name, "") for name in self._columns), row.reasons()])


def deviation(proxy: str) -> str:
    """The column of a proxy's standard deviation over repeats."""
    return f"{proxy} std"
