"""The broker loses a stream, or is given back an older one, and runs on: who is told what, and that things go on."""

import asyncio
import shutil
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.launcher.embedded_nats import EmbeddedNats
from services.rooms.deadlines import GatewayLost
from shared.broker.memory.connection import MemoryConnection
from shared.broker.subjects import ALL_EVENTS, LOG_STREAM, PROBE, SNAPSHOT_STREAM
from shared.values.ids import RoomId
from shared.values.position import Position
from tests.support.backup import Backup
from tests.support.broker import connector, over_nats
from tests.support.broker_kind import on_both, on_nats
from tests.support.client import Client
from tests.support.lost import lose_log, taker
from tests.support.patience import eventually, eventually_async
from tests.support.shared_nats import SharedNats
from tests.support.system import System, token

SOON = 10.0  # seconds in which clients are told, and in which rooms can be joined again


async def lost_and_back(system: System, client: Client, agent: str) -> dict[str, Any]:
    """The client is told that its room is lost; it comes again, and into the room. What it then sees."""
    notice = await client.hear("go_away", within=SOON)
    assert notice["reason"] == "room_lost"
    assert await client.closed() == 1012
    again = await system.client()
    await again.login(token(agent))
    async with asyncio.timeout(SOON):
        while (seen := await again.ask("join_room", roomId="voice-1"))["type"] != "room_users":
            assert seen["code"] == "unavailable"
            await asyncio.sleep(0.1)
    return seen


@on_both
async def test_the_log_is_deleted(system: System, shared_nats: SharedNats) -> None:
    """Clients are told that their room is lost within ten seconds, and ten seconds later they can join it again."""
    await system.start()
    alice, idle = await system.agent("alice"), await system.agent("idle")
    await alice.join("voice-1")
    await lose_log(system.ports[0], shared_nats)
    seen = await lost_and_back(system, alice, "alice")
    assert seen["revision"] == 2
    assert (await idle.ask("ping"))["type"] == "pong"


@on_nats
@pytest.mark.parametrize("subject", [None, "agentlink.log.voice-1.event"])
@pytest.mark.parametrize("someone_comes", [False, True])
async def test_the_log_is_purged(
    system: System, shared_nats: SharedNats, subject: str | None, someone_comes: bool
) -> None:
    """By hand, wholly or a room of it, while clients are in: they are told, also when somebody makes the room anew first."""
    await system.start(rooms=2)
    alice, carol = await system.agent("alice"), await system.agent("carol")
    await alice.join("voice-1")
    await alice.ask("update_self", name="first")
    with capture_logs() as said:
        async with taker(shared_nats) as one:
            await one.purge(LOG_STREAM, subject)
        if someone_comes:
            async with asyncio.timeout(SOON):
                while (seen := await carol.ask("join_room", roomId="voice-1"))["type"] != "room_users":
                    assert seen["code"] == "unavailable"
                    await asyncio.sleep(0.1)
            if [p["agentId"] for p in seen["participants"]] != ["carol"]:
                assert (await carol.hear("go_away", within=SOON))["reason"] == "room_lost"
        seen = await lost_and_back(system, alice, "alice")
    there = len(seen["participants"])
    assert seen["revision"] <= 4
    for number in range(2):  # whichever replica of rooms answers
        other = await system.agent(f"other-{number}")
        seen_then = await other.join("voice-1")
        assert seen_then["revision"] == seen["revision"] + number + 1
        assert len(seen_then["participants"]) == there + number + 1
    lost = [line for line in said if line["event"].startswith("a room's log ends before what was read")]
    assert {line["room_id"] for line in lost} == {"voice-1"}


@on_both
async def test_the_log_is_restored(system: System, shared_nats: SharedNats) -> None:
    """What happened after the backup did not happen, for clients and for rooms that had it in memory or in a snapshot."""
    await system.start(rooms=2, snapshot_every=1)
    alice, bob = await system.agent("alice"), await system.agent("bob")
    await alice.join("voice-1")
    back_to = await backed_up(system, shared_nats)
    await bob.join("voice-1")
    for name in ("1", "2", "3"):
        await bob.ask("update_self", name=name)
    await lose_log(system.ports[0], shared_nats, back_to)
    seen = await lost_and_back(system, bob, "bob")
    assert [p["agentId"] for p in seen["participants"]] == ["alice", "bob"]
    assert seen["revision"] in (3, 4)  # the 4th: alice's connection was found gone
    assert await alice.closed() == 1012


