"""The data that a detector was validated with while it was trained, as its results folder records it."""

from __future__ import annotations

import json
import logging
from argparse import Namespace
from pathlib import Path
from typing import Any

from gsnet.interface.result_files import CONFIG

_LOG = logging.getLogger(__name__)


def take_data_of_training(options: Namespace) -> bool:
    """Set --data_dir, its format and classes as the training of --weights had them; False where that is not known here.

    Its folder must hold the record of a detector's training, and the data still lie where they lay.
    """
    recorded = _recorded(Path(options.weights).expanduser())
    where = recorded.get("val_dir") or recorded.get("data_dir")
    if "tap" not in recorded or not where or not Path(where).exists():
        return False
    options.data_dir = Path(where)
    if options.data_format == "auto":
        options.data_format = recorded.get("data_format") or "auto"
    if options.classes is None and recorded.get("classes"):
        options.classes = tuple(recorded["classes"])
    _LOG.info("On the data that its training validated with: %s", where)
    return True


def _recorded(weights: Path) -> dict[str, Any]:
    file = (weights if weights.is_dir() else weights.parent) / CONFIG
    try:
        found = json.loads(file.read_text())["options"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
