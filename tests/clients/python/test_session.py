"""A session of the Python client against a real gateway: connect, join, cut lines, lost sessions, queues, refusals."""

import asyncio
import logging
from typing import Any, TypeVar

import parley
import pytest
from parley import Left, ParleyError, ParticipantJoined, ParticipantLeft, ParticipantUpdated, Resumed, StateChanged
from parley.requests import CAPACITY

from tests.clients.python.conftest import counting
from tests.clients.python.cutting import Line
from tests.support.client import Client
from tests.support.launched import Launched, free_ports
from tests.support.patience import eventually
from tests.support.system import System, token

T = TypeVar("T")
PATIENCE = 20.0


async def until(events: "parley.Events[Any]", kind: type[T], **fields: object) -> T:
    """The next event of this kind with these fields."""
    async with asyncio.timeout(PATIENCE):
        async for event in events:
            if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items()):
                return event
    raise AssertionError(f"the events ended before {kind.__name__}")


async def test_two_see_each_other(launched: Launched, room_id: str) -> None:
    """Who joins sees who is there, and is seen; updates and leaving are seen; the roster is in order, oneself in it."""
    async with parley.connect(launched.url, token=token("alice"), device_id="desk") as alice:
        assert (alice.state, alice.agent_id) == ("connected", "alice")
        async with alice.join(room_id, name="Alice", metadata={"a": 1}, media={"audio": {"state": "on"}}) as here:
            assert (here.me.name, here.me.metadata, here.me.device_id) == ("Alice", {"a": 1}, "desk")
            assert (here.me.state_of("audio"), here.me.state_of("video")) == ("on", "off")
            assert (here.id, here.info.id, here.topology, here.others) == (room_id, room_id, "mesh", [])
            events = here.events()
            async with parley.connect(launched.url, token=token("bob")) as bob:
                there = await bob.join(room_id)
                assert [one.agent_id for one in there.participants.values()] == ["alice", "bob"]
                assert (await until(events, ParticipantJoined)).participant == there.me
                await there.update(name="Robert", metadata={"b": {"c": 2}}, media={"video": {"state": "muted"}})
                updated = await until(events, ParticipantUpdated)
                assert (updated.previous.name, updated.participant.name) == ("bob", "Robert")
                assert there.me == updated.participant
                await there.update(name=None, metadata={"b": None}, media={"video": None})
                assert there.me.name == "bob"
                assert there.me.metadata == {}
                assert here.others == [there.me]
            assert (await until(events, ParticipantLeft)).reason == "left"
            assert there.left == Left("left")
            assert here.revision > 2
        assert here.left == Left("left")
        with pytest.raises(ParleyError, match="not_in_room"):
            await here.update(name="x")
        assert alice.rooms == {}
    assert alice.state == "closed"
    with pytest.raises(ParleyError, match="closed"):
        await alice.join(room_id)


async def test_a_room_that_is_refused(launched: Launched) -> None:
    """A refusal is a ParleyError with the protocol's code, and the session lives."""
    async with parley.connect(launched.url, token=token("carol", "rooms:list")) as session:
        with pytest.raises(ParleyError) as refused:
            await session.join("no-such-room")
        assert (refused.value.code, refused.value.retryable) == ("room_not_found", False)
        assert (session.state, session.rooms) == ("connected", {})


async def test_a_token_that_is_refused(launched: Launched) -> None:
    """connect raises auth's code, and neither the error nor a log shows the token."""
    bad = token("mallory") + "x"
    with pytest.raises(ParleyError) as refused:
        await parley.connect(launched.url, token=bad)
    assert (refused.value.code, refused.value.retryable) == ("invalid_token", False)
    assert bad not in repr(refused.value)


