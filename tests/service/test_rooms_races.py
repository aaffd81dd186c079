"""Races for seats on real NATS with two replicas of rooms: capacity is not a suggestion, whatever happens at once."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from services.launcher.embedded_nats import EmbeddedNats
from shared.broker.ports import Ports
from shared.broker.subjects import ADD_PARTICIPANT, CLOSE_ROOM, CREATE_ROOM, REMOVE_PARTICIPANT, UPDATE_ROOM
from shared.rooms.commands import AddParticipant, Joined
from shared.values.errors import Code, Refused
from shared.values.ids import RoomId
from tests.support.broker import ContainerNats, connector
from tests.support.client import Client
from tests.support.invariants import check_log
from tests.support.orders import OWNER, ROOM, close, create, join, leave, update_room
from tests.support.system import System

ROUNDS = 20
CLIENTS = 100
SEATS = 10


@pytest.fixture
async def system(empty_nats: EmbeddedNats | ContainerNats) -> AsyncIterator[System]:
    """On a real server in any case: in memory nothing races."""
    system = System(connector(empty_nats.url, empty_nats.passwords))
    yield system
    await system.stop()


async def outcome(ports: Ports, command: AddParticipant) -> Joined | Code:
    """Ask to join: the seat, or why not."""
    try:
        return await ports.requests.request(ADD_PARTICIPANT, command)
    except Refused as refused:
        return refused.code


def codes(outcomes: list[Joined | Code]) -> Counter[str]:
    return Counter("in" if isinstance(one, Joined) else str(one) for one in outcomes)


async def two_replicas(system: System) -> tuple[Ports, Ports]:
    """Both replicas, and the ports of two gateways. Nothing changes in a room but who is in it."""
    await system.start(gateways=2, rooms=2, mesh_participants=CLIENTS)
    one, two = system.ports[-2:]
    return one, two


async def test_a_hundred_for_ten_seats(system: System) -> None:
    """Of a hundred racing joins over two gateways and two replicas exactly ten get in, twenty rounds in a row."""
    one, two = await two_replicas(system)
    for n in range(ROUNDS):
        room = f"room-{n}"
        await one.requests.request(CREATE_ROOM, create(room, max_participants=SEATS))
        racing = [outcome((one, two)[i % 2], join(f"agent-{i}", room)) for i in range(CLIENTS)]
        got = await asyncio.gather(*racing)
        assert codes(got) == {"in": SEATS, "room_full": CLIENTS - SEATS}
        fold = await check_log(one, RoomId(room))
        assert {joined.participant_id for joined in got if isinstance(joined, Joined)} == set(fold.seats)
        for joined in got:
            if isinstance(joined, Joined):  # the snapshot contains the caller, at the caller's own entry or later
                assert joined.participant_id in {seat.participant.id for seat in joined.snapshot.seats}


async def test_a_hundred_websockets_for_ten_seats(system: System) -> None:
    """The same through real connections: ten see the room, ninety are told that it is full, and all agree who is in."""
    await two_replicas(system)
    clients = [await system.agent(f"agent-{i}", gateway=i % 2) for i in range(CLIENTS)]
    replies = await asyncio.gather(*(client.ask("join_room", roomId="voice-1") for client in clients))
    seated = [(client, reply) for client, reply in zip(clients, replies, strict=True) if reply["type"] == "room_users"]
    assert len(seated) == SEATS
    refused = [reply for reply in replies if reply["type"] == "error"]
    assert Counter(reply["code"] for reply in refused) == {"room_full": CLIENTS - SEATS}
    assert not any(reply["retryable"] for reply in refused)
    last = max(reply["revision"] for _, reply in seated)
    for client, reply in seated:
        present = {participant["id"] for participant in reply["participants"]}
        for _ in range(last - reply["revision"]):
            present.add((await client.hear("user_joined"))["participant"]["id"])
        assert present == {other["self"] for _, other in seated}
    await check_log(system.ports[0], RoomId("voice-1"))


async def test_a_storm_of_joins_and_leaves(system: System) -> None:
    """Many come and go at once, on both replicas, while the owner changes the seats: the log keeps every promise."""
    one, two = await two_replicas(system)
    chance = random.Random(4711)
    await one.requests.request(CREATE_ROOM, create(max_participants=5))

    async def guest(i: int) -> None:
        stays = 0
        for n in range(1, 1000):
            joining = join(f"agent-{i}", n=n)
            got = await outcome(chance.choice((one, two)), joining)
            if isinstance(got, Joined):
                await asyncio.sleep(chance.random() / 200)
                await chance.choice((one, two)).requests.request(REMOVE_PARTICIPANT, leave(got.participant_id))
                stays += 1
            else:
                assert got is Code.ROOM_FULL
                await asyncio.sleep(chance.random() / 100)
            if stays == 2:
                return

    async def owner() -> None:
        for n in range(10):
            await one.requests.request(
                UPDATE_ROOM, update_room(operation=f"r{n}", max_participants=chance.randint(1, 6))
            )
            await asyncio.sleep(0.02)

    await asyncio.gather(owner(), *(guest(i) for i in range(20)))
    fold = await check_log(one, ROOM)
    assert fold.seats == {}
    assert fold.last_order == 40


async def test_the_same_command_asked_of_both_replicas(system: System) -> None:
    """A join whose answer got lost is asked again of another replica, at the same time: one stay, both answers say so."""
    one, two = await two_replicas(system)
    await one.requests.request(CREATE_ROOM, create(max_participants=SEATS))
    for i in range(20):
        same = join(f"agent-{i % SEATS}", n=i)
        got = await asyncio.gather(*(ports.requests.request(ADD_PARTICIPANT, same) for ports in (one, two, one, two)))
        assert {joined.participant_id for joined in got} == {same.participant_id}
    fold = await check_log(one, ROOM)
    assert fold.last_order == 20


async def test_a_room_that_closes_during_joins(system: System) -> None:
    """Every client either got in and was told the close, or was refused; afterwards nobody is in."""
    await two_replicas(system)
    owner = system.ports[-1]
    for n in range(5):
        room = f"room-{n}"
        await owner.requests.request(CREATE_ROOM, create(room, max_participants=100))
        clients = [await system.agent(f"agent-{n}-{i}", gateway=i % 2) for i in range(16)]

        async def go(client: Client, room: str = room) -> str:
            reply = await client.ask("join_room", roomId=room)
            if reply["type"] == "error":
                return str(reply["code"])
            left = await client.hear("user_left", participantId=reply["self"])
            assert left["reason"] == "room_closed"
            assert (await client.hear("room_closed"))["reason"] == "deleted"
            return "in"

        async def end(room: str = room, pause: float = n * 0.01) -> None:
            await asyncio.sleep(pause)
            await owner.requests.request(CLOSE_ROOM, close(OWNER, room))

        told = await asyncio.gather(end(), *(go(client) for client in clients))
        assert set(told) <= {None, "in", "room_closed"}
        fold = await check_log(owner, RoomId(room))
        assert fold.closed == "deleted"
        assert fold.last_order == told.count("in")
        await asyncio.gather(*(client.close() for client in clients))


async def test_one_device_on_two_gateways_at_once(system: System) -> None:
    """The same agent and device joins through two gateways at once: one stays, the other gets `user_left` replaced."""
    await two_replicas(system)
    watcher = await system.agent("watcher")
    await watcher.join("voice-1")
    for _ in range(5):
        pair = [await system.agent("bob", gateway=gateway, deviceId="laptop") for gateway in (0, 1)]
        joined = await asyncio.gather(*(client.ask("join_room", roomId="voice-1") for client in pair))
        assert [reply["type"] for reply in joined] == ["room_users", "room_users"]
        first, second = sorted(range(2), key=lambda i: int(joined[i]["revision"]))
        left = await pair[first].hear("user_left", participantId=joined[first]["self"])
        assert left["reason"] == "replaced"
        assert not [m for m in pair[second].inbox if m.get("participantId") == joined[second]["self"]]
        still = await pair[second].ask("get_room", roomId="voice-1")
        assert {p["id"] for p in still["participants"]} == {joined[second]["self"], watcher.participants["voice-1"]}
        assert (await pair[first].ask("update_self", roomId="voice-1", name="x"))["code"] == "not_in_room"
        await pair[second].ask("leave_room")
        await asyncio.gather(*(client.close() for client in pair))
        await watcher.hear("user_left", participantId=joined[second]["self"])
    await check_log(system.ports[0], RoomId("voice-1"))
