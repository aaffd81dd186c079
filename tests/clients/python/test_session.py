"""A session of the Python client against a real gateway: connect, join, tokens, refusals, and how it ends."""

import asyncio
import logging
import time
from typing import Any

import parley
import pytest
from parley import Left, ParleyError, ParticipantJoined, ParticipantLeft, ParticipantUpdated, Resumed, StateChanged

from tests.clients.python.conftest import PATIENCE, counting, until
from tests.clients.python.proxy import TcpProxy
from tests.support.client import Client
from tests.support.launched import Launched
from tests.support.patience import eventually
from tests.support.ports import HeldPorts
from tests.support.system import System, token


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


async def test_nobody_there(launched: Launched, ports: HeldPorts) -> None:
    """Where nobody listens connect says so; of several URLs the first that answers is used; another path is told."""
    nowhere = f"http://127.0.0.1:{ports.row()}"
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
    async with TcpProxy(launched.url) as proxy:
        proxy.open = False
        opening = asyncio.ensure_future(_open(proxy.url, keep_trying=True))
        await eventually(lambda: proxy.refused >= 2, "it tries again")
        assert not opening.done()
        proxy.open = True
        async with asyncio.timeout(PATIENCE):
            session = await opening
        await session.close()


async def _open(url: str, **options: Any) -> parley.Session:
    return await parley.connect(url, token=token("patient"), **options)


async def test_a_token_function_that_fails(launched: Launched) -> None:
    """What the token function raises, `connect` raises, whether it keeps trying or not; nothing goes on after it."""
    before = asyncio.all_tasks()

    def broken() -> str:
        raise ZeroDivisionError

    async def refusing() -> str:
        raise ParleyError("forbidden", "no token for you", retryable=False)

    for keep_trying in (False, True):
        with pytest.raises(ZeroDivisionError):
            await parley.connect(launched.url, token=broken, keep_trying=keep_trying)
        with pytest.raises(ParleyError, match="no token for you"):
            await parley.connect(launched.url, token=refusing, keep_trying=keep_trying)
    assert asyncio.all_tasks() == before


async def test_connecting_is_given_up(launched: Launched) -> None:
    """A `connect` that is cancelled while the gateway says nothing leaves no task and no connection behind."""
    before = asyncio.all_tasks()
    async with TcpProxy(launched.url) as proxy:
        proxy.deaf_to_new = True
        opening = asyncio.ensure_future(_open(proxy.url, keep_trying=True))
        await eventually(lambda: b"auth_ok" in proxy.withheld, "the gateway lets us in, and is not heard")
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        assert opening.cancelled()
        await eventually(lambda: not proxy.connected, "the connection is gone")
    await eventually(lambda: asyncio.all_tasks() <= before, "no task is left")


async def test_replaced(launched: Launched, room_id: str) -> None:
    """A session that was resumed elsewhere ends here, says so, and does not fight for it."""
    session = await parley.connect(launched.url, token=token("alice"))
    room = await session.join(room_id)
    other = await Client.open(launched.url)
    resume_token, cursor = session._core._resume_token, room.cursor
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
    async with (
        TcpProxy(system.url) as proxy,
        parley.connect(proxy.url, token=ask) as session,
        session.join("r") as room,
    ):
        events = room.events()
        proxy.open = False
        proxy.cut()
        ends = session._link._credentials._ends
        assert ends is not None
        await eventually(lambda: time.time() > ends, "the token has ended")
        proxy.open = True
        assert (await until(events, Resumed)).recovered
        assert len(given) >= 2


async def test_no_token_in_any_log(launched: Launched, room_id: str, caplog: pytest.LogCaptureFixture) -> None:
    """At the root's DEBUG, as programs switch it on, no log line has a token."""
    secret = token("alice")
    with caplog.at_level(logging.DEBUG):
        async with (
            TcpProxy(launched.url) as proxy,
            parley.connect(proxy.url, token=secret) as session,
            session.join(room_id) as room,
        ):
            events = room.events()
            proxy.cut()
            await until(events, Resumed)
            assert secret not in repr(session)
    assert secret not in caplog.text
    assert str(session._core._resume_token) not in caplog.text


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
