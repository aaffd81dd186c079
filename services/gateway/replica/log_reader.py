"""Reads from the log what somebody missed in a room: all of it up to a known position, or nothing."""

from services.gateway.replica.replay import Backlog, first_missed, replay
from services.gateway.replica.replica import Delivery
from shared.broker import subjects
from shared.broker.room_log import RoomsLog, StoredSignal
from shared.broker.tail import read_up_to
from shared.rooms.roster import Seat, Snapshot
from shared.values.cursor import Cursor
from shared.values.errors import unavailable
from shared.values.ids import ParticipantId
from shared.values.position import Position

MOST_ENTRIES = 5000  # more were missed: the room as it is says the same in fewer words


async def read_undelivered(log: RoomsLog, own: Seat, snapshot: Snapshot) -> list[Delivery]:
    """The signals that were stored for a seat whose client heard nothing yet, up to `snapshot`, by those who are in there.

    For a session that joins where it has a seat already: it never had an answer, and others wrote to it meanwhile.
    Raises Refused with `unavailable` when what is known to be stored cannot be read.
    """
    seats = {seat.participant.id: seat for seat in snapshot.seats}
    to = own.participant.id
    out: list[Delivery] = []
    log_subject = subjects.signal_log(snapshot.room_id, to)
    newest = await log.position(log_subject)
    entries = await read_up_to(log, log_subject, own.unheard_from, newest, most=MOST_ENTRIES)
    if entries is None:
        raise unavailable("the log")
    for signal in entries:
        seat = seats.get(signal.sender) if isinstance(signal, StoredSignal) else None
        if not isinstance(signal, StoredSignal) or seat is None or signal.position > snapshot.sequence:
            continue
        if signal.position > seat.moved_at and signal.epoch < seat.epoch:
            continue
        cursor = Cursor(snapshot.incarnation, signal.position, events=snapshot.sequence)
        out.append(Delivery(signal.position, to, signal.sender, signal.epoch, signal.body, cursor))
    return out


async def read_backlog(
    log: RoomsLog, cursor: Cursor, own: ParticipantId, snapshot: Snapshot, end: Position
) -> Backlog | None:
    """What came after `cursor` for this participant; `snapshot` is a state of the room not after `end`.

    Direct reads may lag what was committed, so the log is read until `end` is there. None when it does not come, when it
    is too much, or when the cursor is from before the stay.
    """
    after = Position(first_missed(cursor) - 1)
    entries = await read_up_to(log, subjects.room_log(snapshot.room_id), after, end, most=MOST_ENTRIES)
    return None if entries is None else replay(entries, cursor, own, snapshot, end)
