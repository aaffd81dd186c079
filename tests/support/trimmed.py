"""Snapshots in a room's log, and logs without the entries before a snapshot, as later releases will write them."""

from typing import Any

from shared.broker.memory.broker import MemoryBroker
from shared.broker.subjects import event_log, state_log
from shared.rooms.events import Checkpoint, RoomEvent, encode
from shared.rooms.roster import Roster
from shared.values import moment
from tests.support.orders import NOW


def snapshot_of(fold: Roster, state: int = 0, **changed: Any) -> RoomEvent:
    """The snapshot event of a room as it is now. `state` is the position of its private state."""
    assert fold.room is not None
    checkpoint = Checkpoint(
        fold_version=fold.fold_version,
        as_of=fold.revision,
        after=fold.sequence,
        state=state,
        room=fold.room,
        participants=[seat.participant for seat in fold.seats.values()],
        closed=fold.closed,
    )
    return RoomEvent.snapshot(moment.rfc3339(NOW + 3600), checkpoint.model_copy(update=changed))


def write_snapshot(
    broker: MemoryBroker, fold: Roster, *, trim: bool = True, body: bytes | None = None, **changed: Any
) -> int:
    """Store a room's snapshot as the next entry of its log, and delete the entries before it; its sequence.

    `changed` is written into it instead of what is so, and `body` beside it.
    """
    whole = fold.snapshot(whole=True).model_dump_json(by_alias=True).encode()
    at = broker.rooms.store(state_log(fold.room_id), {}, whole if body is None else body)
    sequence = broker.rooms.store(event_log(fold.room_id), {}, encode([snapshot_of(fold, **{"state": at, **changed})]))
    if trim:
        broker.rooms.trim(event_log(fold.room_id))
    return sequence
