"""The keywords of a search, and what they mean in the terms of `gsnet.evolution`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, TypedDict

import PlainNet
from gsnet.api.callables import BUDGETS, Budget, ProxyLike, merged, proxy_of, several, split_budgets, split_objectives
from gsnet.evolution.ensemble import ENSEMBLE
from gsnet.evolution.executors import TlsFiles
from gsnet.evolution.figures import figure_settings
from gsnet.evolution.folder import rule_of
from gsnet.evolution.functions import Figure, Functions
from gsnet.evolution.options import ROUND_SIZE_OF_MODULE_PROXIES, ensemble_from, latency_source, migration_of
from gsnet.evolution.recorded import Row
from gsnet.evolution.session import RunOptions
from gsnet.evolution.settings import TOLD, SearchSettings, SettingError
from gsnet.interface import plugins
from gsnet.interface.options import InputError, device_name
from gsnet.interface.values import check_counts, plain, wrong_count
from gsnet.tracking import known_kinds
from PlainNet import Network
from SearchSpace import HasListing, Listing, load_block_types, load_search_space, space_name
from ZeroShotProxy import Needs, Proxy, get_proxy

Start = str | Path | Network | Row
# Keyword -> setting, where nothing but the name differs.
_SETTINGS = {
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
_FLAGS = {setting: f"budgets[{name!r}]" for name, setting in BUDGETS.items()} | {
    **{setting: name for name, setting in _SETTINGS.items()},
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


@dataclass(frozen=True)
class Plan:
    """A search as `gsnet.evolution` takes it."""

    settings: SearchSettings
    functions: Functions
    run: RunOptions
    folder: Path | None


def plan(start: Start | Iterable[Start] | None, options: Mapping[str, Any]) -> Plan:
    """The search that keywords describe. Raises InputError and its kinds, StructureError, UnknownProxyError."""
    known = SearchOptions.__annotations__
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            raise TypeError(f"A search has no option {name!r}{f'; did you mean {near[0]}?' if near else ''}")
    options = {name: plain(value) for name, value in options.items()}
    folder = options.get("save_dir")
    run = RunOptions(
        resume=options.get("resume", False),
        overwrite=options.get("overwrite", False),
        workers=options.get("workers", 1),
        scheduler=options.get("scheduler"),
        tls=_tls(options.get("tls")),
        log=_log(options.get("log", ()), options.get("tensorboard", False)),
        verify_top=options.get("verify_top", 0),
    )
    _check_run(run, folder)
    path = Path(folder).expanduser() if folder else None
    settings, functions = _settings(start, {"evolution": rule_of(path, run.overwrite)} | dict(options))
    return Plan(settings, functions, run, path)


def in_words_of_python(text: str) -> str:
    """A sentence about flags and settings with the keywords of a search in their place."""
    return re.sub(r"--(\w+)", lambda flag: _FLAGS.get(flag[1], flag[1]), text)


def _check_run(run: RunOptions, folder: object) -> None:
    check_counts(workers=run.workers)
    if run.overwrite and run.resume:
        raise InputError("overwrite and resume contradict each other: use one of them")
    if wrong := wrong_count(run.verify_top, least=0):
        raise InputError(f"verify_top {wrong}")
    for name in ("resume", "log", "verify_top"):
        if getattr(run, name) and not folder:
            raise InputError(f"{name} needs a save_dir")


def _log(names: str | Sequence[str], tensorboard: bool) -> tuple[str, ...]:
    given = names.split(",") if isinstance(names, str) else names
    try:
        return known_kinds((*given, *(("tensorboard",) if tensorboard else ())))
    except InputError as error:
        raise InputError(f"log: {error}") from error


def _tls(files: Sequence[str] | None) -> TlsFiles | None:
    if not files:
        return None
    if isinstance(files, str) or len(files) != 3:
        raise InputError(
            f"tls is {files!r}: it must be the paths of the certificate authority, our certificate and our key"
        )
    return TlsFiles(*files)


def _settings(start: Start | Iterable[Start] | None, options: Mapping[str, Any]) -> tuple[SearchSettings, Functions]:
    space, blocks = options.get("space"), several(options.get("blocks") or ())
    known, own, limits = split_budgets(options.get("budgets", {}))
    objectives, more = split_objectives(options.get("objectives", ("score",)))
    figures = merged(own, more)
    name, proxies, given = _proxies(options, objectives)
    values: dict[str, Any] = {
        "zero_shot_score": name,
        "ensemble": proxies if name == ENSEMBLE else (),
        "round_size": 1 if _are_value_only(proxies, given) else ROUND_SIZE_OF_MODULE_PROXIES,
        "objectives": objectives,
        "origin": space is not None,
        "fix_initialize": start is not None,
        "search_space": space_name(space) if space is not None else None,
        "search_space_list": tuple(_block_file(block) for block in blocks),
        "plainnet_struct": starting_text(start),
        "device": device_name(None, options.get("device")),
        "figures": (*figure_settings(limits, objectives)[0], *figures),
        "limits": tuple(limits.items()),
        "plugins": plugins.recorded(),
        **known,
    }
    values |= {setting: options[name] for name, setting in _SETTINGS.items() if name in options}
    islands: dict[str, Any] = {name: values.pop(name) for name in ("islands", "migration") if name in values}
    try:
        settings = SearchSettings(**values)
        if islands:
            settings = _with_islands(settings, islands, _are_value_only(proxies, given))
    except SettingError as error:
        raise SettingError(_FLAGS.get(error.name, error.name), error.wrong) from None
    table = options.get("latency_table")
    settings = replace(settings, **latency_source(settings, Path(table) if table else None))
    functions = Functions(
        given,
        load_search_space(space) if space is not None else None,
        load_block_types(blocks) if blocks else (),
        figures,
    )
    return settings, functions


def _with_islands(settings: SearchSettings, given: dict[str, Any], value_only: bool) -> SearchSettings:
    """The settings with `islands` and `migration` as they are given. Raises InputError."""
    islands = given.get("islands", 1)
    if "migration" in given and islands == 1:
        raise InputError("migration is between islands: give at least two")
    return replace(settings, **{"migration": migration_of(islands, settings.round_size, value_only)} | given)


def _proxies(options: Mapping[str, Any], objectives: tuple[str, ...]) -> tuple[str, tuple[str, ...], tuple[Proxy, ...]]:
    """The score's name, the names of the proxies that it is made of, and those that only this search knows."""
    proxy = options.get("proxy")
    members = _members(options.get("ensemble", ()))
    if proxy == ENSEMBLE or members:
        name = proxy if isinstance(proxy, str) else str(proxy)
        return name, ensemble_from(",".join(members), name, objectives), ()
    if proxy is None:
        return TOLD, (), ()
    found = proxy_of(proxy)
    return found.name, (found.name,), () if isinstance(proxy, str) else (found,)


