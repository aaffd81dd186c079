"""Storage runs out, for real: who is in stays in at every level, and can come back, leave and close; timers fire."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared.broker.ports import Ports
from shared.broker.storage import LOG
from shared.values.ids import ParticipantId, RoomId
from tests.support.away import ROOM, Away, came, until_resumed
from tests.support.broker import connector
from tests.support.client import Client, Message
from tests.support.logs import signal
from tests.support.patience import eventually_async
from tests.support.sdp import offer
from tests.support.shared_nats import SharedNats
from tests.support.system import System

SIZE = 2 << 20
ELSEWHERE = RoomId("elsewhere")
GRACE = 2.0


@pytest.fixture
async def full(_shared_nats: SharedNats) -> AsyncIterator[System]:
    """Services on a NATS whose log takes 2 MiB, and which are rightly asked to keep a reserve of it."""
    server = await _shared_nats.empty()
    system = System(connector(server.url, server.passwords, max_bytes=SIZE))
    await system.start(grace_seconds=GRACE, message_rate=10_000, message_burst=100_000)
    yield system
    await system.stop()


def ports_of(system: System, service: int = 0) -> Ports:
    return system.ports[service]


async def share(system: System) -> float:
    (log,) = [place for place in (await ports_of(system).storage.look()).places if place.name == LOG]
    return log.share


async def fill(system: System, up_to: float) -> None:
    """Signals as a gateway without a reserve stores them, until the log is so full; then everybody knows."""
    to, number = ParticipantId("p_filler"), 0
    while await share(system) < up_to:
        for _ in range(4):
            number += 1
            await ports_of(system, -1).signals.post(signal(ELSEWHERE, to=to, body=bytes(2000), seconds=600))
    await everybody_knows(system, up_to)


async def everybody_knows(system: System, at_least: float = 0.0, below: float = 2.0) -> None:
    async def told() -> bool:
        known = [system.rooms[0].storage._admission.reserve, system.gateways[0].context.reserve._reserve]
        return all(at_least <= reserve.share() < below for reserve in known)

    await eventually_async(told, "rooms and the gateway know")


async def free(system: System) -> None:
    """The fillers are trimmed away, as rooms trims."""
    await ports_of(system).room_log.trim("agentlink.log.elsewhere.signal.p_filler")
    await everybody_knows(system, below=0.5)


async def returns(system: System, client: Client, agent_id: str, login: Message) -> Client:
    """The connection breaks, and the client resumes on another."""
    away = Away(client, agent_id, login)
    await client.close()
    client, back = await away.back(system)
    assert back["type"] == "auth_ok", back
    assert (await until_resumed(client))[-1]["type"] == "room_resumed"
    return client


async def send(sender: Client, to: Client, lines: int = 0) -> Message:
    sdp = offer() + "".join(f"a=x-filler-{number}:{'0' * 1000}\r\n" for number in range(lines))
    return await sender.ask("offer", to=to.participants[ROOM], sdp=sdp)


async def test_nobody_new_above_ninety(full: System) -> None:
    """Above 90 %: joins and new rooms are `unavailable`, with a sentence. All else goes on."""
    alice, login = await came(full, "alice")
    bob, _ = await came(full, "bob")
    await fill(full, 0.905)
    carol = await full.agent("carol")
    refused = await carol.ask("join_room", roomId=ROOM)
    assert (refused["code"], refused["retryable"]) == ("unavailable", True)
    assert "nobody new is let in" in refused["message"]
    made = await full.rest("POST", "", "carol", name="Mine", type="video")
    assert (made.status_code, made.json()["code"]) == (503, "unavailable")
    assert (await bob.ask("update_self", name="Bobby"))["type"] == "ok"
    assert (await send(alice, bob))["type"] == "ok"
    await returns(full, alice, "alice", login)
    await free(full)
    assert (await carol.ask("join_room", roomId=ROOM))["type"] == "room_users"


async def test_a_reload_is_no_newcomer(full: System) -> None:
    """Who comes again with the same device takes the place of an own seat, above 90 % too. Above 95 % it does not."""
    clients = [await full.client() for _ in range(3)]
    for client in clients:
        await client.login(full.token("alice"), deviceId="laptop")
    first, second, third = clients
    await first.join(ROOM)
    await fill(full, 0.92)
    assert (await second.ask("join_room", roomId=ROOM))["type"] == "room_users"
    await first.hear("user_left")
    await fill(full, 0.96)
    refused = await third.ask("join_room", roomId=ROOM)
    assert (refused["code"], refused["retryable"]) == ("unavailable", True)
    await second.silence("user_left")


async def test_coming_and_going_does_not_fill_the_log(full: System) -> None:
    """One client takes its seat back on ever new connections: soon it has to wait, while others come back and leave."""
    alice, login = await came(full, "alice")
    bob, other = await came(full, "bob")
    await fill(full, 0.96)
    away = Away(alice, "alice", login)
    answers = []
    for _ in range(8):
        client, back = await away.back(full)
        answers.append(back.get("code", back["type"]))
        if back["type"] == "auth_ok":
            await until_resumed(client)
        await client.close()
    assert answers[:3] == ["auth_ok"] * 3
    assert answers.count("unavailable") >= 3
    bob = await returns(full, bob, "bob", other)
    assert (await bob.ask("leave_room", roomId=ROOM))["type"] == "ok"


async def test_signals_are_slowed_above_eighty(full: System) -> None:
    """Above 80 %: a flood of signals ends in `rate_limited`, the log does not fill, and newcomers come in."""
    alice, _ = await came(full, "alice")
    bob, _ = await came(full, "bob")
    await fill(full, 0.81)
    assert (await send(alice, bob))["type"] == "ok"
    senders = [(await came(full, f"guest-{number}"))[0] for number in range(7)]
    replies = [reply for _ in range(2) for reply in await asyncio.gather(*(send(one, bob, 8) for one in senders))]
    refused = [reply for reply in replies if reply["type"] != "ok"]
    assert {reply["code"] for reply in refused} == {"rate_limited"}
    assert all(reply["retryAfterMs"] > 0 for reply in refused)
    assert await share(full) < 0.9
    await came(full, "carol")


async def test_above_ninety_five_the_rest_is_for_who_is_in(full: System) -> None:
    """Signals and changes are refused. Resuming, dropping, the end of the grace time, leaving and closing go on to the end."""
    alice, login = await came(full, "alice")
    bob, _ = await came(full, "bob")
    carol, _ = await came(full, "carol")
    dave, _ = await came(full, "dave")
    await fill(full, 0.96)
    for asked in (await send(alice, bob), await bob.ask("update_self", name="Bobby")):
        assert (asked["code"], asked["retryable"]) == ("unavailable", True), asked
    assert (await full.rest("PATCH", f"/{ROOM}", "alice", name="Other")).status_code == 503
    alice = await returns(full, alice, "alice", login)
    gone = carol.participants[ROOM]
    await carol.close()
    await dave.hear("user_left", participantId=gone, reason="timeout", within=GRACE * 5)
    assert (await bob.ask("leave_room", roomId=ROOM))["type"] == "ok"
    await dave.hear("user_left", reason="left")
    assert (await full.rest("DELETE", f"/{ROOM}", "alice")).status_code == 204
    await dave.hear("room_closed")
    await free(full)
    assert (await bob.ask("join_room", roomId="another"))["type"] == "room_users"


async def test_changes_do_not_fill_the_log(full: System) -> None:
    """One participant changes itself as fast as it can: the log ends below its size, and others still come back and leave."""
    alice, _ = await came(full, "alice")
    bob, login = await came(full, "bob")
    await fill(full, 0.93)
    refused = 0
    for number in range(400):
        reply = await alice.ask("update_self", metadata={"big": f"{number:04}" * 200})
        refused += reply.get("code") == "unavailable"
    assert refused > 0
    assert await share(full) < 0.98
    bob = await returns(full, bob, "bob", login)
    assert (await bob.ask("leave_room", roomId=ROOM))["type"] == "ok"


async def test_readiness_says_so_and_stays(full: System) -> None:
    """However full it is, the gateway is ready; its text says what follows, and so does that of rooms."""
    async with full.http() as http:
        assert "notice" not in (await http.get("/readyz")).json()
        for level, follows in (
            (0.81, "signals are slowed"),
            (0.905, "joins and new rooms are refused"),
            (0.96, "changes"),
        ):
            await fill(full, level)
            answer = await http.get("/readyz")
            assert answer.status_code == 200
            assert follows in answer.json()["notice"]
            assert follows in (await full.rooms[0].ready() or "")
