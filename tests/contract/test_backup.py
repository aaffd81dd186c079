"""Backups of a real server: what is in them, that restoring gives it back, and that nothing is ever half restored."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from nats.aio.client import Client

from services.backup.errors import BackupError
from services.backup.folder import ARCHIVE, Backup
from services.launcher.embedded_nats import EmbeddedNats
from services.registry import REGISTRY
from shared.broker import subjects
from shared.broker.nats import archive, streams
from shared.broker.nats import ports as nats_ports
from shared.broker.nats.connection import Broker
from shared.broker.nats.streams import Streams
from shared.broker.ports import Ports
from shared.broker.subjects import event_log
from shared.rooms.timers import LeaseEnds, Timer
from shared.values.errors import Refused
from shared.values.ids import GatewayId, RoomId
from tests.support.backups import OPERATOR, place, restore, sign, take
from tests.support.broker import over_nats
from tests.support.logs import begin
from tests.support.patience import eventually, eventually_async

A = RoomId("room-a")
SMALL = Streams(max_bytes=1 << 24)


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[EmbeddedNats]:
    """A server with the deployed accounts, and the data in this folder."""
    server = EmbeddedNats(folder)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


async def as_rooms(server: EmbeddedNats) -> Ports:
    """Connected as rooms, which makes the streams that are not there."""
    broker = Broker(server.url, "rooms", server.passwords["rooms"], 5.0, streams=SMALL)
    return await nats_ports.connect(broker, "rooms")


async def rooms_in(ports: Ports) -> list[str]:
    """The rooms whose events are in the log."""
    return [entry.room_id for entry in await ports.room_log.read(subjects.ALL_EVENTS, limit=10_000)]


async def says(server: EmbeddedNats, stream: str) -> dict[str, object] | None:
    """What the server says of a stream."""
    found: list[dict[str, object] | None] = []

    async def work(client: Client) -> None:
        found.append(await archive.describe(client, stream))

    await place(server).use(work)
    return found[0]


async def test_a_restored_installation_goes_on(tmp_path: Path) -> None:
    """On an empty server that gets the streams that are backed up, and no others: rooms are there again as they were,
    under another incarnation, and the lease of a gateway that was there ends, however long ago it was due."""
    lease = LeaseEnds(due=time.time() + 1, gateway=GatewayId("g1"))
    async with started(tmp_path / "old") as server:
        ports = await as_rooms(server)
        await begin(ports, RoomId("kept"))
        await ports.timers.arm(lease)
        folder = await take(place(server), tmp_path / "backups")
        await begin(ports, RoomId("later"))
        before = ports.room_log.incarnation
        await ports.connection.close()
    async with started(tmp_path / "new") as server:
        await restore(place(server), folder)
        ports = await as_rooms(server)
        assert ports.room_log.incarnation not in ("", before)
        assert await rooms_in(ports) == ["kept"]
        due: list[Timer] = []

        async def taken(timer: Timer) -> None:
            due.append(timer)

        taking = await ports.timers.take(taken, 5.0)
        await eventually(lambda: due == [lease], "the lease ends", within=10)
        await taking.stop()
        await ports.connection.close()


async def test_what_was_acknowledged_before_is_in_it(tmp_path: Path) -> None:
    """A backup that is taken while rooms appends has every entry that was acknowledged before it began."""
    async with started(tmp_path / "nats") as server:
        ports = await as_rooms(server)
        acknowledged: list[str] = []

        async def load() -> None:
            for number in range(100_000):
                room_id = f"room-{number}"
                await begin(ports, RoomId(room_id))
                acknowledged.append(room_id)

        loading = asyncio.create_task(load())
        await eventually(lambda: len(acknowledged) > 200, "there is something to back up")
        before = list(acknowledged)
        folder = await take(place(server), tmp_path / "backups")
        assert len(acknowledged) > len(before), "the load went on"
        loading.cancel()
        await asyncio.wait({loading})
        await restore(place(server), folder, replace=True)
        await eventually_async(lambda: _contains(ports, before), "all of them are there again")
        await ports.connection.close()


async def _contains(ports: Ports, before: list[str]) -> bool:
    return set(before) <= set(await rooms_in(ports))


async def test_a_log_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    """It is refused, with what is there, unless one asks to replace; an empty stream is no loss. Who was connected as
    rooms, and makes streams that it misses, does not get in the way: it finds the restored log, and appends to it."""
    async with started(tmp_path / "nats") as server:
        ports = await as_rooms(server)
        folder = await take(place(server), tmp_path / "backups")  # of empty streams
        await restore(place(server), folder)
        await eventually_async(lambda: _contains(ports, []), "the streams are back")
        over_nats(ports).repair()  # as after a reconnect
        position = await begin(ports, A)
        with_room = await take(place(server), tmp_path / "backups", day=2)
        second = await begin(ports, A, after=position)
        with pytest.raises(BackupError, match=r"NATS has ROOMS with 2 messages"):
            await restore(place(server), with_room)
        assert await ports.room_log.position(event_log(A)) == second
        repairing = asyncio.create_task(_repair_for_ever(ports))
        for _ in range(5):
            await restore(place(server), with_room, replace=True)
        repairing.cancel()
        assert await ports.room_log.position(event_log(A)) == position
        assert await begin(ports, A, after=position) == second
        await ports.connection.close()


async def _repair_for_ever(ports: Ports) -> None:
    while True:
        over_nats(ports).repair()
        await asyncio.sleep(0.001)


async def test_every_stream_that_is_recorded(tmp_path: Path) -> None:
    """What a later service's record adds is backed up and restored with the others, once the operator may."""
    accounts = tmp_path / "accounts.conf"
    text = REGISTRY.accounts.read_text()
    anchor = '"$JS.API.STREAM.INFO.ROOMS", "$JS.API.STREAM.SNAPSHOT.ROOMS"'
    assert text.count(anchor) == 1
    rights = '"$JS.API.STREAM.*.LINES", "$JS.SNAPSHOT.*.LINES.>", '
    owner = '"agentlink.log.*.event", "agentlink.log.*.state", "agentlink.snapshot.*"'
    assert text.count(owner) == 1
    text = text.replace(anchor, rights + anchor).replace(owner, f'"$JS.API.STREAM.CREATE.LINES", "lines.a", {owner}')
    accounts.write_text(text)
    server = EmbeddedNats(tmp_path / "nats", registry=replace(REGISTRY, accounts=accounts))
    await server.start()
    ports = await as_rooms(server)
    client = over_nats(ports).client
    await client.request("$JS.API.STREAM.CREATE.LINES", json.dumps({"name": "LINES", "subjects": ["lines.*"]}).encode())
    await client.request("lines.a", b"a line")
    everything = (*REGISTRY.backed_up, "LINES")
    folder = await take(place(server), tmp_path / "backups", everything)
    await client.request("lines.a", b"another line")
    with pytest.raises(BackupError, match="has a stream LINES, which is none that this release backs up"):
        await restore(place(server), folder, replace=True)
    await restore(place(server), folder, everything, replace=True)
    lines = await says(server, "LINES")
    assert lines is not None
    assert lines["state"]["messages"] == 1  # type: ignore[index]
    await ports.connection.close()
    await server.stop()


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[tuple[EmbeddedNats, Path]]:
    """A server with a room in its log, and a backup of it."""
    async with started(tmp_path / "nats") as server:
        ports = await as_rooms(server)
        for number in range(300):
            await begin(ports, RoomId(f"room-{number}"))
        await ports.connection.close()
        yield server, await take(place(server), tmp_path / "backups")


