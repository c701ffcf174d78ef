"""The machine that runs the steps of `PlainNet.mean_field` on a stack of maps, and what is read off its last map."""

from __future__ import annotations

import logging
import math
import threading
import zlib
from pathlib import Path

import numpy as np

from PlainNet.mean_field import NORMALISE, STEP_WIDTH, Step
from ZeroShotProxy import mean_field_kernel as kernel
from ZeroShotProxy.mean_field_activations import compiled, scale_mean
from ZeroShotProxy.mean_field_joins import (
    add,
    average_pool,
    concatenate,
    copy,
    deinterleave,
    drop_first_channels,
    gate,
    keep_first_channels,
    swap,
    transfer,
)
from ZeroShotProxy.mean_field_kernel import (
    CHANGE,
    CHANNELS,
    COUNT,
    COVARIANCE,
    DONE,
    FIELDS,
    HEADER,
    LOG_SCALE,
    NO_POSITIONS,
    NOT_JOINED,
    PROFILE,
    PROFILE_ROWS,
    SHAPES_DIFFER,
    SIZE,
    STACK,
    TOO_DEEP,
    TOO_MANY_GROUPS,
    UNEVEN_POOLING,
    VARIANCE,
    activate,
    dense,
    depthwise,
    normalise,
)

log = logging.getLogger(__name__)
# Loading the compiled machine takes half a second; what takes longer than this is compiling.
_SECONDS_TO_LOAD = 3.0
KEEP_KIND = int(Step.KEEP)

FAILURES = {
    TOO_DEEP: "its branches are nested too deeply",
    TOO_MANY_GROUPS: "its maps have channels of more kinds than the closed form tells apart",
    kernel.WINDOW_TOO_LARGE: "a window does not fit its map",
    SHAPES_DIFFER: "the maps of a sum or concatenation differ in shape",
    UNEVEN_POOLING: "there is no mean-field rule for pooling into windows that overlap",
    NO_POSITIONS: "its maps have no position",
    NOT_JOINED: "a block leaves more than one map behind",
}


@compiled
def step(stack: np.ndarray, top: int, numbers: np.ndarray) -> tuple[int, int]:
    """Carry out one step; (failure, index of the topmost map)."""
    kind = int(numbers[0])
    state = stack[top]
    if kind == 0:
        return dense(state, int(numbers[1]), int(numbers[2]), int(numbers[3]), int(numbers[4])), top
    if kind == 1:
        return depthwise(state, int(numbers[1]), int(numbers[2])), top
    if (kind == 5 or kind == 6) and top + 1 == STACK:
        return TOO_DEEP, top
    if kind == 2:
        normalise(state, numbers[1])
    elif kind == 3:
        activate(state, -1)
    elif kind == 4:
        activate(state, int(numbers[1]))
    elif kind == 5:
        copy(stack, top)
        top += 1
    elif kind == 6:
        copy(stack, top)
        drop_first_channels(stack[top + 1], numbers[1])
        keep_first_channels(state, numbers[1])
        top += 1
    elif kind == 7:
        swap(stack, top)
    elif kind == 8:
        return add(stack[top - 1], state), top - 1
    elif kind == 9:
        return concatenate(stack[top - 1], state), top - 1
    elif kind == 10:
        keep_first_channels(state, numbers[1])
    elif kind == 11:
        return deinterleave(state), top
    elif kind == 12:
        return average_pool(state, int(numbers[1])), top
    elif kind == 13:
        gate(stack[top - 1], state)
        top -= 1
    return DONE, top


@compiled
def log_difference(state: np.ndarray) -> float:
    """log E sum |f - f'|. A Gaussian difference has a mean absolute value of sqrt(2 / pi) of its deviation."""
    total = 0.0
    for index in range(int(state[COUNT])):
        group = state[HEADER + index * FIELDS : HEADER + (index + 1) * FIELDS]
        change = group[CHANGE]
        if change == 0:
            change = 2 * math.sqrt(max(0.0, group[VARIANCE] - group[COVARIANCE]) / math.pi)
        total += group[CHANNELS] * change
    size = int(state[SIZE])
    deviation = np.sqrt(state[PROFILE + size : PROFILE + 2 * size]).sum()
    total *= scale_mean(1 + state[kernel.CHANGE_NORM]) * deviation * deviation
    return math.log(total) if total > 0 else -math.inf


def first_map(resolution: int, gamma: float, channels: int) -> np.ndarray:
    """Standard normal images x beside x + gamma e, as a map; (1, PROFILE + 2 resolution).

    Both runs are normalised by the first BN, hence the covariance 1 / sqrt(1 + gamma^2).
    """
    first = np.zeros(PROFILE + 2 * resolution)
    first[kernel.ROOT] = 1.0
    first[COUNT], first[SIZE] = 1, resolution
    first[HEADER + CHANNELS], first[HEADER + VARIANCE] = channels, 1.0
    first[HEADER + COVARIANCE] = 1 / math.sqrt(1 + gamma * gamma)
    first[kernel.CHANGE_OWN] = kernel.LINEAR_CHANGE
    first[PROFILE:] = 1.0
    return first.reshape(1, -1)


@compiled
def run_steps(steps: np.ndarray, maps: np.ndarray, row: int, kept: np.ndarray) -> tuple[int, float, float]:
    """(failure, log sum |f - f'|, BN sum) of the steps of a network, from the map in `maps[row]` on.

    Every step KEEP copies the map as it is then into the next row of `kept`: a network that begins alike starts from there.
    """
    length = maps.shape[1]
    stack = np.empty((STACK, PROFILE + PROFILE_ROWS * ((length - PROFILE) // 2)))
    transfer(maps[row], stack[0])
    top = copies = 0
    for index in range(steps.shape[0]):
        if steps[index, 0] == KEEP_KIND:
            if top:
                return NOT_JOINED, 0.0, 0.0
            transfer(stack[0], kept[copies])
            copies += 1
            continue
        failure, top = step(stack, top, steps[index])
        if failure:
            return failure, 0.0, 0.0
    return DONE, log_difference(stack[top]), stack[top, LOG_SCALE]


def _kept_on_disk(version: int):  # type: ignore[no-untyped-def]
    """`run_steps` with its machine code in a cache that a change of any of these files renews.

    numba looks at the file of the cached function alone, and at what the function closes over: hence the version.
    """

    def run(steps: np.ndarray, maps: np.ndarray, row: int, kept: np.ndarray) -> tuple[int, float, float]:
        if version == 0:
            return DONE, 0.0, 0.0
        return run_steps(steps, maps, row, kept)

    return compiled(run, cache=True)


def _source_version() -> int:
    folder = Path(__file__).parent
    sources = [
        (folder / f"mean_field_{name}.py").read_bytes() for name in ("activations", "joins", "kernel", "machine")
    ]
    return zlib.crc32(b"".join(sources)) or 1


run = _kept_on_disk(_source_version())


def prepare() -> None:
    """Have the machine ready: load it, or compile it where no run has done so before, which is said in the log."""
    text = "compiling the closed form for this computer, once: about 20 seconds"
    notice = threading.Timer(_SECONDS_TO_LOAD, log.info, (text,))
    notice.daemon = True
    notice.start()
    try:
        # With the types of every later call: numba compiles for types.
        first = first_map(1, 0.01, 3)
        run(np.frombuffer(NORMALISE).reshape(-1, STEP_WIDTH), first, 0, np.empty_like(first))
    finally:
        notice.cancel()
