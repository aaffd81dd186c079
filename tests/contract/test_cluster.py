"""Three NATS servers that keep three copies: what is acknowledged survives one of them, and nobody else joins."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.launcher.embedded_cluster import EmbeddedCluster, here
from services.launcher.embedded_nats import EmbeddedNats, Place
from shared.broker.ports import Ports
from shared.broker.storage import LOG, STORE
from shared.broker.subjects import room_log
from shared.rooms.reserve import Place as Reserved
from shared.values.ids import RoomId
from tests.support.broker import connector
from tests.support.cluster import clustered, leader
from tests.support.logs import begin
from tests.support.netns import isolated
from tests.support.patience import eventually, eventually_async

A, B = RoomId("room-a"), RoomId("room-b")
ELECTION = 40.0  # generous: NATS needs up to ten seconds for one, on a machine of its own


@asynccontextmanager
async def rooms_on(cluster: EmbeddedCluster) -> AsyncIterator[Ports]:
    """A connection of rooms, with three copies of each stream."""
    ports = await connector(cluster.url, cluster.passwords, timeout=2.0, replicas=3)("rooms")
    try:
        yield ports
    finally:
        await ports.connection.close()


def another_leads(cluster: EmbeddedCluster, before: int) -> Callable[[], Awaitable[bool]]:
    async def it_does() -> bool:
        return await leader(cluster) != before

    return it_does


def begins(ports: Ports, room_id: RoomId) -> Callable[[], Awaitable[bool]]:
    async def it_does() -> bool:
        return await begin(ports, room_id) > 0

    return it_does


def has(ports: Ports, room_id: RoomId, expected: list[int]) -> Callable[[], Awaitable[bool]]:
    """Whether these are a room's entries. Asked for patiently, since any copy may answer, also one that lags."""

    async def it_has() -> bool:
        return [entry.position for entry in await ports.room_log.read(room_log(room_id), limit=10)] == expected

    return it_has


@pytest.mark.slow
async def test_a_killed_leader_takes_nothing_with_it(tmp_path: Path) -> None:
    """What the killed leader acknowledged is there, another leads, appends go on; it comes back where it was, and after
    all three were stopped everything is there."""
    async with clustered(tmp_path) as cluster:
        async with rooms_on(cluster) as rooms:
            first = await begin(rooms, A)
            led, url = await leader(cluster), cluster.url
            await cluster.kill(led)
            await eventually_async(another_leads(cluster, led), "another leads", within=ELECTION)
            await eventually_async(has(rooms, A, [first]), "what was acknowledged is there", within=ELECTION)
            await eventually_async(begins(rooms, B), "appends go on", within=ELECTION)
            await cluster.servers[led].start()
            await cluster.ready()
            assert cluster.url == url
        await cluster.stop()
        await cluster.start()
        assert cluster.url == url
        async with rooms_on(cluster) as rooms:
            await eventually_async(has(rooms, A, [first]), "it is there after all were stopped", within=ELECTION)


@pytest.mark.slow
async def test_a_leader_that_is_cut_off_is_replaced(tmp_path: Path) -> None:
    """The majority goes on without a leader that nobody reaches; when it is back, it catches up and follows."""
    with isolated(3) as network:
        async with clustered(tmp_path, network) as cluster, rooms_on(cluster) as rooms:
            first = await begin(rooms, A)
            led = await leader(cluster)
            network.cut(led)
            await eventually_async(another_leads(cluster, led), "another leads", within=ELECTION)
            await eventually_async(begins(rooms, B), "appends go on", within=ELECTION)
            network.heal(led)
            await cluster.ready()
            await eventually_async(has(rooms, A, [first]), "what was acknowledged is there", within=ELECTION)


async def test_nobody_joins_without_the_password(tmp_path: Path) -> None:
    """A server that knows the ports and not the routes' password stays outside."""
    async with clustered(tmp_path / "cluster") as cluster:
        conf = (cluster.servers[0].folder / "nats.conf").read_text()
        (routes,) = [line for line in conf.splitlines() if "routes:" in line]
        password = json.loads((cluster.folder / "passwords.json").read_text())["route"]
        assert password in routes
        settings = routes.replace(f":{password}@", ":guessed@").partition("listen:")
        addresses = settings[2].partition("routes:")[2]
        stranger = EmbeddedNats(
            tmp_path / "stranger",
            settings=f'cluster {{ name: parley, listen: "127.0.0.1:-1", routes: {addresses} }}',
            place=Place("stranger"),
        )
        await stranger.start()
        try:
            log = stranger.folder / "nats.log"
            await eventually(lambda: "Authorization Violation" in log.read_text(), "the stranger is refused")
            assert await asyncio.to_thread(neighbours, cluster) == {"nats-2", "nats-3"}
        finally:
            await stranger.stop()


def neighbours(cluster: EmbeddedCluster) -> set[str]:
    """Whom the first server has routes to."""
    with urllib.request.urlopen(f"{cluster.servers[0].monitor}/routez", timeout=5) as answer:  # noqa: S310 - our own
        return {route["remote_name"] for route in json.load(answer)["routes"]}


async def test_what_is_private_stays_private(tmp_path: Path) -> None:
    """The files with passwords are their owner's alone; neither monitoring nor logs tell one."""
    async with clustered(tmp_path) as cluster:
        await asyncio.to_thread(look_for_passwords, cluster)


def look_for_passwords(cluster: EmbeddedCluster) -> None:
    private = [*cluster.folder.rglob("passwords.json"), *cluster.folder.rglob("nats.conf")]
    assert len(private) == 4
    assert {file.stat().st_mode & 0o777 for file in private} == {0o600}
    told = [log.read_text() for log in cluster.folder.rglob("nats.log")]
    for page in ("varz", "routez", "connz?auth=1", "jsz?config=1"):
        with urllib.request.urlopen(f"{cluster.servers[0].monitor}/{page}", timeout=5) as answer:  # noqa: S310 - our own
            told.append(answer.read().decode())
    assert len(told) == 7
    for password in json.loads((cluster.folder / "passwords.json").read_text()).values():
        assert not [text for text in told if password in text]


@pytest.mark.slow
async def test_what_is_stored_and_its_limit_are_both_of_all_copies(tmp_path: Path) -> None:
    """The account's limit has room for three copies of streams that fill two thirds of one server, and the store's
    place, from which the reserve is kept, counts what is stored three times, as its limit does."""
    cluster = EmbeddedCluster(tmp_path, here(3), store_bytes=3 << 28)
    await cluster.start()
    try:
        ports = await connector(cluster.url, cluster.passwords, timeout=2.0, replicas=3, max_bytes=1 << 28)("rooms")
        before = await stored(ports)
        assert before.size == 3 * (3 << 28)
        for number in range(20):
            await begin(ports, RoomId(f"room-{number}"))
        log = next(place.used for place in (await ports.storage.look()).places if place.name == LOG)

        async def counted() -> bool:
            return (await stored(ports)).used - before.used >= 3 * log

        await eventually_async(counted, "all three copies are counted", within=ELECTION)
        await ports.connection.close()
    finally:
        await cluster.stop()


async def stored(ports: Ports) -> Reserved:
    """The place of all that is stored."""
    return next(place for place in (await ports.storage.look()).places if place.name == STORE)
