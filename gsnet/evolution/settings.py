"""What makes a search what it is: the options that decide which candidates come and which survive."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields

DEFAULT_ITERATIONS = 480_000
DEFAULT_POPULATION = 512


class SearchError(Exception):
    """Options, files or a structure that a search cannot start from: one sentence that says what to do."""


@dataclass(frozen=True)
class SearchSettings:
    """Every option that changes the result of a search. Two searches with equal settings propose and keep the same.

    evolution_max_iter may be raised to continue a finished search; all others must stay as they were.
    """

    zero_shot_score: str
    ensemble: tuple[str, ...] = ()
    evolution_max_iter: int = DEFAULT_ITERATIONS
    population_size: int = DEFAULT_POPULATION
    round_size: int = 1
    objectives: tuple[str, ...] = ("score",)
    seed: int = 0
    fix_initialize: bool = False
    origin: bool = False
    search_space: str | None = None
    search_space_list: tuple[str, ...] = ()
    plainnet_struct: str | None = None
    batch_size: int = 16
    input_image_size: int = 32
    num_classes: int = 10
    gamma: float = 1e-2
    use_se: bool = False
    no_BN: bool = False
    keep_links: bool | None = None
    max_layers: int | None = None
    budget_model_size: float | None = None
    budget_flops: float | None = None
    budget_mac: float | None = None
    budget_latency: float | None = None
    latency_batch_size: int = 1
    latency_resolution: int | None = None
    latency_source: str | None = None
    latency_table: str | None = None
    latency_precision: str | None = None
    measure_missing: bool = False
    fp16: bool = False
    device: str = "cpu"

    @property
    def watches_latency(self) -> bool:
        """Whether latency is a budget or an objective."""
        return self.budget_latency is not None or "latency" in self.objectives

    @property
    def measures_latency(self) -> bool:
        """Whether every accepted candidate is timed; otherwise its latency follows from its value, if it is watched."""
        return self.watches_latency and self.latency_source in (None, "measure")

    def to_json(self) -> str:
        """As text, one option a line."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> SearchSettings:
        """From `to_json`'s text."""
        values = json.loads(text)
        for name in ("search_space_list", "objectives", "ensemble"):
            values[name] = tuple(values.get(name, ()))
        return cls(**values)

    def differences(self, other: SearchSettings) -> list[str]:
        """The options in which two searches differ, the number of iterations left out."""
        names = [f.name for f in fields(self) if f.name != "evolution_max_iter"]
        return [
            f"--{name} was {getattr(other, name)!r} and is now {getattr(self, name)!r}"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]