async def backed_up(system: System, nats: SharedNats) -> Position | Backup:
    """The log as it is now."""
    if isinstance(system.ports[0].connection, MemoryConnection):
        return system.memory.rooms.position
    async with taker(nats) as one:
        return await one.backup(LOG_STREAM)


@on_both
async def test_who_has_left_since_the_backup_is_no_ghost(system: System, shared_nats: SharedNats) -> None:
    """Its gateway lives, and does not know the seat any more. Who is in comes back to its seat, and stays."""
    await system.start(rooms=2, grace_seconds=3)
    alice, bob = await system.agent("alice"), await system.client()
    await alice.join("voice-1")
    opened = await bob.login(token("bob"))
    before = await bob.join("voice-1")
    back_to = await backed_up(system, shared_nats)
    await alice.ask("leave_room", roomId="voice-1")
    await lose_log(system.ports[0], shared_nats, back_to)
    cursors = {"voice-1": before["cursor"]}
    async with asyncio.timeout(2 * SOON):
        while True:
            assert (await bob.hear("go_away", within=2 * SOON))["reason"] == "room_lost"
            bob = await system.client()
            resume = {"token": opened["resumeToken"], "cursors": cursors}
            while (reply := await bob.ask("authenticate", token=token("bob"), resume=resume))["type"] != "auth_ok":
                assert reply["code"] == "unavailable"
                bob = await system.client()
            assert reply["resumed"]
            while [p["agentId"] for p in (await bob.ask("get_room", roomId="voice-1"))["participants"]] != ["bob"]:
                if any(message["type"] == "go_away" for message in bob.everything):
                    break  # it was back before rooms counted who is away, and has to come once more
                await asyncio.sleep(0.1)
            else:
                break
    await asyncio.sleep(5)
    (own,) = (await bob.ask("get_room", roomId="voice-1"))["participants"]
    assert (own["id"], own["connection"]) == (before["self"], "connected")


@on_both
async def test_who_is_taken_for_away_and_is_not(system: System) -> None:
    """Whatever made rooms believe so: the client is asked to come again, and has its seat."""
    await system.start(grace_seconds=5)
    bob = await system.client()
    opened = await bob.login(token("bob"))
    seen = await bob.join("voice-1")
    lost = GatewayLost(RoomId("voice-1"), system.gateways[0].context.lease.gateway)
    await system.rooms[0].executor.execute(lost)
    assert (await bob.hear("go_away"))["reason"] == "room_lost"
    again = await system.client()
    resume = {"token": opened["resumeToken"], "cursors": {"voice-1": seen["cursor"]}}
    assert (await again.login(token("bob"), resume=resume))["resumed"]
    await asyncio.sleep(6)
    (own,) = (await again.ask("get_room", roomId="voice-1"))["participants"]
    assert (own["id"], own["connection"]) == (seen["self"], "connected")


@on_both
async def test_all_leases_are_purged(system: System, shared_nats: SharedNats) -> None:
    """By a gateway that was taken over, say: the others arm theirs anew, and nobody in a room is cut off."""
    await system.start(gateways=2, lease_seconds=2)
    alice, bob = await system.agent("alice"), await system.agent("bob", gateway=1)
    await alice.join("voice-1")
    await bob.join("voice-1")
    alive = {gateway.context.lease.gateway for gateway in system.gateways}
    connection = system.ports[3].connection
    if isinstance(connection, MemoryConnection):
        connection.broker.lose_leases()
    else:
        await over_nats(system.ports[3]).store.store(PROBE, b"", {"Nats-Rollup": "all"})
    assert not await system.ports[0].leases.alive()

    async def again() -> bool:
        return await system.ports[0].leases.alive() == alive

    await eventually_async(again, "both have armed theirs anew", within=5)
    await asyncio.sleep(2)
    assert not [m for c in (alice, bob) for m in c.everything if m["type"] in ("user_updated", "user_left", "go_away")]


