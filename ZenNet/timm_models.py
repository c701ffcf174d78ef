"""Published networks as models of `timm.create_model`. timm is imported when they are registered."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gsnet.interface.options import InputError
from ZenNet.catalogue import list_models
from ZenNet.networks import get_ZenNet

if TYPE_CHECKING:
    from Masternet import MasterNet

# What timm passes on to every model, and values of its options that ask for what our networks are anyway. They are given by
# its scripts whether a user names them or not.
_AS_THEY_ARE: dict[str, tuple[Any, ...]] = {
    "pretrained_cfg": (None,),
    "pretrained_cfg_overlay": (None,),
    "cache_dir": (None,),
    "features_only": (False,),
    "in_chans": (3,),
    "drop_rate": (0.0,),
    "drop_path_rate": (0.0,),
    "drop_block_rate": (0.0,),
    "global_pool": ("avg",),
    "output_stride": (32,),
    "pretrained_strict": (True,),
}


class UnknownOptionError(InputError, TypeError):
    """An option of `timm.create_model` that our networks do not have."""


def register_with_timm() -> list[str]:
    """Make every name of `list_models` a model of `timm.create_model`; returns the names. Raises ImportError.

    create_model then takes the options of `ZenNet.get_ZenNet`, and raises UnknownOptionError for others: one that is taken
    and not obeyed would give another network than asked for.
    """
    from timm.models import is_model, model_entrypoint, register_model

    for name in list_models():
        if not (is_model(name) and model_entrypoint(name).__module__ == __name__):
            register_model(_constructor(name))
    return list_models()


def _constructor(name: str) -> Callable[..., MasterNet]:
    def build(pretrained: bool = False, **options: Any) -> MasterNet:
        known = inspect.signature(get_ZenNet).parameters.keys() - {"name", "pretrained"}
        return get_ZenNet(name, pretrained, **_obeyed(name, options, known))

    # timm files a model under the function's own name and module.
    build.__name__ = build.__qualname__ = name
    build.__module__ = __name__
    return build


def _obeyed(name: str, options: dict[str, Any], known: set[str]) -> dict[str, Any]:
    """The options that decide about our networks. Raises UnknownOptionError for any that would be swallowed."""
    unknown = [
        f"{option}={value!r}"
        for option, value in options.items()
        if option not in known and value not in _AS_THEY_ARE.get(option, ())
    ]
    if unknown:
        raise UnknownOptionError(f"{name} cannot be made with {', '.join(unknown)}: its options are {_listed(known)}")
    return {option: value for option, value in options.items() if option in known}


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))
