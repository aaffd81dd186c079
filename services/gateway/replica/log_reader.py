"""Reads from the log what somebody missed in a room: all of it up to a known position, or nothing."""

import asyncio

from services.gateway.replica.replay import Backlog, first_missed, replay
from services.gateway.replica.replica import Delivery
from shared.broker import subjects
from shared.broker.bus import Bus, LogEntry
from shared.rooms.roster import Seat, Snapshot
from shared.values.cursor import Cursor
from shared.values.errors import unavailable
from shared.values.ids import ParticipantId

READ_LIMIT = 500
MOST_ENTRIES = 5000  # more were missed: the room as it is says the same in fewer words
PAUSES = (0.005, 0.02, 0.05, 0.1, 0.2, 0.4)  # while a read lags


async def read_undelivered(bus: Bus, own: Seat, snapshot: Snapshot) -> list[Delivery]:
    """The signals that were stored for a seat whose client heard nothing yet, up to `snapshot`, by those who are in there.

    For a session that joins where it has a seat already: it never had an answer, and others wrote to it meanwhile.
    Raises Refused with `unavailable` when what is known to be stored cannot be read.
    """
    seats = {seat.participant.id: seat for seat in snapshot.seats}
    to = own.participant.id
    out: list[Delivery] = []
    log_subject = subjects.signal_log(snapshot.room_id, to)
    entries = await _read_up_to(bus, log_subject, own.unheard_from, await bus.position(log_subject))
    if entries is None:
        raise unavailable("the log")
    for entry in entries:
        sender = ParticipantId(entry.headers.get("Parley-From", ""))
        epoch = int(entry.headers.get("Parley-Epoch", "0"))
        seat = seats.get(sender)
        if (
            seat is None
            or entry.sequence > snapshot.sequence
            or (entry.sequence > seat.moved_at and epoch < seat.epoch)
        ):
            continue
        cursor = Cursor(snapshot.incarnation, entry.sequence, events=snapshot.sequence)
        out.append(Delivery(entry.sequence, to, sender, epoch, entry.body, cursor))
    return out


async def read_backlog(bus: Bus, cursor: Cursor, own: ParticipantId, snapshot: Snapshot, end: int) -> Backlog | None:
    """What came after `cursor` for this participant; `snapshot` is a state of the room not after `end`.

    Direct reads may lag what was committed, so the log is read until `end` is there. None when it does not come, when it
    is too much, or when the cursor is from before the stay.
    """
    entries = await _read_up_to(bus, subjects.room_log(snapshot.room_id), first_missed(cursor) - 1, end)
    return None if entries is None else replay(entries, cursor, own, snapshot, end)


async def _read_up_to(bus: Bus, log_subject: str, after: int, end: int) -> list[LogEntry] | None:
    """What is above `after`, `end` included. None when that does not come, or when it is too much."""
    entries: list[LogEntry] = []
    pauses = iter(PAUSES)
    while after < end:
        more = await bus.read(log_subject, after=after, limit=READ_LIMIT)
        entries += more
        after = more[-1].sequence if more else after
        if len(entries) > MOST_ENTRIES:
            return None
        if len(more) < READ_LIMIT and after < end:
            pause = next(pauses, None)
            if pause is None:
                return None
            await asyncio.sleep(pause)
    return entries
