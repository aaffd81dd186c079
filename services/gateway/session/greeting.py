"""What a client is told when it comes in or comes back: `auth_ok`, then what it missed in each of its rooms."""

from services.gateway.ice_servers import NOT_KNOWN
from services.gateway.identity import Login
from services.gateway.participation.participations import Participations
from services.gateway.participation.resumption import Ended, Returned
from services.gateway.settings import GatewaySettings
from services.gateway.transport.connection import Connection
from shared.wire import pushes

PACED_FRAMES = 64  # of what was missed, between two looks at whether the client takes them


def auth_ok(
    settings: GatewaySettings, login: Login, request_id: str | None, resume_token: str, *, resumed: bool
) -> pushes.AuthOk:
    """The session is open, or goes on."""
    return pushes.AuthOk(
        id=request_id,
        agent_id=login.agent.agent_id,
        session_id=login.session_id,
        resume_token=resume_token,
        expires_at=login.agent.expires_at,
        resumed=resumed,
        heartbeat_ms=int(settings.ping_seconds * 1000),
        limits={
            "maxMessageBytes": settings.frame_bytes,
            "maxSdpBytes": settings.sdp_bytes,
            "maxCandidateBytes": settings.candidate_bytes,
            "maxRooms": settings.rooms_per_session,
            "maxBroadcast": settings.broadcast_receivers,
        },
    )


async def give_back(one: Returned | Ended, stays: Participations, connection: Connection) -> None:
    """Tell what was missed in one room, or that the session is no longer in it. Not counted, but paced."""
    if isinstance(one, Ended):
        connection.send(one.message())
        return
    stays.device_id = one.device_id or stays.device_id
    ice = await stays.ice.soon() if one.snapshot is not None else NOT_KNOWN
    for i, frame in enumerate(one.frames(ice)):
        if i % PACED_FRAMES == 0:
            await connection.outbox.flowing()
        connection.send_frame(frame, counted=False)
    if one.snapshot is None:
        stays.ice.resumed(one.stay.room_id)
    else:
        stays.ice.tells(one.stay.room_id, ice)
    stays.settle(one.stay.room_id)