@on_nats
async def test_snapshots_are_deleted(system: System, shared_nats: SharedNats) -> None:
    """Nobody notices; the stream is there again within ten seconds, and is filled by what happens next."""
    await system.start(snapshot_every=1)
    alice = await system.agent("alice")
    await alice.join("voice-1")
    async with taker(shared_nats) as one:
        await one.delete(SNAPSHOT_STREAM)
        await alice.ask("update_self", name="first")

        async def filled() -> bool:
            await alice.ask("update_self", name=f"{asyncio.get_running_loop().time():.2f}")
            await asyncio.sleep(0.2)
            return await one.messages(SNAPSHOT_STREAM) == 1

        await eventually_async(filled, "there are snapshots again", within=SOON)
    assert not [m for m in alice.everything if m["type"] in ("user_left", "go_away")]


def seen_ends(system: System) -> list[Position]:
    """Where the log ended when each service last looked: below what nobody saw it is still the same log."""
    return [state.last for ports in system.ports if (state := ports.watch.state(LOG_STREAM)) is not None]


async def test_the_volume_is_rolled_back(nats_server: EmbeddedNats) -> None:
    """The stream has the creation time that it had, and an older end: that is another log too, for rooms and for clients."""
    system = System(connector(nats_server.url, nats_server.passwords, timeout=2))
    try:
        await system.start(lease_seconds=40, signal_seconds=200, snapshot_every=1)
        alice, bob = await system.agent("alice"), await system.agent("bob")
        await alice.join("voice-1")
        store = nats_server.folder / "jetstream"
        await nats_server.stop()
        shutil.copytree(store, nats_server.folder / "earlier")
        await nats_server.start()
        async with asyncio.timeout(20):
            while (await bob.ask("join_room", roomId="voice-1"))["type"] != "room_users":
                await asyncio.sleep(0.1)
        for name in ("1", "2", "3"):
            await bob.ask("update_self", name=name)
        before = system.ports[0].room_log.incarnation
        end = await system.ports[0].room_log.position(ALL_EVENTS)
        await eventually(lambda: seen_ends(system) == [end, end], "rooms and the gateway have looked at the end")
        await nats_server.stop()
        store.rename(nats_server.folder / "later")
        (nats_server.folder / "earlier").rename(store)
        await nats_server.start()
        seen = await lost_and_back(system, bob, "bob")
        assert [p["agentId"] for p in seen["participants"]] == ["alice", "bob"]
        assert seen["revision"] in (3, 4)
        assert system.ports[0].room_log.incarnation == system.ports[2].room_log.incarnation != before
    finally:
        await system.stop()


@on_both
async def test_an_earlier_stay_is_not_taken_for_this_one(system: System, shared_nats: SharedNats) -> None:
    """A session left, and joined again after the backup. The restored log knows only the end of the first stay, which is
    no news of the second. That one is over as well: the client that comes back begins a session anew."""
    await system.start(rooms=2)
    bob = await system.agent("bob")
    await bob.join("voice-1")
    alice = await system.client()
    opened = await alice.login(token("alice"))
    await alice.join("voice-1")
    await alice.ask("leave_room", roomId="voice-1")
    back_to = await backed_up(system, shared_nats)
    seen = await alice.join("voice-1")
    await lose_log(system.ports[0], shared_nats, back_to)
    assert (await alice.hear("go_away", within=SOON))["reason"] == "room_lost"
    again = await system.client()
    resume = {"token": opened["resumeToken"], "cursors": {"voice-1": seen["cursor"]}}
    async with asyncio.timeout(SOON):
        while (reply := await again.ask("authenticate", token=token("alice"), resume=resume))["type"] != "auth_ok":
            assert reply["code"] == "unavailable"
            again = await system.client()
    assert reply["resumed"] is False
    await again.silence("user_left")
