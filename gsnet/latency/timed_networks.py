"""Whole networks on the device at hand, each timed again and again: by torch, or by a runtime from a file of its own."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from gsnet.latency.device import FP32, TORCH
from gsnet.latency.errors import LatencyError
from gsnet.latency.setting import Setting
from gsnet.runtimes import Runtime, Settings, runtime
from PlainNet import Network

if TYPE_CHECKING:
    from torch import nn

_SECONDS_A_TURN = 0.15
SecondsOf = Callable[[Network], float]


def timer_of(setting: Setting, folder: Path) -> SecondsOf:
    """What times a network for one batch, and raises LatencyError for one that cannot run.

    folder: for the files that a runtime loads at each turn, so that a network is written once, also where timing is
    interrupted. Raises LatencyError, and RuntimesError for what the runtime has not.
    """
    if setting.backend == TORCH:
        return partial(_by_torch, setting)
    program = runtime(setting.backend)
    program.require(writing=True)
    settings = settings_of(setting)
    program.check(settings)
    if not program.suffixes:
        raise LatencyError(
            f"{program.name} has no files, and a table's networks are loaded from files: use another --backend"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return partial(_by_runtime, setting, program, settings, folder)


def settings_of(setting: Setting) -> Settings:
    """How a runtime's sessions run."""
    return Settings(setting.threads, setting.conditions.precision, setting.device)


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
    name = hashlib.sha256(told.encode()).hexdigest()[:16]
    file = folder / f"{name}{program.suffixes[0]}"
    if file.is_file():
        return file
    unfinished = folder / "unfinished"
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


def _by_runtime(setting: Setting, program: Runtime, settings: Settings, folder: Path, network: Network) -> float:
    import numpy as np

    from gsnet.latency.measurement import process_clock, time_for

    batch, side = setting.conditions.batch, setting.conditions.resolution
    images = np.random.default_rng(0).standard_normal((batch, network.in_channels, side, side), dtype=np.float32)
    try:
        session = program.load(written(network, setting, program, folder), settings)
        return time_for(session.ready(images), process_clock(setting.device, setting.threads), _SECONDS_A_TURN)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise LatencyError(f"{program.name} cannot run {network} at {setting.conditions}: {reason}") from error


def _by_torch(setting: Setting, network: Network) -> float:
    import torch

    from gsnet.latency.measurement import dtype_of, time_for, undisturbed_clock

    dtype = dtype_of(setting.device, setting.conditions.precision != FP32)
    size = setting.conditions.resolution
    images = torch.randn(setting.conditions.batch, network.in_channels, size, size).to(setting.device, dtype)
    model = module_of(network, setting).to(setting.device, dtype)
    try:
        with torch.inference_mode():
            return time_for(lambda: model(images), undisturbed_clock(setting.device), _SECONDS_A_TURN)
    except RuntimeError as error:
        raise LatencyError(f"{network} cannot run at {setting.conditions}: {str(error).splitlines()[0]}") from error
