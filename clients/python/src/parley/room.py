"""A room we are in: who is there, what happens, and what we say of ourselves."""

import asyncio
import contextlib
import enum
import logging
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType, TracebackType
from typing import Any, Protocol, Self

from parley.early_signals import SIGNALS, EarlySignals
from parley.errors import NOT_IN_ROOM, PARTICIPANT_NOT_FOUND, ParleyError
from parley.events import Left, RoomEvent
from parley.feed import Events, Feed
from parley.ice_server import IceServer
from parley.participant import Participant
from parley.profile import Profile
from parley.pushes import Pushes
from parley.room_info import RoomInfo
from parley.room_state import RoomState

logger = logging.getLogger(__name__)

LEAVING = 5.0  # seconds that `async with` waits for a leave to be answered


class Unset(enum.Enum):
    """What was not given; None means something."""

    UNSET = "unset"


UNSET = Unset.UNSET
Message = Mapping[str, Any]


class RoomSession(Protocol):
    """What a room needs of the session it belongs to."""

    async def ask(self, type_: str, fields: Mapping[str, Any]) -> Message:
        """Ask, now or when there is a connection again; the reply. Raises the ParleyError that came instead."""

    def forget(self, room: "Room") -> None:
        """Our stay in it is over."""

    def rejoin(self, room: "Room") -> None:
        """Our seat in it is gone: join it again."""