async def test_damage_is_found_before_anything_is_deleted(kept: tuple[EmbeddedNats, Path], tmp_path: Path) -> None:
    """A file that was cut, altered or removed, a manifest that was changed, and what is no backup: each is told for what
    it is, and NATS keeps what it had, though one asked to replace it."""
    server, folder = kept
    manifest = json.loads((folder / "parley.json").read_text())
    stream = folder / "ROOMS" / ARCHIVE

    def cut(copy: Path) -> None:
        (copy / "ROOMS" / ARCHIVE).write_bytes(stream.read_bytes()[:-100])

    def alter(copy: Path) -> None:
        body = bytearray(stream.read_bytes())
        body[len(body) // 2] ^= 1
        (copy / "ROOMS" / ARCHIVE).write_bytes(body)

    def other_streams(copy: Path) -> None:
        (copy / "parley.json").write_text(json.dumps(manifest | {"streams": ["ROOMS"]}))

    harm: dict[str, Callable[[Path], object]] = {
        "bytes instead of": cut,
        "its checksum is another one": alter,
        "is missing: this backup is not whole": lambda copy: (copy / "TIMERS" / ARCHIVE).unlink(),
        "parley.json was changed": other_streams,
        "parley.json is damaged": lambda copy: (copy / "parley.json").write_text("{"),
        "no backup: it has no parley.json": lambda copy: (copy / "parley.json").unlink(),
        "reads format 1": lambda copy: (copy / "parley.json").write_text(json.dumps(manifest | {"format": 2})),
        "made by Parley 99.0.0": lambda copy: sign(copy, parley="99.0.0"),
        "made by NATS 99.0.0": lambda copy: sign(copy, nats="99.0.0"),
    }
    before = await says(server, "ROOMS")
    for number, (sentence, harmful) in enumerate(harm.items()):
        copy = tmp_path / "copies" / str(number)
        shutil.copytree(folder, copy)
        harmful(copy)
        with pytest.raises(BackupError, match=sentence):
            await restore(place(server), copy, replace=True)
    with pytest.raises(BackupError, match=f"such as {folder}"):
        Backup.open(folder.parent)
    with pytest.raises(BackupError, match="there is no folder"):
        Backup.open(tmp_path / "nowhere")
    after = await says(server, "ROOMS")
    assert before is not None
    assert after is not None
    assert (after["created"], after["state"]) == (before["created"], before["state"])


async def test_what_the_server_rejects_leaves_nothing(kept: tuple[EmbeddedNats, Path]) -> None:
    """An archive whose checksum a forger mended, but whose contents NATS does not take: no half of any stream stays."""
    server, folder = kept
    archived = folder / "TIMERS" / ARCHIVE  # the second one: the first was restored whole by then
    archived.write_bytes(archived.read_bytes()[:-10])
    sign(folder)
    with pytest.raises(BackupError, match="TIMERS"):
        await restore(place(server), folder, replace=True)
    assert [await says(server, stream) for stream in REGISTRY.backed_up] == [None, None]


async def test_nobody_uses_a_half_restored_stream(kept: tuple[EmbeddedNats, Path]) -> None:
    """A restore that was killed halfway leaves streams that services take for missing: they wait, rooms says why and
    does not make them anew; restoring again ends it."""
    server, folder = kept
    backup = Backup.open(folder)

    async def killed(client: Client) -> None:
        """The first stream whole, the second not begun, and the marks still there."""
        await archive.delete(client, "TIMERS")
        await archive.restore(client, "ROOMS", backup.about("ROOMS"), lambda: backup.pieces("ROOMS"), 1)

    await place(server).use(killed)
    client = Client()
    await client.connect(server.url, user="rooms", password=server.passwords["rooms"], inbox_prefix="_INBOX.rooms")
    assert await streams.state(client, "ROOMS", 5) is None
    with pytest.raises(Refused, match="it is being restored, or was half restored"):
        await streams.ensure(client, SMALL, 5)
    assert await says(server, "TIMERS") is None
    connecting = asyncio.create_task(as_rooms(server))
    await restore(place(server), folder, replace=True)
    async with asyncio.timeout(15):
        ports = await connecting
    assert len(await rooms_in(ports)) == 300
    await ports.connection.close()
    await client.close()


async def test_who_may_not_is_told_at_once(kept: tuple[EmbeddedNats, Path], tmp_path: Path) -> None:
    """Another service's user, a wrong password, and a server that is not there: a sentence within seconds, no folder."""
    server, folder = kept
    right = place(server)
    wrong = {
        "'auth' may not do that": replace(right, user="auth", password=server.passwords["auth"]),
        f"does not know the user '{OPERATOR}'": replace(right, password="sesame"),
        "nobody answers as NATS": replace(right, urls=("nats://127.0.0.1:1",)),
    }
    async with asyncio.timeout(20):
        for sentence, there in wrong.items():
            for attempt in (take(there, tmp_path / "others"), restore(there, folder, replace=True)):
                with pytest.raises(BackupError, match=sentence):
                    await attempt
    assert not [path for path in (tmp_path / "others").glob("*") if not path.name.startswith(".lock")]
    assert await says(server, "ROOMS") is not None
