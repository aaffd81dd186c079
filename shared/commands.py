"""What the services ask each other: the requests and replies of every NATS endpoint. Commands are imperative."""

from typing import Any

from shared.ids import AgentId, GatewayId, ParticipantId, RoomId, SessionId, SessionKey
from shared.model import Tolerant
from shared.pushes import IceServer
from shared.room import Access, Kind, LeaveReason, Media, MediaPatch, Participant, Role, Room, RoomSettings, RoomType
from shared.roster import Snapshot

# -- auth --------------------------------------------------------------------------------------------------------------


class Validate(Tolerant):
    """Who does this agent-link token name?"""

    token: str


class Identity(Tolerant):
    """An agent whose token was validated. `expires_at` is RFC 3339."""

    agent_id: AgentId
    name: str
    kind: Kind
    permissions: tuple[str, ...]
    expires_at: str
    token_id: str


class OpenSession(Tolerant):
    """Validate a token and issue the resume token of a session. `subject` demands the same agent (renewal).

    With a `resume` token of the same agent it is that token's session; else the one named here.
    """

    token: str
    session_id: SessionId
    subject: AgentId | None = None
    resume: str | None = None


class SessionOpened(Tolerant):
    """The identity, and the secret with which (and an agent-link token) the session can be resumed.

    `good_until` (Unix seconds) is the token's end with the leeway it was accepted with: the session ends then.
    """

    identity: Identity
    session_id: SessionId
    good_until: float
    resume_token: str


class Grant(Tolerant):
    """What a join token allows: one agent into one room, once. `key` is the fingerprint of its id, `until` Unix seconds."""

    room_id: RoomId
    agent_id: AgentId
    role: Role = "participant"
    key: str
    until: int


class CheckJoinToken(Tolerant):
    """Is this join token good for this room and agent? (Whether it was used already, the room's log knows.)"""

    token: str
    room_id: RoomId
    agent_id: AgentId


class IssueJoinToken(Tolerant):
    """Issue a join token. Asked only after rooms allowed it. `ttl` is seconds."""

    room_id: RoomId
    agent_id: AgentId
    role: Role = "participant"
    ttl: int | None = None


class IssueDevToken(Tolerant):
    """Issue an agent-link token; development mode only. `ttl` is seconds."""

    agent_id: AgentId
    name: str | None = None
    kind: Kind | None = None
    permissions: tuple[str, ...] | None = None
    ttl: int | None = None


class IssueGuestToken(Tolerant):
    """Issue a guest token: for a new guest, or with the guest token `renews`, which is still good, for the same one."""

    name: str | None = None
    renews: str | None = None


class Issued(Tolerant):
    """A token and its end (RFC 3339)."""

    token: str
    expires_at: str


class IssueIceServers(Tolerant):
    """The STUN and TURN servers this agent may use, with credentials of its own. Asked for participants of rooms only."""

    agent_id: AgentId


class IceServersIssued(Tolerant):
    """ICE servers, and the end of their credentials (RFC 3339). Without an end they are the same for every agent."""

    ice_servers: list[IceServer]
    expires_at: str | None = None


class GuestIssued(Issued):
    """A guest token, and the agent it names."""

    agent_id: AgentId


# -- rooms -------------------------------------------------------------------------------------------------------------


class Caller(Tolerant):
    """On whose behalf: what auth said of the agent."""

    agent_id: AgentId
    name: str
    kind: Kind = "human"
    permissions: frozenset[str] = frozenset()


class Command(Tolerant):
    """What changes a room. Past `deadline` (Unix seconds) it is refused, so that nothing happens long after whoever asked
    was told that it had not; the bus sets it to the time until which it waits for the answer.
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


class JoinRoom(Command):
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
    moved_at: int = 0
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


class LeaveRoom(Command):
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