async def test_nobody_there(launched: Launched) -> None:
    """Where nobody listens connect says so; of several URLs the first that answers is used; another path is told."""
    nowhere = f"http://127.0.0.1:{free_ports()}"
    with pytest.raises(ParleyError) as refused:
        await parley.connect(nowhere, token=token("alice"))
    assert (refused.value.code, refused.value.retryable) == ("unavailable", True)
    async with parley.connect([nowhere, launched.url], token=token("alice")) as session:
        assert session.state == "connected"
    with pytest.raises(ParleyError) as refused:
        await parley.connect(f"{launched.url}/elsewhere", token=token("alice"))
    assert (refused.value.details["status"], refused.value.retryable) == (404, False)


async def test_keep_trying(launched: Launched) -> None:
    """With keep_trying the first connection is made as soon as there is somebody to connect to."""
    async with Line(launched.url) as line:
        line.open = False
        opening = asyncio.ensure_future(_open(line.url, keep_trying=True))
        await asyncio.sleep(0.3)
        assert not opening.done()
        line.open = True
        async with asyncio.timeout(PATIENCE):
            session = await opening
        await session.close()


async def _open(url: str, **options: Any) -> parley.Session:
    return await parley.connect(url, token=token("patient"), **options)


async def test_nothing_is_missed_when_the_line_is_cut(line: Line, launched: Launched, room_id: str) -> None:
    """What others did while the line was cut arrives in order and once, then Resumed; the participant is the same."""
    async with (
        parley.connect(line.url, token=token("alice")) as alice,
        parley.connect(launched.url, token=token("bob")) as bob,
        alice.join(room_id) as here,
        bob.join(room_id) as there,
    ):
        me, states, events = here.me.id, alice.events(), here.events()
        line.open = False
        line.cut()
        assert await until(states, StateChanged) == StateChanged("reconnecting")
        for n in range(20):
            await there.update(metadata={"n": n})
        line.open = True
        seen: list[int] = []
        async with asyncio.timeout(PATIENCE):
            async for event in events:
                if isinstance(event, ParticipantUpdated) and event.participant.id == there.me.id:
                    seen.append(event.participant.metadata["n"])
                if isinstance(event, Resumed):
                    break
        assert (seen, event) == (list(range(20)), Resumed(recovered=True))
        assert (here.me.id, alice.state) == (me, "connected")
        assert here.participants == there.participants


async def test_what_is_asked_offline_is_done_later(line: Line, room_id: str) -> None:
    """Updates wait without a connection and are done once and in order; more than the bound are refused; one that is
    given up before it was sent never happens; a room can be joined meanwhile."""
    async with parley.connect(line.url, token=token("alice")) as alice, alice.join(room_id) as here:
        line.open = False
        states = alice.events()
        line.cut()
        await until(states, StateChanged, state="reconnecting")
        given_up = asyncio.ensure_future(here.update(metadata={"never": True}))
        joining = asyncio.ensure_future(_join(alice, f"{room_id}-b"))
        waiting = [asyncio.ensure_future(here.update(metadata={"n": n})) for n in range(CAPACITY - 2)]
        await asyncio.sleep(0)
        with pytest.raises(ParleyError) as refused:
            await here.update(metadata={"n": "too many"})
        assert refused.value.code == "queue_full"
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        revision = here.revision
        line.open = True
        async with asyncio.timeout(PATIENCE * 2):
            await asyncio.gather(*waiting)
            assert (await joining).id == f"{room_id}-b"
        assert here.me.metadata == {"n": CAPACITY - 3}
        # Away, back, and each update once.
        assert here.revision == revision + 2 + len(waiting)


async def _join(session: parley.Session, room_id: str) -> parley.Room:
    return await session.join(room_id)


async def test_an_answer_that_got_lost(line: Line, room_id: str) -> None:
    """A request whose answer was on its way when the line was cut is sent again under its id, and happens once."""
    async with parley.connect(line.url, token=token("alice")) as alice, alice.join(room_id) as here:
        revision = here.revision
        line.deaf = True
        updating = asyncio.ensure_future(here.update(metadata={"once": True}))
        await asyncio.sleep(0.5)  # long enough for the gateway to have done it
        line.cut()
        line.deaf = False
        async with asyncio.timeout(PATIENCE):
            await updating
        assert here.me.metadata == {"once": True}
        assert here.revision == revision + 3  # the update, away, back


