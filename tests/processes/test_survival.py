"""Each process killed for real under clients that are connected: they stay, are told the truth, and nothing is lost."""

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from shared.rooms.roster import Roster
from shared.values.ids import RoomId
from tests.support.client import Client, Message
from tests.support.invariants import check_log
from tests.support.processes import PATIENCE, Deployment
from tests.support.sdp import answer, candidate, offer
from tests.support.system import token

ROOM = "voice-1"
SEATS = 6


async def agent(deployment: Deployment, agent_id: str) -> Client:
    """A connection that has authenticated."""
    client = await Client.open(deployment.url)
    await client.login(token(agent_id))
    return client


def api(deployment: Deployment) -> httpx.AsyncClient:
    """REST, as the owner of the room."""
    return httpx.AsyncClient(
        base_url=deployment.url, headers={"Authorization": f"Bearer {token('owner')}"}, timeout=PATIENCE
    )


async def make_room(deployment: Deployment, room_id: str = ROOM) -> None:
    """The room of these tests."""
    async with api(deployment) as rest:
        order = {"name": "Voice", "type": "voice", "roomId": room_id, "maxParticipants": SEATS}
        answered = await rest.post("/api/rooms", json=order)
        assert answered.status_code == 201, answered.text


async def until(holds: Callable[[], Awaitable[bool]], what: str, within: float = PATIENCE) -> None:
    """Look again and again at something that other processes bring about."""
    try:
        async with asyncio.timeout(within):
            while not await holds():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {within:.0f} s: {what}") from None


async def ready(deployment: Deployment) -> None:
    """Wait until the gateway says that it can serve."""

    async def it_is() -> bool:
        async with api(deployment) as rest:
            return (await rest.get("/readyz")).status_code == 200

    await until(it_is, "ready again")


async def unavailable(client: Client, type_: str, **fields: Any) -> None:
    """The request is answered, and asking again is said to be of use."""
    reply = await client.ask(type_, **fields)
    assert (reply["type"], reply.get("code"), reply.get("retryable")) == ("error", "unavailable", True), reply


async def still_there(*clients: Client) -> None:
    """Never closed, and answered."""
    for client in clients:
        assert (await client.ask("ping"))["type"] == "pong"
        assert client.close_code is None


def no_holes(client: Client, room_id: str = ROOM) -> None:
    """The revisions this client was told of one room follow each other from its join on."""
    start, *later = [m["revision"] for m in client.everything if "revision" in m and m.get("roomId") == room_id]
    told = [start]
    for revision in later:
        if revision != told[-1]:  # room_users anew
            told.append(revision)
    assert told == list(range(told[0], told[0] + len(told))), told


async def agrees(deployment: Deployment, client: Client, room_id: str = ROOM) -> Roster:
    """What a client is told equals the fold of the room's log, whose promises hold; the fold."""
    fold = await check_log(await deployment.ports(), RoomId(room_id))
    shown: Message = {}

    async def caught_up() -> bool:
        shown.update(await client.ask("get_room", roomId=room_id))
        return bool(shown["revision"] >= fold.revision)

    await until(caught_up, "the gateway's copy follows the log")
    assert shown["revision"] == fold.revision
    assert [p["id"] for p in shown["participants"]] == list(fold.seats)
    assert shown["room"]["participantCount"] == len(fold.seats)
    return fold


async def farewells(deployment: Deployment) -> int:
    """How many participants the gateway is still taking out of rooms."""
    ops = await deployment.services["gateway"].hear(r'"metrics": "([^"]+)"')
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        found = re.search(r"^parley_farewells_waiting (\S+)$", (await client.get(ops[1])).text, re.MULTILINE)
    assert found is not None
    return int(float(found[1]))


async def filled_up(deployment: Deployment, present: int, room_id: str = ROOM) -> list[Client]:
    """Newcomers for exactly the seats that are free; one more is refused."""
    newcomers = [await agent(deployment, f"late-{n}") for n in range(SEATS - present)]
    for newcomer in newcomers:
        await newcomer.join(room_id)
    one_more = await agent(deployment, "one-more")
    assert (await one_more.ask("join_room", roomId=room_id))["code"] == "room_full"
    await one_more.close()
    return newcomers


