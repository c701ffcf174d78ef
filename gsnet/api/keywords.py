"""The keywords of a search: what they are called here, and in the terms of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TypedDict

from gsnet.api.callables import BUDGETS, Budget, ProxyLike
from gsnet.evolution.functions import Figure
from gsnet.evolution.recorded import Row
from gsnet.evolution.settings import KNOWN_FIGURES
from PlainNet import Network
from SearchSpace import HasListing, Listing

Start = str | Path | Network | Row
# Keyword -> setting, where nothing but the name differs.
SETTINGS = {
    "iterations": "evolution_max_iter",
    "resolution": "input_image_size",
    **{
        name: name
        for name in (
            *(
                "population_size",
                "round_size",
                "islands",
                "migration",
                "seed",
                "batch_size",
                "num_classes",
                "gamma",
                "use_se",
                "no_BN",
                "keep_links",
            ),
            *("latency_batch_size", "latency_resolution", "latency_source", "latency_backend", "measure_missing"),
            *("fp16", "origin"),
            *("evolution", "memory_precision", "min_width"),
        )
    },
}
_BUDGET_FLAGS = {setting: name for name, setting in BUDGETS.items()} | {
    f"budget_{name}": name for name in KNOWN_FIGURES
}
FLAGS = {flag: f"budgets[{name!r}]" for flag, name in _BUDGET_FLAGS.items()} | {
    **{setting: name for name, setting in SETTINGS.items()},
    "resume": "resume=True",
    "overwrite": "overwrite=True",
    "search_space": "space",
    "search_space_list": "blocks",
    "zero_shot_score": "proxy",
    "plainnet_struct": "start",
    "fix_initialize": "start",
}


class SearchOptions(TypedDict, total=False):
    """What a search may be told, beside the structures to start from. Everything has the default of `gsnet evolution_search`.

    space: name, file or module of a search space, or its `gen_search_space(block_list, block_id)`.
    blocks: files or modules of blocks, in place of a space or for random networks within one.
    proxy: name of a proxy, or a function of a network, or of an `nn.Module` if its argument is annotated so.
    ensemble: with proxy="Ensemble", the proxies whose log ranks add up, where they are not those of docs/ensemble_choice.md.
    budgets: upper limits of "params", "flops", "mac", "layers", "latency" (seconds an image), "growth" (of the gradient,
        docs/gradient_growth.md), "peak_memory" and "weights" (bytes at memory_precision, docs/memory.md), as numbers or as
        texts with units ("1M", "0.4G", "250us", "256KiB"), and under any other name (function of a network, limit).
    min_width: least output width and bottleneck of every block.
    objectives: survive by these rather than by the score alone: "score" and costs by name, and functions of a network, of
        which less is better, as they are or {name: function}.
    iterations, population_size: proposals, survivors. round_size: candidates drawn from one population.
    islands: populations that exchange their best now and then, which `workers` or a scheduler have live in several processes;
        migration: proposals of an island between two exchanges.
    seed: same seed and options, same history.
    origin: mutate within the space (the default where there is one) rather than by width ratio over its block types.
    evolution: "fitting" changes some properties of a block within the budgets, "published" replaces whole blocks; the
        default is "fitting", or what the search in save_dir began with.
    resolution, num_classes, batch_size, gamma, use_se, no_BN, keep_links: what is scored; see `gsnet.score`.
    latency_batch_size, latency_resolution, latency_source, latency_backend, latency_table, measure_missing, fp16: how
        latency is looked at, by which runtime.
    memory_precision: "fp32", "fp16" or "int8", of maps and weights in bytes.
    device: torch's name of where networks are scored and timed.
    workers: processes that score, or that islands live in. scheduler: address of a Dask scheduler in their place; tls: paths of
        its certificate authority, of our certificate and of our key.
    save_dir: results folder, as the command makes it; without one nothing is written. resume: continue what it holds.
        overwrite: discard that. log: where its curves go, of "csv", "tensorboard", "wandb" and "mlflow"; tensorboard: to the
        second. verify_top: re-score so many of the best by Monte-Carlo Zen at the end.
    """

    space: str | Path | HasListing | Listing | None
    blocks: str | Path | ModuleType | Sequence[str | Path | ModuleType]
    proxy: ProxyLike | None
    ensemble: str | Sequence[str]
    budgets: Mapping[str, Budget]
    min_width: int | None
    objectives: str | Figure | Sequence[str | Figure] | Mapping[str, Figure | None]
    iterations: int
    population_size: int
    round_size: int
    islands: int
    migration: int
    seed: int
    origin: bool
    evolution: str
    resolution: int
    num_classes: int
    batch_size: int
    gamma: float
    use_se: bool
    no_BN: bool
    keep_links: bool | None
    latency_batch_size: int
    latency_resolution: int | None
    latency_source: str | None
    latency_backend: str | None
    latency_table: str | Path | None
    measure_missing: bool
    fp16: bool
    memory_precision: str
    device: str | None
    workers: int
    scheduler: str | None
    tls: tuple[str, str, str] | None
    save_dir: str | Path | None
    resume: bool
    overwrite: bool
    log: str | Sequence[str]
    tensorboard: bool
    verify_top: int
