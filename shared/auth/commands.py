"""What the services ask auth: the requests and replies of its NATS endpoints. Commands are imperative."""

from shared.auth.ice_server import IceServer
from shared.rooms.model import Kind, Role
from shared.values.ids import AgentId, RoomId, SessionId
from shared.values.model import Tolerant


class Validate(Tolerant):
    """Who does this agent-link token name?"""

    token: str


class Identity(Tolerant):
    """An agent whose token was validated. `expires_at` is RFC 3339.

    `guest_network` is only there for guests: the fingerprint of the network that got the guest token, empty when that is
    not known. A guest is a new agent with each token, so quotas of guests hang on it.
    """

    agent_id: AgentId
    name: str
    kind: Kind
    permissions: tuple[str, ...]
    expires_at: str
    token_id: str
    guest_network: str | None = None


class OpenSession(Tolerant):
    """Validate a token and issue the resume token of a session. `subject` demands the same agent (renewal).

    With a `resume` token of the same agent it is that token's session; else the one named here.
    """

    token: str
    session_id: SessionId
    subject: AgentId | None = None
    resume: str | None = None


class SessionOpened(Tolerant):
    """The identity, and the token that resumes the session (together with an agent-link token).

    `good_until` is when the session ends, in Unix seconds: the agent-link token's end, with the leeway of auth.
    """

    identity: Identity
    session_id: SessionId
    good_until: float
    resume_token: str


class CheckJoinToken(Tolerant):
    """Is this join token good for this room and agent? Rooms checks whether it was used already."""

    token: str
    room_id: RoomId
    agent_id: AgentId


class IssueJoinToken(Tolerant):
    """Issue a join token. The gateway asks this only after rooms allowed it. `ttl` is seconds."""

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
    """Issue a guest token for a new guest, or for the same guest as the token `renews`, which must still be good.

    `network` is where the request came from (shared/values/address.py). The token has a fingerprint of it.
    """

    name: str | None = None
    renews: str | None = None
    network: str | None = None


class Issued(Tolerant):
    """A token and its end (RFC 3339)."""

    token: str
    expires_at: str


class IssueIceServers(Tolerant):
    """The STUN and TURN servers this agent may use, with its own credentials. Only for agents that join a room."""

    agent_id: AgentId


class IceServersIssued(Tolerant):
    """ICE servers, and the end of their credentials (RFC 3339). Without an end they are the same for every agent."""

    ice_servers: list[IceServer]
    expires_at: str | None = None


class GuestIssued(Issued):
    """A guest token, and the agent it names."""

    agent_id: AgentId
