"""What a newer release wrote into a room's log is not summed up by one that does not know it (docs/adr/0016)."""

import json

import pytest
from structlog.testing import capture_logs

from services.rooms.trimmer import TRIMS
from shared.broker.headers import of_stamp
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.ports import connect
from shared.broker.subjects import event_log
from shared.rooms.events import Stamp, encode
from shared.rooms.roster import FOLD_VERSION
from tests.support.orders import NOW, ROOM, create, join, update
from tests.support.stored import events_of
from tests.support.trimmed import write_snapshot
from tests.support.trimming import TrimmingReplica


@pytest.fixture
def broker() -> MemoryBroker:
    return MemoryBroker(clock=lambda: NOW)


@pytest.fixture
def rooms(broker: MemoryBroker) -> TrimmingReplica:
    return TrimmingReplica(connect(broker))


@pytest.mark.parametrize(
    ("attributes", "fields", "of_room", "headers"),
    [
        ({"type": "agentlink.room.locked"}, {}, {}, {}),
        ({"extension": "of theirs"}, {}, {}, {}),
        ({}, {"until": "2027"}, {}, {}),
        ({}, {}, {"colour": "red"}, {}),
        ({}, {}, {}, {"Parley-Later": "1"}),
    ],
    ids=["a type", "an attribute", "a field", "a field of the room", "a header"],
)
async def test_what_this_version_does_not_know_is_not_summed_up(
    broker: MemoryBroker,
    rooms: TrimmingReplica,
    attributes: dict[str, str],
    fields: dict[str, str],
    of_room: dict[str, str],
    headers: dict[str, str],
) -> None:
    """A newer release wrote it while releases are exchanged. Deleted here, it would be lost for good: nothing is written,
    also later and by a replica that has a fold of it from the cache; that is said once.
    """
    fold = await rooms.do(create(), join("a"), join("b"))
    assert fold.room is not None
    (event,) = json.loads(encode(events_of(await rooms.entries())[-1].events))
    event |= attributes
    event["data"] |= {"revision": 4, **fields}
    event["data"]["room"] |= of_room
    event["type"] = attributes.get("type", "agentlink.room.updated")
    broker.rooms.store(event_log(ROOM), of_stamp(Stamp("later")) | headers, json.dumps([event]).encode())
    await rooms.do(update("p_a_1", name="A"))
    await rooms.ports.snapshots.save((await rooms.log.load(ROOM)).snapshot(whole=True))
    stored = len(broker.rooms.messages)
    before = TRIMS.labels("not_known")._value.get()
    with capture_logs() as lines:
        for replica in (rooms, rooms, TrimmingReplica(connect(broker))):
            await replica.look(after=3600)
    assert len(broker.rooms.messages) == stored
    assert TRIMS.labels("not_known")._value.get() == before + 3
    assert [line["room_id"] for line in lines if line["log_level"] == "warning"] == [ROOM] * 2  # one of each replica


async def test_what_cannot_be_read_is_not_summed_up(broker: MemoryBroker, rooms: TrimmingReplica) -> None:
    """Although the room goes on: the next revision shows that it was no change, and not what else it was."""
    await rooms.do(create(), join("a"))
    broker.rooms.store(event_log(ROOM), {}, b'[{"type":"agentlink.room.snapshot","data":{"foldVersion":1}}]')
    after = MemoryBroker()
    expected = TrimmingReplica(connect(after))
    await expected.do(create(), join("a"), join("b"))
    message = after.rooms.messages[-1]
    broker.rooms.store(message.subject, dict(message.headers), message.body)
    await rooms.look(after=3600)
    assert (len(await rooms.entries()), await rooms.states()) == (4, [])


@pytest.mark.parametrize("trim", [True, False])
async def test_a_room_of_a_newer_fold_is_left_alone(broker: MemoryBroker, rooms: TrimmingReplica, trim: bool) -> None:
    """Its snapshot is not for this version: nothing is written or deleted, and the timer does not come again for it."""
    fold = await rooms.do(create(), join("a"))
    write_snapshot(broker, fold, trim=trim, fold_version=FOLD_VERSION + 1)
    stored = len(broker.rooms.messages)
    await rooms.look(after=10_000)
    assert len(broker.rooms.messages) == stored
