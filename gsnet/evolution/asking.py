"""Rounds whose candidates somebody else scores: asked for one by one, told in any order, recorded when they are complete."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from gsnet.evolution.ensemble import scoring_proxies
from gsnet.evolution.proposed import OpenRound
from gsnet.evolution.scorer import Scored
from gsnet.evolution.session import Session
from gsnet.interface.options import InputError
from gsnet.interface.values import plain, wrong_limit
from PlainNet import Network

Score = float | Sequence[float]


class Asking:
    """The round under way. What was told of it survives a kill, as the round itself can be drawn again.

    One caller at a time.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._round: OpenRound | None = None
        # Of the round's admitted candidates, by their text: their place among them.
        self._places: dict[str, int] = {}
        self._told: dict[int, Scored] = {}
        self._asked: set[int] = set()
        self.was_told = False

    @property
    def under_way(self) -> bool:
        """Whether a round has been drawn that is not complete."""
        return self._round is not None

    @property
    def waiting(self) -> list[Network]:
        """What was asked for and not told."""
        return [self._network(place) for place in sorted(self._asked - self._told.keys())]

    def ask(self, count: int | None) -> list[Network]:
        """Up to `count` networks of the round that nobody has asked for; a new round where the last one is complete."""
        while self._round is None and not self._session.search.finished:
            self._draw()
        free = [p for p in self._places.values() if p not in self._asked and p not in self._told][:count]
        self._asked.update(free)
        return [self._network(place) for place in free]

    def seed_of(self, text: str) -> int:
        """The seed of a waiting candidate. Raises InputError."""
        return self._admitted()[self._place(text)][1].seed

    def tell(self, text: str, score: Score | None, reason: str, latency: float | None, seconds: float) -> None:
        """Take a score in, and record the round if it was the last. Raises InputError and SearchFailed."""
        place = self._place(text)
        scored = self._scored(score, reason, latency, seconds)
        iteration = self._admitted()[place][1].iteration
        if len(self._told) + 1 < len(self._places):
            said = [text, scored.score, scored.reason, scored.latency, scored.seconds, scored.scores]
            self._session.history.add_told(iteration, json.dumps(said))
        self._told[place] = scored
        self.was_told = True
        if len(self._told) == len(self._places):
            self._record()

    def _draw(self) -> None:
        """The next round, with what was told of it before a kill."""
        try:
            self._round = self._session.search.open_round()
        except BaseException:
            self._session.take_up_again()
            raise
        self._places = {str(proposal.network): n for n, (_, proposal, _) in enumerate(self._round.admitted)}
        self._told, self._asked = {}, set()
        told = self._session.history.told()
        for place, (_, proposal, _) in enumerate(self._round.admitted):
            if said := told.get(proposal.iteration):
                text, score, reason, latency, seconds, scores = json.loads(said)
                if text == str(proposal.network):
                    self._told[place] = Scored(score, reason, latency, seconds, tuple(scores))
        if len(self._told) == len(self._places):
            self._record()

    def _record(self) -> None:
        """The complete round goes to the history."""
        opened, self._round = self._round, None
        results = [self._told[place] for place in range(len(self._places))]
        self._places, self._told, self._asked = {}, {}, set()
        if opened is None:
            return
        try:
            self._session.search.close_round(opened, results)
        finally:
            self._session.history.forget_told()

    def _scored(self, score: Score | None, reason: str, latency: float | None, seconds: float) -> Scored:
        settings = self._session.settings
        if settings.measures_latency and latency is None and score is not None:
            raise InputError("This search watches latency: tell it too, as latency=SECONDS an image")
        latency, seconds = plain(latency), float(seconds)
        if latency is not None and (wrong := wrong_limit(latency)):
            raise InputError(f"latency {wrong}, of seconds an image")
        if latency is not None and latency > (settings.budget_latency or math.inf):
            return Scored(None, "latency", latency, seconds)
        if score is None:
            return Scored(None, reason or "it was told to have no score", latency, seconds)
        proxies = scoring_proxies(settings)
        try:
            told = score if isinstance(score, Sequence) and not isinstance(score, str) else (score,)
            scores = tuple(float(s) for s in told)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            raise InputError(f"the score is {score!r}: it must be a number, of an ensemble several") from None
        if len(scores) != len(proxies):
            raise InputError(f"{len(scores)} scores were told, but this search ranks by {', '.join(proxies)}")
        if not all(math.isfinite(s) for s in scores):
            return Scored(None, reason or f"the score is {score}", latency, seconds)
        return Scored(scores[0], "", latency, seconds, scores if len(scores) > 1 else ())

    def _place(self, text: str) -> int:
        place = self._places.get(text)
        if place is None or place in self._told:
            raise InputError(f"{text} does not wait for a score: tell those of networks that `ask` gave, once each")
        return place

    def _network(self, place: int) -> Network:
        network = self._admitted()[place][1].network
        if network is None:
            raise InputError("A candidate without a network cannot be asked for")
        return network

    def _admitted(self) -> list:
        return self._round.admitted if self._round else []