async def test_a_join_that_is_given_up(line: Line, launched: Launched, room_id: str) -> None:
    """A join that is cancelled after it was sent leaves nobody behind in the room."""
    async with parley.connect(line.url, token=token("alice")) as alice:
        line.deaf = True
        joining = asyncio.ensure_future(_join(alice, room_id))
        await asyncio.sleep(0.5)
        joining.cancel()
        await asyncio.gather(joining, return_exceptions=True)
        line.deaf = False
        async with parley.connect(launched.url, token=token("bob")) as bob, bob.join(room_id) as there:
            await eventually(lambda: not there.others, "alice has left")
        assert alice.rooms == {}


async def test_replaced(launched: Launched, room_id: str) -> None:
    """A session that was resumed elsewhere ends here, says so, and does not fight for it."""
    session = await parley.connect(launched.url, token=token("alice"))
    room = await session.join(room_id)
    other = await Client.open(launched.url)
    resume_token, cursor = session._conversation._resume_token, room.cursor
    await other.login(token("alice"), resume={"token": resume_token, "cursors": {room_id: cursor}})
    async with asyncio.timeout(PATIENCE):
        closed = await session.wait_closed()
        left = await room.wait_left()
    assert (closed.code, left.reason, session.state) == (4504, "closed", "closed")
    await other.close()
    await session.close()


async def test_taken_over(launched: Launched, room_id: str) -> None:
    """The same agent and device joining from another session ends our stay with `replaced`; the session lives."""
    async with (
        parley.connect(launched.url, token=token("alice"), device_id="desk") as first,
        parley.connect(launched.url, token=token("alice"), device_id="desk") as second,
    ):
        old = await first.join(room_id)
        new = await second.join(room_id)
        async with asyncio.timeout(PATIENCE):
            assert (await old.wait_left()).reason == "replaced"
        assert (first.state, [one.id for one in new.participants.values()]) == ("connected", [new.me.id])


async def test_a_room_that_is_closed(system: System) -> None:
    """When a room closes, those in it hear that their stay ended with it; the iterator ends after Left."""
    await system.start()
    async with parley.connect(system.url, token=token("alice")) as alice:
        import httpx

        async with httpx.AsyncClient(base_url=system.url, headers={"Authorization": f"Bearer {token('alice')}"}) as api:
            assert (await api.post("/api/rooms", json={"name": "R", "type": "voice", "roomId": "r"})).status_code == 201
            room = await alice.join("r")
            events = room.events()
            assert (await api.delete("/api/rooms/r")).status_code == 204
        async with asyncio.timeout(PATIENCE):
            heard = [event async for event in events]
        assert heard[-1] == Left("room_closed")
        with pytest.raises(ParleyError, match="room_closed"):
            await alice.join("r")


async def test_what_cannot_be_recovered(system: System) -> None:
    """When what was missed cannot be had whole, the roster is replaced, its differences are told, and Resumed says so."""
    await system.start()
    async with (
        Line(system.url) as line,
        parley.connect(line.url, token=token("alice")) as alice,
        parley.connect(system.url, token=token("bob")) as bob,
        alice.join("r") as here,
        bob.join("r") as there,
    ):
        me, events = here.me.id, here.events()
        line.open = False
        line.cut()
        await there.update(name="Robert")
        here._cursor = "v-other000.1"  # as if the log had been replaced
        line.open = True
        resumed = await until(events, Resumed)
        assert resumed == Resumed(recovered=False)
        assert (here.me.id, here.others[0].name) == (me, "Robert")
        assert here.participants == there.participants


