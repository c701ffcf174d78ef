"""What a search has found, for programs: the best network, the Pareto front, the history as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from gsnet.evolution.digest import digest, figures_of, final_score
from gsnet.evolution.recorded import DATABASE, HistoryReader, Row, rows_of
from gsnet.evolution.settings import SearchSettings

Opening = Callable[[], HistoryReader]
_COLUMNS = tuple(name for name in Row._fields if name not in ("scores", "figures"))


class Table(dict[str, list[Any]]):
    """Columns of equal length by name, as `pandas.DataFrame(table)` and `polars.DataFrame(table)` take them.

    None stands where there is no figure.
    """

    def __repr__(self) -> str:
        length = len(next(iter(self.values()), []))
        return f"<{length:,} rows of {', '.join(self)}>"


class SearchResult:
    """What a search found up to a moment.

    settings: of the search. best: its best candidate (`best.network`, `best.score`, its costs), None where nothing was scored.
    pareto: the candidates that no other one beats in score and in every cost at once, best score first. outcomes: how many
    proposals were scored, duplicates, over which budget, failed. iterations: how many proposals there were. finished: whether
    these are all that were asked for, or brought all that there is to find. folder: its results folder, or None.
    """

    def __init__(self, history: HistoryReader, folder: Path | None) -> None:
        self.folder = folder
        # A folder is opened again when its table is asked for; what is in memory is there as long as this is.
        self._memory = history if folder is None else None
        self.settings: SearchSettings = history.settings
        self.finished: bool = history.finished
        self.iterations = len(history)
        found = digest(history, self.iterations)
        self.best: Row | None = found.best
        self.pareto: list[Row] = found.front
        self.outcomes: Counter[str] = found.outcomes

    @property
    def score(self) -> float | None:
        """The best score."""
        return self.best.score if self.best else None

    @cached_property
    def history(self) -> Table:
        """Every proposal and what became of it, a row each, with what the user's own functions say of it.

        Its columns are those of history.csv, latency in seconds an image and the seconds that scoring took. A search of tens of
        millions of proposals does not fit into memory so: `parts` does.
        """
        table: Table | None = None
        for part in self.parts():
            if table is None:
                table = part
                continue
            for name, values in part.items():
                table[name] += values
        return table if table is not None else Table({name: [] for name in (*_COLUMNS, *self.settings.figures)})

    def parts(self) -> Iterator[Table]:
        """The history in tables of some thousands of rows, one after the other."""
        figures = self.settings.figures
        with self._reader() as reader:
            score = final_score(reader, self.iterations)
            for batch in reader.batches(self.iterations):
                rows = [score(row) for row in rows_of(batch)]
                own = [figures_of(row, figures) for row in rows]
                columns = dict(zip(Row._fields, map(list, zip(*rows, strict=True)), strict=True))
                table = {name: columns[name] for name in _COLUMNS}
                yield Table(table | {name: [values[i] for values in own] for i, name in enumerate(figures)})

    def __repr__(self) -> str:
        counts = ", ".join(f"{count:,} {outcome}" for outcome, count in self.outcomes.most_common())
        best = f"best {self.settings.zero_shot_score} score {self.score:.6g}" if self.best else "nothing scored"
        return f"<SearchResult: {best}, {self.iterations:,} iterations: {counts}>"

    @contextmanager
    def _reader(self) -> Iterator[HistoryReader]:
        if self._memory is not None:
            yield self._memory
            return
        reader = HistoryReader.read(self.folder or Path())
        try:
            yield reader
        finally:
            reader.close()


def load(folder: str | Path) -> SearchResult:
    """What a results folder holds, finished or not, also while the search goes on. Raises SearchError."""
    path = Path(folder).expanduser()
    path = path.parent if path.name == DATABASE else path
    reader = HistoryReader.read(path)
    try:
        return SearchResult(reader, path)
    finally:
        reader.close()
