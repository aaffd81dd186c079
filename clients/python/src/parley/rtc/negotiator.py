"""Negotiates with one other participant: takes its signals and sends ours, in one task, one thing after another.

The rules are in `negotiation`; this acts on them. It knows of a connection only what `NegotiatorHost` gives it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any, Protocol

from parley.errors import CLOSED, NOT_IN_ROOM, PARTICIPANT_NOT_FOUND, ParleyError
from parley.rtc.negotiation import Negotiation, Verdict
from parley.rtc.peer_connection import PeerConnection
from parley.rtc.signal_port import SignalPort
from parley.rtc.timers import Timers

logger = logging.getLogger(__name__)

HOLD_BACK = 5.0  # seconds that the impolite end waits for the polite end's first offer
INBOX = 512  # signals; who sends more before we look is started over with
REPEATS = (10.0, 20.0, 40.0, 80.0)  # seconds after which an offer without an answer is sent again
OVER = frozenset({CLOSED, NOT_IN_ROOM, PARTICIPANT_NOT_FOUND})


class NegotiatorHost(Protocol):
    """Whose connection is negotiated."""

    def current(self) -> PeerConnection:
        """The connection of the moment."""

    def replace(self) -> None:
        """Put a new connection in its place."""

    def negotiated(self) -> None:
        """A round is complete."""

    def negotiation_failed(self) -> None:
        """The connection of the moment is beyond negotiating."""

    def has_something(self) -> bool:
        """Whether there is a track or a data channel of ours, so that a connection should begin."""

    def in_background(self, doing: Coroutine[Any, Any, None]) -> None:
        """Do this beside everything else."""


class Negotiator:
    """One end of the negotiation with one participant. It begins when it is made."""

    def __init__(self, host: NegotiatorHost, port: SignalPort, *, polite: bool) -> None:
        self._host = host
        self._port = port
        self._name = port.participant_id  # in logs
        self._rules = Negotiation(polite=polite)
        self._inbox: deque[Mapping[str, Any]] = deque()
        self._awake = asyncio.Event()
        self._awake.set()
        self._holding = not polite
        self._wants_offer = polite
        self._wants_rebuild = False
        self._answer: tuple[str | None, str] = (None, "")  # our last answer, and to which offer
        self._timers = Timers()
        if not polite:
            self._timers.later(HOLD_BACK, self._stop_holding)
        self._task = asyncio.create_task(self._work(), name=f"parley-peer-{port.participant_id}")

    @property
    def polite(self) -> bool:
        """Whether our offer gives way when two collide."""
        return self._rules.polite

    @property
    def generation(self) -> int:
        """Which connection of this pair it is."""
        return self._rules.generation

    @property
    def busy(self) -> bool:
        """Whether an offer of ours has no answer yet."""
        return self._rules.pending is not None

    def take(self, message: Mapping[str, Any]) -> None:
        """A signal of theirs."""
        if len(self._inbox) >= INBOX:
            logger.warning("%s sends signals faster than they can be handled; starting over", self._name)
            self._inbox.clear()
            self._wants_rebuild = True
        self._inbox.append(message)
        self._awake.set()

    def changed(self) -> None:
        """What we send or open is another: offer, if that needs it."""
        self._wants_offer = True
        self._awake.set()

    def rebuild(self) -> None:
        """Replace the connection, and offer the new one."""
        self._wants_rebuild = True
        self._awake.set()

    async def close(self) -> None:
        """Stop."""
        self._timers.cancel()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            await self._awake.wait()
            self._awake.clear()
            try:
                while await self._step():
                    pass
            except ParleyError as error:
                if error.code not in OVER:
                    logger.warning("cannot negotiate with %s: %s", self._name, error)
                    self._host.negotiation_failed()
            except Exception as error:
                # Of descriptions and candidates nothing goes into a log, and aiortc's messages may quote them.
                logger.warning("negotiation with %s failed: %s", self._name, type(error).__name__)
                self._host.negotiation_failed()

    async def _step(self) -> bool:
        """Do the next thing that is due; whether there was one."""
        if self._wants_rebuild:
            self._wants_rebuild = False
            self._rules.rebuild()
            self._host.replace()
            await self._offer()
        elif self._inbox:
            await self._take(self._inbox.popleft())
        elif self._wants_offer and self._rules.pending is None and not self._holding:
            self._wants_offer = False
            await self._offer_if_needed()
        else:
            return False
        return True

    async def _offer_if_needed(self) -> None:
        connection = self._host.current()
        if connection.state == "closed":
            return  # they hung up, and will call when they want us
        if connection.begun:
            connection.use_sources()
        first = self._rules.polite and not self._rules.established
        begins = not connection.begun and self._host.has_something()
        if first or begins or connection.needs_offer():
            await self._offer()

    async def _take(self, message: Mapping[str, Any]) -> None:
        negotiation = message.get("negotiation")
        match message["type"]:
            case "offer":
                self._holding = False
                await self._take_offer(message["sdp"], negotiation)
            case "answer":
                if self._rules.judge_answer(negotiation):
                    await self._host.current().accept(message["sdp"])
                    self._complete()
            case "candidate":
                connection = self._host.current()
                if self._rules.judge_candidate(negotiation) and connection.pc.remoteDescription is not None:
                    await connection.add_candidate(message.get("candidate"))

    async def _take_offer(self, sdp: str, negotiation: str | None) -> None:
        if negotiation is not None and negotiation == self._answer[0] == self._rules.answered:
            await self._port.describe("answer", self._answer[1], negotiation)  # the first one may have got lost
            return
        connection = self._host.current()
        restart, closed = connection.restarts(sdp), connection.state == "closed"
        verdict = self._rules.judge_offer(negotiation, restart=restart, closed=closed)
        logger.debug("%s offers %s: %s", self._name, negotiation, verdict.value)
        if verdict is Verdict.REBUILD:
            self._wants_rebuild = True
        if verdict is Verdict.REPLACE:
            self._host.replace()
        if verdict in (Verdict.REPLACE, Verdict.APPLY):
            answer = await self._host.current().answer(sdp)
            self._rules.answering(negotiation)
            self._answer = (negotiation, answer)
            self._complete()
            await self._port.describe("answer", answer, negotiation)

    async def _offer(self) -> None:
        negotiation = self._rules.offer()
        sdp = await self._host.current().offer()
        await self._port.describe("offer", sdp, negotiation)
        for seconds in REPEATS:
            self._timers.later(seconds, partial(self._repeat, sdp, negotiation))

    def _repeat(self, sdp: str, negotiation: str) -> None:
        """The offer or its answer may have got lost, with a session of theirs: the same again."""
        if self._rules.pending == negotiation:
            self._host.in_background(self._port.describe("offer", sdp, negotiation))

    def _complete(self) -> None:
        """A round is complete. What it did not take in needs another."""
        self._host.negotiated()
        self._wants_offer = self._wants_offer or self._host.current().needs_offer()

    def _stop_holding(self) -> None:
        if self._holding:
            self._holding = False
            self.changed()
