"""The identifiers that services exchange: their types, their forms, and how each is made."""

import base64
import hashlib
import uuid
from typing import Annotated, NewType

from pydantic import StringConstraints

TOKEN_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"  # one subject token of NATS

RoomId = NewType("RoomId", str)
AgentId = NewType("AgentId", str)
ParticipantId = NewType("ParticipantId", str)
# Only the client, its gateway and auth know the session id. Logs and other services see its fingerprint.
SessionId = NewType("SessionId", str)
SessionKey = NewType("SessionKey", str)
GatewayId = NewType("GatewayId", str)
# Only the gateway that holds the lease knows its name. Everybody else knows the gateway by the name's fingerprint.
LeaseName = NewType("LeaseName", str)

RoomIdField = Annotated[RoomId, StringConstraints(pattern=TOKEN_PATTERN)]
AgentIdField = Annotated[AgentId, StringConstraints(pattern=r"^[A-Za-z0-9_.@:-]{1,128}$")]
DeviceIdField = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.@:-]{1,128}$")]

# Rooms made again under the same Idempotency-Key get the same id; the namespace only keeps them apart from other UUIDs.
_IDEMPOTENT_ROOMS = uuid.UUID("8f0b2f0e-6f0c-5d0a-9c56-1a8f5b1f7d11")


def mint(prefix: str, chance: bytes) -> str:
    """An id such as `p_h3k…` from 16 random bytes (22 characters of base64url)."""
    return prefix + base64.urlsafe_b64encode(chance).rstrip(b"=").decode()


def fingerprint(secret: str) -> str:
    """A public stand-in for an id that must stay private: 128 bits of its SHA-256, in base64url."""
    return base64.urlsafe_b64encode(hashlib.sha256(secret.encode()).digest()[:16]).rstrip(b"=").decode()


def gateway_of(name: LeaseName) -> GatewayId:
    """The id of the gateway that holds the lease of this name, in the form that such ids always had."""
    return GatewayId("g_" + fingerprint(name)[:12])


def idempotent_room_id(agent_id: AgentId, key: str) -> RoomId:
    """The id of the room that this agent's `Idempotency-Key` stands for (UUID version 5)."""
    return RoomId(str(uuid.uuid5(_IDEMPOTENT_ROOMS, f"{agent_id}\n{key}")))