def _members(given: str | Sequence[str]) -> tuple[str, ...]:
    """The names of an ensemble's proxies, in a sequence or with commas between them. Raises InputError."""
    members = tuple(given.split(",")) if isinstance(given, str) else tuple(given)
    if wrong := next((each for each in members if not isinstance(each, str)), None):
        raise InputError(f"ensemble has {wrong!r}: it is of names, so give a function one by load_plugin")
    return members


def _are_value_only(names: Sequence[str], given: Sequence[Proxy]) -> bool:
    own = {proxy.name: proxy for proxy in given}
    return {(own.get(name) or get_proxy(name)).needs for name in names} == {Needs.VALUE}


def _block_file(block: str | Path | ModuleType) -> str:
    return getattr(block, "__file__", None) or block.__name__ if isinstance(block, ModuleType) else str(block)


def starting_text(start: Start | Iterable[Start] | None) -> str | None:
    """Structures to start from as a setting holds them. Raises InputError, StructureError or OSError."""
    if start is None:
        return None
    if isinstance(start, str | Path | Network | Row):
        return _text(start)
    if not isinstance(start, Iterable):
        raise InputError(f"start is {start!r}: it must be a structure, a network, a Path, or several of these")
    texts = [_text(one) for one in start]
    if not texts:
        raise InputError("start is empty: leave it out to begin with random networks")
    return "\n".join(texts)


def _text(start: Start) -> str:
    if isinstance(start, Row):
        return start.structure
    return PlainNet.read_structure_text(start) if isinstance(start, Path) else str(start)
