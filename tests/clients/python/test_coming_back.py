"""The Python client comes back: cut lines, dead connections, gateways that go away, lost sessions, and what was asked meanwhile."""

import asyncio

import parley
import pytest
from parley import Left, ParleyError, ParticipantJoined, ParticipantLeft, ParticipantUpdated, Resumed, StateChanged
from parley.requests import CAPACITY
from parley.transport.link_state import Event

from tests.clients.python.conftest import PATIENCE, until
from tests.clients.python.proxy import TcpProxy
from tests.support.launched import Launched
from tests.support.patience import eventually
from tests.support.system import System, token


async def test_nothing_is_missed_when_the_line_is_cut(proxy: TcpProxy, launched: Launched, room_id: str) -> None:
    """What others did while the proxy was cut arrives in order and once, then Resumed; the participant is the same."""
    async with (
        parley.connect(proxy.url, token=token("alice")) as alice,
        parley.connect(launched.url, token=token("bob")) as bob,
        alice.join(room_id) as here,
        bob.join(room_id) as there,
    ):
        me, states, events = here.me.id, alice.events(), here.events()
        proxy.open = False
        proxy.cut()
        assert await until(states, StateChanged) == StateChanged("reconnecting")
        for n in range(20):
            await there.update(metadata={"n": n})
        proxy.open = True
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


async def test_what_is_asked_offline_is_done_later(proxy: TcpProxy, room_id: str) -> None:
    """Updates wait without a connection and are done once and in order; more than the bound are refused; one that is
    given up before it was sent never happens; a room can be joined meanwhile."""
    async with parley.connect(proxy.url, token=token("alice")) as alice, alice.join(room_id) as here:
        proxy.open = False
        states = alice.events()
        proxy.cut()
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
        proxy.open = True
        async with asyncio.timeout(PATIENCE * 2):
            await asyncio.gather(*waiting)
            assert (await joining).id == f"{room_id}-b"
        assert here.me.metadata == {"n": CAPACITY - 3}
        # Away, back, and each update once: those that wait together are stored as one.
        assert revision + 2 < here.revision <= revision + 2 + len(waiting)


async def _join(session: parley.Session, room_id: str) -> parley.Room:
    return await session.join(room_id)


async def test_an_answer_that_got_lost(proxy: TcpProxy, room_id: str) -> None:
    """A request whose answer was on its way when the proxy was cut is sent again under its id, and happens once."""
    async with parley.connect(proxy.url, token=token("alice")) as alice, alice.join(room_id) as here:
        revision = here.revision
        proxy.deaf = True
        updating = asyncio.ensure_future(here.update(metadata={"once": True}))
        await eventually(lambda: b'"ok"' in proxy.withheld, "the gateway has done it, and its answer is on the way")
        proxy.cut()
        proxy.deaf = False
        async with asyncio.timeout(PATIENCE):
            await updating
        assert here.me.metadata == {"once": True}
        assert here.revision == revision + 3  # the update, away, back


async def test_a_join_that_is_given_up(proxy: TcpProxy, launched: Launched, room_id: str) -> None:
    """A join that is cancelled after it was sent leaves nobody behind in the room."""
    async with (
        parley.connect(proxy.url, token=token("alice")) as alice,
        parley.connect(launched.url, token=token("bob")) as bob,
        bob.join(room_id) as there,
    ):
        events = there.events()
        proxy.deaf = True
        joining = asyncio.ensure_future(_join(alice, room_id))
        assert (await until(events, ParticipantJoined)).participant.agent_id == "alice"
        joining.cancel()
        await asyncio.gather(joining, return_exceptions=True)
        assert len(there.others) == 1
        proxy.deaf = False
        assert (await until(events, ParticipantLeft)).reason == "left"
        assert alice.rooms == {}


