"""Entries get lost on their way to a gateway, brokers are restarted and replaced: what clients notice of it."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from services.gateway.replica.room_feed import RoomFeed
from services.launcher.embedded_nats import EmbeddedNats
from shared.broker.following import Following
from shared.broker.room_log import RoomEntry, StoredEvents, StoredSignal
from shared.values.ids import RoomId
from shared.values.position import NOWHERE, Position
from tests.support.broker import connector
from tests.support.broker_kind import on_both
from tests.support.client import Client
from tests.support.patience import eventually_async
from tests.support.sdp import candidate, offer
from tests.support.system import System, token
from tests.support.view import View

pytestmark = on_both


class Lossy:
    """Stands between a log and who follows it: loses entries when told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, log: Any) -> None:
        self.losing: Callable[[RoomEntry], bool] = lambda _: False
        self.lost = 0
        self.missed: list[Callable[[], None]] = []
        follow = log.follow

        async def lossy(subject: str, receive: Callable[[RoomEntry], None], on_gap: Callable[[], None]) -> Following:
            def maybe(entry: RoomEntry) -> None:
                if self.losing(entry):
                    self.lost += 1
                else:
                    receive(entry)

            self.missed.append(on_gap)
            following: Following = await follow(subject, maybe, on_gap)
            return following

        monkeypatch.setattr(log, "follow", lossy)


def followed(system: System, gateway: int = 0) -> RoomFeed:
    """What a gateway knows of the room."""
    return system.gateways[gateway].context.feeds._rooms[RoomId("voice-1")]


