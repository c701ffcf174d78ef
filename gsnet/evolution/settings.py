"""What makes a search what it is: the options that decide which candidates come and which survive."""

from __future__ import annotations

import difflib
import json
from dataclasses import asdict, dataclass, fields

from gsnet.interface.options import InputError
from gsnet.interface.plugins import differences
from gsnet.interface.values import wrong_count, wrong_limit
from PlainNet.memory import PRECISIONS
from SearchSpace.search_choice import LARGEST_BOTTLENECK

DEFAULT_ITERATIONS = 480_000
DEFAULT_POPULATION = 512
# Proposals of an island between two migrations.
DEFAULT_MIGRATION = 5_000
# The name of scores that a program tells.
TOLD = "told"
# The score is maximised; all others, in the order of `Member.costs`, are minimised.
OBJECTIVES = ("score", "params", "flops", "mac", "layers", "latency")
# Figures beside the costs that this package knows to work out, which may have limits and be objectives.
GROWTH, PEAK_MEMORY, WEIGHTS = KNOWN_FIGURES = ("growth", "peak_memory", "weights")
# Those that are bytes, of maps and weights as `memory_precision` stores them.
IN_BYTES = (PEAK_MEMORY, WEIGHTS)
_LONGEST_SHOWN = 200
_COUNTS = (
    *("evolution_max_iter", "population_size", "round_size", "islands", "migration"),
    *("batch_size", "input_image_size", "num_classes"),
)
# Rules of evolution, the default first; `gsnet.evolution.rules` says what they do. Older histories name none.
FITTING, PUBLISHED = EVOLUTIONS = "fitting", "published"
LATENCY_SOURCES = ("measure", "table", "predict")
_SWITCHES = ("fix_initialize", "origin", "use_se", "no_BN", "measure_missing", "fp16")
_LIMITS = ("gamma", "max_layers", "budget_model_size", "budget_flops", "budget_mac", "budget_latency")


class SearchError(InputError):
    """Options, files or a structure that a search cannot start from: one sentence that says what to do."""


class SettingError(SearchError):
    """A setting that cannot be: its name, and what is wrong with it."""

    def __init__(self, name: str, wrong: str) -> None:
        super().__init__(f"{name} {wrong}")
        self.name = name
        self.wrong = wrong


