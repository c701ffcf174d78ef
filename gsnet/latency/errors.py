"""The one error of this room."""

from __future__ import annotations

from gsnet.interface.options import InputError


class LatencyError(InputError):
    """A latency that cannot be had: a table that is missing or of another device, a layer that was not measured."""
