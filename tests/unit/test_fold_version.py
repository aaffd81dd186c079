"""Two releases with different folds at one log: what the older passes over must not be lost to the newer."""

import json

import pytest

from services.rooms import log as rooms_log
from services.rooms.decision import RoomInput, Rules
from services.rooms.executor import RoomExecutor
from services.rooms.log import RoomLog
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.ports import connect
from shared.broker.ports import Ports
from shared.broker.subjects import event_log
from shared.rooms.events import Batch, Change, RoomEvent, Stamp
from shared.rooms.roster import FOLD_VERSION, Roster, Snapshot
from shared.values.position import NOWHERE, Position
from tests.support.orders import NOW, ROOM, LoggedRoom, create, join


class NewerRoster(Roster):
    """The fold of a later release, which knows one event more: somebody is removed, and the seat is free."""

    fold_version = FOLD_VERSION + 1

    def _take(self, event: RoomEvent, stamp: Stamp) -> None:
        super()._take(event, stamp)
        if event.type == "participant_removed" and event.change.participant is not None:
            self.seats.pop(event.change.participant.id, None)


class ForgetfulRoster(NewerRoster):
    """The same without saying so, as it was before snapshots had a version."""

    fold_version = FOLD_VERSION


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker()


@pytest.fixture
def ports(broker: MemoryBroker) -> Ports:
    return connect(broker)


def rooms_of(ports: Ports) -> RoomLog:
    """A replica of rooms that writes a snapshot after every entry."""
    return RoomLog(ports, capacity=10, snapshot_every=1, waiting=10)


async def append(ports: Ports, *commands: RoomInput) -> LoggedRoom:
    """A room in the broker's log."""
    room = LoggedRoom(*commands)
    after = NOWHERE
    for entry in room.log:
        batch = Batch(entry.events, entry.stamp)
        after = await ports.room_log.append(event_log(ROOM), batch, after=after)
    return room


async def remove(ports: Ports, room: LoggedRoom) -> None:
    """The newer release's event, about the first participant."""
    assert room.fold.room is not None
    seat = next(iter(room.fold.seats.values()))
    change = Change(revision=room.fold.revision + 1, room=room.fold.room, participant=seat.participant)
    event = RoomEvent(type="participant_removed", time="2026-02-11T10:00:01.000Z", change=change)
    await ports.room_log.append(event_log(ROOM), Batch([event], Stamp("remove")), after=Position(len(room.log)))


@pytest.mark.parametrize(("newer", "lost"), [(ForgetfulRoster, True), (NewerRoster, False)])
async def test_what_an_older_replica_passed_over_is_not_lost(
    ports: Ports, monkeypatch: pytest.MonkeyPatch, newer: type[Roster], lost: bool
) -> None:
    """The older one folds past an event that it does not know, and saves a snapshot. A newer one that took it would never
    learn of the event; it sees that another fold made it, and reads the log.
    """
    await remove(ports, await append(ports, create(), join("a"), join("b")))
    assert list((await rooms_of(ports).load(ROOM)).seats) == ["p_a_1", "p_b_1"]
    snapshot = await ports.snapshots.load(ROOM)
    assert snapshot is not None
    assert (snapshot.revision, snapshot.fold_version) == (4, FOLD_VERSION)
    monkeypatch.setattr(rooms_log, "Roster", newer)
    assert ("p_a_1" in (await rooms_of(ports).load(ROOM)).seats) == lost


async def test_an_older_replica_reads_the_log_itself(
    broker: MemoryBroker, ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A snapshot of a newer fold is none of an older one's either: fields that it skips would be missing afterwards."""
    await append(ports, create(), join("a"))
    monkeypatch.setattr(rooms_log, "Roster", NewerRoster)
    await rooms_of(ports).load(ROOM)
    monkeypatch.undo()
    marked = json.loads(broker.snapshots[ROOM]) | {"origin": "read from the snapshot"}
    assert marked["foldVersion"] == FOLD_VERSION + 1
    broker.snapshots[ROOM] = json.dumps(marked).encode()
    assert (await rooms_of(ports).load(ROOM)).origin == "create-voice-1"


@pytest.mark.parametrize("kept", ["0.3.0", "newer"])
async def test_snapshots_that_say_nothing_or_cannot_be_read(broker: MemoryBroker, ports: Ports, kept: str) -> None:
    """What 0.3.0 left in the cache has no version, and what a newer release wrote may not even fit: the log is read."""
    room = await append(ports, create(), join("a"), join("b"))
    stored = json.loads(room.fold.snapshot(whole=True).model_dump_json(by_alias=True))
    stored |= {"incarnation": ports.room_log.incarnation, "seats": []}
    if kept == "0.3.0":
        del stored["foldVersion"]
    else:
        stored |= {"foldVersion": FOLD_VERSION + 1, "room": stored["room"] | {"type": "holographic"}}
    broker.snapshots[ROOM] = json.dumps(stored).encode()
    assert list((await rooms_of(ports).load(ROOM)).seats) == ["p_a_1", "p_b_1"]


@pytest.mark.parametrize("wrong", [{"roomId": "another"}, {"sequence": 3}, {"sequence": 10**9}])
async def test_a_snapshot_that_is_not_of_this_log(broker: MemoryBroker, ports: Ports, wrong: dict[str, object]) -> None:
    """Another room's, or one from above the end of the room's log, is no snapshot of it: the log is read, and the room can
    be changed. Believed, the one would change the other room, and the other would never find an entry to go on from.
    """
    room = await append(ports, create(), join("a"))
    stored = json.loads(room.fold.snapshot(whole=True).model_dump_json(by_alias=True))
    stored |= {"incarnation": ports.room_log.incarnation, "origin": "believed", "seats": [], **wrong}
    broker.snapshots[ROOM] = json.dumps(stored).encode()
    executor = RoomExecutor(rooms_of(ports), Rules(), lambda: NOW)
    fold = await executor.execute(join("b"))
    assert (fold.room_id, fold.sequence, list(fold.seats)) == (ROOM, 3, ["p_a_1", "p_b_1"])
    assert fold.origin == "create-voice-1"


async def test_ones_own_snapshot_is_taken(ports: Ports) -> None:
    """A snapshot of this fold still shortens loading: what it says is believed, and only the tail is read."""
    room = await append(ports, create(), join("a"))
    mine = room.fold.snapshot(whole=True).model_copy(
        update={"incarnation": ports.room_log.incarnation, "origin": "believed"}
    )
    await ports.snapshots.save(Snapshot.model_validate(mine.model_dump()))
    assert (await rooms_of(ports).load(ROOM)).origin == "believed"
