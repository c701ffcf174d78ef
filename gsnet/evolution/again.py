"""A recorded search as the options that search the same again."""

from __future__ import annotations

import json
from typing import Any

from gsnet.evolution.settings import KNOWN_FIGURES, TOLD, SearchError, SearchSettings

# Settings that follow from others, or say in another way what an option says.
_WORKED_OUT = ("ensemble", "objectives", "plugins", "device", "latency_precision", "figures", "limits")


def options_of_search(record: dict[str, Any]) -> dict[str, Any]:
    """The options of evolution_search.py for what a results folder's config.json records. Raises SearchError.

    A search with functions of a program's own cannot be told to a script.
    """
    try:
        settings = SearchSettings.from_json(json.dumps(record["settings"]))
    except (TypeError, ValueError, LookupError) as error:
        raise SearchError(f"This record is of another version of GSNet: {error}") from error
    of_a_program = (*settings.own_figures, *([settings.zero_shot_score] if settings.zero_shot_score == TOLD else ()))
    if of_a_program:
        raise SearchError(
            f"The recorded search has figures of a program ({', '.join(of_a_program)}): repeat it from there"
        )
    values = {name: value for name, value in record["settings"].items() if name not in _WORKED_OUT}
    values |= {"ensemble": ",".join(settings.ensemble), "objectives": ",".join(settings.objectives)}
    values["evolution"] = settings.evolution
    if settings.islands == 1:
        values.pop("migration", None)
    limits = dict(settings.limits)
    values |= {f"budget_{name}": limits.get(name) for name in KNOWN_FIGURES}
    values["plugin"] = [name for name, _ in settings.plugins]
    if settings.device != "cpu":
        values["device"] = settings.device
    return values | record.get("run", {})