@dataclass(frozen=True)
class SearchSettings:
    """Every option that changes the result of a search. Two searches with equal settings propose and keep the same.

    evolution_max_iter may be raised to continue a finished search; all others must stay as they were. plainnet_struct: the
    structure to start from, or several, one a line. figures: names of what functions of the user's own say of a network, and
    those of `KNOWN_FIGURES` that are asked for, which may be objectives; limits: those of them that have one. plugins: names of
    files that define what is searched, and digests of their texts. memory_precision: of maps and weights that are counted in
    bytes. min_width: of the output and the bottleneck of every block. latency_backend: the runtime whose latencies these are,
    None for torch. islands: how many populations there are; migration: how many proposals of each lie between two exchanges of
    members. Raises SettingError.
    """

    zero_shot_score: str
    ensemble: tuple[str, ...] = ()
    evolution_max_iter: int = DEFAULT_ITERATIONS
    population_size: int = DEFAULT_POPULATION
    round_size: int = 1
    islands: int = 1
    migration: int = DEFAULT_MIGRATION
    objectives: tuple[str, ...] = ("score",)
    seed: int = 0
    fix_initialize: bool = False
    origin: bool = False
    evolution: str = FITTING
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
    min_width: int | None = None
    budget_model_size: float | None = None
    budget_flops: float | None = None
    budget_mac: float | None = None
    budget_latency: float | None = None
    latency_batch_size: int = 1
    latency_resolution: int | None = None
    latency_source: str | None = None
    latency_table: str | None = None
    latency_backend: str | None = None
    latency_precision: str | None = None
    measure_missing: bool = False
    fp16: bool = False
    memory_precision: str = "fp32"
    device: str = "cpu"
    figures: tuple[str, ...] = ()
    limits: tuple[tuple[str, float], ...] = ()
    plugins: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        for name in (*_COUNTS, "latency_batch_size"):
            _check_count(name, getattr(self, name))
        for name in _LIMITS:
            _check_limit(name, getattr(self, name))
        for name, limit in self.limits:
            _check_limit(f"the budget {name}", limit)
        if self.min_width is not None:
            _check_count("min_width", self.min_width)
            if self.min_width > LARGEST_BOTTLENECK:
                raise SettingError("min_width", f"is {self.min_width}: it must be at most {LARGEST_BOTTLENECK}")
        if self.latency_resolution is not None:
            _check_count("latency_resolution", self.latency_resolution)
        for name in _SWITCHES:
            if not isinstance(getattr(self, name), bool):
                raise SettingError(name, f"is {getattr(self, name)!r}: it must be True or False")
        if self.keep_links not in (None, True, False):
            raise SettingError("keep_links", f"is {self.keep_links!r}: it must be True, False or None")
        if self.evolution not in EVOLUTIONS:
            raise SettingError("evolution", f"is {self.evolution!r}: use one of {', '.join(EVOLUTIONS)}")
        if self.latency_source not in (None, *LATENCY_SOURCES):
            raise SettingError("latency_source", f"is {self.latency_source!r}: use one of {', '.join(LATENCY_SOURCES)}")
        if self.memory_precision not in PRECISIONS:
            raise SettingError("memory_precision", f"is {self.memory_precision!r}: use one of {', '.join(PRECISIONS)}")
        if not isinstance(self.seed, int):
            raise SettingError("seed", f"is {self.seed!r}: it must be a whole number")
        if self.islands > 1 and self.migration % self.round_size:
            raise SettingError(
                "migration", f"is {self.migration}: it must be a multiple of round_size, {self.round_size}"
            )
        check_objectives(self.objectives, self.figures)

    @property
    def own_figures(self) -> tuple[str, ...]:
        """Those of the figures that functions of the user's own work out."""
        return tuple(name for name in self.figures if name not in KNOWN_FIGURES)

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
        """From `to_json`'s text, also that of a version with one rule of evolution alone."""
        values = json.loads(text)
        for name in ("search_space_list", "objectives", "ensemble", "figures"):
            values[name] = tuple(values.get(name, ()))
        for name in ("limits", "plugins"):
            values[name] = tuple((first, second) for first, second in values.get(name, ()))
        return cls(**{"evolution": PUBLISHED} | values)

    def differences(self, other: SearchSettings) -> list[str]:
        """The options in which two searches differ, the number of iterations left out; `other` was before."""
        names = [f.name for f in fields(self) if f.name not in ("evolution_max_iter", "plugins")]
        return [*differences(other.plugins, self.plugins)] + [
            f"--{name} was {_short(getattr(other, name))} and is now {_short(getattr(self, name))}"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]


def check_objectives(names: tuple[str, ...], figures: tuple[str, ...] = ()) -> None:
    """Refuse objectives that nobody knows, or without the score. Raises SettingError."""
    known = dict.fromkeys((*OBJECTIVES, *KNOWN_FIGURES, *figures))
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SettingError("objectives", f"{','.join(names)}: {name!r} is none of {', '.join(known)}{hint}")
    if "score" not in names:
        raise SettingError("objectives", f"{','.join(names) or 'none'}: score must be among them")


def _short(value: object) -> str:
    text = "not given" if value is None else repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 1]}…"


def _check_count(name: str, value: object) -> None:
    if wrong := wrong_count(value):
        raise SettingError(name, wrong)


def _check_limit(name: str, value: float | None) -> None:
    if value is not None and (wrong := wrong_limit(value)):
        raise SettingError(name, wrong)


def figure_in_words(name: str, value: float) -> str:
    """Bytes as kibibytes, anything else in four digits."""
    return f"{value / 1024:,.1f} KiB" if name in IN_BYTES else f"{value:.4g}"
