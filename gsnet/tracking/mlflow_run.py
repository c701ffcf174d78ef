"""The figures of a run for MLflow, by its own library.

The environment variables of that library hold: MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, MLFLOW_RUN_NAME and all others.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from gsnet.tracking.contract import Outcome, TrackedRun, told
from gsnet.tracking.noted import NotedRun

_LOG = logging.getLogger(__name__)
_EXPERIMENT = "gsnet"
_STATUS = {Outcome.FINISHED: "FINISHED", Outcome.FAILED: "FAILED", Outcome.STOPPED: "KILLED"}
# What MLflow does not let names and values be.
_NOT_IN_NAMES = re.compile(r"[^/\w.\- :]")
_LONGEST_VALUE, _AT_ONCE = 6000, 100


class MlflowRun:
    """A run of MLflow's, where its tracking URI says; a resumed one goes on in it."""

    def __init__(self, run: TrackedRun) -> None:
        from mlflow.tracking import MlflowClient

        logging.getLogger("alembic").setLevel(logging.WARNING)
        with told(), _handlers_kept():
            self._client = MlflowClient()
            where = _without_password(self._client.tracking_uri)
            self._noted = NotedRun(run.folder, "mlflow")
            before = self._noted.to_go_on_with(run.done > 0, where)
            self._id = (before and self._gone_on_with(before, run)) or self._begun(run)
            self.last_step = self._steps_logged()
            self._log_config(run.config)
        self._noted.begin(self._id, where)
        _LOG.info("MLflow: run %s in %s", self._id, where)

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """The metrics of a step, all of them or none."""
        self._noted.fill()
        self._log(step, scalars)
        self.last_step = step

    def close(self, outcome: Outcome, summary: Mapping[str, Any]) -> None:
        """Numbers of the summary are metrics of the last step, texts are tags."""
        numbers = {name: value for name, value in summary.items() if isinstance(value, int | float)}
        texts = {name: value for name, value in summary.items() if isinstance(value, str)}
        if numbers:
            self._log(self.last_step, numbers)
        with told():
            for name, text in texts.items():
                self._client.set_tag(self._id, _named(name), text)
            self._client.set_terminated(self._id, _STATUS[outcome])

    def _begun(self, run: TrackedRun) -> str:
        from mlflow.tracking.context.registry import resolve_tags

        name = os.environ.get("MLFLOW_RUN_NAME", run.folder.resolve().name)
        return self._client.create_run(self._experiment(), run_name=name, tags=resolve_tags({})).info.run_id

    def _experiment(self) -> str:
        if given := os.environ.get("MLFLOW_EXPERIMENT_ID"):
            return given
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", _EXPERIMENT)
        found = self._client.get_experiment_by_name(name)
        return found.experiment_id if found else self._client.create_experiment(name)

    def _gone_on_with(self, before: str, run: TrackedRun) -> str | None:
        """The run, which is under way again; None where somebody has deleted it, or where it is another's that never began."""
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_run(before)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        if found.info.lifecycle_stage != "active" or (not run.done and _changed(run.config, found.data.params)):
            return None
        self._client.update_run(before, status="RUNNING")
        return before

    def _steps_logged(self) -> int:
        metrics = self._client.get_run(self._id).data.metrics
        return max((m.step for name in metrics for m in self._client.get_metric_history(self._id, name)), default=0)

    def _log_config(self, config: Mapping[str, Any]) -> None:
        """Options are parameters, which MLflow lets nobody change: one that a resumed run has changed is a tag."""
        from mlflow.entities import Param

        there = self._client.get_run(self._id).data.params
        new = [Param(name, value) for name, value in _parameters(config).items() if name not in there]
        for i in range(0, len(new), _AT_ONCE):
            self._client.log_batch(self._id, params=new[i : i + _AT_ONCE])
        for name, value in _changed(config, there).items():
            self._client.set_tag(self._id, f"now.{name}", value)

    def _log(self, step: int, scalars: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        metrics = [Metric(_named(name), float(value), now, step) for name, value in scalars.items()]
        with told():
            self._client.log_batch(self._id, metrics=metrics)


@contextmanager
def _handlers_kept() -> Iterator[None]:
    """Older versions (3.1) configure the root logger anew when they make their tables: the run's own log would end there."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


def _parameters(config: Mapping[str, Any]) -> dict[str, str]:
    return {_named(name): str(value)[:_LONGEST_VALUE] for name, value in config.items() if value is not None}


def _changed(config: Mapping[str, Any], there: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in _parameters(config).items() if there.get(name, value) != value}


def _named(name: str) -> str:
    return _NOT_IN_NAMES.sub("_", name)


def _without_password(uri: str) -> str:
    """The address as it may be shown and kept."""
    found = urlsplit(uri)
    return found._replace(netloc=found.netloc.rpartition("@")[2]).geturl() if "@" in found.netloc else uri
