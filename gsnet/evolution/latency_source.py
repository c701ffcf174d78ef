"""Where a search has its latencies from: measured, or by which table of which runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gsnet.evolution.scorer import latency_conditions
from gsnet.evolution.settings import SearchSettings
from gsnet.interface.options import InputError
from gsnet.latency.building import open_at_hand
from gsnet.latency.device import TORCH, default_table, device_identity, precision_of
from gsnet.latency.setting import runtime_named
from gsnet.latency.table import LatencyTable, is_calibrated


def latency_source(settings: SearchSettings, table: Path | None) -> dict[str, Any]:
    """Source, table and its precision for a search that watches latency. Raises InputError and LatencyError."""
    source = settings.latency_source
    if not settings.watches_latency:
        if source or table or settings.latency_backend or settings.measure_missing:
            raise InputError(
                "--latency_source, --latency_backend, --latency_table and --measure_missing go with --budget_latency or "
                "--objectives score,latency"
            )
        return {}
    if source == "measure" and (table or settings.measure_missing):
        raise InputError("--latency_source measure times candidates: it has no --latency_table and --measure_missing")
    backend = runtime_named(settings.latency_backend)
    if settings.measure_missing and backend not in (None, TORCH):
        raise InputError(f"--measure_missing times single layers in torch: build a table of {backend}")
    identity = device_identity(settings.device)
    path = table or default_table(identity, backend or TORCH)
    anyway = table or settings.measure_missing
    if source == "measure" or not (source or anyway or is_calibrated(path, latency_conditions(settings))):
        return {"latency_source": "measure", "latency_backend": _recorded(backend)}
    if settings.measure_missing:
        open_at_hand(path, settings.device).close()
    with LatencyTable.open(path, backend) as opened:
        opened.check_runtime(backend)
        own = opened.device == identity
        precision = (
            precision_of(settings.device, settings.fp16, opened.runtime) if own else opened.precision(settings.fp16)
        )
        conditions = latency_conditions(settings)._replace(precision=precision)
        source = source or ("predict" if opened.calibration(conditions) else "table")
        backend = _recorded(opened.runtime)
    found = {"latency_table": str(path.resolve()), "latency_backend": backend, "latency_precision": precision}
    return {"latency_source": source, **found}


def _recorded(backend: str | None) -> str | None:
    """A runtime as settings hold it: torch has been the only one, and stands in none."""
    return backend if backend and backend != TORCH else None
