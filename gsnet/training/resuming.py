"""Where a training stands by its checkpoint, for one that goes on with it and whose options may be others by now."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from gsnet.interface.options import InputError

_LOG = logging.getLogger(__name__)


def check_options(before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Say in which options a training differs from its checkpoint. Raises InputError where its optimiser is another one.

    before: the checkpoint's, which may be fewer.
    """
    changed = [name for name, value in now.items() if before.get(name, value) != value]
    if "optimizer" in changed:
        raise InputError(
            f"The checkpoint is of --optimizer {before['optimizer']}, whose state --optimizer {now['optimizer']} cannot go on "
            "with: resume with the former, or begin with the checkpoint's weights in a new --save_dir"
        )
    if changed:
        _LOG.warning("Options differ from those of the interrupted training: %s", ", ".join(changed))


def steps_done(state: Mapping[str, Any], step_images: int) -> tuple[int, float]:
    """How many steps of `step_images` images, all processes together, an interrupted epoch has behind it.

    Also the share that these are of the images that it has seen: of a step that it has seen a part of nothing counts.
    """
    seen = state["step"] * state.get("step_images", step_images)
    steps = seen // step_images
    return steps, steps * step_images / seen if seen else 1.0
