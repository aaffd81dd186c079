"""What must hold of trims: each snapshot says what was so, and what is left of a log stands for all of it."""

from collections.abc import Iterator, Sequence

from shared.broker.room_log import RoomEntry, StoredEvents, StoredState
from shared.rooms.roster import Entry, Roster, Snapshot
from shared.values.ids import RoomId
from shared.values.position import Position
from tests.simulation.broker import Broker


def check_trims(broker: Broker) -> Iterator[str]:
    """A sentence for each thing that is wrong."""
    rooms = broker.traced
    for room_id in dict.fromkeys(entry.room_id for entry in rooms.everything):
        whole = [entry for entry in rooms.everything if entry.room_id == room_id]
        left = [message.entry for message in rooms.messages if message.entry.room_id == room_id]
        yield from _check_room(room_id, whole, left)


def _check_room(room_id: RoomId, whole: Sequence[RoomEntry], left: Sequence[RoomEntry]) -> Iterator[str]:
    states = {entry.position: entry for entry in whole if isinstance(entry, StoredState)}
    fold = Roster(room_id, "simulated")
    for entry in _events(whole):
        if entry.checkpoint is not None and (why := _differs(fold, entry, states)) is not None:
            yield f"the snapshot of {room_id} at {entry.sequence}: {why}"
        fold.apply(entry)
    rest = _fold(room_id, left)
    if rest is None:
        yield f"what is left of {room_id} begins neither with `created` nor with a snapshot that has its state"
    elif fold.closed is None and rest.snapshot(whole=True) != fold.snapshot(whole=True):
        yield f"what is left of {room_id} is {rest}, and all of it {fold}"
    elif (rest.closed, rest.revision) != (fold.closed, fold.revision):
        yield f"what is left of {room_id} ends at {rest.revision}, and all of it at {fold.revision}"


def _events(entries: Sequence[RoomEntry]) -> list[Entry]:
    return [entry.entry() for entry in entries if isinstance(entry, StoredEvents)]


def _differs(fold: Roster, entry: Entry, states: dict[Position, StoredState]) -> str | None:
    """How a snapshot differs from the log before it."""
    checkpoint = entry.checkpoint
    assert checkpoint is not None
    if checkpoint.state not in states:
        return "its state was never stored"
    state = Snapshot.model_validate_json(states[checkpoint.state].body)
    if fold.closed is None and state != fold.snapshot(whole=True):
        return f"its state is {state}, and the log {fold}"
    participants = [seat.participant for seat in fold.seats.values()]
    said = (checkpoint.as_of, checkpoint.after, checkpoint.room, checkpoint.participants, checkpoint.closed)
    if said != (fold.revision, fold.sequence, fold.room, participants, fold.closed):
        return f"it says {checkpoint}, and the log {fold}"
    return None


def _fold(room_id: RoomId, left: Sequence[RoomEntry]) -> Roster | None:
    """The fold of what is left; None when there is no beginning."""
    states = {entry.position: entry for entry in left if isinstance(entry, StoredState)}
    fold = Roster(room_id, "simulated")
    for entry in _events(left):
        if entry.checkpoint is not None and fold.misses(entry):
            if entry.checkpoint.state not in states:
                return None
            fold.restore(Snapshot.model_validate_json(states[entry.checkpoint.state].body), entry.sequence)
        elif fold.misses(entry) and not entry.events[-1].closes:
            return None
        else:
            fold.apply(entry)
    return fold
