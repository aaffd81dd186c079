"""The life of a session, from its connection's first message to its end. Knows no message and no rule about rooms.

Requests are handled one at a time, in the order they came. `Inline` messages are answered at once.
"""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from services.gateway import metrics
from services.gateway.context import GatewayContext
from services.gateway.identity import Due, Login
from services.gateway.session.dispatcher import Dispatcher
from services.gateway.session.feature import Feature, Handled, Inline, P, Request, SessionPart
from services.gateway.session.idempotency import DoneRequests
from services.gateway.session.message_rate import MessageRateLimit
from services.gateway.session.request_queue import RequestQueue
from services.gateway.transport.connection import Connection
from services.gateway.transport.outbox import text_frame
from shared.auth.commands import Identity
from shared.rooms.model import LeaveReason
from shared.values.errors import CloseCode, Code, Refused, internal_error, unavailable
from shared.values.ids import RoomId, SessionKey
from shared.wire import pushes
from shared.wire.protocol import NOBODY, Address, BadMessage, address_of

log = structlog.get_logger()


class Session:
    """The listener of one connection, and the handle that features have of it."""

    def __init__(self, context: GatewayContext, dispatcher: Dispatcher, connection: Connection) -> None:
        self.connection = connection
        self.context = context
        self.login = Login(context.ports.requests, context.failed_logins, context.clock)
        self._dispatcher = dispatcher
        self._key = SessionKey("")
        self._parts: Mapping[type[SessionPart], SessionPart] | None = None  # None until the session is let in
        self._queue = RequestQueue(connection, self._answer)
        self._rate = MessageRateLimit(connection, context.settings)
        self._done = DoneRequests()
        self._bad = 0
        self._over: LeaveReason | None = None  # set when the session, and not only its connection, has ended
        self._asked_away = False

    # -- what the connection brings ------------------------------------------------------------------------------------

    def received(self, text: str) -> None:
        """A message: refused, answered at once, or put in the queue."""
        if not self.connection.is_open:
            self._after_close(text)
        elif self._parts is not None and not self.context.lease.held:
            self.fence()
        else:
            self._take(text)
            if self._bad >= self.context.settings.bad_messages:
                self.close(CloseCode.BAD_CLIENT, "too many bad messages in a row")
            elif self._rate.exhausted:
                self.close(CloseCode.RATE_LIMITED, "it went on after rate_limited")

    def _take(self, text: str) -> None:
        about = NOBODY
        try:
            try:
                message = self._dispatcher.decode(text)
            except BadMessage as bad:
                about = bad.about
                self._bad += 1
                self._rate.take()
                raise
            self._bad = 0
            about = address_of(message)
            self._rate.take()
            handled = self._dispatcher.of(message)
            if self.login.identity is None and not (isinstance(handled, Handled) and handled.before_auth):
                raise Refused(Code.NOT_AUTHENTICATED, "authenticate first")
            if isinstance(handled, Inline):
                self.push(handled.answer(self, message))
            else:
                self._queue.put(Request(message, text))
        except Refused as refused:
            self.refuse(refused, about)

    async def _answer(self, request: Request[Any]) -> None:
        try:
            await self._dispatcher.answer(self, self._done, request, self._queue.take_next)
        except Refused as refused:
            self.refuse(refused, address_of(request.message))
        except Exception:
            log.exception("a message was not handled", type=request.message.type)
            self.refuse(internal_error(), address_of(request.message))

    def _after_close(self, text: str) -> None:
        """A message that arrived in one piece with the client's close: only its `unhandled` hook is called."""
        with contextlib.suppress(Refused):
            message = self._dispatcher.decode(text)
            if self._parts is not None:
                self._dispatcher.unhandled(self, message)

    def unreadable(self, why: str) -> None:
        """Send the client a last error before the connection closes because of an unreadable frame."""
        metrics.REFUSALS.labels(Code.BAD_MESSAGE).inc()
        self.connection.last_words(pushes.error(Refused(Code.BAD_MESSAGE, why), NOBODY))

    def closed(self) -> None:
        """The connection is gone."""
        waiting = self._queue.waiting
        if self._parts is not None:
            for message in waiting:
                self._dispatcher.unhandled(self, message)
        self._queue.break_off(self._gone)

    def _gone(self) -> None:
        """The connection is gone, and no request of it is handled any more: its seats are held for the grace time, or
        given up when the session is over.
        """
        if self._parts is None:
            return
        metrics.SESSIONS.dec()
        self.context.registry.leave(self._key, self)
        for part in self._parts.values():
            if self._over is not None:
                part.ended(self._over)
            else:
                part.dropped()

    # -- what features see (SessionHandle) -----------------------------------------------------------------------------

    @property
    def identity(self) -> Identity:
        """See SessionHandle."""
        return self.login.agent

    @property
    def address(self) -> str:
        """See SessionHandle."""
        return self.connection.address

    @property
    def features(self) -> Sequence[Feature]:
        """The features of this gateway, in the order in which they are opened."""
        return self._dispatcher.features

    @property
    def entered(self) -> bool:
        """Whether it was let in."""
        return self._parts is not None

    @property
    def busy(self) -> bool:
        """Whether a message is being handled."""
        return self._queue.busy

    def enter(self, key: SessionKey, parts: Mapping[type[SessionPart], SessionPart]) -> None:
        """Let the session in, with the parts that its features keep for it."""
        metrics.SESSIONS.inc()
        self._key, self._parts = key, parts
        guests = self.login.agent.guest_network
        self.connection.trust(f"agent {self.login.agent.agent_id}" if guests is None else f"guests {guests}")

    def part(self, kind: type[P]) -> P:
        """See SessionHandle."""
        part = self._parts.get(kind) if self._parts is not None else None
        if not isinstance(part, kind):
            raise Refused(Code.NOT_AUTHENTICATED, "authenticate first")
        return part

    def charge(self, messages: int) -> None:
        """See SessionHandle."""
        self._rate.take(messages)

    def allow_for(self, participants: int) -> None:
        """See SessionHandle."""
        self._rate.allow_for(participants)

    async def flowing(self) -> None:
        """See SessionHandle."""
        await self.connection.outbox.flowing()

    def send(self, payload: bytes, *, counted: bool = True) -> None:
        """See SessionHandle."""
        self.connection.send(payload, counted=counted)

    def send_frame(self, frame: bytes, *, counted: bool = True) -> None:
        """A push of a room, as a WebSocket frame."""
        self.connection.send_frame(frame, counted=counted)

    def push(self, message: pushes.Push) -> None:
        """See SessionHandle."""
        self.connection.send_frame(text_frame(pushes.encode(message)))

    def refuse(self, refused: Refused, about: Address) -> None:
        """See SessionHandle."""
        metrics.REFUSALS.labels(refused.code).inc()
        self.connection.send(pushes.error(refused, about))

    def close(self, code: CloseCode, reason: str) -> None:
        """See SessionHandle."""
        if code >= CloseCode.BAD_CLIENT and code is not CloseCode.REPLACED and self._over is None:
            self._over = "left"  # this code tells the client not to come back, so give the seats up at once
        if self.connection.is_open:
            metrics.CLOSES.labels(str(int(code))).inc()
            self.connection.close(code, reason)

    # -- what rooms and other connections bring ------------------------------------------------------------------------

    def participation_ended(self, room_id: RoomId, reason: str | None) -> None:
        """The log says that the session's participant left this room."""
        del reason  # the client was told by the push
        for part in (self._parts or {}).values():
            part.room_left(room_id)

    def room_lost(self, room_id: RoomId) -> None:
        """The room's log is gone or cannot be followed: make the client reconnect, since pushes would be wrong."""
        log.warning("a room was lost under a session", room_id=room_id)
        self.go_away("room_lost", 0)
        self.leave_for_another("room_lost")

    def replaced(self) -> None:
        """Another connection resumed the session: tell the client, and close this one."""
        metrics.REPLACED.inc()
        self.refuse(Refused(Code.BAD_STATE, "the session was resumed on another connection"), NOBODY)
        # A client that was asked to go away did as told; else another connection took the session.
        self.close(CloseCode.SERVICE_RESTART if self._asked_away else CloseCode.REPLACED, "replaced")

    async def hand_over(self, rooms: frozenset[RoomId]) -> None:
        """See SessionOwner. A join that has no answer yet is undone, unless the new connection asks for it again."""
        await self._queue.broken_off()
        for part in (self._parts or {}).values():
            part.handed_over(rooms)
        self.replaced()

    def fence(self) -> None:
        """The gateway lost its lease: close the connection without telling rooms. Rooms frees the seats itself."""
        for part in (self._parts or {}).values():
            part.fenced()
        self.refuse(unavailable("the broker"), NOBODY)
        self.close(CloseCode.UNAVAILABLE, "unavailable")

    # -- what time brings (heartbeat.py, drain.py) ---------------------------------------------------------------------

    def beat(self, now: float) -> None:
        """The heartbeat, twice a second once the client has authenticated. `now` is Unix seconds."""
        self._check_expiry(now)
        for part in (self._parts or {}).values():
            part.beat(now)

    def _check_expiry(self, now: float) -> None:
        """Announce the token's end 60 s before it (or at half of the time left, if sooner), then end the session."""
        due = self.login.due(now)
        if due is Due.NOTICE:
            self.push(pushes.TokenExpiring(expires_at=self.login.agent.expires_at))
        elif due is Due.END:
            self._over = "token_expired"
            self.refuse(Refused(Code.NOT_AUTHENTICATED, "your token has expired"), NOBODY)
            self.close(CloseCode.TOKEN_EXPIRED, "token_expired")

    def too_late(self) -> None:
        """The client did not authenticate in time: close."""
        self.refuse(Refused(Code.NOT_AUTHENTICATED, "authenticate did not arrive in time"), NOBODY)
        self.close(CloseCode.UNAUTHENTICATED, "no authenticate in time")

    def go_away(self, reason: str, after_ms: int) -> None:
        """Ask the client to reconnect after `after_ms` milliseconds."""
        self._asked_away = True
        self.push(pushes.GoAway(reason=reason, reconnect_after_ms=after_ms))

    def leave_for_another(self, reason: str) -> None:
        """Close the connection with the code that tells the client to reconnect."""
        self.close(CloseCode.SERVICE_RESTART, reason)
