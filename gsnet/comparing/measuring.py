"""What is said of one network: its costs, its latencies, its scores."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gsnet.comparing.networks import Contender, Found, View
from gsnet.comparing.ranking import Ranking
from gsnet.interface.options import InputError
from gsnet.interface.words import first_line
from gsnet.latency.device import device_identity, is_tuned, precision_of
from gsnet.latency.predictor import LatencyModel
from gsnet.latency.records import Conditions
from gsnet.latency.table import LatencyTable
from gsnet.models.analysis import Analysis, analyze_network
from gsnet.runtimes import Settings
from PlainNet import Network, StructureError
from ZeroShotProxy import Needs, Proxy, ProxyFailure, ScoringSettings, repeated_score

if TYPE_CHECKING:
    from torch import nn

BY_TABLE, BY_SEARCH = "latency_table", "latency_search"
# Of a network that is timed: at most so many repeats, or until the median's 95 % interval is so near.
_REPEATS, _PRECISION = 100, 0.02
# What one network of several may fail with, and the others are answered all the same.
FAILURES = (InputError, StructureError, RuntimeError, OSError, ValueError)


@dataclass(frozen=True)
class Questions:
    """What is asked of every network.

    proxies, over `seeds`, at `batch_size` images and `gamma`, on `device`; rankings: what joins their scores into ranks among
    all networks. runtimes: names of `gsnet.runtimes`, which time it here, with `latency_batch_size` images, in half precision
    with `fp16`, on `threads` of the processor; latency_table: what predicts it.
    """

    view: View = field(default_factory=View)
    proxies: tuple[Proxy, ...] = ()
    rankings: tuple[Ranking, ...] = ()
    seeds: range = range(1)
    batch_size: int = 16
    gamma: float = 1e-2
    device: str = "cpu"
    runtimes: tuple[str, ...] = ()
    latency_table: Path | None = None
    latency_batch_size: int = 1
    fp16: bool = False
    threads: int = 1


@dataclass
class Answers:
    """The figures of one network by column, and by what was asked why there are none.

    error: why nothing at all is known; detail: the same with what shows the place, where that takes several lines; bad_input:
    whether that is the user's to cure.
    """

    name: str
    figures: dict[str, Any] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    detail: str | None = None
    bad_input: bool = False

    def reasons(self) -> str | None:
        """What has failed as one text, proxies that failed alike together; None where nothing has."""
        if self.error is not None:
            return self.error
        alike: dict[str, list[str]] = {}
        for name, reason in self.failures.items():
            alike.setdefault(reason, []).append(name)
        return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in alike.items()) or None


class _Subject:
    """A network that was found, whose module is built when it is first needed."""

    def __init__(self, name: str, found: Found) -> None:
        self.name, self.found = name, found

    @cached_property
    def module(self) -> nn.Module:
        """Its module, built once."""
        return self.found.make()

    @cached_property
    def analysis(self) -> Analysis:
        """Its costs."""
        found = self.found
        if found.value is not None and found.classes is not None:
            return analyze_network(found.value, found.resolution, found.classes, found.style)
        from gsnet.models.module_costs import analyze_module

        return analyze_module(self.module, self.name, found.resolution)

    @property
    def scored(self) -> Network | nn.Module:
        """What proxies get: its value, where it has one."""
        return self.module if self.found.value is None else self.found.value


def answers_of(contender: Contender, questions: Questions) -> Answers:
    """All that is asked of one network. What fails is told in the answers, and the rest is answered."""
    answers = Answers(contender.name)
    try:
        subject = _Subject(contender.name, contender.find())
        answers.figures |= _costs(subject)
    except FAILURES as error:
        answers.error, answers.bad_input = first_line(error), isinstance(error, InputError | StructureError)
        answers.detail = str(error) if "\n" in str(error).strip() else None
        return answers
    if questions.latency_table is not None:
        _ask(answers, BY_TABLE, partial(_predicted, subject, questions, questions.latency_table))
    for name in questions.runtimes:
        _ask(answers, f"latency_{name}", partial(_timed, subject, questions, name))
    for proxy in questions.proxies:
        _ask(answers, proxy.name, partial(_scored, subject, questions, proxy))
    return answers


def _ask(answers: Answers, name: str, question: Callable[[], float]) -> None:
    try:
        answers.figures[name] = question()
    except (*FAILURES, ProxyFailure) as error:
        answers.failures[name] = first_line(error)


def _costs(subject: _Subject) -> dict[str, Any]:
    analysis, value = subject.analysis, subject.found.value
    names = ("parameters", "flops", "memory_access", "peak_feature_map", "layers", "resolution")
    figures = {name: getattr(analysis, name) for name in names}
    if analysis.memory is not None:
        figures["peak_memory"] = analysis.memory.peak_bytes()
    return figures | {"classes": analysis.num_classes, "structure": None if value is None else str(value)}


def _scored(subject: _Subject, questions: Questions, proxy: Proxy) -> float:
    network = subject.scored
    if proxy.needs is Needs.VALUE and not isinstance(network, Network):
        raise InputError("scores structure strings only")
    settings = ScoringSettings(
        resolution=subject.found.resolution,
        batch_size=questions.batch_size,
        num_classes=subject.analysis.num_classes,
        gamma=questions.gamma,
        device=questions.device,
        style=subject.found.style,
    )
    return repeated_score(network, proxy, settings, questions.seeds).mean


def _predicted(subject: _Subject, questions: Questions, path: Path) -> float:
    """Seconds an image by the latency table, calibrated where it is."""
    found = subject.found
    if found.value is None or found.classes is None:
        raise InputError("needs a structure")
    with LatencyTable.open(path) as table:
        batch = questions.latency_batch_size
        conditions = Conditions(table.precision(questions.fp16), batch, found.resolution)
        calibration = table.calibration(conditions)
        model = LatencyModel(table, conditions, num_classes=found.classes, style=found.style, calibration=calibration)
        return model.seconds_per_image(found.value)


def _timed(subject: _Subject, questions: Questions, name: str) -> float:
    """Seconds an image in a runtime, measured here, once its outputs are torch's."""
    import numpy as np

    from gsnet.runtimes.comparison import checked_session

    side = subject.found.resolution
    precision, tuned = precision_of(questions.device, questions.fp16, name), is_tuned(name, questions.device)
    settings = Settings(questions.threads, precision, questions.device, channels_last=tuned)
    with _threads(questions.threads):
        # A copy: scores need the network as it was.
        session, _ = checked_session(name, copy.deepcopy(subject.module).eval(), (side, side), settings)
        shape = (questions.latency_batch_size, 3, side, side)
        images = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
        return session.time(images, _REPEATS, _PRECISION).median / questions.latency_batch_size


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """What a session does to torch's threads is undone: scores need them as they were."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def told(questions: Questions) -> list[str]:
    """The conditions of latencies and scores, as sentences."""
    lines = []
    batch = questions.latency_batch_size
    if questions.runtimes:
        where = device_identity(questions.device, questions.threads)
        of_each = {one: precision_of(questions.device, questions.fp16, one) for one in questions.runtimes}
        alike = len(set(of_each.values())) == 1
        precision = of_each[questions.runtimes[0]] if alike else ", ".join(" in ".join(one) for one in of_each.items())
        lines.append(f"Latency by {', '.join(questions.runtimes)}: measured on {where}, {precision}, batch {batch}.")
    if questions.latency_table is not None:
        with LatencyTable.open(questions.latency_table) as table:
            precision = table.precision(questions.fp16)
            lines.append(f"Latency by table: predicted for {table.origin}, {precision}, batch {batch}.")
            lines += [f"Its latencies are {warning}." for warning in table.warnings]
    if questions.proxies:
        lines.append(
            f"Scores: {_seeds(questions.seeds)}, batch {questions.batch_size}, images of standard normal noise."
        )
    return lines


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed {seeds[0]}" if len(seeds) == 1 else f"mean over the seeds {seeds[0]} to {seeds[-1]}"
