"""Offers, answers and candidates as clients send them (protocol, section 5), and as their receivers get them."""

from typing import Annotated, Any, Literal

from pydantic import StringConstraints
from pydantic_core import to_json

from shared.values.ids import AgentId, ParticipantId, RoomId
from shared.wire.ice_candidate import IceCandidate
from shared.wire.protocol import ClientMessage, RoomRef, To

Negotiation = Annotated[str, StringConstraints(max_length=64)]


class Description(ClientMessage):
    """`RTCPeerConnection.localDescription.toJSON()` with an address."""

    type: Literal["offer", "answer"]
    to: To | None = None
    room_id: RoomRef = None
    sdp: str
    negotiation: Negotiation | None = None


class Candidate(ClientMessage):
    """One ICE candidate; `null` is the end of candidates."""

    type: Literal["candidate"]
    to: To | None = None
    room_id: RoomRef = None
    candidate: IceCandidate | None
    negotiation: Negotiation | None = None


Signal = Description | Candidate


def signal_body(message: Signal, room_id: RoomId, sender: ParticipantId, agent_id: AgentId) -> bytes:
    """A signal's push without its end, made once by the sender's gateway. `pushes.delivered` adds the cursor."""
    push: dict[str, Any] = {"type": message.type, "roomId": room_id, "from": sender, "agentId": agent_id}
    if isinstance(message, Description):
        push["sdp"] = message.sdp
    else:
        init = message.candidate
        push["candidate"] = None if init is None else init.model_dump(by_alias=True, exclude_unset=True)
    if message.negotiation is not None:
        push["negotiation"] = message.negotiation
    return to_json(push)[:-1]
