"""What the keywords of a search mean in the terms of `gsnet.evolution`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import PlainNet
from gsnet.api.callables import merged, proxy_of, several, split_budgets, split_objectives
from gsnet.api.keywords import FLAGS, SETTINGS, SearchOptions, Start
from gsnet.api.naming import check_names
from gsnet.evolution.ensemble import ENSEMBLE
from gsnet.evolution.executors import TlsFiles
from gsnet.evolution.figures import figure_settings
from gsnet.evolution.folder import rule_of
from gsnet.evolution.functions import Functions
from gsnet.evolution.latency_source import latency_source
from gsnet.evolution.options import (
    ROUND_SIZE_OF_MODULE_PROXIES,
    check_verified,
    ensemble_from,
    migration_of,
)
from gsnet.evolution.recorded import Row
from gsnet.evolution.session import RunOptions
from gsnet.evolution.settings import TOLD, SearchSettings, SettingError
from gsnet.interface import plugins
from gsnet.interface.options import InputError, device_name
from gsnet.interface.values import check_counts, plain, wrong_count
from gsnet.tracking import known_kinds
from PlainNet import Network
from SearchSpace import load_block_types, load_search_space, space_name
from ZeroShotProxy import Needs, Proxy, get_proxy


@dataclass(frozen=True)
class Plan:
    """A search as `gsnet.evolution` takes it."""

    settings: SearchSettings
    functions: Functions
    run: RunOptions
    folder: Path | None


def plan(start: Start | Iterable[Start] | None, options: Mapping[str, Any]) -> Plan:
    """The search that keywords describe. Raises InputError and its kinds, StructureError, UnknownProxyError."""
    check_names("A search", options, SearchOptions.__annotations__)
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
    check_verified(run.verify_top, settings.zero_shot_score)
    if settings.fix_initialize and settings.origin and options.get("blocks"):
        raise InputError(
            "blocks do nothing where a start is mutated within a space: leave them out, or say origin=False"
        )
    return Plan(settings, functions, run, path)


def _check_run(run: RunOptions, folder: object) -> None:
    check_counts(workers=run.workers)
    if run.overwrite and run.resume:
        raise InputError("overwrite=True and resume=True contradict each other: use one of them")
    if wrong := wrong_count(run.verify_top, least=0):
        raise InputError(f"verify_top {wrong}")
    for name in ("resume", "log", "verify_top"):
        if getattr(run, name) and not folder:
            raise InputError(f"{name} needs a save_dir")
    if run.scheduler is None and run.tls:
        raise InputError("tls is for a scheduler: name one")
    if run.scheduler is not None and run.workers > 1:
        raise InputError("A scheduler has workers of its own: leave workers out")


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
    values |= {setting: options[name] for name, setting in SETTINGS.items() if name in options}
    islands: dict[str, Any] = {name: values.pop(name) for name in ("islands", "migration") if name in values}
    try:
        settings = SearchSettings(**values)
        if islands:
            settings = _with_islands(settings, islands, _are_value_only(proxies, given))
    except SettingError as error:
        raise SettingError(FLAGS.get(error.name, error.name), error.wrong) from None
    table = options.get("latency_table")
    settings = replace(settings, **latency_source(settings, Path(table) if table else None))
    text = settings.plainnet_struct
    functions = Functions(
        given,
        None if space is None else load_search_space(space, PlainNet.parse_structures(text) if text else ()),
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