async def pair(system: System, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> tuple[Client, Client, Lossy]:
    """Alice behind a gateway that may lose something, Bob behind another one."""
    await system.start(gateways=2, message_rate=10_000, message_burst=10_000, **settings)
    lossy = Lossy(monkeypatch, system.ports[2].room_log)
    alice, bob = await system.agent("alice"), await system.agent("bob", gateway=1)
    await alice.join("voice-1")
    await bob.join("voice-1")
    await alice.hear("user_joined")
    return alice, bob, lossy


async def changes(client: Client, *names: str) -> None:
    """Rename oneself, again and again."""
    for name in names:
        assert (await client.ask("update_self", name=name))["type"] == "ok"


async def test_lost_events(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next event shows that some are missing: clients get them all, in order, none twice."""
    alice, bob, lossy = await pair(system, monkeypatch)
    lossy.losing = lambda _: lossy.lost < 3
    await changes(bob, "1", "2", "3", "4", "5")
    await alice.hear("user_updated", revision=8)
    View.of(alice.everything, "voice-1")
    assert lossy.lost == 3


async def test_missed_while_reading_on(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is lost after the log was read, and reported before the reading ends, is read as well."""
    alice, bob, lossy = await pair(system, monkeypatch)
    lossy.losing = lambda entry: isinstance(entry, StoredSignal)
    read, has_read, go_on = system.ports[2].room_log.read, asyncio.Event(), asyncio.Event()

    async def slow(subject: str, *, after: Position = NOWHERE, limit: int) -> Sequence[RoomEntry]:
        entries = await read(subject, after=after, limit=limit)
        has_read.set()
        await go_on.wait()
        return entries

    monkeypatch.setattr(system.ports[2].room_log, "read", slow)
    lossy.missed[0]()
    await has_read.wait()
    assert (await bob.ask("offer", to=alice.participants["voice-1"], sdp=offer()))["type"] == "ok"
    lossy.missed[0]()
    go_on.set()
    await alice.hear("offer")
    assert lossy.lost == 1


async def test_a_room_closes_under_who_comes_back(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told so, and is no longer in there, also when the gateway has to read on just then and cannot."""
    alice, bob, _ = await pair(system, monkeypatch)
    secret = next(m["resumeToken"] for m in bob.everything if m["type"] == "auth_ok")
    cursor = next(m["cursor"] for m in reversed(bob.everything) if m.get("roomId") == "voice-1")
    await bob.close()
    log, read = system.ports[2].room_log, system.ports[2].room_log.read

    async def slow(subject: str, *, after: Position = NOWHERE, limit: int) -> Sequence[RoomEntry]:
        monkeypatch.setattr(log, "read", read)
        async with httpx.AsyncClient(base_url=system.url) as rest:
            gone = await rest.delete("/api/rooms/voice-1", headers={"Authorization": f"Bearer {token('alice')}"})
        assert gone.status_code == 204
        await alice.hear("room_closed")
        monkeypatch.setattr(RoomFeed, "_fill_gap", lambda _: asyncio.sleep(60))
        followed(system).resync("test")
        return await read(subject, after=after, limit=limit)

    monkeypatch.setattr(log, "read", slow)
    back = await system.client(0)
    await back.ask("authenticate", token=token("bob"), resume={"token": secret, "cursors": {"voice-1": cursor}})
    await back.hear("room_closed")
    assert (await back.ask("get_room", roomId="voice-1"))["code"] == "not_in_room"
    assert (await back.ask("join_room", roomId="voice-1"))["code"] == "room_closed"


async def test_lost_signals(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next signal shows it, even if events were taken meanwhile: offer before candidates, each once."""
    alice, bob, lossy = await pair(system, monkeypatch)
    to = alice.participants["voice-1"]
    lossy.losing = lambda entry: isinstance(entry, StoredSignal) and lossy.lost < 2
    await bob.ask("offer", to=to, sdp=offer(), negotiation="0")
    await changes(bob, "Between")
    await alice.hear("user_updated")
    for n in range(1, 5):
        await bob.ask("candidate", to=to, candidate=candidate(), negotiation=str(n))
    await alice.hear("candidate", negotiation="4")
    assert [m["negotiation"] for m in alice.everything if "negotiation" in m] == list("01234")
    assert lossy.lost == 2


async def test_a_lost_join(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal from somebody whose join was lost comes after that join."""
    alice, _, lossy = await pair(system, monkeypatch)
    lossy.losing = lambda entry: isinstance(entry, StoredEvents)
    carol = await system.agent("carol", gateway=1)
    await carol.join("voice-1")
    await carol.ask("offer", to=alice.participants["voice-1"], sdp=offer())
    await alice.hear("offer")
    kinds = [m["type"] for m in alice.everything]
    assert kinds[-2:] == ["user_joined", "offer"]


async def test_a_hole_before_a_silence(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last entries before a silence are lost: comparing with the log finds it, also after a signal passed."""
    alice, bob, lossy = await pair(system, monkeypatch)
    lossy.losing = lambda entry: isinstance(entry, StoredEvents)
    await changes(bob, "1", "2")
    await bob.ask("candidate", to=alice.participants["voice-1"], candidate=None)
    await alice.hear("candidate")
    comparing = asyncio.create_task(system.gateways[0].context.feeds.compare(0.05))
    try:
        await alice.hear("user_updated", revision=5, within=2)
    finally:
        comparing.cancel()
    View.of(alice.everything, "voice-1")
    assert lossy.lost == 2


async def test_told_that_something_was_missed(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow-consumer report or a reconnect: the gateway reads on at once, without waiting for the next entry."""
    alice, bob, lossy = await pair(system, monkeypatch)
    lossy.losing = lambda _: True
    await changes(bob, "1")
    await bob.ask("offer", to=alice.participants["voice-1"], sdp=offer())
    lossy.losing = lambda _: False
    for missed in lossy.missed:
        missed()
        missed()
    await alice.hear("offer", within=2)
    await changes(bob, "2")
    await alice.hear("user_updated", revision=5)
    assert [m["type"] for m in alice.everything][-3:] == ["user_updated", "offer", "user_updated"]
    assert followed(system).replica.gap == "connection"


async def test_nats_restarted(nats_server: EmbeddedNats) -> None:
    """Under a live room: connections stay, what failed is `unavailable`, and afterwards everybody got everything once."""
    system = System(connector(nats_server.url, nats_server.passwords, timeout=2))
    try:
        await system.start(gateways=2)
        alice, bob = await system.agent("alice"), await system.agent("bob", gateway=1)
        await alice.join("voice-1")
        await bob.join("voice-1")
        await changes(alice, "before")
        await nats_server.stop()
        refused = await bob.ask("update_self", name="meanwhile")
        assert (refused["code"], refused["retryable"]) == ("unavailable", True)
        assert (await bob.ask("ping"))["type"] == "pong"
        await nats_server.start()
        n = 0
        async with asyncio.timeout(15):
            while (await bob.ask("offer", to=alice.participants["voice-1"], sdp=offer()))["type"] != "ok":
                n += 1
                await asyncio.sleep(0.05)
            while (await alice.ask("update_self", name="after"))["type"] != "ok":
                await asyncio.sleep(0.05)
            await bob.hear("user_updated", revision=5)
            await alice.hear("offer")
        await asyncio.sleep(0.3)
        assert len([m for m in alice.everything if m["type"] == "offer"]) == 1
        views = [View.of(client.everything, "voice-1") for client in (alice, bob)]
        assert views[0].participants == views[1].participants
        assert not [m for c in (alice, bob) for m in c.everything if m["type"] in ("user_left", "go_away")]
    finally:
        await system.stop()


async def test_nats_replaced_by_an_empty_one(nats_server: EmbeddedNats) -> None:
    """The rooms are gone with it: clients are told to come back, and can join anew. Who is in no room stays.

    So does the gateway: its lease is gone too, and waits in the new NATS before its own time to give up has come. That
    time is long here, since a busy machine needs seconds to start NATS.
    """
    system = System(connector(nats_server.url, nats_server.passwords, timeout=2))
    try:
        await system.start(lease_seconds=40, signal_seconds=200)
        gateway = system.gateways[0].context.lease.gateway
        alice, idle = await system.agent("alice"), await system.agent("idle")
        await alice.join("voice-1")
        await nats_server.stop()
        store = nats_server.folder / "jetstream"
        store.rename(nats_server.folder / "old")
        await nats_server.start()
        notice = await alice.hear("go_away", within=15)
        assert notice["reason"] == "room_lost"
        assert await alice.closed() == 1012

        async def armed() -> bool:
            return gateway in await system.ports[0].leases.alive()

        await eventually_async(armed, "the gateway's lease waits in the new NATS", within=30)
        await idle.join("voice-1")
        again = await system.client()
        await again.login(token("alice"))
        seen = await again.join("voice-1")
        assert [p["agentId"] for p in seen["participants"]] == ["idle", "alice"]
        assert seen["revision"] == 3
    finally:
        await system.stop()
