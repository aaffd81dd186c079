"""A seat that is lost while the session lives on: the room is joined again."""

import asyncio
from dataclasses import replace
from typing import Any

import parley
import pytest
from parley import Left, ParleyError, ParticipantJoined, ParticipantLeft, Resumed, StateChanged
from parley.room import Room

from services.rooms import deadlines
from tests.clients.python.conftest import PATIENCE, until
from tests.clients.python.proxy import TcpProxy
from tests.support.patience import eventually
from tests.support.system import System, token


@pytest.fixture
def short_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the room `brief` a seat is held for a shorter time than elsewhere."""
    grace = deadlines.grace

    def of_room(room_id: Any, participant_id: Any, epoch: int, context: Any) -> Any:
        rules = replace(context.rules, grace_seconds=0.3) if room_id == "brief" else context.rules
        return grace(room_id, participant_id, epoch, replace(context, rules=rules))

    monkeypatch.setattr(deadlines, "grace", of_room)


@pytest.mark.usefixtures("short_grace")
async def test_one_room_timed_out_and_another_was_resumed(system: System) -> None:
    """Of two rooms the one whose seat timed out is joined again, as who one was in it and in the same room object; the
    other one is resumed and nothing of it is missed."""
    await system.start()
    async with (
        TcpProxy(system.url) as proxy,
        parley.connect(system.url, token=token("bob")) as bob,
        parley.connect(proxy.url, token=token("alice")) as alice,
        bob.join("brief") as seen,
        alice.join("brief", name="Alice", metadata={"kept": 1}) as brief,
        alice.join("long") as long,
    ):
        session_id, before, same = alice.session_id, brief.me.id, long.me.id
        theirs, states, events, others = seen.events(), alice.events(), brief.events(), long.events()
        proxy.open = False
        proxy.cut()
        await until(states, StateChanged, state="reconnecting")
        assert (await until(theirs, ParticipantLeft)).reason == "timeout"
        proxy.open = True
        assert await until(others, Resumed) == Resumed(recovered=True)
        assert await until(events, Resumed) == Resumed(recovered=False, rejoined=True)
        assert (alice.session_id, long.me.id) == (session_id, same)
        assert brief.me.id != before
        assert (brief.me.name, brief.me.metadata) == ("Alice", {"kept": 1})
        assert (await until(theirs, ParticipantJoined)).participant == brief.me
        assert alice.rooms == {"brief": brief, "long": long}
        await brief.update(metadata={"again": 2})
        await eventually(lambda: seen.participants == brief.participants, "both see the same")


@pytest.mark.usefixtures("short_grace")
async def test_left_while_the_seat_timed_out(system: System) -> None:
    """Who asked offline to leave a room whose seat then timed out has left it, and does not come back into it."""
    await system.start()
    async with (
        TcpProxy(system.url) as proxy,
        parley.connect(system.url, token=token("bob")) as bob,
        parley.connect(proxy.url, token=token("alice")) as alice,
        bob.join("brief") as seen,
        alice.join("long") as long,
    ):
        brief = await alice.join("brief")
        theirs, others = seen.events(), long.events()
        proxy.open = False
        proxy.cut()
        leaving = asyncio.ensure_future(brief.leave())
        await until(theirs, ParticipantLeft)
        proxy.open = True
        async with asyncio.timeout(PATIENCE):
            await leaving
        await until(others, Resumed)
        assert (brief.left, alice.rooms) == (Left("left"), {"long": long})
        await long.update(metadata={"so": "late"})  # a join would have been asked before it
        assert seen.others == []


async def test_a_room_that_could_not_be_resumed(system: System) -> None:
    """An error `not_in_room` that answers nothing is about a room that was to be resumed: it is joined again. When it
    refuses us, our stay ends with its reason."""
    await system.start()
    async with parley.connect(system.url, token=token("alice")) as alice:
        room = await alice.join("r", name="Alice")
        events, before = room.events(), room.me.id
        await _lose_seat(alice, room)
        with pytest.raises(ParleyError, match="participant_not_found"):
            await room.send_signal("candidate", to="p_x", candidate=None)
        assert await until(events, Resumed) == Resumed(recovered=False, rejoined=True)
        assert (room.me.name, room.left) == ("Alice", None)
        assert room.me.id != before
        room._profile.token = "no join token"  # now rooms refuse us
        await _lose_seat(alice, room)
        async with asyncio.timeout(PATIENCE):
            left = await room.wait_left()
        assert left.error is not None
        assert left.reason == left.error.code != "timeout"
        assert alice.state == "connected"


async def _lose_seat(session: parley.Session, room: Room) -> None:
    """The seat is gone behind the room's back; then comes what a gateway says when that was more than ten minutes ago."""
    await session._core.ask("leave_room", {"roomId": room.id})
    error = {"type": "error", "code": "not_in_room", "message": "the seat is gone", "details": {"roomId": room.id}}
    session._core.received(error)
