"""Nobody left behind: gateways that vanish, brokers that are away, rooms whose time is over."""

import asyncio
import time
from typing import Any

import pytest

from services.rooms.deadlines import GatewayLost
from services.rooms.decision import Rules
from services.rooms.executor import RoomExecutor
from services.rooms.log import RoomLog
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.ports import connect
from shared.broker.subjects import RESUME_PARTICIPANT
from shared.rooms.model import RoomSettings
from shared.rooms.timers import GraceEnds, RoomEnds
from shared.values.errors import unavailable
from tests.simulation.clock import in_virtual_time
from tests.support import orders
from tests.support.absence import G1, G2, drop, resume
from tests.support.away import ROOM, Away, came, until_resumed
from tests.support.broker_kind import on_both, on_nats
from tests.support.sdp import offer
from tests.support.services import AnyClient, Services
from tests.support.system import System
from tests.support.virtual import VirtualClient, VirtualSystem

pytestmark = on_both


# -- gateways ----------------------------------------------------------------------------------------------------------


async def vanishes(system: Services[AnyClient]) -> None:
    """What the others see of a gateway of whose death nobody tells them."""
    await system.start(gateways=2, lease_seconds=1, grace_seconds=1)
    alice, _ = await came(system, "alice", 1)
    bob, _ = await came(system, "bob", 0)
    carol, _ = await came(system, "carol", 0)
    system.kill(0)
    assert await bob.closed() == 1006
    gone = {bob.participants[ROOM], carol.participants[ROOM]}
    away = [await alice.hear("user_updated") for _ in gone]
    assert {m["participant"]["id"] for m in away} == gone
    assert {m["participant"]["connection"] for m in away} == {"reconnecting"}
    left = [await alice.hear("user_left") for _ in gone]
    assert {(m["participantId"], m["reason"]) for m in left} == {(one, "timeout") for one in gone}
    assert [p["agentId"] for p in (await alice.ask("get_room"))["participants"]] == ["alice"]


@in_virtual_time
async def test_a_gateway_vanishes(virtual: VirtualSystem) -> None:
    """Without a word from it the others see its participants `reconnecting` when its lease is over, then leave."""
    await vanishes(virtual)


@on_nats
@pytest.mark.slow
async def test_a_gateway_vanishes_for_real(system: System) -> None:
    """The same by the clocks of this machine, with leases and graces that NATS holds."""
    await vanishes(system)


@in_virtual_time
async def test_a_vanished_gateways_client_comes_back(virtual: VirtualSystem) -> None:
    """By way of another one, before the lease is over or after it: it keeps its seat, and its grace does not end."""
    await virtual.start(gateways=2, lease_seconds=1, grace_seconds=2)
    alice, _ = await came(virtual, "alice", 1)
    bob, early = await came(virtual, "bob", 0)
    carol, late = await came(virtual, "carol", 0)
    coming = [Away(bob, "bob", early), Away(carol, "carol", late)]
    virtual.kill(0)
    back, reply = await coming[0].back(virtual, 1)
    assert reply["resumed"] is True
    await until_resumed(back)
    seen = (await alice.hear("user_updated"))["participant"]
    assert (seen["id"], seen["connection"]) == (bob.participants[ROOM], "connected")
    seen = (await alice.hear("user_updated"))["participant"]
    assert seen["connection"] == "reconnecting"
    assert seen["id"] == carol.participants[ROOM], "bob has another gateway by then"
    again, reply = await coming[1].back(virtual, 1)
    assert reply["resumed"] is True
    await until_resumed(again)
    await alice.silence("user_left", seconds=2.5)
    shown = await alice.ask("get_room")
    assert {(p["agentId"], p["connection"]) for p in shown["participants"]} == {
        (name, "connected") for name in ("alice", "bob", "carol")
    }


