"""A benchmark of the user's own: structure strings and their accuracies in a CSV file."""

from __future__ import annotations

import csv
import gzip
import math
import random
from pathlib import Path

import PlainNet
from benchmarks.report_benchmarks import CLOSED_FORM_PROXIES, MODULE_PROXIES, Benchmark
from gsnet.interface.options import InputError
from ZeroShotProxy import ScoringSettings, list_proxies, score

_FEWEST = 3


class StructureTable(Benchmark):
    """The networks of a CSV file with the columns `structure` and `accuracy`; others are left alone.

    The file may be gzip's. Structures are known by the text that PlainNet prints for them, whatever the file's spelling. Raises
    InputError.
    """

    has_neighbours = False

    def __init__(self, path: Path, settings: ScoringSettings) -> None:
        self.name = path.name.removesuffix(".gz").removesuffix(".csv")
        named = ("Params", "Flops", *MODULE_PROXIES, *CLOSED_FORM_PROXIES, "Random")
        self.proxies = (*named, *(p for p in list_proxies() if p not in (*named, "TE-NAS", "Syncflow")))
        self._settings = settings
        super().__init__({"accuracy": read_structures(path)})

    @property
    def cache_name(self) -> str:
        return f"{self.name}_{self._settings.resolution}_{self._settings.num_classes}"

    def _score(self, key: str, proxy: str, seed: int) -> float:
        return score(PlainNet.parse(key), proxy, self._settings, seed)

    def mutate(self, key: str, generator: random.Random) -> str:
        raise NotImplementedError("a table of structures says nothing of neighbours")

    def random_key(self, generator: random.Random) -> str:
        return generator.choice(self.keys)


def read_structures(path: Path) -> dict[str, float]:
    """Accuracy by structure. Raises InputError, which names the row."""
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as a CSV file: {error}") from error
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    missing = {"structure", "accuracy"} - set(reader.fieldnames or ())
    if missing:
        raise InputError(f"{path} has no column {' and '.join(sorted(missing))}: its first line must name both")
    found: dict[str, float] = {}
    for row in reader:
        try:
            key, accuracy = str(PlainNet.parse(row["structure"] or "")), float(row["accuracy"] or "")
        except ValueError as error:
            raise InputError(f"{path}, line {reader.line_num}: {error}") from error
        if not math.isfinite(accuracy):
            raise InputError(f"{path}, line {reader.line_num}: {row['accuracy']} is no accuracy")
        if key in found:
            raise InputError(
                f"{path}, line {reader.line_num}: a structure comes twice; give one row with the mean accuracy"
            )
        found[key] = accuracy
    if len(found) < _FEWEST:
        raise InputError(f"{path} has {len(found)} networks: an order needs at least {_FEWEST}")
    return found
