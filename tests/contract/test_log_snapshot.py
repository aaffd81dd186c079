"""A snapshot in a room's log on a real server, as a later release will write it: with the right to write its state."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.launcher.embedded_nats import EmbeddedNats
from services.rooms.decision import Rules
from services.rooms.executor import RoomExecutor
from services.rooms.log import RoomLog
from shared.broker.room_log import StoredEvents, StoredState
from shared.broker.subjects import event_log, room_log, state_log
from shared.rooms.events import Batch, Stamp
from shared.telemetry import metrics
from tests.support.broker import connector, over_nats
from tests.support.logs import Ear
from tests.support.orders import NOW, ROOM, create, grant, join
from tests.support.patience import eventually
from tests.support.trimmed import snapshot_of


class LaterNats(EmbeddedNats):
    """NATS with the accounts of a release that writes snapshots."""

    def _prepare(self) -> None:
        super()._prepare()
        accounts = self.folder / "accounts.conf"
        granted = '"agentlink.snapshot.*", "agentlink.log.*.state"'
        accounts.write_text(accounts.read_text().replace('"agentlink.snapshot.*"', granted))


@pytest.fixture
async def later(tmp_path: Path) -> AsyncIterator[LaterNats]:
    """The server."""
    server = LaterNats(tmp_path / "nats")
    await server.start()
    yield server
    await server.stop()


async def test_a_room_folds_from_a_snapshot_on_nats(later: LaterNats) -> None:
    """State and snapshot are appended, the entries before are deleted: another replica has the whole room, a gateway that
    follows hears both without a word of stray messages, and the room goes on.
    """
    connect = connector(later.url, later.passwords)
    rooms = await connect("rooms")
    gateway = await connect("gateway")
    ear, strays = Ear(), metrics.BROKER_ERRORS.labels("stray_message")._value.get()
    following = await gateway.room_log.follow(room_log(ROOM), ear.receive, ear.miss)
    log = RoomLog(rooms, capacity=10, snapshot_every=1000, waiting=10)
    executor = RoomExecutor(log, Rules(), lambda: NOW)
    for command in (create(), join("a", grant=grant("a")), join("b")):
        fold = await executor.execute(command)
    before = fold.snapshot(whole=True)
    stored = await over_nats(rooms).client.request(
        state_log(ROOM), before.model_dump_json(by_alias=True).encode(), timeout=5
    )
    at = json.loads(stored.data)["seq"]
    batch = Batch([snapshot_of(fold, at)], Stamp(""))
    position = await rooms.room_log.append(event_log(ROOM), batch, after=fold.sequence)
    await rooms.room_log.trim(event_log(ROOM))
    assert [entry.position for entry in await rooms.room_log.read(event_log(ROOM), limit=10)] == [position]
    other = RoomLog(rooms, capacity=10, snapshot_every=1000, waiting=10)
    assert (await other.load(ROOM)).snapshot(whole=True) == before.model_copy(update={"sequence": position})
    assert (await RoomExecutor(other, Rules(), lambda: NOW).execute(join("c"))).revision == before.revision + 1
    assert (await executor.execute(join("d"))).revision == before.revision + 2
    await eventually(lambda: len(ear.heard) == 7, "the gateway heard everything")
    assert [type(entry) for entry in ear.heard] == [StoredEvents] * 3 + [StoredState] + [StoredEvents] * 3
    assert metrics.BROKER_ERRORS.labels("stray_message")._value.get() == strays
    await following.stop()
    await gateway.connection.close()
    await rooms.connection.close()
