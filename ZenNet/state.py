"""Checkpoints as dictionaries of tensors, and loading them into a network without leaving anything out in silence."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ZenNet.files import WeightsError, foreign

State = dict[str, Tensor]


def is_safetensors(file: Path) -> bool:
    """Whether a file begins as safetensors do: eight bytes of length, then JSON."""
    with file.open("rb") as stream:
        return stream.read(9)[8:] == b"{"


def read_state(file: Path) -> State:
    """The weights in a checkpoint: key to tensor on the CPU.

    Understands safetensors, and torch checkpoints that hold the dictionary itself or hold it under "state_dict"; the prefix
    "module." of parallel training is taken off. Only tensors and plain values are unpickled, never code. Raises
    WeightsError.
    """
    fault = foreign(file)
    if fault is not None:
        raise WeightsError(f"{file} is no checkpoint: {fault}; put the right file in its place")
    content = _read_safetensors(file) if is_safetensors(file) else _read_torch(file)
    state = content.get("state_dict", content) if isinstance(content, dict) else content
    if not isinstance(state, dict) or not state or not all(isinstance(v, Tensor) for v in state.values()):
        raise WeightsError(f"{file} holds no weights: a dictionary of tensors, or one under 'state_dict', was expected")
    if all(key.startswith("module.") for key in state):
        return {key.removeprefix("module."): value for key, value in state.items()}
    return dict(state)


def _read_safetensors(file: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        raise WeightsError(f"{file} is torn or no safetensors file ({error}); put a whole copy in its place") from error


def _read_torch(file: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_numpy_scalars()):
            return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError, AttributeError) as error:
        first = str(error).strip().split("\n")[0].split(". ")[0]
        raise WeightsError(
            f"{file} is torn, or holds more than weights, and is not loaded ({first}); put a whole copy in its place"
        ) from error


def _numpy_scalars() -> list[Any]:
    """What a pickled numpy number is made of: training scripts keep accuracies as such beside the weights."""
    import numpy as np

    scalar = np.float64(0).__reduce__()[0]
    old_name = (scalar, "numpy.core.multiarray.scalar")
    return [scalar, old_name, np.dtype, *(type(np.dtype(kind)) for kind in ("f8", "f4", "i8"))]


def load_into(network: nn.Module, state: State, source: str, new_classes: int | None = None) -> None:
    """Copy weights into a network; every key and shape must agree.

    new_classes: the width of the network's logits where it may differ from the checkpoint's. Tensors of that width whose
    counterpart has another first dimension are the classifier and keep their values. Raises WeightsError, whose sentence
    begins with `source`.
    """
    own = network.state_dict()
    kept = {
        key
        for key, value in own.items()
        if new_classes is not None and key in state and _is_classifier(value, state[key], new_classes)
    }
    missing = [key for key in own if key not in state]
    surplus = [key for key in state if key not in own]
    other = [key for key in own if key in state and key not in kept and own[key].shape != state[key].shape]
    if missing or surplus or other:
        raise WeightsError(f"{source} does not fit: {_misfit(own, state, missing, surplus, other)}")
    network.load_state_dict({key: own[key] if key in kept else value for key, value in state.items()}, strict=True)


def _is_classifier(own: Tensor, theirs: Tensor, classes: int) -> bool:
    same_rest = own.dim() == theirs.dim() > 0 and own.shape[1:] == theirs.shape[1:]
    return same_rest and own.shape[0] == classes != theirs.shape[0]


def _misfit(own: State, state: State, missing: list[str], surplus: list[str], other: list[str]) -> str:
    parts = []
    if missing:
        parts.append(f"{len(missing)} of {len(own)} tensors are missing (the first is {missing[0]})")
    if surplus:
        parts.append(f"{len(surplus)} are not expected (the first is {surplus[0]})")
    if other:
        key = other[0]
        shapes = f"{tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        parts.append(f"{len(other)} have another shape (the first is {key}, {shapes})")
    return "; ".join(parts)
