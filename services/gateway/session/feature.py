"""What a feature is to a session: the messages it handles, and its hooks in the life of a session.

A feature is a folder of the gateway and one record in services/gateway/features.py. The session knows this file only.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from services.gateway.context import GatewayContext
from services.gateway.replica.subscriber import Receiver
from services.gateway.session_registry import SessionOwner
from shared.auth.commands import Identity
from shared.rooms.model import LeaveReason
from shared.values.errors import CloseCode, Refused
from shared.values.ids import AgentId, GatewayId, RoomId, SessionKey
from shared.wire.protocol import Address, ClientMessage
from shared.wire.pushes import Push

M = TypeVar("M", bound=ClientMessage)
P = TypeVar("P", bound="SessionPart")

TOGETHER = 50  # requests that are handled together at most
TOGETHER_CHARACTERS = 65536  # of their texts


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session that is let in. `since` is when its connection asked: Unix seconds, rounded as in the log.

    `gateway` does not change: a connection ends with the lease under which it began.
    """

    key: SessionKey
    agent_id: AgentId
    device_id: str
    since: float
    gateway: GatewayId


@dataclass(frozen=True, slots=True)
class Comeback:
    """One thing that a session asked to resume, such as a seat in a room.

    `gone`: the client came too late, and nothing of it is left. `tell` sends the client the result, after `auth_ok`.
    """

    gone: bool
    tell: Callable[[], Awaitable[None]]


class SessionPart:
    """What a feature keeps for one session, and its hooks in the session's life. The hooks here do nothing."""

    __slots__ = ()

    async def resume(self, cursors: Mapping[RoomId, str], identity: Identity) -> Sequence[Comeback]:
        """Bring back what the session had on another connection. Raises Refused; then `not_resumed` is called."""
        del cursors, identity
        return ()

    def not_resumed(self, cursors: Mapping[RoomId, str]) -> None:
        """The session is not resumed on this connection. Undo what `resume` asked for: it may have happened."""

    def ended(self, reason: LeaveReason) -> None:
        """The session is over."""

    def dropped(self) -> None:
        """The connection is gone; the session may come back on another one."""

    def handed_over(self, rooms: Collection[RoomId]) -> None:
        """Another connection has the session, and its seats in these rooms. No request is being handled here."""

    def fenced(self) -> None:
        """The gateway lost its lease and may not speak for its sessions. Rooms frees their seats."""

    def room_left(self, room_id: RoomId) -> None:
        """The log says that the session is no longer in this room."""

    def beat(self, now: float) -> None:
        """The heartbeat, twice a second. `now` is Unix seconds."""


class SessionHandle(Receiver, SessionOwner, Protocol):
    """A session as its features see it."""

    context: GatewayContext

    @property
    def identity(self) -> Identity:
        """The session's agent. Raises Refused before the client has authenticated."""

    @property
    def address(self) -> str:
        """The client's network address."""

    def part(self, kind: type[P]) -> P:
        """The part of that kind, which a feature keeps for this session. Raises Refused before the session is let in."""

    def charge(self, messages: int) -> None:
        """Count `messages` more against the rate than the one that was read. Raises Refused when that is too much."""

    def allow_for(self, participants: int) -> None:
        """Raise the burst: a client in rooms with so many participants sends many signals at once."""

    async def flowing(self) -> None:
        """Wait until the client's socket takes more. Messages that are not counted are paced by this."""

    def send(self, payload: bytes, *, counted: bool = True) -> None:
        """Send a message. One that is not counted never cuts the client off; pace it with `flowing`."""

    def send_frame(self, frame: bytes, *, counted: bool = True) -> None:
        """As `send`, with a frame made by `text_frame`."""

    def push(self, message: Push) -> None:
        """Send a push of this session's own."""

    def refuse(self, refused: Refused, about: Address) -> None:
        """Send a refusal, addressed as the message it answers."""

    def close(self, code: CloseCode, reason: str) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class Request(Generic[M]):
    """A message, and the text it came as."""

    message: M
    text: str


TakeNext = Callable[[Callable[[Request[Any]], bool]], Request[Any] | None]


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a request. `then` is called right after it was sent; nothing is sent in between."""

    payload: bytes
    then: Callable[[], None] | None = None
    counted: bool = True


ANSWERED = Reply(b"")  # the handler has sent everything itself


class Repeated(Enum):
    """What happens to a request that is sent again with the same id and text."""

    OK = "ok"  # it is not done again: the answer is `ok`
    REDO = "redo"  # it is done again, so that the answer is the present state
    ANEW = "anew"  # it is done again, and the id may even be used for another request


class Batch(Generic[M]):
    """Requests that a client sent one directly after the other, to be handled together: a first, and those behind it.

    `take_next` takes the next one that waits, if it fits.
    """

    def __init__(self, first: Request[M], take_next: TakeNext, fits: Callable[[Request[M]], bool]) -> None:
        self.requests = [first]
        self._take_next = take_next
        self._fits = fits

    def grow(self) -> None:
        """Take in those that wait directly behind, up to a bound in number and in bytes."""
        while (request := self._take_next(self._is_next)) is not None:
            self.requests.append(request)

    def _is_next(self, request: Request[Any]) -> bool:
        ids = {known.message.id for known in self.requests}
        return (
            type(request.message) is type(self.requests[0].message)
            and (request.message.id is None or request.message.id not in ids)
            and len(self.requests) < TOGETHER
            and len(request.text) + sum(len(known.text) for known in self.requests) <= TOGETHER_CHARACTERS
            and self._fits(request)
        )


@dataclass(frozen=True, slots=True)
class Handled(Generic[M]):
    """A message type, its handler, and how it is answered.

    With `together` the handler gets a `Batch` of requests instead of one, and returns the refusal of each or None for
    `ok`; `together` says whether a second message may be handled together with a first. `paced`: handled once the
    client's socket takes more, since the answer is large and not counted. `before_auth`: allowed before the session is
    let in. `unhandled` is called when the connection went away before the message was handled.
    """

    message: type[M]
    handle: Callable[[Any, Any], Awaitable[Any]]
    repeated: Repeated = Repeated.OK
    paced: bool = False
    before_auth: bool = False
    unhandled: Callable[[Any, M], None] | None = None
    together: Callable[[M, M], bool] | None = None


@dataclass(frozen=True, slots=True)
class Inline(Generic[M]):
    """A message that is answered as soon as it is read, ahead of the queue."""

    message: type[M]
    answer: Callable[[Any, M], Push]


@dataclass(frozen=True, slots=True)
class Feature:
    """What a feature brings: its messages, and what it keeps for each session that is let in."""

    name: str
    handled: Sequence[Handled[Any] | Inline[Any]]
    open: Callable[[SessionHandle, OpenedSession], SessionPart] | None = None
