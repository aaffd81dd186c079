"""Bytes of signals of an agent, of guests and of a room: whatever connections, tokens, rooms and gateways somebody uses."""

import asyncio

import pytest

from services.gateway.signal_quota import STORED_WITH, SignalQuota
from shared.auth.commands import Identity
from shared.broker.nats.connection import NatsConnection
from shared.broker.subjects import LOG_STREAM
from shared.rooms.roster import Roster
from shared.values.ids import RoomId
from tests.simulation.clock import in_virtual_time
from tests.support.broker_kind import on_nats
from tests.support.sdp import candidate, offer
from tests.support.system import System
from tests.support.virtual import VirtualClient, VirtualSystem
from tests.support.vocabulary import Message

SDP = offer() + "a=x:" + "y" * 3500 + "\r\n"
COST = len(SDP) + STORED_WITH  # and a little for the push around it
BURST, RATE = 100_000, 2000
ROOMY = 1 << 30
EACH = {f"{whose}_signal_byte_{what}": ROOMY for whose in ("agent", "guest", "room") for what in ("rate", "burst")}


def limits(whose: str) -> dict[str, int]:
    """Only this one limit is in the way."""
    return EACH | {f"{whose}_signal_byte_rate": RATE, f"{whose}_signal_byte_burst": BURST}


async def guest(system: VirtualSystem, source: str, gateway: int = 0) -> VirtualClient:
    """A connection of a guest whose token somebody at this address got."""
    async with system.http() as http:
        issued = await http.post("/api/guest/token", headers={"X-Forwarded-For": source})
    assert issued.status_code == 201, issued.text
    client = await system.client(gateway)
    await client.login(issued.json()["token"])
    return client


async def listened_to(system: VirtualSystem, room_id: str, gateway: int = 0) -> str:
    """A participant in the room who only listens."""
    listener = await system.agent(f"listener-{room_id}", gateway=gateway)
    return str((await listener.join(room_id))["self"])


async def sent(client: VirtualClient, room_id: str, to: str, most: int = 100) -> int:
    """How many offers are stored before one is refused, which must say when to try again."""
    for n in range(most):
        answer = await client.ask("offer", roomId=room_id, to=to, sdp=SDP)
        if answer["type"] == "error":
            assert (answer["code"], answer["retryable"]) == ("rate_limited", True), answer
            assert 0 < answer["retryAfterMs"] <= 1000 * (COST + 500) / RATE * 2
            return n
    return most


FULL = BURST // (COST + 200)  # offers in a burst


@in_virtual_time
async def test_thirty_connections_of_one_agent(virtual: VirtualSystem) -> None:
    """In one room or in several, they may have stored no more together than one of them alone."""
    await virtual.start(message_burst=10_000, default_max_participants=50, **limits("agent"))
    rooms = {f"r{n}": await listened_to(virtual, f"r{n}") for n in range(3)}
    total = 0
    for n in range(30):
        client = await virtual.agent("mallory")
        room_id = f"r{n % 3}"
        await client.join(room_id)
        total += await sent(client, room_id, rooms[room_id])
    assert FULL - 1 <= total <= FULL + 1
    other = await virtual.agent("alice")
    await other.join("r0")
    assert await sent(other, "r0", rooms["r0"], 5) == 5, "another agent has a bucket of its own"


@in_virtual_time
async def test_the_bucket_outlives_connection_session_and_participant(virtual: VirtualSystem) -> None:
    """Coming back, a new session, or leaving and joining again fill nothing; only time does, as the refusal says."""
    await virtual.start(message_burst=10_000, default_max_participants=50, **limits("agent"))
    to = await listened_to(virtual, "r")
    first = await virtual.client()
    opened = await first.login(virtual.token("mallory"))
    joined = await first.join("r")
    assert await sent(first, "r", to) >= FULL - 1
    await first.ask("leave_room")
    joined = await first.join("r")
    assert await sent(first, "r", to) == 0
    again = await virtual.client()
    resume = {"token": opened["resumeToken"], "cursors": {"r": joined["cursor"]}}
    await again.ask("authenticate", token=virtual.token("mallory"), resume=resume)
    await again.hear("room_resumed")
    refused: Message = await again.ask("offer", roomId="r", to=to, sdp=SDP)
    assert refused["code"] == "rate_limited"
    await asyncio.sleep(refused["retryAfterMs"] / 1000)
    assert await sent(again, "r", to) == 1


