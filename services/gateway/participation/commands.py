"""The messages about rooms: `join_room`, `get_room`, `leave_room`, `update_self`."""

from functools import partial

from services.gateway.participation.joining import Joining
from services.gateway.participation.messages import GetRoom, JoinRoom, LeaveRoom, UpdateSelf
from services.gateway.participation.participations import Participations
from services.gateway.participation.updating import update
from services.gateway.session.feature import Feature, Handled, Repeated, Reply, Request, SessionHandle
from shared.values.ids import RoomId


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


def _same_room(one: UpdateSelf, other: UpdateSelf) -> bool:
    return one.room_id == other.room_id


def _leaving(session: SessionHandle, message: LeaveRoom) -> None:
    """The connection is gone before the request was handled: note that the client wanted to leave."""
    session.part(Participations).leaving(message.room_id)


PARTICIPATION = Feature(
    "participation",
    [
        Handled(JoinRoom, join, repeated=Repeated.REDO, paced=True),
        Handled(GetRoom, get, repeated=Repeated.REDO, paced=True),
        Handled(LeaveRoom, leave, unhandled=_leaving),
        Handled(UpdateSelf, update, together=_same_room),
    ],
    open=Participations,
)
