"""How many rooms one makes: by REST or by joining, on any replica, after any restart, under any number of guest tokens."""

import asyncio
from typing import Any

import pytest

from services.rooms import service as rooms_service
from services.rooms.settings import RoomsSettings
from shared.broker.memory.broker import MemoryBroker
from shared.broker.memory.ports import connect
from shared.rooms.commands import Caller, CloseRoom
from shared.values.errors import Code, Refused
from shared.values.ids import RoomId
from tests.simulation.clock import in_virtual_time
from tests.support.broker_kind import on_both
from tests.support.orders import NOW, caller, create, join, leave
from tests.support.services import Services
from tests.support.system import System
from tests.support.virtual import VirtualClient, VirtualSystem

ROOMY = {"open_rooms_per_agent": 1000, "rooms_per_hour_per_agent": 1000}
HOUR_MS = 3600 * 1000


async def made(system: Services[Any], agent_id: str, room_id: str) -> str:
    """What a request for a room ends in: `ok`, or the code of its refusal."""
    answer = await system.rest("POST", "", agent_id, roomId=room_id, name="Room", type="voice")
    return "ok" if answer.status_code == 201 else str(answer.json()["code"])


@in_virtual_time
async def test_rooms_in_an_hour(virtual: VirtualSystem) -> None:
    """Made by REST or by joining, closed or not; the refusal says when, and then one more can be made. Joining goes on."""
    await virtual.start(rooms=2, **(ROOMY | {"rooms_per_hour_per_agent": 4}))
    mallory = await virtual.agent("mallory")
    assert [await made(virtual, "mallory", f"r{n}") for n in range(2)] == ["ok"] * 2
    await asyncio.sleep(600)
    assert (await virtual.rest("DELETE", "/r0", "mallory")).status_code == 204
    await mallory.join("joined-1")
    await mallory.join("joined-2")
    refused = await mallory.ask("join_room", roomId="joined-3")
    assert (refused["code"], refused["retryable"]) == ("rate_limited", True)
    assert HOUR_MS - 601_000 <= refused["retryAfterMs"] <= HOUR_MS - 599_000
    assert await made(virtual, "mallory", "r2") == "rate_limited"
    await mallory.join("r1")
    assert await made(virtual, "alice", "r2") == "ok", "somebody else's rooms are counted apart"
    assert await made(virtual, "alice", "r2") == "room_exists"
    await asyncio.sleep(refused["retryAfterMs"] / 1000 + 1)
    assert [await made(virtual, "mallory", f"later{n}") for n in range(3)] == ["ok", "ok", "rate_limited"]


@in_virtual_time
async def test_open_rooms(virtual: VirtualSystem) -> None:
    """So many at a time: one that is closed makes place for another."""
    await virtual.start(rooms=2, **(ROOMY | {"open_rooms_per_agent": 3}))
    assert [await made(virtual, "mallory", f"r{n}") for n in range(4)] == ["ok"] * 3 + ["rate_limited"]
    await virtual.rest("DELETE", "/r1", "mallory")
    assert [await made(virtual, "mallory", f"again{n}") for n in range(2)] == ["ok", "rate_limited"]


@on_both
async def test_many_at_once(system: System) -> None:
    """Requests that are under way together do not pass together."""
    await system.start(**(ROOMY | {"open_rooms_per_agent": 5}))
    results = await asyncio.gather(*(made(system, "mallory", f"r{n}") for n in range(30)))
    assert sorted(results) == ["ok"] * 5 + ["rate_limited"] * 25


async def guest(system: VirtualSystem, source: str) -> VirtualClient:
    """A connection of a guest whose token somebody at this address got."""
    async with system.http() as http:
        issued = await http.post("/api/guest/token", headers={"X-Forwarded-For": source})
    assert issued.status_code == 201, issued.text
    client = await system.client()
    await client.login(issued.json()["token"])
    return client


async def joined(client: VirtualClient, room_id: str) -> str:
    answer = await client.ask("join_room", roomId=room_id)
    return str(answer.get("code") or "ok")


@in_virtual_time
async def test_guests(virtual: VirtualSystem) -> None:
    """Every token is another agent. What they make counts for the network, and for all guests together, and for no agent."""
    limits = {"open_rooms_per_agent": 3, "open_rooms_of_guests": 5, "rooms_per_hour_of_guests": 1000}
    await virtual.start(rooms=2, trusted_proxies=["127.0.0.1"], **(ROOMY | limits))
    one = [await joined(await guest(virtual, f"2001:db8::{n}"), f"one{n}") for n in range(1, 6)]
    assert one == ["ok"] * 3 + ["rate_limited"] * 2
    assert await joined(await guest(virtual, "2001:db8::9"), "one1") == "ok", "they may join what there is"
    many = [await joined(await guest(virtual, f"198.51.100.{n}"), f"many{n}") for n in range(4)]
    assert many == ["ok"] * 2 + ["rate_limited"] * 2
    assert await made(virtual, "alice", "hers") == "ok"


def of_guest(agent_id: str, network: str) -> Caller:
    return caller(agent_id, guest_network=network)


async def code(rooms: rooms_service.Rooms, room_id: str, by: Caller) -> Code | None:
    """Why the room is not made, if it is not."""
    try:
        await rooms.executor.execute(create(room_id, by))
    except Refused as refused:
        return refused.code
    return None


@pytest.mark.parametrize("closes", [False, True])
async def test_a_restart_forgets_nothing(closes: bool) -> None:
    """A replica that starts counts what the log has: of networks of guests too, also when others came and went since."""
    broker = MemoryBroker()
    settings = RoomsSettings(
        mode="development",
        rooms_per_hour_per_agent=2,
        rooms_per_hour_of_guests=3,
        empty_room_seconds=0,
        closed_log_seconds=0,
    )

    connections = []

    async def replica() -> rooms_service.Rooms:
        ports = connect(broker)
        connections.append(ports.connection)
        rooms = rooms_service.build(settings, ports, clock=lambda: NOW)
        await rooms.start()
        return rooms

    before = await replica()
    mallory, first, second = caller("mallory"), of_guest("guest-1", "n1"), of_guest("guest-2", "n1")
    for room_id, by in (("m1", mallory), ("m2", mallory), ("g1", first), ("g2", second)):
        assert await code(before, room_id, by) is None
        await before.executor.execute(join(by, room_id))
        await before.executor.execute(leave(f"p_{by.agent_id}_1", room_id))
        if closes:
            await before.executor.execute(CloseRoom(caller=by, operation="c", room_id=RoomId(room_id)))
    after = await replica()
    for rooms in (before, after):
        assert await code(rooms, "m3", mallory) is Code.RATE_LIMITED
        assert await code(rooms, "g3", of_guest("guest-3", "n1")) is Code.RATE_LIMITED
    assert await code(after, "g4", of_guest("guest-4", "n2")) is None
    assert await code(after, "g5", of_guest("guest-5", "n3")) is Code.RATE_LIMITED, "all guests together"
    assert await code(after, "a1", caller("alice")) is None
    for rooms in (before, after):
        await rooms.stop()
    for connection in connections:
        await connection.close()
