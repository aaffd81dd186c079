"""What a feature is to a session: the messages it handles, and what it does at the turns of a session's life.

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


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session that is let in. `since` is when its connection asked (Unix seconds, as the log has it); a connection does
    not outlive the lease under which it began, so `gateway` stays.
    """

    key: SessionKey
    agent_id: AgentId
    device_id: str
    since: float
    gateway: GatewayId


@dataclass(frozen=True, slots=True)
class Comeback:
    """One thing that a session wanted back. `gone`: nothing is left of it, since nobody came in time. `tell` says what
    became of it, after `auth_ok`.
    """

    gone: bool
    tell: Callable[[], Awaitable[None]]


class SessionPart:
    """What a feature keeps for one session, and does at the turns of its life. By itself it does nothing."""

    __slots__ = ()

    async def resume(self, cursors: Mapping[RoomId, str], identity: Identity) -> Sequence[Comeback]:
        """Bring back what the session had on another connection. Raises Refused; then `not_resumed` follows."""
        del cursors, identity
        return ()

    def not_resumed(self, cursors: Mapping[RoomId, str]) -> None:
        """The session does not come back on this connection after all, whatever became of the asking."""

    def ended(self, reason: LeaveReason) -> None:
        """The session is over."""

    def dropped(self) -> None:
        """The connection is gone; the session may come back on another one."""

    def handed_over(self, rooms: Collection[RoomId]) -> None:
        """Another connection has the session, and its seats in these rooms. Nothing of this one is being handled."""

    def fenced(self) -> None:
        """The gateway may no longer speak for its sessions: rooms takes care of them."""

    def room_left(self, room_id: RoomId) -> None:
        """The log says that the session is no longer in this room."""

    def beat(self, now: float) -> None:
        """Twice a second. `now` is Unix seconds."""


class SessionHandle(Receiver, SessionOwner, Protocol):
    """A session as its features see it."""

    context: GatewayContext

    @property
    def identity(self) -> Identity:
        """Who it is. Raises Refused before anybody has authenticated."""

    @property
    def address(self) -> str:
        """The network address it comes from."""

    def part(self, kind: type[P]) -> P:
        """What a feature keeps for this session. Raises Refused before the session is let in."""

    def charge(self, messages: int) -> None:
        """Count so many messages more than the one that was read. Raises Refused when that is too much."""

    def allow_for(self, participants: int) -> None:
        """So many participants need many signals at once."""

    async def flowing(self) -> None:
        """Wait until the client takes what is sent: what is not counted is paced by this instead."""

    def send(self, payload: bytes, *, counted: bool = True) -> None:
        """Send a message. One that is not counted may not cut the client off, and is paced."""

    def send_frame(self, frame: bytes, *, counted: bool = True) -> None:
        """As `send`, a frame made by `text_frame`."""

    def push(self, message: Push) -> None:
        """Send a push of this session's own."""

    def refuse(self, refused: Refused, about: Address) -> None:
        """Tell a refusal."""

    def close(self, code: CloseCode, reason: str) -> None:
        """Close the connection."""


@dataclass(frozen=True, slots=True)
class Request(Generic[M]):
    """A message, and the text it came as."""

    message: M
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent in answer, and what is done once it was sent, without anything in between."""

    payload: bytes
    then: Callable[[], None] | None = None
    counted: bool = True


ANSWERED = Reply(b"")  # the handler has said everything itself


class Repeated(Enum):
    """What becomes of a request whose id has been used."""

    OK = "ok"  # it was done: `ok` is said again
    REDO = "redo"  # it is done again: what it answers is what is so now
    ANEW = "anew"  # ids mean nothing


@dataclass(frozen=True, slots=True)
class Handled(Generic[M]):
    """A message type, who handles it, and how it is answered.

    `paced`: handled when the client has taken what it was sent, since the answer is large and not counted.
    `before_auth`: also before the session is let in. `unhandled` is told of a message that waited, or came together with
    the close, when the connection went away.
    """

    message: type[M]
    handle: Callable[[Any, Request[M]], Awaitable[Reply | None]]
    repeated: Repeated = Repeated.OK
    paced: bool = False
    before_auth: bool = False
    unhandled: Callable[[Any, M], None] | None = None


@dataclass(frozen=True, slots=True)
class Inline(Generic[M]):
    """A message that is answered as soon as it is read, whatever waits."""

    message: type[M]
    answer: Callable[[Any, M], Push]


@dataclass(frozen=True, slots=True)
class Feature:
    """What a feature brings: its messages, and what it keeps for each session that is let in."""

    name: str
    handled: Sequence[Handled[Any] | Inline[Any]]
    open: Callable[[SessionHandle, OpenedSession], SessionPart] | None = None
