"""What the services ask rooms: the requests and replies of its NATS endpoints. Commands are imperative."""

from typing import Annotated, Any

from pydantic import Field

from shared.rooms.grant import Grant
from shared.rooms.model import (
    Access,
    Kind,
    LeaveReason,
    Media,
    MediaPatch,
    Participant,
    Role,
    Room,
    RoomSettings,
    RoomType,
)
from shared.rooms.roster import Snapshot
from shared.values.ids import AgentId, GatewayId, ParticipantId, RoomId, SessionKey
from shared.values.model import Tolerant
from shared.values.position import NOWHERE, Position

SELF_CHANGES = 64  # further ones in one command


class Caller(Tolerant):
    """The agent on whose behalf a request is made, as auth identified it. `guest_network`: see `Identity`."""

    agent_id: AgentId
    name: str
    kind: Kind = "human"
    permissions: frozenset[str] = frozenset()
    guest_network: str | None = None


class Command(Tolerant):
    """A request that changes a room. Rooms refuses it after `deadline` (Unix seconds).

    The port that asks sets the deadline to the time until which it waits for the answer. So nothing happens after the
    caller was told `unavailable`.
    """

    deadline: float | None = None


class CreateRoom(Command):
    """Make a room. The same `operation` again answers with the same room."""

    caller: Caller
    operation: str
    room_id: RoomId
    name: str
    type: RoomType
    max_participants: int | None = None
    access: Access = "open"
    settings: RoomSettings = RoomSettings()


class AddParticipant(Command):
    """Take a seat. `participant_id` is minted by the gateway and is the operation id: asked again, one seat."""

    caller: Caller
    room_id: RoomId
    participant_id: ParticipantId
    session: SessionKey
    gateway: GatewayId
    device_id: str
    since: float = 0.0
    name: str | None = None
    metadata: dict[str, Any] = {}
    media: Media = Media()
    grant: Grant | None = None


class Joined(Tolerant):
    """The room as of the join's entry, and the caller's seat in it."""

    participant_id: ParticipantId
    snapshot: Snapshot


class ResumeParticipant(Command):
    """Move the session's seat to this gateway, wherever it was. The same `operation` again has no second effect.

    `since` is when the connection began (Unix seconds; of a join, when it was asked). It keeps a slow request of an
    old connection from taking the seat from a newer one.
    """

    caller: Caller
    room_id: RoomId
    operation: str
    session: SessionKey
    gateway: GatewayId
    since: float = 0.0


class Resumed(Tolerant):
    """The seat as it is now, and the room as of the resume's entry or later.

    `moved_at` is the sequence of the resume's entry. `dropped_at` is when the log says that the connection was gone
    (RFC 3339); None when nobody had noticed yet.
    """

    participant_id: ParticipantId
    epoch: int
    moved_at: Position = NOWHERE
    snapshot: Snapshot
    dropped_at: str | None = None


class DropParticipant(Command):
    """The session's connection to this gateway is gone. Hold its seat for the grace time.

    Refused when another gateway has the seat by now, or when the seat has another epoch. Without `epoch` (the outcome of
    a resume is unknown) it means any seat of the session at this gateway, but none that was asked for after `since`.
    """

    room_id: RoomId
    session: SessionKey
    gateway: GatewayId
    epoch: int | None = None
    since: float = 0.0


class RemoveParticipant(Command):
    """Give a seat up. Refused when the seat has a higher epoch in the log.

    When this undoes a join whose answer never reached the client, `gives_back` is the key of its join token: the token
    can then be used again.
    """

    room_id: RoomId
    participant_id: ParticipantId
    epoch: int = 0
    reason: LeaveReason = "left"
    gives_back: str | None = None


class SelfChange(Tolerant):
    """A change of what a participant says of itself; `None` keeps. `metadata` and `media` merge by key (RFC 7396).

    `asked_at` is Unix seconds of the gateway. A change is refused when one that was asked later is already done.
    """

    operation: str
    asked_at: float = 0.0
    name: str | None = None
    metadata: dict[str, Any] | None = None
    media: MediaPatch | None = None


class UpdateParticipant(Command, SelfChange):
    """Make a change of what a participant says of itself, and `then` further ones, one after the other, in one entry.

    0.4.0 does the first one and does not see the others; its answer has no `refusals`.
    """

    room_id: RoomId
    participant_id: ParticipantId
    epoch: int = 0
    then: Annotated[tuple[SelfChange, ...], Field(max_length=SELF_CHANGES)] = ()

    @property
    def changes(self) -> tuple[SelfChange, ...]:
        """All of them, in order."""
        return (self, *self.then)


class Refusal(Tolerant):
    """Why one of several changes was not made. `code` is one of `Code`."""

    code: str
    message: str


class Updated(Tolerant):
    """What became of each change, in order: None when it is done. Absent: only the first was looked at, and it is done."""

    refusals: tuple[Refusal | None, ...] | None = None


class UpdateRoom(Command):
    """Change a room's properties; `None` keeps."""

    caller: Caller
    operation: str
    room_id: RoomId
    name: str | None = None
    type: RoomType | None = None
    max_participants: int | None = None
    access: Access | None = None
    settings: dict[str, Any] | None = None


class CloseRoom(Command):
    """Close a room with everyone in it."""

    caller: Caller
    operation: str
    room_id: RoomId


class ReadRoom(Tolerant):
    """The room, if the caller may know of it."""

    caller: Caller
    room_id: RoomId


class RoomState(Tolerant):
    """A room and its roster at one revision."""

    room: Room
    revision: int
    participants: list[Participant]


class ReadSnapshot(Tolerant):
    """The room as a snapshot, for a gateway that cannot fill a gap in its replica."""

    room_id: RoomId


class ListRooms(Tolerant):
    """Open rooms that the caller made or may join, newest first. `cursor` is the one of the page before."""

    caller: Caller
    limit: int
    cursor: str | None = None


class RoomList(Tolerant):
    """One page of rooms. `cursor` is None on the last page."""

    rooms: list[Room]
    cursor: str | None = None


class CheckGrant(Tolerant):
    """May the caller have a join token issued for this agent and role?"""

    caller: Caller
    room_id: RoomId
    agent_id: AgentId
    role: Role = "participant"


class Done(Tolerant):
    """The command was done. There is no other result."""
