"""What must hold of every room's log, whatever raced or died: protocol section 9's promises as one check."""

from collections.abc import Iterable

from shared.broker.bus import Bus
from shared.broker.subjects import event_log
from shared.rooms.model import Room
from shared.rooms.roster import Entry, Roster
from shared.values.ids import ParticipantId, RoomId

PAGE = 500


def check_entries(room_id: RoomId, entries: Iterable[Entry]) -> Roster:
    """Assert the promises over a whole log, with a bookkeeping of its own; the fold of the log."""
    present: set[ParticipantId] = set()
    gone: set[ParticipantId] = set()
    orders: set[int] = set()
    grants: set[str] = set()
    revision = position = 0
    room: Room | None = None
    closed = False
    fold = Roster(room_id, "any")
    for entry in entries:
        assert entry.sequence > position, "positions ascend"
        position = entry.sequence
        assert entry.events, "an entry has at least one event"
        before = len(present)
        if entry.stamp.grant is not None and not entry.stamp.grant_until:
            grants.discard(entry.stamp.grant)  # given back
        elif entry.stamp.grant is not None:
            assert entry.stamp.grant not in grants, "a join token was used twice"
            grants.add(entry.stamp.grant)
        for event in entry.events:
            change = event.change
            assert not closed, f"revision {change.revision} came after the room closed"
            assert change.revision == revision + 1, f"revision {change.revision} follows {revision}"
            revision = change.revision
            assert change.room.room_id == room_id
            assert (event.type == "created") == (revision == 1), "the first event, and no other, creates the room"
            participant = change.participant
            assert (participant is not None) == event.type.startswith("participant_")
            if participant is not None and event.type == "participant_joined":
                assert participant.id not in present | gone, "a participant joined twice"
                assert participant.order not in orders, "an order was given twice"
                assert participant.order > max(orders, default=0), "order grows with every join"
                orders.add(participant.order)
                present.add(participant.id)
                # Who replaces itself in a room that was made smaller takes no further seat.
                seats = max(change.room.max_participants, before)
                assert len(present) <= seats, "more are in than the room has seats"
            elif participant is not None and event.type == "participant_left":
                assert participant.id in present, "somebody left who was not in"
                assert change.reason, "user_left has a reason"
                present.remove(participant.id)
                gone.add(participant.id)
            elif participant is not None:
                assert participant.id in present, "somebody changed who was not in"
            assert change.room.participant_count == len(present), "participantCount is the count after the event"
            if event.type == "closed":
                assert not present, "everyone left before the room closed"
                closed = True
            room = change.room
        assert fold.apply(entry), "the fold takes every entry"
    assert set(fold.seats) == present
    assert (fold.revision, fold.room, fold.closed is not None) == (revision, room, closed)
    return fold


async def check_log(bus: Bus, room_id: RoomId) -> Roster:
    """Read the whole log of a room and assert what must hold of it; its fold."""
    entries: list[Entry] = []
    while True:
        page = await bus.read(event_log(room_id), after=entries[-1].sequence if entries else 0, limit=PAGE)
        entries += [entry.events() for entry in page]
        if len(page) < PAGE:
            return check_entries(room_id, entries)
