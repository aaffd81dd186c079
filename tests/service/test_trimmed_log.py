"""A room whose log was trimmed up to a snapshot in it: nobody is told half of what happened, and nobody is put out."""

import pytest

from services.gateway.departures import Departures
from shared.broker.room_log import StoredEvents
from shared.rooms.roster import FOLD_VERSION, Roster
from shared.values.ids import RoomId
from tests.service.test_holes import pair
from tests.support.away import ROOM, Away, came, until_resumed
from tests.support.broker_kind import in_memory
from tests.support.client import Message
from tests.support.patience import eventually_async
from tests.support.system import System
from tests.support.trimmed import write_snapshot

pytestmark = in_memory


async def trim(system: System) -> None:
    """What a later release does: the room's state into the log, and the entries before it away."""
    fold = await system.rooms[0].log.load(RoomId(ROOM))
    write_snapshot(system.memory, fold)


async def upgrade(system: System, room: str) -> Roster:
    """A later release does so with a fold that this one does not know. Returns what this one knew of the room."""
    fold = await system.rooms[0].log.load(RoomId(room))
    write_snapshot(system.memory, fold, fold_version=FOLD_VERSION + 1)
    return fold


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


@pytest.mark.parametrize("gateway", [0, 1])
async def test_a_room_that_cannot_be_folded_keeps_nobody_from_the_others(system: System, gateway: int) -> None:
    """Whoever comes back has its other rooms, and is told `not_in_room` of that one, and no more about why."""
    await system.start(gateways=2)
    bob, login = await came(system, "bob", room="good")
    await bob.join("bad")
    away = Away(bob, "bob", login)
    fold = await upgrade(system, "bad")
    back, reply = await away.back(system, gateway)
    assert reply["resumed"] is True
    ended = await back.hear("error")
    assert (ended["code"], ended["retryable"], ended["details"]) == ("not_in_room", False, {"roomId": "bad"})
    await until_resumed(back, "good")
    assert (await back.ask("update_self", roomId="good", name="Bobby"))["type"] == "ok"
    joined = await back.ask("join_room", roomId="bad")
    assert (joined["code"], joined["retryable"], joined["details"]) == ("unavailable", True, {})
    write_snapshot(system.memory, fold)  # or the gateways would try to drop bob for as long as they may when they stop


async def test_a_session_that_had_no_other_room_is_gone(system: System) -> None:
    """As after the end of all its rooms: it is another session, and joins anew."""
    await system.start()
    bob, login = await came(system, "bob")
    fold = await upgrade(system, ROOM)
    back, reply = await Away(bob, "bob", login).back(system)
    assert (reply["type"], reply["resumed"]) == ("auth_ok", False)
    assert (await back.ask("join_room", roomId="other"))["type"] == "room_users"
    write_snapshot(system.memory, fold)


async def test_a_seat_in_a_room_that_cannot_be_folded_is_given_up(system: System) -> None:
    """The connection before let it go to the new one, which has not got it: it is dropped when the room can be folded
    again. However often the session comes back meanwhile, that is tried once.
    """
    await system.start()
    bob, login = await came(system, "bob")
    await bob.join("other")
    away = Away(bob, "bob", login)
    fold = await upgrade(system, ROOM)
    for _ in range(3):
        _, reply = await away.back(system)
        assert reply["resumed"] is True
    assert undoing(system.gateways[0].context.departures) == 1
    write_snapshot(system.memory, fold)

    async def dropped() -> bool:
        room = await system.rooms[0].log.load(RoomId(ROOM))
        return [seat.participant.connection for seat in room.seats.values()] == ["reconnecting"]

    await eventually_async(dropped, "the seat is held for the grace time only")


def undoing(departures: Departures) -> int:
    """How many joins and resumes are being undone."""
    return sum(not late.over for some in departures._late.values() for late in some)
