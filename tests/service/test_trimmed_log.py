"""A room with a snapshot of a newer fold, which this version cannot fold: it keeps nobody from anything else."""

import pytest

from services.gateway.departures import Departures
from shared.rooms.roster import FOLD_VERSION, Roster
from shared.values.ids import RoomId
from tests.support.away import ROOM, Away, came, until_resumed
from tests.support.broker_kind import in_memory
from tests.support.patience import eventually_async
from tests.support.system import System
from tests.support.trimmed import write_snapshot

pytestmark = in_memory


async def upgrade(system: System, room: str) -> Roster:
    """A later release does so with a fold that this one does not know. Returns what this one knew of the room."""
    fold = await system.rooms[0].log.load(RoomId(room))
    write_snapshot(system.memory, fold, fold_version=FOLD_VERSION + 1)
    return fold


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