async def test_what_cannot_be_recovered(system: System) -> None:
    """When what was missed cannot be had whole, the roster is replaced, its differences are told, and Resumed says so."""
    await system.start()
    async with (
        TcpProxy(system.url) as proxy,
        parley.connect(proxy.url, token=token("alice")) as alice,
        parley.connect(system.url, token=token("bob")) as bob,
        alice.join("r") as here,
        bob.join("r") as there,
    ):
        me, events = here.me.id, here.events()
        proxy.open = False
        proxy.cut()
        await there.update(name="Robert")
        here._state.cursor = "v-other000.1"  # as if the log had been replaced
        proxy.open = True
        resumed = await until(events, Resumed)
        assert resumed == Resumed(recovered=False)
        assert (here.me.id, here.others[0].name) == (me, "Robert")
        assert here.participants == there.participants


async def test_a_session_that_was_lost(system: System) -> None:
    """Who comes back too late joins its rooms anew by itself, as who it was with what it asked meanwhile; signals of
    the lost session are dropped; the room object is the same, `me` is another."""
    await system.start(grace_seconds=0.5)
    async with (
        TcpProxy(system.url) as proxy,
        parley.connect(proxy.url, token=token("alice")) as alice,
        parley.connect(system.url, token=token("bob")) as bob,
        bob.join("r") as there,
        alice.join("r", name="Alice", metadata={"kept": 1}, media={"audio": {"state": "on"}}) as here,
    ):
        before, session_id = here.me.id, alice.session_id
        seen, events, states = there.events(), here.events(), alice.events()
        proxy.open = False
        proxy.cut()
        await until(states, StateChanged, state="reconnecting")
        updating = asyncio.ensure_future(here.update(metadata={"new": 2}))
        signal = asyncio.ensure_future(here.send_signal("candidate", to=there.me.id, candidate=None))
        assert (await until(seen, ParticipantLeft)).reason == "timeout"
        proxy.open = True
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
        TcpProxy(system.url) as proxy,
        parley.connect(system.url, token=token("bob")) as bob,
        bob.join("r") as there,
    ):
        alice = await parley.connect(proxy.url, token=token("alice"))
        async with alice:
            here = await alice.join("r")
            seen = there.events()
            proxy.open = False
            proxy.cut()
            leaving = asyncio.ensure_future(here.leave())
            await until(seen, ParticipantLeft)
            proxy.open = True
            async with asyncio.timeout(PATIENCE):
                await leaving
            assert (here.left, alice.rooms) == (Left("left"), {})
            await eventually(lambda: alice.state == "connected", "a new session")
            assert there.others == []


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


async def test_a_gateway_that_dies_after_it_asked_us_away(system: System) -> None:
    """Whoever was asked to move later, and loses its connection before that, does not wait: it comes back at once."""
    await system.start()
    async with (
        TcpProxy(system.url) as proxy,
        parley.connect(proxy.url, token=token("alice")) as alice,
        alice.join("r") as room,
    ):
        events = room.events()
        alice._link._move_after = 600.0
        alice._link._happen(Event.GO_AWAY)
        proxy.cut()
        assert (await until(events, Resumed)).recovered


async def test_a_hole_is_filled(launched: Launched, room_id: str) -> None:
    """A client that notices that it missed a change asks for the room, and is right again."""
    async with (
        parley.connect(launched.url, token=token("alice")) as alice,
        parley.connect(launched.url, token=token("bob")) as bob,
        alice.join(room_id) as here,
        bob.join(room_id) as there,
    ):
        await eventually(lambda: len(here.others) == 1, "bob is seen")
        here._state.roster.revision -= 1  # as if a push had been lost, and with it bob
        here._state.roster.participants.pop(there.me.id)
        here._state.roster.revision -= 1
        await there.update(metadata={"x": 1})
        await eventually(lambda: here.participants == there.participants, "the same again")


async def test_a_dead_connection_is_noticed(system: System) -> None:
    """When the other end says nothing, not even to a ping, the connection counts as dead and another is made."""
    await system.start(ping_seconds=0.5)
    async with (
        TcpProxy(system.url) as proxy,
        parley.connect(proxy.url, token=token("alice")) as alice,
        alice.join("r") as room,
    ):
        events, states = room.events(), alice.events()
        connection = alice._link._present
        assert connection is not None
        connection.heartbeat = 0.3  # what the gateway says is at least a second
        proxy.deaf = True
        await until(states, StateChanged, state="reconnecting")
        proxy.deaf = False
        await until(events, Resumed)
