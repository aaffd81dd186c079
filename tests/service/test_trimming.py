"""Rooms' logs are trimmed under real clients: nobody is told half of what happened, and nobody is put out."""

import asyncio
from typing import Any

import pytest

from services.rooms import trimmer
from shared.broker.room_log import StoredEvents
from shared.broker.subjects import event_log, state_log
from shared.values.ids import RoomId
from tests.service.test_holes import pair
from tests.support.away import ROOM, Away, came, until_resumed
from tests.support.broker_kind import on_both
from tests.support.client import Message
from tests.support.patience import eventually_async
from tests.support.stored import events_of
from tests.support.system import System

pytestmark = on_both

# So that a log is trimmed whenever it is looked at.
SOON: dict[str, Any] = {"log_bytes": 0, "log_seconds": 0.01, "log_kept_seconds": 0.05}


@pytest.fixture(autouse=True)
def only_when_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of trimming stands still: a test says when logs are looked at."""
    monkeypatch.setattr(trimmer, "LEAST_SECONDS", 3600.0)


async def trim(system: System, room: str = ROOM) -> None:
    """Look at a room's log until a snapshot is all that is left; every replica of rooms looks at once."""
    log, room_id = system.ports[0].room_log, RoomId(room)

    async def trimmed() -> bool:
        await asyncio.gather(*(rooms.trimmer.look(room_id) for rooms in system.rooms))
        entries = events_of(await log.read(event_log(room_id), limit=2))
        states = await log.read(state_log(room_id), limit=2)
        return [one.checkpoint is not None for one in entries] == [True] and len(states) == 1

    await eventually_async(trimmed, "only a snapshot is left")


def types(about: list[Message]) -> list[str]:
    return [message["type"] for message in about]


async def test_who_follows_hears_nothing_of_a_snapshot(system: System) -> None:
    """Clients that are in see the next change with the next revision, and join, leave and write to each other as before."""
    await system.start(gateways=2, rooms=2, **SOON)
    alice, _ = await came(system, "alice")
    await trim(system)
    bob, _ = await came(system, "bob", gateway=1)
    joined = await alice.hear("user_joined")
    assert joined["revision"] == 3
    await trim(system)
    assert (await bob.ask("update_self", name="Bobby"))["type"] == "ok"
    assert (await alice.hear("user_updated"))["revision"] == 4
    await bob.ask("leave_room")
    assert (await alice.hear("user_left"))["revision"] == 5


async def test_a_cursor_below_the_snapshot_gets_the_room(system: System) -> None:
    """What it missed is gone: an honest snapshot. A cursor above it gets all it missed, as ever."""
    await system.start(rooms=2, **SOON)
    alice, _ = await came(system, "alice")
    bob, login = await came(system, "bob")
    away = Away(bob, "bob", login)
    await bob.close()
    await alice.hear("user_updated")
    await alice.ask("update_self", name="Alicia")
    await trim(system)
    back, reply = await away.back(system)
    assert reply["resumed"] is True
    shown, resumed = await until_resumed(back)
    assert (shown["type"], shown["recovered"], shown["self"]) == ("room_users", False, bob.participants[ROOM])
    assert {one["name"] for one in shown["participants"]} == {"Alicia", "bob"}
    again = Away(back, "bob", reply)
    await back.close()
    await alice.ask("update_self", name="Ali")
    last, reply = await again.back(system)
    assert reply["resumed"] is True
    about = await until_resumed(last)
    assert types(about)[-2:] == ["user_updated", "room_resumed"]
    assert "room_users" not in types(about)
    assert resumed["revision"] < about[-1]["revision"]


