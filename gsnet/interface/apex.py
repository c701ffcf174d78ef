"""Which Apex is installed: NVIDIA's with its mixed precision, NVIDIA's without, an unrelated package, or none.

NVIDIA's maintainers removed `apex.amp` and `apex.parallel` in 2025 in favour of torch's own. On PyPI the name belongs to a
web toolkit of 2013, which nothing here may import: that would run a stranger's code.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

_INSTEAD = "torch.amp and DistributedDataParallel do its work"
# Folders that only NVIDIA's package has.
_OF_NVIDIA = ("normalization", "multi_tensor_apply", "transformer")


@dataclass(frozen=True)
class Apex:
    """amp: the module `apex.amp` where it can be used, else None. message: a sentence for the user that says which it is."""

    amp: ModuleType | None
    message: str


def find_apex() -> Apex:
    """The Apex of this Python. `amp.initialize` is there where `amp` is not None."""
    spec = importlib.util.find_spec("apex")
    folders = [Path(folder) for folder in (spec.submodule_search_locations or ())] if spec else []
    if spec is None:
        return Apex(None, f"NVIDIA Apex is not installed: {_INSTEAD}")
    if not any((folder / name).is_dir() for folder in folders for name in _OF_NVIDIA):
        return Apex(None, f"The installed package `apex` is not NVIDIA's and is ignored: {_INSTEAD}")
    if not any((folder / "amp" / "__init__.py").is_file() for folder in folders):
        return Apex(None, f"The installed NVIDIA Apex no longer has apex.amp: {_INSTEAD}")
    try:
        amp = importlib.import_module("apex.amp")
    except ImportError as error:
        return Apex(None, f"The installed NVIDIA Apex cannot be imported ({error}): {_INSTEAD}")
    if not hasattr(amp, "initialize"):
        return Apex(None, f"The installed NVIDIA Apex no longer has apex.amp.initialize: {_INSTEAD}")
    return Apex(amp, "NVIDIA Apex's own apex.amp is used")
