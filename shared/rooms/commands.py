"""What the services ask rooms: the requests and replies of its NATS endpoints. Commands are imperative."""

from typing import Any

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


class Caller(Tolerant):
    """On whose behalf: what auth said of the agent."""

    agent_id: AgentId
    name: str
    kind: Kind = "human"
    permissions: frozenset[str] = frozenset()


class Command(Tolerant):
    """What changes a room. Past `deadline` (Unix seconds) it is refused, so that nothing happens long after whoever asked
    was told that it had not; the port that asks sets it to the time until which it waits for the answer.
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
    """Take the session's seat to this gateway, wherever it was. The same `operation` again has no second effect.

    `since` is when the connection began (Unix seconds; of a join, when it was asked): one that was given up must not
    take the seat from a newer one because its request was slow.
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
    """The session's connection to this gateway is gone; its seat is held for the grace time.

    Refused when the seat is another gateway's by now, or has a higher epoch. Without `epoch` (the outcome of a resume is
    unknown) any seat that the session has at this gateway is meant, but none that was asked for after `since`.
    """

    room_id: RoomId
    session: SessionKey
    gateway: GatewayId
    epoch: int | None = None
    since: float = 0.0


class RemoveParticipant(Command):
    """Give a seat up. Of a gateway whose epoch the log has passed it is refused.

    `gives_back` is the key of the join token whose join is undone, when its answer never reached the client.
    """

    room_id: RoomId
    participant_id: ParticipantId
    epoch: int = 0
    reason: LeaveReason = "left"
    gives_back: str | None = None


class UpdateParticipant(Command):
    """Change what a participant says of itself; `None` keeps. `metadata` and `media` merge by key (RFC 7396).

    `asked_at` is Unix seconds of the gateway: a change that comes after a later one is refused.
    """

    room_id: RoomId
    participant_id: ParticipantId
    operation: str
    epoch: int = 0
    asked_at: float = 0.0
    name: str | None = None
    metadata: dict[str, Any] | None = None
    media: MediaPatch | None = None


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
    """The replica's view of a room, for gateways that lost count."""

    room_id: RoomId


class ListRooms(Tolerant):
    """Open rooms the caller made or may join, newest first. `cursor` is the last answer's."""

    caller: Caller
    limit: int
    cursor: str | None = None


class RoomList(Tolerant):
    """One page. `cursor` is None on the last."""

    rooms: list[Room]
    cursor: str | None = None


class CheckGrant(Tolerant):
    """May the caller have a join token issued for this agent and role?"""

    caller: Caller
    room_id: RoomId
    agent_id: AgentId
    role: Role = "participant"


class Done(Tolerant):
    """It happened; there is nothing more to say."""
