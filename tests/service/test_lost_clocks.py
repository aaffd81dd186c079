"""The broker loses what waits for its time: rooms arms it anew from the logs, and leaves nobody behind."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from shared.broker.memory.log import MemoryLog
from shared.broker.subjects import LEASE_STREAM, TIMER_STREAM
from shared.rooms.timers import GraceEnds, LogKept, RoomEmpty, RoomEnds
from shared.values.ids import RoomId
from tests.simulation.clock import in_virtual_time
from tests.simulation.log import FaultyLog
from tests.support.away import came
from tests.support.broker_kind import on_both, on_nats
from tests.support.lost import taker
from tests.support.shared_nats import SharedNats
from tests.support.system import System
from tests.support.virtual import VirtualSystem

pytestmark = on_both

WITHIN = 60.0  # seconds after any loss of timers in which nobody is left behind

Lose = Callable[[VirtualSystem], None]


def timers(system: VirtualSystem) -> None:
    """All timers, and the notes of which gateway is in which room."""
    system.broker.lose_timers()


def both(system: VirtualSystem) -> None:
    """The leases too."""
    system.broker.lose_timers()
    system.broker.lose_leases()


def leases(system: VirtualSystem) -> None:
    """The leases alone."""
    system.broker.lose_leases()


@pytest.mark.parametrize("lose", [timers, both, leases])
@in_virtual_time
async def test_a_gateway_dies_before_its_clocks_are_lost(virtual: VirtualSystem, lose: Lose) -> None:
    """Nobody has its lease any more; those who were with it are out a minute later. Who lives, stays, unbothered."""
    await virtual.start(gateways=2, rooms=2)
    alice, _ = await came(virtual, "alice", 1)
    bob, _ = await came(virtual, "bob", 0)
    virtual.kill(0)
    lose(virtual)
    left = await alice.hear("user_left", within=WITHIN)
    assert (left["participantId"], left["reason"]) == (bob.participants["voice-1"], "timeout")
    await asyncio.sleep(WITHIN)
    shown = [m["participant"]["agentId"] for m in alice.everything if m["type"] == "user_updated"]
    assert set(shown) == {"bob"}
    assert [p["agentId"] for p in (await alice.ask("get_room"))["participants"]] == ["alice"]


@pytest.mark.parametrize("lose", [timers, both, leases])
@in_virtual_time
async def test_a_gateway_dies_after_its_clocks_were_lost(virtual: VirtualSystem, lose: Lose) -> None:
    """Its lease and the note of its room were stored anew, also for who joined just then."""
    await virtual.start(gateways=2, rooms=2)
    alice, _ = await came(virtual, "alice", 1)
    bob, _ = await came(virtual, "bob", 0)
    lose(virtual)
    carol, _ = await came(virtual, "carol", 0)
    await asyncio.sleep(30)
    assert not [m for m in alice.everything if m["type"] in ("user_updated", "user_left")]
    virtual.kill(0)
    left = {(await alice.hear("user_left", within=WITHIN))["participantId"] for _ in range(2)}
    assert left == {bob.participants["voice-1"], carol.participants["voice-1"]}


@in_virtual_time
async def test_who_was_away_is_missed(virtual: VirtualSystem) -> None:
    """Its grace was lost: it gets another one, and is out when that is over."""
    await virtual.start()
    alice, _ = await came(virtual, "alice")
    bob, _ = await came(virtual, "bob")
    await bob.close()
    await alice.hear("user_updated")
    virtual.broker.lose_timers()
    left = await alice.hear("user_left", within=WITHIN)
    assert (left["participantId"], left["reason"]) == (bob.participants["voice-1"], "timeout")


@in_virtual_time
async def test_every_clock_of_every_room(virtual: VirtualSystem) -> None:
    """The end of a room, the end of an empty one, the end of a closed one's log: what waits afterwards waited before."""
    await virtual.start()
    alice, _ = await came(virtual, "alice")
    bearer = {"Authorization": f"Bearer {virtual.token('alice')}"}
    async with virtual.http() as rest:
        for room_id in ("long", "empty", "closed"):
            settings = {"maxDuration": 90} if room_id == "long" else {}
            body = {"roomId": room_id, "name": room_id, "type": "video", "settings": settings}
            assert (await rest.post("/api/rooms", json=body, headers=bearer)).status_code == 201
        assert (await rest.delete("/api/rooms/closed", headers=bearer)).status_code == 204
    await alice.join("long")
    rooms = [RoomId(room_id) for room_id in ("long", "empty", "closed")]
    before = {key: due for key, due in waiting(virtual).items() if key[1] in rooms}
    needed: set[tuple[type, RoomId]] = set(zip((RoomEnds, RoomEmpty, LogKept), rooms, strict=True))
    assert needed <= before.keys()
    virtual.broker.lose_timers()
    assert not waiting(virtual)
    await asyncio.sleep(20)
    after = waiting(virtual)
    assert needed <= after.keys()
    for key in needed:
        assert abs(after[key] - before[key]) < 1.5, key


