"""A search that is open: its history, its executor, and what it leaves behind."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gsnet.evolution import array_compiling
from gsnet.evolution.array_choice import make_loop, why_in_python, why_settings_are_pythons
from gsnet.evolution.digest import Digest, digest
from gsnet.evolution.ensemble import aggregate_of, scoring_proxies
from gsnet.evolution.executors import make_executor, processes_for
from gsnet.evolution.extensions import Extensions
from gsnet.evolution.figures import known_figures
from gsnet.evolution.folder import begin, open_history
from gsnet.evolution.functions import NO_FUNCTIONS, Functions
from gsnet.evolution.history import History
from gsnet.evolution.island_places import Here, Places, Processes
from gsnet.evolution.island_search import AnySearch, IslandSearch
from gsnet.evolution.jobs import TLS_OPTIONS, CandidateExecutor, TlsFiles
from gsnet.evolution.parts import latency_model
from gsnet.evolution.proposals import make_proposer
from gsnet.evolution.recorded import IN_MEMORY
from gsnet.evolution.report import write_config, write_outputs
from gsnet.evolution.scorer import latency_as_tables_have_it
from gsnet.evolution.search import Search
from gsnet.evolution.settings import GROWTH, TOLD, SearchError, SearchSettings
from gsnet.evolution.verification import verify_top
from gsnet.interface.options import InputError
from gsnet.latency.device import device_identity
from gsnet.latency.table import LatencyTable
from PlainNet import Network
from ZeroShotProxy import Needs, Proxy, get_proxy

log = logging.getLogger(__name__)
COMPILED = {"ZenClosedForm", "PerturbationClosedForm"}
# Scores, and ensembles by their members, whose trained winners were no better than random networks (docs/results.md): of
# searches without a limit on growth, and with one, which helps rather than harms.
NO_BETTER_WITHOUT_LIMIT = ({"ZenClosedForm"}, {"PerturbationClosedForm"}, {"Flops", "NASWOT", "Syncflow-log"})
NO_BETTER_WITH_LIMIT = ({"Params", "ZenClosedForm"}, {"Flops", "PerturbationClosedForm"})
# Forward passes give the same score but for their noise, and were not searched with for these trainings.
IN_CLOSED_FORM = {"Zen": "ZenClosedForm", "Perturbation": "PerturbationClosedForm"}


def trained_in_place_of(settings: SearchSettings) -> list[str]:
    """The scores by whose winners it is known how those of a search train: its own, in closed form where there is one."""
    return [IN_CLOSED_FORM.get(name, name) for name in scoring_proxies(settings)]


def is_no_better_than_random(settings: SearchSettings) -> bool:
    """Whether winners by the score of a search are known to train no better than random networks."""
    members = set(trained_in_place_of(settings))
    return members in NO_BETTER_WITH_LIMIT or (GROWTH not in settings.figures and members in NO_BETTER_WITHOUT_LIMIT)


@dataclass(frozen=True)
class RunOptions:
    """How a search runs; nothing here changes its result.

    resume: go on with the search that the folder holds; overwrite: discard it, once this one can begin.
    workers: processes on this machine that score, or that islands live in. scheduler: address of a Dask scheduler in their
    place, with tls files. log: trackers that curves go to (`gsnet.tracking`). verify_top: how many of the best are re-scored by
    Monte-Carlo Zen at the end. quiet: no progress bar.
    """

    resume: bool = False
    overwrite: bool = False
    workers: int = 1
    scheduler: str | None = None
    tls: TlsFiles | None = None
    log: tuple[str, ...] = ()
    verify_top: int = 0
    quiet: bool = False

    def recorded(self) -> dict[str, Any]:
        """What another run of the same search would be told too, as a results folder keeps it."""
        tls = dict(zip(TLS_OPTIONS, self.tls or (), strict=False))
        kept = ("workers", "scheduler", "verify_top")
        return {name: getattr(self, name) for name in kept} | {"log": list(self.log)} | tls


DEFAULT_RUN = RunOptions()


class Session:
    """One search from its opening to its outputs; close it. Raises SearchError where it cannot begin.

    folder: its results folder; None keeps everything in memory. arguments: what is recorded as the command.
    """

    def __init__(
        self,
        settings: SearchSettings,
        folder: Path | None = None,
        options: RunOptions = DEFAULT_RUN,
        functions: Functions = NO_FUNCTIONS,
        arguments: Sequence[str] = (),
    ) -> None:
        self.settings = settings
        self.folder = folder
        self._functions = functions
        self._refuse_aims_that_are_none()
        # Islands have whatever they need where they live.
        asked = options
        if options.scheduler is None:
            options = replace(options, workers=processes_for(settings, options.workers, functions.proxies))
        in_process = settings.islands > 1 or (options.workers == 1 and options.scheduler is None)
        array_compiling.begin(
            closed_form=bool(set(scoring_proxies(settings)) & COMPILED),
            loop=not why_settings_are_pythons(settings, functions, in_process),
            growth=GROWTH in settings.figures,
        )
        self._proposer = make_proposer(settings, functions)
        figures = {**known_figures(settings), **functions.figures}
        self._figures = {name: figures[name] for name in settings.figures}
        self._executor: CandidateExecutor | None = None
        self._places: Places | None = None
        self._refuse_islands_nowhere(asked)
        self._why_in_python = why_in_python(settings, self._proposer, functions, in_process)
        self.history = open_history(settings, folder, options.resume, options.overwrite)
        try:
            if settings.islands > 1:
                self._places = make_places(settings, options, functions)
            else:
                given = functions.proxies
                self._executor = make_executor(settings, options.workers, options.scheduler, options.tls, given)
            self.search: AnySearch = self._replayed()
            if folder and self.history.path == IN_MEMORY:
                self._begin_in(folder, options.overwrite)
            if folder:
                write_config(folder, settings, asked.recorded(), list(arguments))
        except BaseException:
            self.close()
            raise

    @property
    def is_value_only(self) -> bool:
        """Whether the search builds no module."""
        needs = {proxy.needs for proxy in self._proxies()}
        return needs == {Needs.VALUE} and not self.settings.measures_latency

    def say_how(self, log: logging.Logger, callback: bool = False) -> None:
        """Say in a log how the rounds are run. callback: whether a function is called after each of them."""
        why = self._why_in_python or ("a function is called after every round" if callback else "")
        log.info("%s", f"the loop runs in Python: {why}" if why else "the loop of this search runs as machine code")
        if aggregate_of(self.settings) is not None:
            log.info(
                "scores of %s are ranks among the members of the population at each moment: max_score moves with them where "
                "the best structure stays; results rank all candidates among the last population",
                self.settings.zero_shot_score,
            )
        if is_no_better_than_random(self.settings):
            log.info(
                "winners of %s that were trained were no better than random networks, those of the usual Ensemble with a "
                "limit on growth were: --zero_shot_score Ensemble and --budget_growth 3.5 (docs/results.md)",
                " with ".join(trained_in_place_of(self.settings)),
            )
        for warning in latency_model(self.settings).warnings() if self.settings.latency_table else ():
            log.warning("latencies of %s: %s", self.settings.latency_table, warning)
        if self.settings.islands > 1:
            words = "%d islands, which exchange their best every %d proposals of each"
            log.info(words, self.settings.islands, self.settings.migration)

    def _proxies(self) -> list[Proxy]:
        own = {proxy.name: proxy for proxy in self._functions.proxies}
        return [own.get(name) or get_proxy(name) for name in scoring_proxies(self.settings)]

    def _refuse_aims_that_are_none(self) -> None:
        """A search maximises its scores. Raises SearchError for one of which more is not better."""
        if self.settings.zero_shot_score == TOLD:
            return
        for proxy in self._proxies():
            if not proxy.larger_is_better:
                raise SearchError(
                    f"A search looks for the largest score, and of {proxy.name} more is not better: give it a limit instead, "
                    "such as --budget_growth"
                )

    def _refuse_islands_nowhere(self, options: RunOptions) -> None:
        """Raises SearchError for more processes than islands, and for candidates that somebody else scores."""
        islands = self.settings.islands
        if islands > 1 and self.settings.zero_shot_score == TOLD:
            raise SearchError("Networks are told to one population: leave islands out")
        if 1 < islands < options.workers:
            raise SearchError(
                f"--workers {options.workers} are more than --islands {islands}: an island lives in one process"
            )

    def take_up_again(self) -> None:
        """Go on from what is recorded, after an error in the middle of a round."""
        self.history.commit()
        self.search = self._replayed()

    def finish(self, verify: int = 0) -> dict:
        """Write the outputs, and return the content of best.json; it is empty where nothing was scored.

        verify: how many of the best are re-scored by Monte-Carlo Zen.
        """
        self.history.commit()
        if self.search.finished:
            self.history.finished = True
        found = None
        if self.settings.latency_table is not None and self.search.best is not None:
            # An ensemble's best depends on whom it is ranked among: on an island others than among all at the end.
            found = None if aggregate_of(self.settings) is None else digest(self.history)
            winner = found.best if found else self.search.best
            if winner is not None:
                measure_winner(self.settings, self.history, winner.network)
        if self.folder is None:
            return {}
        summary = _outputs(self.folder, self.history, found) or {}
        if verify and self.search.best is not None:
            best = verify_top(self.folder, self.history, verify)[0].monte_carlo
            summary["verified"] = (
                {"zen_mean": best.mean, "zen_std": best.std, "seeds": len(best.scores)} if best else None
            )
        return summary

    def close(self) -> None:
        """Release workers and the folder. A history in memory goes with its last reader."""
        if self._executor is not None:
            self._executor.close()
        if self._places is not None:
            self._places.close()
        if self.folder is not None:
            self.history.close()

    def _begin_in(self, folder: Path, overwrite: bool) -> None:
        """Keep the history, still empty, in the folder. Nothing refuses to begin any more: what lies there may be discarded."""
        in_memory, self.history = self.history, begin(self.settings, folder, overwrite)
        self.search.record_in(self.history)
        in_memory.close()

    def _replayed(self) -> AnySearch:
        if self._places is not None:
            return IslandSearch(self.settings, self.history, self._places)
        if self._executor is None:
            raise SearchError("The search is closed")
        loop = None if self._why_in_python else make_loop(self.settings, self._proposer, self._figures)
        return Search(self.settings, self._proposer, self._executor, self.history, self._figures, loop)


def make_places(settings: SearchSettings, options: RunOptions, functions: Functions) -> Places:
    """Where the islands of a search live. Raises SearchError."""
    if options.workers == 1 and options.scheduler is None:
        return Here(settings, functions)
    if functions.figures or (functions.space and functions.space.is_function):
        raise SearchError(
            "Islands in other processes do not have functions of a program: leave the number of workers at 1"
        )
    extensions = Extensions.here(functions.proxies)
    # Spaces and blocks are loaded there by the names that the settings have.
    functions = Functions(functions.proxies)
    if options.scheduler is None:
        return Processes(settings, options.workers, functions, extensions)
    from gsnet.evolution.dask_executor import connected
    from gsnet.evolution.dask_islands import DaskIslands

    return DaskIslands(settings, connected(options.scheduler, options.tls), functions, extensions)


def measure_winner(settings: SearchSettings, history: History, winner: Network) -> None:
    """Measure the latency of a predicted search's winner, where the table is of the device at hand; keep its error bar."""
    if settings.latency_table is None or history.measured_latency(winner.text) is not None:
        return
    if settings.latency_source == "predict":
        # A plain sum of layers promises no precision.
        history.add_latency_error_bar(winner.text, latency_model(settings).predict(winner).spread)
    with LatencyTable.open(Path(settings.latency_table)) as table:
        identity = device_identity(settings.device)
        if table.device != identity:
            log.info(
                "latencies are those of %s by its table; this is %s, on which nothing was timed", table.device, identity
            )
            return
    try:
        log.info("timing the winner, in several rounds as the networks of the table")
        # Other programs on this computer are no error of the prediction.
        history.add_measured_latency(winner.text, latency_as_tables_have_it(settings, winner))
    except InputError as error:
        # The runtime of the table need not be installed here.
        log.info("the winner's latency was not measured: %s", error)


def _outputs(folder: Path, history: History, found: Digest | None) -> dict | None:
    """`write_outputs`, of which a full disk is said as one of the search is. Raises SearchError."""
    try:
        return write_outputs(folder, history, found)
    except OSError as error:
        raise SearchError(
            f"{error.filename or folder}: {error.strerror}. The search itself is safe: free the disk, then use --resume"
        ) from error
