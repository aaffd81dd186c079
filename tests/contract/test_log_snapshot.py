"""A snapshot in a room's log on a real server, as a later release will write it: with the right to write its state."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.launcher.embedded_nats import EmbeddedNats
from services.rooms.decision import Rules
from services.rooms.executor import RoomExecutor
from services.rooms.log import RoomLog
from shared.broker.subjects import event_log, live_room, state_log
from shared.rooms.events import Stamp
from shared.telemetry import metrics
from tests.support.broker import connector
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
    rooms: Any = await connect("rooms")
    gateway = await connect("gateway")
    ear, strays = Ear(), metrics.BROKER_ERRORS.labels("stray_message")._value.get()
    following = await gateway.follow(live_room(ROOM), ear.receive, ear.miss)
    log = RoomLog(rooms, capacity=10, snapshot_every=1000, waiting=10)
    executor = RoomExecutor(log, Rules(), lambda: NOW)
    for command in (create(), join("a", grant=grant("a")), join("b")):
        fold = await executor.execute(command)
    before = fold.snapshot(whole=True)
    stored = await rooms.client.request(state_log(ROOM), before.model_dump_json(by_alias=True).encode(), timeout=5)
    at = json.loads(stored.data)["seq"]
    sequence = await rooms.append(ROOM, [snapshot_of(fold, at)], Stamp(""), after=fold.sequence)
    await rooms.trim(ROOM)
    assert [entry.sequence for entry in await rooms.read(event_log(ROOM), after=0, limit=10)] == [sequence]
    other = RoomLog(rooms, capacity=10, snapshot_every=1000, waiting=10)
    assert (await other.load(ROOM)).snapshot(whole=True) == before.model_copy(update={"sequence": sequence})
    assert (await RoomExecutor(other, Rules(), lambda: NOW).execute(join("c"))).revision == before.revision + 1
    assert (await executor.execute(join("d"))).revision == before.revision + 2
    await eventually(lambda: len(ear.heard) == 7, "the gateway heard everything")
    assert [entry.subject.kind for entry in ear.heard] == ["event"] * 3 + ["state"] + ["event"] * 3
    assert metrics.BROKER_ERRORS.labels("stray_message")._value.get() == strays
    await following.stop()
    await gateway.close()
    await rooms.close()
