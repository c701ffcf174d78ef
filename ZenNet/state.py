"""Checkpoints as dictionaries of tensors, and loading them into a network without leaving anything out in silence."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ZenNet.files import WeightsError, foreign
from ZenNet.unpickling import load_plain

State = dict[str, Tensor]
_LOG = logging.getLogger(__name__)
# Where trainings keep weights: timm's order, then torchvision's, ours and others' names.
_AVERAGED = ("state_dict_ema", "model_ema", "ema", "ema_state_dict")
_RAW = ("state_dict", "model", "model_state_dict", "net")
_LIGHTNING = "pytorch-lightning_version"
_COMPILED = "_orig_mod."
_WRAPPERS = ("module.", "model.")
_COUNTER = "n_averaged"
_SHOWN = 5


def is_safetensors(file: Path) -> bool:
    """Whether a file begins as safetensors do: eight bytes of length, then JSON."""
    with file.open("rb") as stream:
        return stream.read(9)[8:] == b"{"


def read_state(file: Path, own: Iterable[str] = ()) -> State:
    """The weights in a checkpoint: key to tensor on the CPU. own: keys of the network that they are for, where it is there.

    Understands safetensors, and torch checkpoints that hold the dictionary itself, hold it as trainings of timm, torchvision,
    Lightning and others do, or hold no other dictionary of tensors. Averaged weights are preferred, as timm does, and a warning
    says so. Prefixes of what was wrapped around the network (parallel training, torch.compile, Lightning) are taken off,
    unless the network's own keys begin so; of a larger module the part with the network's keys is taken. Nothing is executed
    (`load_plain`). Raises WeightsError.
    """
    fault = foreign(file)
    if fault is not None:
        raise WeightsError(f"{file} is no checkpoint: {fault}; put the right file in its place")
    content = _read_safetensors(file) if is_safetensors(file) else load_plain(file)
    state = _weights_in(content, file)
    if state is None:
        keys = (
            f"; it has {', '.join(map(str, list(content)[:_SHOWN]))}" if isinstance(content, dict) and content else ""
        )
        places = ", ".join((*_RAW, *_AVERAGED))
        raise WeightsError(
            f"{file} holds no weights: a dictionary of tensors, or one under {places}, was expected{keys}"
        )
    wanted = set(own)
    state = _without_wrappers(state, wanted)
    if not wanted & state.keys() and (wanted or _LIGHTNING in content):
        return _network_inside(state, wanted, file, _LIGHTNING in content)
    return state


def _weights_in(content: Any, file: Path) -> State | None:
    if not isinstance(content, dict):
        return None
    if _is_state(content):
        return content
    found = [key for key in (*_AVERAGED, *_RAW) if _is_state(content.get(key))]
    if not found:
        return _under_another_name(content, file)
    if found[0] in _AVERAGED and found[-1] in _RAW:
        _LOG.warning("%s: its averaged weights (%s) are used, not those beside them", file, found[0])
    return content[found[0]]


def _under_another_name(content: dict, file: Path) -> State | None:
    """The one dictionary of tensors that a training of somebody's own has left under a name of its own."""
    found = [key for key, value in content.items() if _is_state(value) and all(isinstance(name, str) for name in value)]
    if len(found) != 1:
        return None
    _LOG.info("%s: the weights under %s are used", file, found[0])
    return content[found[0]]


def _is_state(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(v, Tensor) for v in value.values())


def _without_wrappers(state: State, own: set[str]) -> State:
    if not any(_COMPILED in key for key in own):
        state = {key.replace(_COMPILED, ""): value for key, value in state.items()}
    # torch.optim.swa_utils.AveragedModel is a wrapper with a counter of its own.
    if (
        _COUNTER in state
        and _COUNTER not in own
        and all(key.startswith("module.") for key in state.keys() - {_COUNTER})
    ):
        state = {key: value for key, value in state.items() if key != _COUNTER}
    while not own & state.keys():
        prefix = next((p for p in _WRAPPERS if all(key.startswith(p) for key in state)), None)
        if prefix is None:
            break
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _inside(state: State) -> list[str]:
    """What names of tensors begin with, up to a dot: the modules that hold them, the outer ones first."""
    paths = (key.split(".")[:-1] for key in state)
    prefixes = {"".join(f"{name}." for name in path[:depth]) for path in paths for depth in range(1, len(path) + 1)}
    order = {name: place for place, name in enumerate(dict.fromkeys(key.partition(".")[0] for key in state))}
    return sorted(prefixes, key=lambda name: (name.count("."), order[name.partition(".")[0]], name))