async def test_rooms_dies_and_comes_back(deployment: Deployment) -> None:
    """Without rooms nobody is disconnected and calls can still be set up; what needs rooms is refused as `unavailable`;
    afterwards the room is what it was, less those who hung up meanwhile, and has exactly its seats."""
    await make_room(deployment)
    alice, bob, carol, dora, eve = [await agent(deployment, name) for name in ("alice", "bob", "carol", "dora", "eve")]
    await alice.join(ROOM)
    seen = await bob.join(ROOM)
    gone = (await dora.join(ROOM))["self"]
    await bob.hear("user_joined")
    await alice.hear("user_joined", revision=seen["revision"] + 1)

    deployment.kill("rooms")
    await unavailable(carol, "join_room", roomId=ROOM)
    await unavailable(eve, "join_room", roomId=ROOM)  # and does not ask again
    await unavailable(alice, "update_self", roomId=ROOM, metadata={"hand": "up"})
    async with api(deployment) as rest:
        assert (await rest.get(f"/api/rooms/{ROOM}")).status_code == 503
        assert (await rest.get("/healthz")).status_code == 200
    assert (await alice.ask("offer", to=seen["self"], sdp=offer()))["type"] == "ok"
    assert (await bob.hear("offer"))["sdp"] == offer()
    await dora.close()
    await still_there(alice, bob, carol, eve)

    await deployment.restart("rooms")
    left = await alice.hear("user_left", within=PATIENCE)
    assert (left["participantId"], left["reason"]) == (gone, "timeout")
    await carol.join(ROOM)
    assert (await alice.ask("update_self", roomId=ROOM, metadata={"hand": "up"}))["type"] == "ok"
    newcomers = await filled_up(deployment, present=3)
    await alice.hear("user_joined", participant=newest(await alice.ask("get_room", roomId=ROOM)))
    fold = await agrees(deployment, alice)
    expected = ["alice", "bob", "carol", *(f"late-{n}" for n in range(SEATS - 3))]
    assert [seat.participant.agent_id for seat in fold.seats.values()] == expected
    no_holes(alice)
    await still_there(alice, bob, carol, eve, *newcomers)


def newest(room_users: Message) -> Message:
    """The participant that joined last."""
    participant: Message = room_users["participants"][-1]
    return participant


async def race(deployment: Deployment, room_id: str, interrupt: Callable[[], Awaitable[None]]) -> dict[Client, Message]:
    """Many joins for few seats, interrupted after the first; who got which answer."""
    await make_room(deployment, room_id)
    first = await agent(deployment, "first")
    await first.join(room_id)
    racers = [await agent(deployment, f"racer-{n}") for n in range(24)]
    racing = [asyncio.create_task(racer.ask("join_room", roomId=room_id)) for racer in racers]
    await first.hear("user_joined")
    await interrupt()
    replies = dict(zip(racers, await asyncio.gather(*racing), strict=True))
    for reply in replies.values():
        assert reply["type"] == "room_users" or reply["code"] in ("unavailable", "room_full"), reply
    return {first: {"type": "room_users"}, **replies}


@pytest.mark.slow
async def test_joins_without_an_answer_leave_no_ghost(deployment: Deployment) -> None:
    """Of joins that race while rooms is killed, and of joins that race while it hangs, those that were answered hold
    a seat and those told `unavailable` hold none 20 s later; every free seat can be taken, also by who was refused."""

    async def kill() -> None:
        deployment.kill("rooms")
        await deployment.restart("rooms")

    async def hang() -> None:
        deployment.services["rooms"].signal(signal.SIGSTOP)
        late = await agent(deployment, "late")
        await unavailable(late, "join_room", roomId="stopped")
        deployment.services["rooms"].signal(signal.SIGCONT)

    races = {"killed": await race(deployment, "killed", kill), "stopped": await race(deployment, "stopped", hang)}

    async def all_said() -> bool:
        return await farewells(deployment) == 0

    await until(all_said, "no participant is waiting to be taken out", within=25)
    for room_id, replies in races.items():
        inside = [client for client, reply in replies.items() if reply["type"] == "room_users"]
        fold = await agrees(deployment, inside[0], room_id)
        assert sorted(fold.seats) == sorted(
            client.participants.get(room_id) or replies[client]["self"] for client in inside
        )
        refused = [client for client, reply in replies.items() if reply.get("code") == "unavailable"]
        again = refused[: SEATS - len(inside)]
        for client in again:
            await client.join(room_id)
        await filled_up(deployment, len(inside) + len(again), room_id)
        assert len((await agrees(deployment, inside[0], room_id)).seats) == SEATS
        no_holes(inside[0], room_id)
        await still_there(*replies)


