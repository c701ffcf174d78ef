"""Outputs of a runtime beside torch's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gsnet.runtimes.contract import Runtime, RuntimesError, Session, Settings
from gsnet.runtimes.registry import runtime
from PlainNet import UserFileError, user_files

_BATCHES = (1, 3)
# Relative to the largest output, by what is computed in. float32 differs by the order of sums; a float16 has 11 bits of
# mantissa and a bfloat16 8, which tens of layers add up.
TOLERANCES = {"fp32": 1e-4, "fp16": 2e-2, "bf16": 1e-1}


def checked_session(
    name: str, network: nn.Module, size: tuple[int, int], settings: Settings, file: Path | None = None
) -> tuple[Session, float | None]:
    """A runtime's session of a network, and by how much its outputs differ from torch's; None where torch runs it.

    network: as in `compare`; it is rewritten as for an export (`Runtime.rewritten`). file: where the network has been written
    already, for runtimes that read such files. Raises RuntimesError, also for other outputs, and RuntimeError as the runtime's
    library does.
    """
    program = runtime(name)
    try:
        with user_files.told():
            return _checked(program, network, size, settings, file)
    except UserFileError as error:
        raise RuntimesError(f"{name} fails: {error}") from error


def _checked(
    program: Runtime, network: nn.Module, size: tuple[int, int], settings: Settings, file: Path | None
) -> tuple[Session, float | None]:
    if file is not None and file.suffix in program.suffixes:
        session = program.load(file, settings)
    else:
        session = program.make(program.rewritten(network, size), size, settings)
    if not program.compared:
        return session, None
    difference = compare(network, session.run, size)
    # What a runtime chooses by itself has the 8 bits of a bfloat16, or more.
    if not difference <= TOLERANCES.get(session.precision, TOLERANCES["bf16"]):
        raise RuntimesError(
            f"{program.name} computes other outputs in {session.precision}, off by {difference:.2g} of the largest"
        )
    return session, difference


@torch.inference_mode()
def compare(
    network: nn.Module,
    run: Callable[[np.ndarray], np.ndarray],
    size: tuple[int, int],
    groups: Sequence[slice] = (slice(None),),
    batches: Sequence[int] = _BATCHES,
) -> float:
    """The largest difference of an output for images (N, 3, *size) of normal noise, relative to the largest output.

    network: in evaluation mode, float32, on the processor. groups: parts of the last axis that are compared each by its own
    largest value. NaN where either side has one. Raises RuntimesError for an output of another shape.
    """
    generator = torch.Generator().manual_seed(0)
    worst = 0.0
    for batch in batches:
        images = torch.randn(batch, 3, *size, generator=generator)
        expected = network(images).numpy()
        found = _array(run(images.numpy()), expected.shape)
        for group in groups:
            largest = max(float(np.abs(expected[..., group]).max()), 1e-12)
            difference = float(np.abs(found[..., group] - expected[..., group]).max()) / largest
            # A comparison with NaN is false in max(), and would hide it.
            worst = float("nan") if np.isnan(difference) else max(worst, difference)
    return worst


def _array(output: object, shape: tuple[int, ...]) -> np.ndarray:
    """An output of this shape, its first number the images'. Raises RuntimesError for what is none."""
    if isinstance(output, np.ndarray) and output.shape == shape:
        return output
    shown = f"one of shape {output.shape}" if isinstance(output, np.ndarray) else f"a {type(output).__name__}"
    raise RuntimesError(f"A session must give an array of shape {shape} for {shape[0]} images, and gives {shown}")