def _network_inside(state: State, own: set[str], file: Path, lightning: bool) -> State:
    """The part of a larger module that is the network, by its keys; without them Lightning's customary `model`.

    A LightningModule has its network under a name of the user's, beside losses and metrics with tensors of their own; other
    trainings have it beside projections and decoders, or deeper inside. Raises WeightsError where several parts fit, but takes
    the first of Lightning's.
    """
    parts = {
        name: {key.removeprefix(name): v for key, v in state.items() if key.startswith(name)} for name in _inside(state)
    }
    fitting = [name for name, part in parts.items() if own and own <= part.keys()]
    if len(fitting) > 1 and not lightning:
        several = " and ".join(name.rstrip(".") for name in fitting)
        raise WeightsError(f"{file} holds the network's weights more than once, as {several}: save one of them alone")
    name = fitting[0] if fitting else "model."
    if name not in parts or not (fitting or lightning):
        return state
    if others := [key for key in state if not key.startswith(name)]:
        _LOG.warning("%s: %d tensors beside the network's are left out (%s, …)", file, len(others), others[0])
    return parts[name]


def _read_safetensors(file: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(file)
    except SafetensorError as error:
        raise WeightsError(f"{file} is torn or no safetensors file ({error}); put a whole copy in its place") from error


def load_into(network: nn.Module, state: State, source: str, new_classes: int | None = None) -> list[str]:
    """Copy weights into a network; every key and shape must agree. Returns the keys of those that kept their values.

    new_classes: the width of the network's logits where it may differ from the checkpoint's. Tensors of that width whose
    counterpart has another first dimension, or is the only one that is not there, are the classifier, if they are of one layer,
    and keep their values. Raises WeightsError, whose sentence begins with `source`.
    """
    own = network.state_dict()
    kept = [
        key
        for key, value in own.items()
        if new_classes is not None and key in state and _is_classifier(value, state[key], new_classes)
    ]
    missing = [key for key in own if key not in state]
    if not kept and all(own[key].dim() and own[key].shape[0] == new_classes for key in missing):
        # Weights that were learnt without labels come without a classifier.
        kept = missing
    if len({key.rpartition(".")[0] for key in kept}) > 1:
        # Several layers of that width are another network's.
        kept = []
    missing = [key for key in missing if key not in kept]
    surplus = [key for key in state if key not in own]
    other = [key for key in own if key in state and key not in kept and own[key].shape != state[key].shape]
    if missing or surplus or other:
        raise WeightsError(f"{source} does not fit: {_misfit(own, state, missing, surplus, other)}")
    network.load_state_dict({**state, **{key: own[key] for key in kept}}, strict=True)
    return kept


def classes_in(own: State, state: State) -> int | None:
    """How many classes a checkpoint has where a network has another number of them and all else agrees; None otherwise.

    own: the network's tensors. state: the checkpoint's. Auxiliary classifiers, such as Inception's, have as many.
    """
    if own.keys() != state.keys():
        return None
    other = [(own[key], state[key]) for key in own if own[key].shape != state[key].shape]
    if any(a.dim() != b.dim() or not a.dim() or a.shape[1:] != b.shape[1:] for a, b in other):
        return None
    numbers = {(a.shape[0], b.shape[0]) for a, b in other}
    return numbers.pop()[1] if len(numbers) == 1 else None


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
    if classes := classes_in(own, state):
        parts.append(f"it has {classes} classes, not {own[other[0]].shape[0]}")
    return "; ".join(parts)