async def test_a_session_that_was_lost(system: System) -> None:
    """Who comes back too late joins its rooms anew by itself, as who it was with what it asked meanwhile; signals of
    the lost session are dropped; the room object is the same, `me` is another."""
    await system.start(grace_seconds=0.5)
    async with (
        Line(system.url) as line,
        parley.connect(line.url, token=token("alice")) as alice,
        parley.connect(system.url, token=token("bob")) as bob,
        bob.join("r") as there,
        alice.join("r", name="Alice", metadata={"kept": 1}, media={"audio": {"state": "on"}}) as here,
    ):
        before, session_id = here.me.id, alice.session_id
        seen, events, states = there.events(), here.events(), alice.events()
        line.open = False
        line.cut()
        await until(states, StateChanged, state="reconnecting")
        updating = asyncio.ensure_future(here.update(metadata={"new": 2}))
        signal = asyncio.ensure_future(here.send_signal("candidate", to=there.me.id, candidate=None))
        assert (await until(seen, ParticipantLeft)).reason == "timeout"
        line.open = True
        assert await until(events, Resumed) == Resumed(recovered=False, rejoined=True)
        await updating
        with pytest.raises(ParleyError, match="participant_not_found"):
            await signal
        assert here.me.id != before
        assert alice.session_id != session_id
        assert (here.me.name, here.me.state_of("audio")) == ("Alice", "on")
        assert here.me.metadata == {"kept": 1, "new": 2}
        assert (await until(seen, ParticipantJoined)).participant == here.me
        await here.update(metadata={"again": 3})
        await eventually(lambda: there.participants == here.participants, "both see the same")


async def test_left_while_the_session_was_lost(system: System) -> None:
    """Who asked to leave offline and lost the session meanwhile has left, and does not come back."""
    await system.start(grace_seconds=0.5)
    async with (
        Line(system.url) as line,
        parley.connect(system.url, token=token("bob")) as bob,
        bob.join("r") as there,
    ):
        alice = await parley.connect(line.url, token=token("alice"))
        async with alice:
            here = await alice.join("r")
            seen = there.events()
            line.open = False
            line.cut()
            leaving = asyncio.ensure_future(here.leave())
            await until(seen, ParticipantLeft)
            line.open = True
            async with asyncio.timeout(PATIENCE):
                await leaving
            assert (here.left, alice.rooms) == (Left("left"), {})
            await eventually(lambda: alice.state == "connected", "a new session")
            assert there.others == []


async def test_the_token_is_renewed(system: System) -> None:
    """Before the token ends its function is asked for another, and the session outlives the first one's end."""
    await system.start(token_leeway=0)
    ask, given = counting("alice", seconds=3)
    async with parley.connect(system.url, token=ask) as session, session.join("r") as room:
        states = session.events()
        await eventually(lambda: len(given) >= 3, "two renewals")  # the second is after the first token's end
        await room.update(metadata={"alive": True})
        assert session.state == "connected"
    assert await until(states, StateChanged) == StateChanged("closed")


async def test_the_token_ends(system: System) -> None:
    """A token given as a text ends the session when it ends: no coming back, and the room says so."""
    await system.start(token_leeway=0)
    ask, _ = counting("alice", seconds=2)
    session = await parley.connect(system.url, token=ask())
    room = await session.join("r")
    async with asyncio.timeout(PATIENCE):
        closed = await session.wait_closed()
    assert (closed.code, session.state) == (4502, "closed")
    assert closed.error is not None
    assert room.left is not None


async def test_an_expired_token_is_replaced_on_the_way_back(system: System) -> None:
    """Who comes back after the token's end asks for another, and resumes."""
    await system.start(token_leeway=0)
    ask, given = counting("alice", seconds=2)
    async with Line(system.url) as line, parley.connect(line.url, token=ask) as session, session.join("r") as room:
        events = room.events()
        line.open = False
        line.cut()
        await asyncio.sleep(2.5)
        line.open = True
        assert (await until(events, Resumed)).recovered
        assert len(given) >= 2


