"""A room whose log was trimmed up to a snapshot in it: nobody is told half of what happened, and nobody is put out."""

import pytest

from shared.broker.room_log import StoredEvents
from shared.values.ids import RoomId
from tests.service.test_holes import pair
from tests.support.away import ROOM, Away, came, until_resumed
from tests.support.broker_kind import in_memory
from tests.support.client import Message
from tests.support.system import System
from tests.support.trimmed import write_snapshot

pytestmark = in_memory


async def trim(system: System) -> None:
    """What a later release does: the room's state into the log, and the entries before it away."""
    fold = await system.rooms[0].log.load(RoomId(ROOM))
    write_snapshot(system.memory, fold)


def types(about: list[Message]) -> list[str]:
    return [message["type"] for message in about]


async def test_who_follows_hears_nothing_of_a_snapshot(system: System) -> None:
    """Clients that are in see the next change with the next revision, and join, leave and write to each other as before."""
    await system.start(gateways=2)
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
    await system.start()
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
    alice, bob, lossy = await pair(system, monkeypatch)
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