@in_virtual_time
async def test_a_gateway_without_its_broker(virtual: VirtualSystem) -> None:
    """Longer than its lease allows, it sends everybody away, with `unavailable`; when the broker is back they resume."""
    await virtual.start(gateways=1, lease_seconds=1, grace_seconds=5)
    alice, first = await came(virtual, "alice")
    bob, second = await came(virtual, "bob")
    before = virtual.gateways[0].context.lease.gateway
    virtual.lose_broker()
    for client in (alice, bob):
        assert await client.closed() == 4002
        assert (client.everything[-1]["type"], client.everything[-1]["code"]) == ("error", "unavailable")
    refused = await virtual.client()
    assert (await refused.ask("authenticate", token=virtual.token("dan")))["code"] == "unavailable"
    assert await refused.closed() == 4002
    await virtual.find_broker()
    async with asyncio.timeout(10):
        await virtual.gateways[0].context.lease.acquired()
    assert virtual.gateways[0].context.lease.gateway != before
    for away in (Away(alice, "alice", first), Away(bob, "bob", second)):
        back, reply = await away.back(virtual)
        assert reply["resumed"] is True
        await until_resumed(back)
    await back.silence("user_left", seconds=1.5)
    shown = await back.ask("get_room")
    assert {(p["agentId"], p["connection"]) for p in shown["participants"]} == {
        ("alice", "connected"),
        ("bob", "connected"),
    }


@in_virtual_time
async def test_a_broker_that_is_away_for_a_moment(virtual: VirtualSystem) -> None:
    """Shorter than the lease allows: nobody is sent away."""
    await virtual.start(lease_seconds=4)
    alice, _ = await came(virtual, "alice")
    virtual.lose_broker()
    await asyncio.sleep(1.5)
    await virtual.find_broker()
    await came(virtual, "bob")
    await alice.hear("user_joined")
    await alice.silence("user_updated", seconds=3.0)


# -- rooms -------------------------------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_room_whose_time_is_over(virtual: VirtualSystem) -> None:
    """`maxDuration` after the first join everybody is told that it closed, and nobody comes in any more."""
    await virtual.start()
    await virtual.rest("POST", "", name="Short", type="voice", roomId="short", settings={"maxDuration": 10})
    alice, bob = await virtual.agent("alice"), await virtual.agent("bob")
    await alice.join("short")
    over = virtual.clock() + 10 * 60
    await asyncio.sleep(5 * 60)
    await bob.join("short")
    for client in (alice, bob):
        assert (await client.hear("room_closed", within=6 * 60))["reason"] == "max_duration"
    assert virtual.clock() == pytest.approx(over, abs=1)
    assert (await bob.ask("get_room", roomId="short"))["code"] == "not_in_room"
    assert (await bob.ask("join_room", roomId="short"))["code"] == "room_closed"


@in_virtual_time
async def test_a_room_that_stays_empty(virtual: VirtualSystem) -> None:
    """Never joined, or left by the last one, it closes; one with somebody in it does not."""
    await virtual.start(empty_room_seconds=60)
    alice = await virtual.agent("alice")
    await alice.join("busy")
    await alice.join("left")
    await alice.ask("leave_room", roomId="left")
    await virtual.rest("POST", "", name="Never", type="voice", roomId="never")

    async def listed() -> set[str]:
        return {room["roomId"] for room in (await virtual.rest("GET", "")).json()["rooms"]}

    await asyncio.sleep(59)
    assert await listed() == {"busy", "left", "never"}
    await asyncio.sleep(2)
    assert await listed() == {"busy"}
    for room in ("left", "never"):
        assert (await alice.ask("join_room", roomId=room))["code"] == "room_closed"
    await alice.silence("room_closed", seconds=120)


# -- replicas of rooms that are behind ---------------------------------------------------------------------------------


class Replica:
    """One replica of rooms; what it has in its cache may be old."""

    def __init__(self, broker: MemoryBroker, now: float) -> None:
        log = RoomLog(connect(broker), capacity=10, snapshot_every=100, waiting=10)
        self.executor = RoomExecutor(log, Rules(), lambda: now)


