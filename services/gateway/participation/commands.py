"""The messages about rooms: `join_room`, `get_room`, `leave_room`, `update_self`."""

import zlib
from functools import partial

from services.gateway.context import GatewayContext
from services.gateway.participation.joining import Joining
from services.gateway.participation.messages import GetRoom, JoinRoom, LeaveRoom, UpdateSelf
from services.gateway.participation.participations import Participations
from services.gateway.session.feature import Feature, Handled, Repeated, Reply, Request, SessionHandle
from shared.broker.subjects import UPDATE_PARTICIPANT
from shared.rooms.commands import UpdateParticipant
from shared.values.ids import RoomId, mint


async def join(session: SessionHandle, request: Request[JoinRoom]) -> Reply:
    """Enter a room. If the session is in it already, answer with the room as it is now."""
    rooms, message = session.part(Participations), request.message
    if message.room_id in rooms:
        return await _show(rooms, message.room_id, message.id)
    payload = await Joining(session.context, session, rooms, message, session.identity).join()
    return Reply(payload, then=partial(rooms.go_live, message.room_id), counted=False)


async def get(session: SessionHandle, request: Request[GetRoom]) -> Reply:
    """Answer with the room as it is now."""
    return await _show(session.part(Participations), request.message.room_id, request.message.id)


async def _show(rooms: Participations, room_id: RoomId | None, request_id: str | None) -> Reply:
    participation = rooms.named(room_id)
    payload = await rooms.show(participation, request_id)
    return Reply(payload, then=partial(rooms.go_live, participation.room_id), counted=False)


async def leave(session: SessionHandle, request: Request[LeaveRoom]) -> None:
    """Leave a room."""
    await session.part(Participations).leave(request.message.room_id)


async def update(session: SessionHandle, request: Request[UpdateSelf]) -> None:
    """Change the participant's name, metadata or media. `name: null` goes back to the token's name."""
    context, message = session.context, request.message
    rooms = session.part(Participations)
    participation = rooms.named(message.room_id)
    named = "name" in message.model_fields_set
    command = UpdateParticipant(
        room_id=participation.room_id,
        participant_id=participation.participant_id,
        operation=_operation(context, rooms, request),
        epoch=participation.epoch,
        asked_at=round(context.clock(), 3),  # as the log has it
        name=(message.name or session.identity.name) if named else None,
        metadata=message.metadata,
        media=message.media,
    )
    await context.ports.requests.request(UPDATE_PARTICIPANT, command)


def _operation(context: GatewayContext, rooms: Participations, request: Request[UpdateSelf]) -> str:
    """The operation id of a change. It contains the text's checksum: a used id with another text is another change."""
    key, id_ = rooms.opened.key, request.message.id
    if id_ is None:
        return mint(f"{key}:", context.chance(8))
    return f"{key}:{id_}:{zlib.crc32(request.text.encode()):x}"


def _leaving(session: SessionHandle, message: LeaveRoom) -> None:
    """The connection is gone before the request was handled: note that the client wanted to leave."""
    session.part(Participations).leaving(message.room_id)


PARTICIPATION = Feature(
    "participation",
    [
        Handled(JoinRoom, join, repeated=Repeated.REDO, paced=True),
        Handled(GetRoom, get, repeated=Repeated.REDO, paced=True),
        Handled(LeaveRoom, leave, unhandled=_leaving),
        Handled(UpdateSelf, update),
    ],
    open=Participations,
)
