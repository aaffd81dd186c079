"""Checks the promises of protocol section 9 on a room's log. They hold whatever raced or died."""

from collections.abc import Iterable

from shared.broker.ports import Ports
from shared.broker.subjects import event_log
from shared.rooms.events import Change, RoomEvent, Stamp
from shared.rooms.model import Participant, Room
from shared.rooms.roster import Entry, Roster
from shared.values.ids import ParticipantId, RoomId
from shared.values.position import NOWHERE
from tests.support.stored import events_of

PAGE = 500


class Bookkeeping:
    """The state of a log so far, computed without the services' fold. Every entry is checked against it."""

    def __init__(self, room_id: RoomId) -> None:
        self.room_id = room_id
        self.present: set[ParticipantId] = set()
        self.revision = 0
        self.room: Room | None = None
        self.closed = False
        self._gone: set[ParticipantId] = set()
        self._orders: set[int] = set()
        self._grants: set[str] = set()
        self._position = 0

    def take(self, entry: Entry) -> None:
        """The next entry."""
        assert entry.sequence > self._position, "positions ascend"
        self._position = entry.sequence
        assert entry.events, "an entry has at least one event"
        if entry.checkpoint is not None:  # a snapshot is no change; nothing before it has been trimmed yet
            assert entry.checkpoint.as_of == self.revision, "a snapshot says which revision it stands on"
            return
        self._take_grant(entry.stamp)
        before = len(self.present)
        for event in entry.events:
            self._take_event(event, before)

    def _take_grant(self, stamp: Stamp) -> None:
        if stamp.grant is not None and not stamp.grant_until:
            self._grants.discard(stamp.grant)  # given back
        elif stamp.grant is not None:
            assert stamp.grant not in self._grants, "a join token was used twice"
            self._grants.add(stamp.grant)

    def _take_event(self, event: RoomEvent, before: int) -> None:
        change = event.change
        assert not self.closed, f"revision {change.revision} came after the room closed"
        assert change.revision == self.revision + 1, f"revision {change.revision} follows {self.revision}"
        self.revision = change.revision
        assert change.room.room_id == self.room_id
        assert (event.type == "created") == (self.revision == 1), "the first event, and no other, creates the room"
        assert (change.participant is not None) == event.type.startswith("participant_")
        if change.participant is not None:
            self._take_participant(event.type, change, change.participant, before)
        assert change.room.participant_count == len(self.present), "participantCount is the count after the event"
        if event.type == "closed":
            assert not self.present, "everyone left before the room closed"
            self.closed = True
        self.room = change.room

    def _take_participant(self, type_: str, change: Change, participant: Participant, before: int) -> None:
        if type_ == "participant_joined":
            assert participant.id not in self.present | self._gone, "a participant joined twice"
            assert participant.order not in self._orders, "an order was given twice"
            assert participant.order > max(self._orders, default=0), "order grows with every join"
            self._orders.add(participant.order)
            self.present.add(participant.id)
            # A device that replaces its own participant takes no further seat, even in a room that was made smaller.
            seats = max(change.room.max_participants, before)
            assert len(self.present) <= seats, "more are in than the room has seats"
            return
        assert participant.id in self.present, "somebody left or changed who was not in"
        if type_ == "participant_left":
            assert change.reason, "user_left has a reason"
            self.present.remove(participant.id)
            self._gone.add(participant.id)


def check_entries(room_id: RoomId, entries: Iterable[Entry]) -> Roster:
    """Assert the promises over a whole log. Returns the fold of the log."""
    book, fold = Bookkeeping(room_id), Roster(room_id, "any")
    for entry in entries:
        book.take(entry)
        assert fold.apply(entry) or entry.checkpoint is not None, "the fold takes every change"
    assert set(fold.seats) == book.present
    assert (fold.revision, fold.room, fold.closed is not None) == (book.revision, book.room, book.closed)
    return fold


async def check_log(ports: Ports, room_id: RoomId) -> Roster:
    """Read the whole log of a room and assert the promises over it. Returns its fold."""
    entries: list[Entry] = []
    after = NOWHERE
    while True:
        page = await ports.room_log.read(event_log(room_id), after=after, limit=PAGE)
        entries += events_of(page)
        after = page[-1].position if page else after
        if len(page) < PAGE:
            return check_entries(room_id, entries)