@in_virtual_time
async def test_many_tokens_of_one_network(virtual: VirtualSystem) -> None:
    """A guest is a new agent with each token; what they use up counts for the address, for an IPv6 subscriber the /64."""
    await virtual.start(
        message_burst=10_000, default_max_participants=50, trusted_proxies=["127.0.0.1"], **limits("agent")
    )
    to = await listened_to(virtual, "r")
    for source in ("198.51.100.{}", "2001:db8::{}"):
        total = 0
        for n in range(10):
            one = await guest(virtual, source.format(7 if "." in source else n + 1))
            await one.join("r")
            total += await sent(one, "r", to)
        assert FULL - 1 <= total <= FULL + 1
    elsewhere = await guest(virtual, "198.51.100.8")
    await elsewhere.join("r")
    assert await sent(elsewhere, "r", to, 5) == 5


@in_virtual_time
async def test_many_networks(virtual: VirtualSystem) -> None:
    """All guests together have one bucket more, which agents have no part in."""
    await virtual.start(
        message_burst=10_000, default_max_participants=50, trusted_proxies=["127.0.0.1"], **limits("guest")
    )
    to = await listened_to(virtual, "r")
    total = 0
    for n in range(20):
        one = await guest(virtual, f"198.51.100.{n}")
        await one.join("r")
        total += await sent(one, "r", to)
    assert FULL - 1 <= total <= FULL + 1
    alice = await virtual.agent("alice")
    await alice.join("r")
    assert await sent(alice, "r", to, 5) == 5


@in_virtual_time
async def test_a_room_over_two_gateways(virtual: VirtualSystem) -> None:
    """Each of the gateways that its participants are at gives half: together no more than one of them would."""
    await virtual.start(gateways=2, message_burst=10_000, default_max_participants=50, **limits("room"))
    to = await listened_to(virtual, "r")
    far = await listened_to(virtual, "r2", gateway=1)
    clients = [await virtual.agent(f"a{n}", gateway=n % 2) for n in range(8)]
    for client in clients:
        await client.join("r")
    await clients[0].ask("get_room")
    total = sum([await sent(client, "r", to) for client in clients])
    assert FULL - 2 <= total <= FULL + 2
    await clients[1].join("r2")
    assert await sent(clients[1], "r2", far, 5) == 5, "another room has a bucket of its own"


@on_nats
@pytest.mark.parametrize("small", [True, False])
async def test_what_is_counted_is_what_is_stored(system: System, small: bool) -> None:
    """The stream holds no more bytes for a signal than its quota was charged, small ones included."""
    counted: list[int] = []

    class Counting(SignalQuota):
        def take(
            self, sender: Identity, room_id: RoomId, roster: Roster | None, size: int, copies: int, now: float
        ) -> None:
            counted.append(size + copies * STORED_WITH)

    await system.start()
    gateway = system.gateways[0].context
    object.__setattr__(gateway, "signal_quota", Counting(gateway.settings))
    alice, bob = await system.agent("alice"), await system.agent("bob")
    await alice.join("r" * 64)
    to = (await bob.join("r" * 64))["self"]
    connection = system.ports[0].connection
    assert isinstance(connection, NatsConnection)
    before = (await connection.client.jetstream().stream_info(LOG_STREAM)).state.bytes
    for n in range(20):
        fields = {"candidate": candidate()} if small else {"sdp": SDP}
        answer = await alice.ask("candidate" if small else "offer", id=f"{n:064}", to=to, **fields)
        assert answer["type"] == "ok", answer
    stored = (await connection.client.jetstream().stream_info(LOG_STREAM)).state.bytes - before
    assert len(counted) == 20
    assert 0.8 * sum(counted) <= stored <= sum(counted)