async def test_go_away(system: System) -> None:
    """A gateway that shuts down is left before it closes: the session moves over, nothing is missed, and its state
    never was anything but connected."""
    await system.start(gateways=2)
    urls = [gateway.url() for gateway in system.gateways]
    async with (
        parley.connect(urls, token=token("alice")) as alice,
        parley.connect(urls[1], token=token("bob")) as bob,
        alice.join("r") as here,
        bob.join("r") as there,
    ):
        states: list[object] = []
        events = here.events()
        alice.on(states.append)
        stopping = asyncio.ensure_future(
            system.gateways[0].stop(8)
        )  # the more time, the less it depends on the machine
        asking = [asyncio.ensure_future(there.update(metadata={"n": n})) for n in range(50)]
        mine = [asyncio.ensure_future(here.update(metadata={"n": n})) for n in range(50)]
        assert (await until(events, Resumed)).recovered
        await asyncio.gather(stopping, *asking, *mine)
        await there.update(metadata={"last": True})
        await eventually(lambda: here.others[0].metadata == {"n": 49, "last": True}, "the last update")
        assert here.me.metadata == {"n": 49}
        assert states == []


async def test_a_hole_is_filled(launched: Launched, room_id: str) -> None:
    """A client that notices that it missed a change asks for the room, and is right again."""
    async with (
        parley.connect(launched.url, token=token("alice")) as alice,
        parley.connect(launched.url, token=token("bob")) as bob,
        alice.join(room_id) as here,
        bob.join(room_id) as there,
    ):
        await eventually(lambda: len(here.others) == 1, "bob is seen")
        here._roster.revision -= 1  # as if a push had been lost, and with it bob
        here._roster.participants.pop(there.me.id)
        here._roster.revision -= 1
        await there.update(metadata={"x": 1})
        await eventually(lambda: here.participants == there.participants, "the same again")


async def test_a_dead_connection_is_noticed(system: System) -> None:
    """When the other end says nothing, not even to a ping, the connection counts as dead and another is made."""
    await system.start(ping_seconds=0.5)
    async with (
        Line(system.url) as line,
        parley.connect(line.url, token=token("alice")) as alice,
        alice.join("r") as room,
    ):
        events, states = room.events(), alice.events()
        link = alice._lifeline._link
        assert link is not None
        link.heartbeat = 0.3  # what the gateway says is at least a second
        line.deaf = True
        await until(states, StateChanged, state="reconnecting")
        line.deaf = False
        await until(events, Resumed)


async def test_no_token_in_any_log(launched: Launched, room_id: str, caplog: pytest.LogCaptureFixture) -> None:
    """At the root's DEBUG, as programs switch it on, no log line has a token."""
    secret = token("alice")
    with caplog.at_level(logging.DEBUG):
        async with (
            Line(launched.url) as line,
            parley.connect(line.url, token=secret) as session,
            session.join(room_id) as room,
        ):
            events = room.events()
            line.cut()
            await until(events, Resumed)
            assert secret not in repr(session)
    assert secret not in caplog.text
    assert str(session._conversation._resume_token) not in caplog.text


async def test_cancelled_in_the_middle(launched: Launched, room_id: str) -> None:
    """A program that is cancelled inside its `async with` leaves the room and closes the session; no task is left."""
    before = asyncio.all_tasks()

    async def stay() -> None:
        async with parley.connect(launched.url, token=token("alice")) as alice, alice.join(room_id):
            await asyncio.sleep(3600)

    async with parley.connect(launched.url, token=token("bob")) as bob, bob.join(room_id) as there:
        events = there.events()
        task = asyncio.create_task(stay())
        await until(events, ParticipantJoined)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await until(events, ParticipantLeft)).reason == "left"
    await eventually(lambda: asyncio.all_tasks() <= before, "no task is left")
