"""The other end: negotiates with one participant, and builds a new connection when one is beyond help."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from aiortc import RTCDataChannel, RTCPeerConnection

from parley.errors import CLOSED, NOT_IN_ROOM, PARTICIPANT_NOT_FOUND, ParleyError
from parley.participant import Participant
from parley.rtc.ice import relayed
from parley.rtc.negotiation import Negotiation, Verdict
from parley.rtc.peer_connection import Incoming, PeerConnection
from parley.rtc.remote_track import RemoteTrack
from parley.transport.backoff import Backoff

if TYPE_CHECKING:
    from parley.rtc.call import Call

logger = logging.getLogger(__name__)

HOLD_BACK = 5.0  # seconds that we wait for the polite end's first offer
STUCK = {True: 15.0, False: 25.0}  # seconds to connect, by politeness: not both at once
INBOX = 512  # signals; who sends more before we look is started over with
REPEATS = (10.0, 20.0, 40.0, 80.0)  # seconds after which an offer without an answer is sent again
ATTEMPTS = 6  # to send a signal that is refused for now
OVER = frozenset({CLOSED, NOT_IN_ROOM, PARTICIPANT_NOT_FOUND})


class Peer:
    """A participant of the call. All that happens to its connection happens in one task, one thing after another."""

    def __init__(self, call: "Call", participant: Participant, *, polite: bool) -> None:
        self._call = call
        self._last_seen = participant
        self._screen_stream: object = participant.metadata.get("screen")
        self.id = participant.id
        self.state = "new"
        self._negotiation = Negotiation(polite=polite)
        self._inbox: deque[Mapping[str, Any]] = deque()
        self._awake = asyncio.Event()
        self._holding = not polite
        self._wants_offer = polite
        self._wants_rebuild = False
        self._said: tuple[str | None, str] = (None, "")  # our last answer, and to which offer
        self._pause = Backoff(random.random, first=0.5, cap=10.0)
        self._connection = self._connect()
        self._timers: set[asyncio.TimerHandle] = set()
        if not polite:
            self._later(HOLD_BACK, self._stop_holding)
        self._task = asyncio.create_task(self._work(), name=f"parley-peer-{self.id}")
        self._awake.set()

    def __repr__(self) -> str:
        return f"<Peer {self.id} {self.participant.name!r} {self.state}>"

    @property
    def participant(self) -> Participant:
        """Who it is, as the room knows it now, or knew it last."""
        self._last_seen = self._call.room.participants.get(self.id, self._last_seen)
        return self._last_seen

    @property
    def screen_stream(self) -> object:
        """The stream it named last as its screen's: a track comes, or goes, after it has said so."""
        self._screen_stream = self.participant.metadata.get("screen") or self._screen_stream
        return self._screen_stream

    @property
    def connection(self) -> RTCPeerConnection:
        """aiortc's object of the moment; a rebuild replaces it."""
        return self._connection.pc

    @property
    def generation(self) -> int:
        """How often the connection was replaced."""
        return self._negotiation.generation

    @property
    def relayed(self) -> bool:
        """Whether our side goes over a TURN server."""
        return relayed(self._connection.pc)

    @property
    def tracks(self) -> list[RemoteTrack]:
        """What comes from it now; `Track` and `TrackEnded` tell when that changes."""
        return [one.track for one in self.incoming]

    @property
    def incoming(self) -> list[Incoming]:
        """The same, with what the call knows of them."""
        return list(self._connection.incoming.values())

    # What the call asks.

    def take(self, message: Mapping[str, Any]) -> None:
        """A signal of theirs."""
        if len(self._inbox) >= INBOX:
            logger.warning("%s sends signals faster than they can be handled; starting over", self.id)
            self._inbox.clear()
            self._wants_rebuild = True
        self._inbox.append(message)
        self._awake.set()

    def changed(self) -> None:
        """What we send or open is another: offer, if that needs it."""
        self._wants_offer = True
        self._awake.set()

    def rebuild(self) -> None:
        """Replace the connection."""
        self._wants_rebuild = True
        self._awake.set()

    def recover(self) -> None:
        """Signals may have been lost: whatever was under way begins anew."""
        if self._negotiation.pending is not None or self.state not in ("connected", "new"):
            self.rebuild()

    def open_channel(self, label: str, **options: Any) -> RTCDataChannel | None:
        """A data channel on the connection of the moment; None when that will open it as soon as it begins."""
        if not self._connection.begun or self.state == "closed":
            return None
        return self._connection.open_channel(label, **options)

    async def close(self) -> None:
        """End it."""
        for timer in self._timers:
            timer.cancel()
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._connection.close()
        self._become("closed")

    # The task.

    async def _work(self) -> None:
        while True:
            await self._awake.wait()
            self._awake.clear()
            try:
                while await self._step():
                    pass
            except ParleyError as error:
                if error.code not in OVER:
                    logger.warning("cannot negotiate with %s: %s", self.id, error)
                    self._rebuild_later(stuck=True)
            except Exception as error:
                # Of descriptions and candidates nothing goes into a log, and aiortc's messages may quote them.
                logger.warning("negotiation with %s failed: %s", self.id, type(error).__name__)
                self._rebuild_later(stuck=True)

    async def _step(self) -> bool:
        if self._wants_rebuild:
            self._wants_rebuild = False
            self._negotiation.rebuild()
            await self._replace()
            await self._offer()
        elif self._inbox:
            await self._take(self._inbox.popleft())
        elif self._wants_offer and self._negotiation.pending is None and not self._holding:
            self._wants_offer = False
            if self.state == "closed":
                return True  # they hung up, and will call when they want us
            if self._connection.begun:
                self._connection.use_sources()
            first = self._negotiation.polite and not self._negotiation.established
            if first or self._connection.needs_offer() or self._has_something(self._connection):
                await self._offer()
        else:
            return False
        return True

    async def _take(self, message: Mapping[str, Any]) -> None:
        negotiation = message.get("negotiation")
        match message["type"]:
            case "offer":
                self._holding = False
                await self._take_offer(message["sdp"], negotiation)
            case "answer":
                if self._negotiation.judge_answer(negotiation):
                    await self._connection.accept(message["sdp"])
                    self._negotiated()
            case "candidate":
                if self._negotiation.judge_candidate(negotiation) and self._connection.pc.remoteDescription is not None:
                    await self._connection.add_candidate(message.get("candidate"))

    async def _take_offer(self, sdp: str, negotiation: str | None) -> None:
        if negotiation is not None and negotiation == self._said[0] == self._negotiation.answered:
            await self._signal_description("answer", self._said[1], negotiation)  # the first one may have got lost
            return
        restart, closed = self._connection.restarts(sdp), self._connection.state == "closed"
        verdict = self._negotiation.judge_offer(negotiation, restart=restart, closed=closed)
        logger.debug("%s offers %s: %s", self.id, negotiation, verdict.value)
        if verdict is Verdict.REBUILD:
            self._wants_rebuild = True
        if verdict is Verdict.REPLACE:
            await self._replace()
        if verdict in (Verdict.REPLACE, Verdict.ANSWER):
            answer = await self._connection.answer(sdp)
            self._negotiation.answering(negotiation)
            self._said = (negotiation, answer)
            self._negotiated()
            await self._signal_description("answer", answer, negotiation)

    async def _offer(self) -> None:
        negotiation = self._negotiation.offer()
        sdp = await self._connection.offer()
        await self._signal_description("offer", sdp, negotiation)
        for seconds in REPEATS:
            self._later(seconds, partial(self._repeat, sdp, negotiation))

    def _repeat(self, sdp: str, negotiation: str) -> None:
        """The offer or its answer may have got lost, with a session of theirs: the same again."""
        if self._negotiation.pending == negotiation:
            self._call.in_background(self._signal_description("offer", sdp, negotiation))

    async def _signal_description(self, type_: str, sdp: str, negotiation: str | None) -> None:
        named = {} if negotiation is None else {"negotiation": negotiation}
        await self._signal(type_, sdp=sdp, **named)
        await self._signal("candidate", candidate=None, **named)

    async def _signal(self, type_: str, **fields: Any) -> None:
        pause = Backoff(random.random, first=0.5, cap=5.0)
        for attempt in range(ATTEMPTS):
            try:
                await self._call.room.send_signal(type_, to=self.id, **fields)
                return
            except ParleyError as error:
                if not error.retryable or attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(max(error.retry_after or 0.0, pause.next()))

    def _negotiated(self) -> None:
        """A round is complete: see what comes in, and look after the connection."""
        connection = self._connection
        self._call.heard_tracks(self, connection)
        self._wants_offer = self._wants_offer or connection.needs_offer()
        if connection.state != "connected":

            def still_not() -> None:
                if connection is self._connection and connection.state in ("new", "connecting"):
                    logger.info("%s is not connected in time; starting over", self.id)
                    self.rebuild()

            self._later(STUCK[self._negotiation.polite], still_not)

    # The connection.

    def _has_something(self, connection: PeerConnection) -> bool:
        """Whether a connection that has not begun should."""
        return not connection.begun and (self._call.sends or bool(self._call.own_channels()))

    def _connect(self) -> PeerConnection:
        connection = self._call.new_connection(self._open_channels)
        connection.pc.on("connectionstatechange", lambda: self._state_changed(connection))
        connection.pc.on("datachannel", lambda channel: self._call.use_channel(self, channel, own=False))
        return connection

    def _open_channels(self, connection: PeerConnection) -> None:
        for label, options in self._call.own_channels():
            self._call.use_channel(self, connection.open_channel(label, **options), own=True)

    async def _replace(self) -> None:
        old = self._connection
        self._call.lost_connection(self, old)
        self._connection = self._connect()
        self._become("new")
        self._call.in_background(old.close())

    def _state_changed(self, connection: PeerConnection) -> None:
        if connection is not self._connection:
            return
        if connection.state == "connected":
            self._pause.reset()
        elif connection.state == "failed":
            self._rebuild_later()
        self._become(connection.state)

    def _rebuild_later(self, *, stuck: bool = False) -> None:
        """After a pause, unless it has connected by then; `stuck`: that would not help its negotiation."""
        connection = self._connection

        def now() -> None:
            if connection is self._connection and (stuck or self.state != "connected"):
                self.rebuild()

        self._later(self._pause.next(), now)

    def _become(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self._call.peer_changed(self)

    def _stop_holding(self) -> None:
        if self._holding:
            self._holding = False
            self.changed()

    def _later(self, seconds: float, do: Any) -> None:
        loop = asyncio.get_running_loop()
        self._timers = {timer for timer in self._timers if not timer.cancelled() and timer.when() > loop.time()}
        self._timers.add(loop.call_later(seconds, do))