def waiting(system: VirtualSystem) -> dict[tuple[type, RoomId], float]:
    """When each room's clocks are due."""
    kinds = (RoomEnds, RoomEmpty, LogKept, GraceEnds)
    timers = [timer for timer in system.broker.timers.all_waiting() if isinstance(timer, kinds)]
    return {(type(timer), timer.room_id): timer.due for timer in timers}


@in_virtual_time
async def test_a_room_that_cannot_be_read(virtual: VirtualSystem) -> None:
    """It keeps no other room from its clocks."""
    await virtual.start()
    alice, _ = await came(virtual, "alice")
    bob, _ = await came(virtual, "bob")
    virtual.broker.rooms.store("agentlink.log.bad.event", {}, b"no entry")
    await bob.close()
    await alice.hear("user_updated")
    virtual.broker.lose_timers()
    await alice.hear("user_left", within=WITHIN)


@in_virtual_time
async def test_leases_are_purged_again_and_again(virtual: VirtualSystem) -> None:
    """For a minute, several times a second, by a gateway that was taken over, say: nobody is taken for gone by that."""
    await virtual.start(gateways=2, rooms=2)
    alice, _ = await came(virtual, "alice", 1)
    await came(virtual, "bob", 0)
    for _ in range(300):
        virtual.broker.lose_leases()
        await asyncio.sleep(0.2)
    await asyncio.sleep(30)
    assert not [m for m in alice.everything if m["type"] in ("user_updated", "user_left", "go_away")]


@in_virtual_time
async def test_one_step_takes_a_minute(virtual: VirtualSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    """Listing all rooms takes far longer than a claim may stand still: one replica does it, once, and is done."""
    await virtual.start(rooms=3)
    alice, _ = await came(virtual, "alice")
    bob, _ = await came(virtual, "bob")
    await asyncio.sleep(10)
    await bob.close()
    await alice.hear("user_updated")
    listed: list[float] = []
    list_all = MemoryLog.newest_of_each

    async def slowly(log: MemoryLog[Any, Any], subject: str) -> list[Any]:
        listed.append(asyncio.get_running_loop().time())
        await asyncio.sleep(60)
        return await list_all(log, subject)

    monkeypatch.setattr(MemoryLog, "newest_of_each", slowly)
    monkeypatch.setattr(FaultyLog, "newest_of_each", slowly)
    virtual.broker.lose_timers()
    await alice.hear("user_left", within=60 + WITHIN)
    await asyncio.sleep(120)
    assert len(listed) == 1
    mark = virtual.broker.timers.own_mark
    assert mark is not None
    assert '"by":null' in mark.body.decode()


@in_virtual_time
async def test_the_replica_that_rebuilds_dies(virtual: VirtualSystem) -> None:
    """The other one takes it over."""
    await virtual.start(rooms=2)
    alice, _ = await came(virtual, "alice")
    bob, _ = await came(virtual, "bob")
    await bob.close()
    await alice.hear("user_updated")
    virtual.broker.lose_timers()
    while virtual.broker.timers.own_mark is None:
        await asyncio.sleep(0.1)
    claimed = virtual.broker.timers.own_mark.body.decode()
    dead = next(n for n in (0, 1) if claims(virtual, n) in claimed)
    virtual.kill_rooms(dead)
    await alice.hear("user_left", within=WITHIN)


@in_virtual_time
async def test_the_log_was_cut_off_while_nobody_looked(virtual: VirtualSystem) -> None:
    """A replica that starts finds it shorter than the timers say: it is another log, and clients are told so."""
    await virtual.start()
    alice, _ = await came(virtual, "alice")
    await asyncio.sleep(30)  # until the mark is behind the join
    log = virtual.broker.rooms
    virtual.kill_rooms(0)
    log.messages.clear()
    log._newest.clear()
    await virtual.start_rooms()
    notice = await alice.hear("go_away", within=10)
    assert notice["reason"] == "room_lost"


def claims(system: VirtualSystem, replica: int) -> str:
    """What a replica writes into the mark as its own."""
    return system.rooms[replica].clocks.name


@on_nats
async def test_timers_and_leases_are_deleted_for_real(system: System, shared_nats: SharedNats) -> None:
    """A gateway dies, and its lease is gone before it was due; those who were with it are out a minute later."""
    await system.start(gateways=2, grace_seconds=2)
    alice, _ = await came(system, "alice", 1)
    bob, _ = await came(system, "bob", 0)
    system.kill(0)
    async with taker(shared_nats) as one:
        await one.delete(TIMER_STREAM)
        await one.delete(LEASE_STREAM)
    left = await alice.hear("user_left", within=WITHIN)
    assert left["participantId"] == bob.participants["voice-1"]
    assert not [m for m in alice.everything if m["type"] == "go_away"]
