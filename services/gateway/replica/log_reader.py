"""Reads from the log what a client missed in a room: all of it up to a known position, or nothing."""

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

MOST_ENTRIES = 5000  # when a client missed more, a snapshot of the room is smaller
MOST_BYTES = 64 << 20  # the same, by size: it is all in memory at once


async def read_undelivered(log: RoomsLog, own: Seat, snapshot: Snapshot) -> list[Delivery]:
    """The signals stored for a seat, up to `snapshot`, whose senders are in the snapshot. The client has heard none yet.

    A session that joins a room in which it already has a seat needs them: its first join had no answer, and others
    wrote to the seat meanwhile. Raises Refused with `unavailable` when signals known to be stored cannot be read.
    """
    seats = {seat.participant.id: seat for seat in snapshot.seats}
    to = own.participant.id
    out: list[Delivery] = []
    log_subject = subjects.signal_log(snapshot.room_id, to)
    newest = await log.position(log_subject)
    entries = await read_up_to(log, log_subject, own.unheard_from, newest, most=MOST_ENTRIES, most_bytes=MOST_BYTES)
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
    """What came after `cursor` for this participant, up to `end`. `snapshot` is a state of the room not after `end`.

    Direct reads may lag the log, so this reads until `end` is there. None when `end` does not come, when there are more
    than `MOST_ENTRIES` or `MOST_BYTES`, when entries were deleted, or when the cursor is older than the participant's join.
    """
    after = Position(first_missed(cursor) - 1)
    everything = subjects.room_log(snapshot.room_id)
    entries = await read_up_to(log, everything, after, end, most=MOST_ENTRIES, most_bytes=MOST_BYTES)
    return None if entries is None else replay(entries, cursor, own, snapshot, end)
