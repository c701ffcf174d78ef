"""Whole networks on the device at hand, each timed again and again: by torch, or by a runtime from a file of its own."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gsnet.latency.device import FP32, TORCH, is_tuned
from gsnet.latency.errors import LatencyError, telling
from gsnet.latency.setting import Setting
from gsnet.runtimes import Operation, Runtime, Session, Settings, runtime, way_of_rewriting
from PlainNet import Network

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

# Where a file is written before it lies in its folder.
UNFINISHED = "unfinished"
_SECONDS_A_TURN = 0.15
# Passes of a profile: as many as a turn has, within bounds.
_FEWEST_PASSES, _MOST_PASSES = 10, 200
SecondsOf = Callable[[Network], float]
# Of a network and the seconds that it takes.
OperationsOf = Callable[[Network, float], list[Operation]]


def timer_of(setting: Setting, folder: Path) -> SecondsOf:
    """What times a network for one batch, and raises LatencyError for one that cannot run.

    folder: for the files that a runtime loads at each turn, so that a network is written once, also where timing is
    interrupted. Raises LatencyError, and RuntimesError for what the runtime has not.
    """
    if setting.backend == TORCH:
        return partial(_by_torch, setting)
    if (program := _ready_program(setting)).tables_without_files:
        return partial(_by_runtime, setting, partial(_made, program, setting))
    return partial(_by_runtime, setting, partial(_loaded, _with_files(setting, folder), setting, folder))


def profiler_of(setting: Setting, folder: Path) -> OperationsOf:
    """What asks a runtime for the times of a network's operations; folder and errors as of `timer_of`."""
    return partial(_operations, setting, _with_files(setting, folder), folder)


def _ready_program(setting: Setting) -> Runtime:
    """The runtime, with all that it needs. Raises RuntimesError."""
    program = runtime(setting.backend)
    program.require(writing=True)
    program.check(settings_of(setting))
    return program


def _with_files(setting: Setting, folder: Path) -> Runtime:
    program = _ready_program(setting)
    if not program.suffixes:
        raise LatencyError(
            f"{program.name} has no files, and a table's networks are loaded from files: use another --backend"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return program


def settings_of(setting: Setting) -> Settings:
    """How a runtime's sessions run."""
    tuned = is_tuned(setting.backend, setting.device)
    return Settings(setting.threads, setting.conditions.precision, setting.device, channels_last=tuned)


def module_of(network: Network, setting: Setting) -> nn.Module:
    """An untrained network in evaluation mode."""
    from Masternet import MasterNet

    style = setting.style
    return MasterNet(
        num_classes=setting.num_classes,
        plainnet_struct=network,
        no_BN=style.no_BN,
        use_se=style.use_se,
        se_activation=style.se_activation,
    ).eval()


def written(network: Network, setting: Setting, program: Runtime, folder: Path) -> Path:
    """The network's file in a folder, made unless it is there. Raises RuntimesError."""
    told = f"{network} {setting.conditions} {setting.num_classes} {setting.style}"
    # What an earlier version left unfinished is another file.
    told += f" {way}" if (way := way_of_rewriting(program.name)) else ""
    name = hashlib.sha256(told.encode()).hexdigest()[:16]
    file = folder / f"{name}{program.suffixes[0]}"
    if file.is_file():
        return file
    unfinished = folder / UNFINISHED
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    side, part = setting.conditions.resolution, unfinished / file.name
    # As an export is: what is deployed is what is timed.
    deployed = program.rewritten(module_of(network, setting), (side, side))
    program.write_to_time(deployed, part, (side, side), setting.conditions.batch)
    # The one that is looked for comes last.
    for suffix in reversed(program.suffixes):
        part.with_suffix(suffix).replace(file.with_suffix(suffix))
    return file


def _loaded(program: Runtime, setting: Setting, folder: Path, network: Network) -> Session:
    return program.load(written(network, setting, program, folder), settings_of(setting))


def _made(program: Runtime, setting: Setting, network: Network) -> Session:
    side, batch = setting.conditions.resolution, setting.conditions.batch
    return program.make_to_time(module_of(network, setting), (side, side), batch, settings_of(setting))


def _by_runtime(setting: Setting, session_of: Callable[[Network], Session], network: Network) -> float:
    from gsnet.latency.measurement import process_clock, time_for

    with telling(setting.backend, f"{network} at {setting.conditions}"):
        session = session_of(network)
        clock = process_clock(setting.device, setting.threads)
        return time_for(session.ready(_images(network, setting)), clock, _SECONDS_A_TURN, setting.device)


def _operations(setting: Setting, program: Runtime, folder: Path, network: Network, seconds: float) -> list[Operation]:
    from gsnet.runtimes.memory import keep_freed_memory

    keep_freed_memory()
    passes = min(max(round(_SECONDS_A_TURN / seconds), _FEWEST_PASSES), _MOST_PASSES)
    with telling(program.name, f"{network} at {setting.conditions}"):
        session = _loaded(program, setting, folder, network)
        return session.operations(_images(network, setting), passes)


def _images(network: Network, setting: Setting) -> np.ndarray:
    import numpy as np

    side = setting.conditions.resolution
    shape = (setting.conditions.batch, network.in_channels, side, side)
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def _by_torch(setting: Setting, network: Network) -> float:
    import torch

    from gsnet.latency.measurement import dtype_of, time_for, undisturbed_clock

    dtype = dtype_of(setting.device, setting.conditions.precision != FP32)
    size = setting.conditions.resolution
    images = torch.randn(setting.conditions.batch, network.in_channels, size, size).to(setting.device, dtype)
    model = module_of(network, setting).to(setting.device, dtype)
    with telling(TORCH, f"{network} at {setting.conditions}"), torch.inference_mode():
        clock = undisturbed_clock(setting.device)
        return time_for(lambda: model(images), clock, _SECONDS_A_TURN, setting.device)
