"""Which run of a tracker a results folder belongs to, so that a resumed one goes on in it."""

from __future__ import annotations

import json
from pathlib import Path

from gsnet.interface.files import write_text
from gsnet.interface.result_files import TRACKED


class NotedRun:
    """The run of one tracker, in the results folder's tracking.json. kind: the tracker's name."""

    def __init__(self, folder: Path, kind: str) -> None:
        self._file, self._kind = folder / TRACKED, kind
        self._found = self._all().get(kind, {})

    def to_go_on_with(self, goes_on: bool, where: str = "") -> str | None:
        """The run's name if it is to be gone on with: where its training or search does, or where nothing is in it yet.

        where: it lies; of a run that lies elsewhere nothing is known here.
        """
        found = self._found
        if "run" not in found or found.get("where") != where or not (goes_on or found.get("empty")):
            return None
        return str(found["run"])

    def begin(self, run: str, where: str = "") -> None:
        """It is this run, which holds nothing yet as far as this folder knows."""
        if (self._found.get("run"), self._found.get("where")) != (run, where):
            self._write({"run": run, "where": where, "empty": True})

    def fill(self) -> None:
        """From now on it holds something; said before that is so, for nobody must take it for another's afterwards."""
        if self._found.get("empty"):
            self._write(self._found | {"empty": False})

    def _write(self, found: dict[str, object]) -> None:
        self._found = found
        write_text(self._file, json.dumps(self._all() | {self._kind: found}, indent=1) + "\n")

    def _all(self) -> dict[str, dict[str, object]]:
        try:
            found = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