async def test_a_gateway_that_missed_what_is_gone(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot tell its clients what happened, so it sends them to come back, and they get the room as it is."""
    alice, bob, lossy = await pair(system, monkeypatch, **SOON)
    away = Away(alice, "alice", next(message for message in alice.everything if message["type"] == "auth_ok"))
    lossy.losing = lambda entry: isinstance(entry, StoredEvents)
    await bob.ask("update_self", name="Bobby")
    await trim(system)
    lossy.losing = lambda _: False
    await bob.ask("update_self", metadata={"mood": "fine"})
    assert await alice.closed() == 1012
    back, reply = await away.back(system, gateway=1)
    assert reply["resumed"] is True
    shown = (await until_resumed(back))[0]
    assert (shown["type"], shown["recovered"]) == ("room_users", False)
    assert {one["name"] for one in shown["participants"]} == {"alice", "Bobby"}


async def test_who_comes_after_a_trim_is_in_the_same_room(system: System) -> None:
    """Also by a replica of rooms that has never seen the room, and has no cache of it: who is in, in which order, under
    which revision; and a join token that was used stays used.
    """
    await system.start(gateways=2, **SOON)
    await system.rest("POST", "", "alice", name="Voice", type="voice", roomId=ROOM, access="token")
    alice, _ = await came(system, "alice")
    token = (await system.rest("POST", f"/{ROOM}/join", "alice", agentId="bob")).json()["token"]
    bob = await system.agent("bob", gateway=1)
    assert (await bob.ask("join_room", roomId=ROOM, token=token))["type"] == "room_users"
    await bob.ask("leave_room", roomId=ROOM)
    await trim(system)
    await system.start_rooms(**SOON)
    await system.rooms[0].stop()
    await system.ports[0].connection.close()
    late = await system.agent("bob", gateway=1)
    refused = await late.ask("join_room", roomId=ROOM, token=token)
    assert refused["code"] == "forbidden"
    other = (await system.rest("POST", f"/{ROOM}/join", "alice", agentId="bob")).json()["token"]
    users = await late.ask("join_room", roomId=ROOM, token=other)
    assert (users["type"], users["revision"]) == ("room_users", 5)
    assert [(one["agentId"], one["order"]) for one in users["participants"]] == [("alice", 1), ("bob", 3)]
    assert (await alice.hear("user_joined", revision=5))["participant"]["order"] == 3
    system.rooms.pop(0)
    system.ports.pop(0)


async def test_what_was_done_once_is_not_done_again(system: System) -> None:
    """A request that is asked again after a trim, on another connection, by another replica: `ok`, and no second effect."""
    await system.start(rooms=2, **SOON)
    alice, _ = await came(system, "alice")
    bob, login = await came(system, "bob")
    away = Away(bob, "bob", login)
    assert (await bob.ask("update_self", id="once", name="Bobby"))["type"] == "ok"
    assert (await bob.ask("update_self", id="then", name="Rob"))["type"] == "ok"
    await trim(system)
    await bob.close()
    back, _ = await away.back(system)
    await until_resumed(back)
    before = await alice.ask("get_room", roomId=ROOM)
    assert [one["name"] for one in before["participants"]] == ["alice", "Rob"]
    assert (await back.ask("update_self", id="once", name="Bobby"))["type"] == "ok"
    after = await alice.ask("get_room", roomId=ROOM)
    assert (after["revision"], after["participants"]) == (before["revision"], before["participants"])


async def test_a_trim_under_clients_that_go_on(system: System) -> None:
    """While two replicas trim again and again, everybody changes themselves, and each sees every revision of it once."""
    await system.start(gateways=2, rooms=2, message_rate=10_000, message_burst=10_000, **SOON)
    alice, _ = await came(system, "alice")
    bob, _ = await came(system, "bob", gateway=1)
    over = asyncio.Event()

    async def trimming() -> int:
        first = 0
        while not over.is_set():
            await asyncio.gather(*(rooms.trimmer.look(RoomId(ROOM)) for rooms in system.rooms))
            first = (await system.ports[0].room_log.read(event_log(RoomId(ROOM)), limit=1))[0].position
            await asyncio.sleep(0.02)
        return first

    trims = asyncio.create_task(trimming())
    for turn in range(40):
        for client in (alice, bob):
            assert (await client.ask("update_self", metadata={"turn": turn}))["type"] == "ok"
        await asyncio.sleep(0.01)
    over.set()
    assert await trims > 10
    await asyncio.gather(alice.ask("leave_room"), bob.hear("user_left"))
    for client, before in ((bob, 3), (alice, 3)):
        seen = [message["revision"] for message in client.everything if message["type"] == "user_updated"]
        assert seen == list(range(before + 1, before + 1 + 80))
