"""What a join token allows. Auth reads it from the token, and rooms decides by it."""

from shared.rooms.model import Role
from shared.values.ids import AgentId, RoomId
from shared.values.model import Tolerant


class Grant(Tolerant):
    """What a join token allows: one agent into one room, once. `key` is the fingerprint of its id, `until` Unix seconds."""

    room_id: RoomId
    agent_id: AgentId
    role: Role = "participant"
    key: str
    until: int
