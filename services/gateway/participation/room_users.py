"""The message `room_users`: a room as a client gets it when it joins, asks or resumes."""

from services.gateway.ice_servers import IceSet
from shared.rooms.roster import Snapshot
from shared.values.cursor import Cursor
from shared.values.ids import ParticipantId
from shared.values.position import Position
from shared.wire import pushes


def room_users(
    snapshot: Snapshot,
    own: ParticipantId,
    request_id: str | None,
    ice: IceSet,
    *,
    recovered: bool | None = None,
    signals_from: Position | None = None,
) -> bytes:
    """A snapshot as a client gets it.

    `recovered` is only in the answer to a resume. `signals_from` is the position above which signals older than the
    snapshot follow it.
    """
    cursor = Cursor(snapshot.incarnation, snapshot.sequence)
    if signals_from is not None:
        cursor = Cursor(snapshot.incarnation, signals_from, events=snapshot.sequence)
    return pushes.encode(
        pushes.RoomUsers(
            id=request_id,
            room_id=snapshot.room_id,
            revision=snapshot.revision,
            cursor=cursor.text(),
            self=own,
            room=snapshot.room,
            participants=[seat.participant for seat in snapshot.seats],
            ice_servers=list(ice.servers),
            expires_at=ice.expires_at,
            recovered=recovered,
        )
    )