class Room:
    """One's stay in a room. It stays the same object through lost connections and lost sessions, until `Left`."""

    def __init__(self, session: RoomSession, profile: Profile, users: Message) -> None:
        self._session = session
        self._profile = profile
        self._state = RoomState(users)
        self._feed: Feed[RoomEvent] = Feed()
        self._pushes = Pushes()
        self._signals = EarlySignals(self._pushes)
        self._asking: asyncio.Task[None] | None = None
        self._here = asyncio.Event()  # not set while a lost seat is being taken again
        self._here.set()
        self._left: asyncio.Future[Left] = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<Room {self.id!r} revision={self.revision} participants={len(self.participants)}>"

    @property
    def id(self) -> str:
        """The room's id."""
        return self._profile.room_id

    @property
    def name(self) -> str:
        """The room's name."""
        return self.info.name

    @property
    def info(self) -> RoomInfo:
        """The room's properties."""
        return self._state.roster.info

    @property
    def topology(self) -> str:
        """`mesh`, or `sfu_advised` when there are more participants than a full mesh is good for."""
        return self.info.topology

    @property
    def revision(self) -> int:
        """How many changes the room has seen."""
        return self._state.roster.revision

    @property
    def participants(self) -> Mapping[str, Participant]:
        """Everyone by id, oneself included, in the order they came. It is a live view."""
        return MappingProxyType(self._state.roster.participants)

    @property
    def me(self) -> Participant:
        """The own participant."""
        return self._state.roster.me

    @property
    def others(self) -> list[Participant]:
        """Everyone else, in the order they came."""
        return [one for one in self._state.roster.participants.values() if one.id != self._state.roster.self_id]

    @property
    def ice_servers(self) -> tuple[IceServer, ...]:
        """STUN and TURN servers to use in this room."""
        return self._state.ice_servers

    @property
    def ice_expires_at(self) -> str | None:
        """Until when their credentials are good (RFC 3339); new ones come before."""
        return self._state.ice_expires_at

    @property
    def left(self) -> Left | None:
        """How our stay ended, if it has."""
        return self._left.result() if self._left.done() else None

    def events(self) -> Events[RoomEvent]:
        """An iterator over what happens from this call on; its last event is `Left`."""
        return self._feed.events()

    def on(self, callback: Callable[[RoomEvent], object]) -> Callable[[], None]:
        """Call this with every event, at once; returns what ends that."""
        return self._feed.on(callback)

    def on_push(self, types: str | Iterable[str], callback: Callable[[Message], object]) -> Callable[[], None]:
        """Call this with every push of this room that has one of these types, at once and in order, when the room itself
        has taken it and before its own events: with the protocol's object. Types that this SDK does not know are pushes,
        too. Returns what ends that."""
        return self._pushes.on(types, callback)

    async def update(
        self,
        *,
        name: str | Unset | None = UNSET,
        media: Mapping[str, Any] | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Change what one says of oneself: `name=None` goes back to the token's name; `metadata` merges (RFC 7396),
        in it and in `media` None removes a key. Returns when the room has it. Raises ParleyError."""
        fields: dict[str, Any] = {"roomId": self.id}
        if not isinstance(name, Unset):
            fields["name"] = name
        if media is not None:
            fields["media"] = dict(media)
        if metadata is not None:
            fields["metadata"] = dict(metadata)
        await self._here.wait()
        self._check()
        await self._session.ask("update_self", fields)
        self._profile.fold(fields)

    async def leave(self) -> None:
        """Leave the room; returns when that is so. Leaving twice is no error."""
        if self._left.done():
            return
        if not self._here.is_set():
            self.end(Left("left"))  # the seat is gone; the join that is under way is undone when it is answered
            return
        try:
            await self._session.ask("leave_room", {"roomId": self.id})
        except ParleyError as error:
            if error.code != NOT_IN_ROOM and not self._left.done():
                raise
        self.end(Left("left"))

    async def wait_left(self) -> Left:
        """Wait until our stay ends, and how."""
        return await asyncio.shield(self._left)

    async def send_signal(self, type_: str, *, to: str, **fields: Any) -> None:
        """Send an `offer`, `answer` (`sdp`, `negotiation`) or `candidate` (`candidate`, `negotiation`) to a participant,
        with the protocol's own field names. For those who bring a WebRTC stack; `parley.rtc` does this by itself."""
        if type_ not in SIGNALS:
            raise ValueError(f"{type_!r} is no signal")
        self._check()
        if not self._here.is_set():
            raise ParleyError(PARTICIPANT_NOT_FOUND, "nobody knows us in the room at the moment", retryable=False)
        await self._session.ask(type_, {"roomId": self.id, "to": to, **fields})

    def on_signal(self, callback: Callable[[Message], object] | None) -> None:
        """Call this with every signal for us, as it comes on the wire, and at once with those that came already. One
        takes them; None ends that."""
        self._signals.take(callback)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.leave_soon()

    async def leave_soon(self) -> None:
        """Leave, and do not wait for long nor fail: offline, it is asked as soon as the connection is back."""
        with contextlib.suppress(TimeoutError, ParleyError):
            async with asyncio.timeout(LEAVING):
                await asyncio.shield(asyncio.ensure_future(self.leave()))

    def _check(self) -> None:
        left = self.left
        if left is not None:
            raise ParleyError(NOT_IN_ROOM, f"our stay in {self.id} is over: {left.reason}", retryable=False)

    # What the session calls.

    @property
    def cursor(self) -> str | None:
        """The last place in the room's log that we have seen; None while we are not in it."""
        return self._state.cursor

    @property
    def profile(self) -> Profile:
        """As what to join."""
        return self._profile

    def outlived(self) -> None:
        """Our seat is gone, and the cursor with it: what comes next is the room_users of another join."""
        self._state.lose_seat()
        self._signals.clear()
        self._here.clear()

    def take(self, message: Message) -> None:
        """A push or named reply about this room: fold it, then tell who asked for its type, then tell what happened."""
        if self._left.done():
            return
        taken = self._state.take(message)
        if taken is None:
            return
        if self._state.seated:
            self._here.set()
        left = None if taken.left is None else self._lose(taken.left)
        self._pushes.tell(message)
        for event in taken.events:
            self._feed.tell(event)
        if taken.gap and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._ask_anew(), name="parley-room-anew")
        if left is not None:
            self._tell_end(left)

    def _lose(self, reason: str) -> Left | None:
        """We left by no wish of ours. A seat that timed out is taken again; else our stay is over."""
        if reason == "timeout":
            self._session.rejoin(self)
            return None
        return self._over(Left(reason))

    async def _ask_anew(self) -> None:
        """Ask for the room as it is. The answer is taken like a push; after a refusal the next push asks again."""
        try:
            await self._session.ask("get_room", {"roomId": self.id})
        except ParleyError as error:
            logger.info("%s: cannot ask for the room anew: %s", self.id, error)

    def end(self, left: Left) -> None:
        """Our stay is over."""
        if not self._left.done():
            self._tell_end(self._over(left))

    def _over(self, left: Left) -> Left:
        self._left.set_result(left)
        self._here.set()
        self._session.forget(self)
        return left

    def _tell_end(self, left: Left) -> None:
        self._feed.tell(left)
        self._feed.end()
