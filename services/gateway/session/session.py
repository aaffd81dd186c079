"""One authenticated presence: the conversation of a client with the system. Knows no rule about rooms or tokens.

Messages are handled in the order they came, one at a time; only `ping` is answered at once.
"""

import asyncio
import contextlib
import zlib

import structlog

from services.gateway import metrics
from services.gateway.identity import Due, Login
from services.gateway.participation.participations import Participations
from services.gateway.session.authentication import Entrance, Shared
from services.gateway.session.greeting import auth_ok, give_back
from services.gateway.session.idempotency import DoneRequests, Seen
from services.gateway.session.message_rate import MessageRateLimit
from services.gateway.session.request_queue import Request, RequestQueue
from services.gateway.signaling.relay import Relay
from services.gateway.transport.connection import Connection
from services.gateway.transport.outbox import text_frame
from shared.broker.bus import internal_error
from shared.rooms.model import LeaveReason
from shared.values import moment
from shared.values.errors import TOKEN_CODES, CloseCode, Code, Refused, unavailable
from shared.values.ids import RoomId, SessionKey, mint
from shared.wire import protocol, pushes
from shared.wire.protocol import Address

log = structlog.get_logger()


class Session:
    """The listener of one connection."""

    def __init__(self, shared: Shared, connection: Connection) -> None:
        self.connection = connection
        self.login = Login(shared.around.bus, shared.failed_logins, shared.around.clock)
        self._key = SessionKey("")
        self._shared = shared
        self._stays: Participations | None = None
        self._relay: Relay | None = None
        self._line = RequestQueue(connection, self._answer)
        self._pace = MessageRateLimit(connection, shared.settings)
        self._done = DoneRequests()
        self._bad = 0
        self._over: LeaveReason | None = None  # why the session, and not only its connection, has ended
        self._asked_away = False

    # -- what the connection brings ------------------------------------------------------------------------------------

    def received(self, text: str) -> None:
        """A message: refused, answered at once, or put in line."""
        if not self.connection.is_open:
            self._last_words(text)
            return
        if self._stays is not None and not self._shared.around.lease.held:
            self.fence()
            return
        about = Address(None, {})
        try:
            try:
                message = protocol.decode(text)
            except protocol.BadMessage as bad:
                about = bad.about
                self._bad += 1
                self._pace.take()
                raise
            self._bad = 0
            about = _address(message)
            self._pace.take()
            if self.login.identity is None and not isinstance(message, protocol.Authenticate):
                raise Refused(Code.NOT_AUTHENTICATED, "authenticate first")
            if isinstance(message, protocol.Ping):
                now = moment.rfc3339(self._shared.around.clock())
                self._send(pushes.Pong(id=message.id, server_time=now))
            else:
                self._line.put(message, text)
        except Refused as refused:
            self._refuse(refused, about)
        if self._bad >= self._shared.settings.bad_messages:
            self._close(CloseCode.BAD_CLIENT, "too many bad messages in a row")
        elif self._pace.ignored:
            self._close(CloseCode.RATE_LIMITED, "it went on after rate_limited")

    async def _answer(self, message: Request, text: str) -> None:
        try:
            await self._handle(message, text)
        except Refused as refused:
            self._refuse(refused, _address(message))
        except Exception:
            log.exception("a message was not handled", type=message.type)
            self._refuse(internal_error(), _address(message))

    def _last_words(self, text: str) -> None:
        """What came together with the close that followed it: of that only a farewell still matters."""
        with contextlib.suppress(Refused):
            message = protocol.decode(text)
            if self._stays is not None and isinstance(message, protocol.LeaveRoom):
                self._stays.leaving([message.room_id])

    def unreadable(self, why: str) -> None:
        """The last thing the client hears before it is closed for what it sent."""
        metrics.REFUSALS.labels(Code.BAD_MESSAGE).inc()
        self.connection.last_words(pushes.error(Refused(Code.BAD_MESSAGE, why), Address(None, {})))

    def closed(self) -> None:
        """The connection is gone: its seats are held for the grace time, or given up when the session is over."""
        waiting = self._line.waiting
        self._line.break_off()
        if self._stays is None:
            return
        self._stays.leaving([one.room_id for one in waiting if isinstance(one, protocol.LeaveRoom)])
        self._shared.around.present.leave(self._key, self)
        if self._over is not None:
            self._stays.leave_all(self._over)
        else:
            self._stays.drop_all()

    # -- requests ------------------------------------------------------------------------------------------------------

    async def _handle(self, message: Request, text: str) -> None:
        if message.id is not None and not isinstance(message, protocol.Authenticate):
            seen = self._done.seen(message.id, text)
            if seen is Seen.TAKEN:
                raise Refused(Code.BAD_MESSAGE, "this id was used for another request")
            if seen is Seen.DONE and not isinstance(message, protocol.JoinRoom | protocol.GetRoom):
                return self.connection.send(pushes.ok(message.id))
        match message:
            case protocol.Authenticate():
                return await self._authenticate(message)
            case protocol.JoinRoom():
                await self._join(message)
            case protocol.GetRoom():
                await self._show(message)
            case protocol.LeaveRoom():
                await self._in().leave(message.room_id)
            case protocol.UpdateSelf():
                await self._in().update(message, self.login.agent, self._operation(message, text))
            case protocol.Description() | protocol.Candidate():
                await self._signal(message)
        if message.id is not None:
            self._done.done(message.id, text)
            if not isinstance(message, protocol.JoinRoom | protocol.GetRoom):
                self.connection.send(pushes.ok(message.id))
        return None

    def _operation(self, message: protocol.UpdateSelf, text: str) -> str:
        """What a change is called. With the text: an id used anew for another change is another change."""
        if message.id is None:
            return mint(f"{self._key}:", self._shared.around.chance(8))
        return f"{self._key}:{message.id}:{zlib.crc32(text.encode()):x}"

    async def _authenticate(self, message: protocol.Authenticate) -> None:
        try:
            if self._stays is not None:
                resume_token = await self.login.renew(message.token, self.connection.address)
                entered = None
            else:
                entrance = Entrance(self._shared, self, self.login, self.connection.address)
                entered = await entrance.enter(message)
                resume_token = entered.resume_token
        except Refused as refused:
            self._not_entered(refused, message)
            return
        metrics.LOGINS.labels("ok").inc()
        if entered is not None:
            metrics.SESSIONS.inc()
            self._key, self._stays, self._relay = entered.key, entered.stays, entered.relay
        returns = entered.returns if entered else None
        self._send(auth_ok(self._shared.settings, self.login, message.id, resume_token, resumed=returns is not None))
        for one in returns or []:
            await give_back(one, self._in(), self.connection)
            self._pace.allow_for(self._in().participants)

    def _not_entered(self, refused: Refused, message: protocol.Authenticate) -> None:
        metrics.LOGINS.labels(refused.code).inc()
        if refused.code in TOKEN_CODES:
            self._send(pushes.AuthError(id=message.id, code=refused.code, message=refused.message))
            self._close(CloseCode.UNAUTHENTICATED, refused.code)
            return
        self._refuse(refused, _address(message))
        if refused.code is Code.BAD_STATE:  # another connection was faster to come back
            self._close(CloseCode.REPLACED, "replaced")
        elif self._stays is None:
            self._close(CloseCode.UNAVAILABLE, "a service cannot answer now")

    async def _join(self, message: protocol.JoinRoom) -> None:
        stays = self._in()
        await self.connection.outbox.flowing()  # snapshots are not counted, but paced
        self.connection.send(await stays.join(message, self.login.agent), counted=False)
        stays.settle(message.room_id)
        self._pace.allow_for(stays.participants)

    async def _show(self, message: protocol.GetRoom) -> None:
        stays = self._in()
        await self.connection.outbox.flowing()
        self.connection.send(await stays.show(stays.named(message.room_id), message.id), counted=False)
        self._pace.allow_for(stays.participants)

    async def _signal(self, message: protocol.Signal) -> None:
        if self._relay is None:
            raise Refused(Code.NOT_AUTHENTICATED, "authenticate first")
        stay = self._in().named(message.room_id)
        loop = asyncio.get_running_loop()
        started = loop.time()
        await self._relay.send(message, stay, self.login.agent.agent_id, started, self._charge)
        metrics.RELAY_SECONDS.observe(loop.time() - started)

    def _charge(self, receivers: int) -> None:
        """A message counts once per receiver; it was counted once when it was read."""
        if receivers > 1:
            self._pace.take(receivers - 1)

    def _in(self) -> Participations:
        if self._stays is None:
            raise Refused(Code.NOT_AUTHENTICATED, "authenticate first")
        return self._stays

    @property
    def entered(self) -> bool:
        """Whether it was let in."""
        return self._stays is not None

    @property
    def busy(self) -> bool:
        """Whether a message is being handled."""
        return self._line.busy

    # -- what rooms bring ----------------------------------------------------------------------------------------------

    def send_frame(self, frame: bytes) -> None:
        """A push of a room, as a WebSocket frame."""
        self.connection.send_frame(frame)

    def stay_ended(self, room_id: RoomId, reason: str | None) -> None:
        """The log says that the participant left."""
        del reason  # the client was told by the push
        if self._stays is not None:
            self._stays.ended(room_id)
        if self._relay is not None:
            self._relay.forget(room_id)

    def room_lost(self, room_id: RoomId) -> None:
        """The log of the room is gone or cannot be followed: nothing we could push would be the truth."""
        log.warning("a room was lost under a session", room_id=room_id)
        self.go_away("room_lost", 0)
        self.part("room_lost")

    def replaced(self) -> None:
        """The session was resumed on another connection, which has it from here on."""
        metrics.REPLACED.inc()
        self._refuse(Refused(Code.BAD_STATE, "the session was resumed on another connection"), Address(None, {}))
        if self._asked_away:  # as it was asked to
            self._close(CloseCode.SERVICE_RESTART, "replaced")
        else:
            self._close(CloseCode.REPLACED, "replaced")

    async def hand_over(self, rooms: frozenset[RoomId]) -> None:
        """See SessionOwner. What was asked and not answered yet is undone, unless the new connection asks for it again."""
        await self._line.broken_off()
        if self._stays is not None:
            self._stays.let_go(rooms)
            self._stays.drop_all()
        self.replaced()

    def fence(self) -> None:
        """The gateway may no longer speak for its participants: rooms takes care of them."""
        if self._stays is not None:
            self._stays.let_go()
        self._refuse(unavailable("the broker"), Address(None, {}))
        self._close(CloseCode.UNAVAILABLE, "unavailable")

    # -- what time brings (heartbeat.py) -------------------------------------------------------------------------------

    def check_expiry(self, now: float) -> None:
        """Announce the end of the token 60 s before (at half of a shorter life), then end. `now` is Unix seconds."""
        due = self.login.due(now)
        if due is Due.NOTICE:
            self._send(pushes.TokenExpiring(expires_at=self.login.agent.expires_at))
        elif due is Due.END:
            self._over = "token_expired"
            self._refuse(Refused(Code.NOT_AUTHENTICATED, "your token has expired"), Address(None, {}))
            self._close(CloseCode.TOKEN_EXPIRED, "token_expired")

    def check_ice(self, now: float) -> None:
        """Push ICE servers that have become due. `now` is Unix seconds."""
        if self._stays is not None:
            self._stays.ice.look(now)

    def too_late(self) -> None:
        """Nothing was authenticated in time."""
        self._refuse(Refused(Code.NOT_AUTHENTICATED, "authenticate did not arrive in time"), Address(None, {}))
        self._close(CloseCode.UNAUTHENTICATED, "no authenticate in time")

    def go_away(self, reason: str, after_ms: int) -> None:
        """Ask the client to come back on another connection after that time."""
        self._asked_away = True
        self._send(pushes.GoAway(reason=reason, reconnect_after_ms=after_ms))

    def part(self, reason: str) -> None:
        """Close the connection of a client that was asked to come back on another one."""
        self._close(CloseCode.SERVICE_RESTART, reason)

    # -- answering -----------------------------------------------------------------------------------------------------

    def _send(self, message: pushes.Push) -> None:
        self.connection.send_frame(text_frame(pushes.encode(message)))

    def _refuse(self, refused: Refused, about: Address) -> None:
        metrics.REFUSALS.labels(refused.code).inc()
        self.connection.send(pushes.error(refused, about))

    def _close(self, code: CloseCode, reason: str) -> None:
        if code >= CloseCode.BAD_CLIENT and code is not CloseCode.REPLACED and self._over is None:
            self._over = "left"  # it is told not to come back: nobody is to wait for it
        if self.connection.is_open:
            metrics.CLOSES.labels(str(int(code))).inc()
            self.connection.close(code, reason)


def _address(message: protocol.ClientMessage) -> Address:
    details = {"type": getattr(message, "type", None)}
    for wire, name in (("to", "to"), ("roomId", "room_id")):
        value = getattr(message, name, None)
        if value is not None:
            details[wire] = value
    return Address(message.id, details)