async def test_a_lost_decision_takes_nobodys_grace() -> None:
    """A replica that is behind looks after a lost gateway: whoever is away since then still has a timer."""
    now = time.time()
    broker = MemoryBroker(clock=lambda: now)
    behind, ahead = Replica(broker, now), Replica(broker, now)
    await behind.executor.execute(orders.create())
    await behind.executor.execute(orders.join("ann"))
    await ahead.executor.execute(resume("ann", G2))
    await ahead.executor.execute(drop("ann", G2, epoch=2))
    await behind.executor.execute(GatewayLost(orders.ROOM, G1))
    waiting = [timer for _, timer in broker.timers._waiting.values() if isinstance(timer, GraceEnds)]
    assert 2 in {timer.epoch for timer in waiting}


async def test_a_lost_decision_lets_no_room_live_longer() -> None:
    """A replica that is behind believes to see the first join: the room's end stays where it is."""
    now = time.time()
    broker = MemoryBroker(clock=lambda: now)
    behind, ahead = Replica(broker, now + 3000), Replica(broker, now)
    await behind.executor.execute(orders.create(settings=RoomSettings(max_duration=60)))
    await ahead.executor.execute(orders.join("ann"))
    await behind.executor.execute(orders.join("bob"))
    due = [timer.due for _, timer in broker.timers._waiting.values() if isinstance(timer, RoomEnds)]
    assert min(due) == pytest.approx(now + 3600, abs=1)


# -- coming back that goes wrong ---------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_return_that_fails_leaves_nobody_behind(
    virtual: VirtualSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken from the connection before and then not followed: if the client gives up, its seat is given up too."""
    await virtual.start(gateways=2, grace_seconds=0.5)
    alice, _ = await came(virtual, "alice", 1)
    bob, login = await came(virtual, "bob", 0)
    log = virtual.gateways[0].context.ports.room_log

    async def not_now(*_: Any) -> None:
        raise unavailable("the broker")

    monkeypatch.setattr(log, "follow", not_now)
    back, reply = await Away(bob, "bob", login).back(virtual, 0)
    assert reply["code"] == "unavailable"
    assert (await back.closed(), await bob.closed()) == (4002, 4504)
    monkeypatch.undo()
    assert (await alice.hear("user_left", within=6))["reason"] == "timeout"


@in_virtual_time
@pytest.mark.parametrize("again", ["resumed", "joined"])
async def test_a_signal_to_who_is_just_back(
    virtual: VirtualSystem, monkeypatch: pytest.MonkeyPatch, again: str
) -> None:
    """Who is seen as `connected` can be written to: also when it gets a snapshot, and the answer to its return is slow."""
    await virtual.start(gateways=2)
    alice, _ = await came(virtual, "alice", 1)
    bob, login = await came(virtual, "bob", 0)
    await came(virtual, "carol", 0)
    away = Away(bob, "bob", login)
    await bob.close()
    await alice.hear("user_updated")
    requests = virtual.gateways[0].context.ports.requests
    right = requests.request

    async def slow(endpoint: Any, request: Any) -> Any:
        reply = await right(endpoint, request)
        await asyncio.sleep(0.3 if endpoint.name in (RESUME_PARTICIPANT.name, "rooms.join") else 0)
        return reply

    monkeypatch.setattr(requests, "request", slow)

    async def return_() -> VirtualClient:
        back, _ = await away.back(virtual, 0, cursors={ROOM: ""} if again == "resumed" else {})
        if again == "joined":
            await back.join(ROOM)
        return back

    returning = asyncio.create_task(return_())
    assert (await alice.hear("user_updated"))["participant"]["connection"] == "connected"
    assert (await alice.ask("offer", to=bob.participants[ROOM], sdp=offer()))["type"] == "ok"
    await (await returning).hear("offer")