async def test_auth_dies_and_comes_back(deployment: Deployment) -> None:
    """Without auth those who are in stay in and go on; who comes is told to try later (4002), not that the token is bad."""
    await make_room(deployment)
    alice, bob = await agent(deployment, "alice"), await agent(deployment, "bob")
    await alice.join(ROOM)
    deployment.kill("auth")
    late = await Client.open(deployment.url)
    await unavailable(late, "authenticate", token=token("late"))
    assert await late.closed() == 4002
    await unavailable(alice, "join_room", roomId="other", token="some.join.token")
    async with api(deployment) as rest:
        assert (await rest.get(f"/api/rooms/{ROOM}")).status_code == 503
    await bob.join(ROOM)
    await alice.hear("user_joined")
    await still_there(alice, bob)

    await deployment.restart("auth")
    newcomers = await filled_up(deployment, present=2)
    async with api(deployment) as rest:
        assert (await rest.get(f"/api/rooms/{ROOM}")).json()["participantCount"] == SEATS
    for _ in newcomers:
        await alice.hear("user_joined")
    await agrees(deployment, alice)
    no_holes(alice)


async def lost_offer_made_again(caller: Client, calling: str, called: Client, to: str) -> None:
    """The caller's offer was refused: its candidate must not arrive without it. Offered again, everything goes through."""
    await unavailable(caller, "candidate", to=to, candidate=candidate())
    assert (await caller.ask("offer", to=to, sdp=offer()))["type"] == "ok"
    assert (await caller.ask("candidate", to=to, candidate=candidate()))["type"] == "ok"
    assert (await called.hear("offer"))["from"] == calling
    await called.hear("candidate")
    assert (await called.ask("answer", to=calling, sdp=answer()))["type"] == "ok"
    await caller.hear("answer")


async def test_nats_dies_and_comes_back(deployment: Deployment) -> None:
    """Without the broker clients stay connected and every request is refused at once; when it is back the services
    need no restart, everything committed before is there, and what happened since the outage reaches everyone."""
    await make_room(deployment)
    alice, bob, carol, dora = [await agent(deployment, name) for name in ("alice", "bob", "carol", "dora")]
    own = await alice.join(ROOM)
    seen = await bob.join(ROOM)
    gone = (await dora.join(ROOM))["self"]
    await bob.hear("user_joined")
    before = {name: service.popen.pid for name, service in deployment.services.items()}

    deployment.kill_nats()
    async with api(deployment) as rest:

        async def noticed() -> bool:
            return (await rest.get("/readyz")).status_code == 503

        await until(noticed, "not ready without the broker")
        assert (await rest.get("/healthz")).status_code == 200
        assert (await rest.get(f"/api/rooms/{ROOM}")).status_code == 503
    await unavailable(carol, "join_room", roomId=ROOM)
    await unavailable(alice, "update_self", roomId=ROOM, metadata={"hand": "up"})
    await unavailable(alice, "leave_room", roomId=ROOM)
    await unavailable(bob, "offer", to=own["self"], sdp=offer())
    await dora.close()
    await still_there(alice, bob, carol)

    await deployment.nats.start()
    await ready(deployment)
    left = await alice.hear("user_left", within=PATIENCE)
    assert (left["participantId"], left["reason"]) == (gone, "timeout")
    await lost_offer_made_again(bob, seen["self"], alice, own["self"])
    await carol.join(ROOM)
    newcomers = await filled_up(deployment, present=3)
    for _ in newcomers:
        await bob.hear("user_joined")
    await agrees(deployment, bob)
    no_holes(bob)
    await still_there(alice, bob, carol)
    assert {name: service.popen.pid for name, service in deployment.services.items()} == before
    assert all(service.popen.poll() is None for service in deployment.services.values())
