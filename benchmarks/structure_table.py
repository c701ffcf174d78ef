"""A benchmark of the user's own: structure strings and their accuracies in a CSV file."""

from __future__ import annotations

import csv
import gzip
import math
import random
import zlib
from pathlib import Path

import PlainNet
from benchmarks.report_benchmarks import CLOSED_FORM_PROXIES, MODULE_PROXIES, Benchmark
from gsnet.interface.options import InputError
from gsnet.interface.words import counted
from SearchSpace.random_numbers import candidate_seed
from ZeroShotProxy import ScoringSettings, get_proxy, list_proxies, score

_FEWEST = 3


class StructureTable(Benchmark):
    """The networks of a CSV file with the columns `structure` and `accuracy`; others are left alone.

    The file may be gzip's. Structures are known by the text that PlainNet prints for them, whatever the file's spelling.
    Accuracies are in percent. Raises InputError.
    """

    has_neighbours = False

    def __init__(self, path: Path, settings: ScoringSettings) -> None:
        self.name = path.name.removesuffix(".gz").removesuffix(".csv")
        named = ("Params", "Flops", *MODULE_PROXIES, *CLOSED_FORM_PROXIES, "Random")
        others = (p for p in list_proxies() if p not in (*named, "TE-NAS", "Syncflow"))
        # What is a limit and no aim puts no network first.
        self.proxies = (*named, *(p for p in others if get_proxy(p).larger_is_better))
        self._settings = settings
        super().__init__({"accuracy": read_structures(path)})

    @property
    def cache_name(self) -> str:
        return f"{self.name}_{self._settings.resolution}_{self._settings.num_classes}"

    def score(self, key: str, proxy: str, seed: int) -> float:
        """A network's score by a proxy, the same wherever its row stands. Raises ProxyFailure."""
        return self._score(key, proxy, candidate_seed(seed, zlib.crc32(key.encode())))

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
        raise InputError(
            f"{path} has no column {' and '.join(sorted(missing))}: its first line must name both, with a comma between them"
        )
    found: dict[str, float] = {}
    for row in reader:
        try:
            key, accuracy = _network_of(row)
        except ValueError as error:
            raise InputError(f"{path}, line {reader.line_num}: {error}") from error
        if key in found:
            raise InputError(
                f"{path}, line {reader.line_num}: a structure comes twice; give one row with the mean accuracy"
            )
        found[key] = accuracy
    if len(found) < _FEWEST:
        raise InputError(f"{path} has {counted(len(found), 'network')}: an order needs at least {_FEWEST}")
    if all(0 <= accuracy <= 1 for accuracy in found.values()):
        raise InputError(f"{path}: all accuracies are between 0 and 1, and percent are expected: multiply them by 100")
    if len(set(found.values())) == 1:
        raise InputError(f"{path}: all accuracies are the same, so that there is no order to find")
    return found


def _network_of(row: dict[str | None, str]) -> tuple[str, float]:
    """The structure and the accuracy of a row. Raises ValueError."""
    # More values than columns stand under None.
    if None in row:
        raise ValueError("more values than columns: a structure has commas, so write it in double quotes")
    key, text = str(PlainNet.parse(row["structure"] or "")), row["accuracy"] or ""
    try:
        accuracy = float(text)
    except ValueError:
        accuracy = math.nan
    if not math.isfinite(accuracy):
        raise ValueError(f"{text!r} is no accuracy" if text else "there is no accuracy")
    return key, accuracy
