"""A link moves to another gateway while the present connection works, and what can go wrong with that."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import parley
from parley import ParticipantUpdated, Resumed, StateChanged
from parley.transport.link_state import Event, State
from websockets.asyncio.server import ServerConnection, serve

from tests.clients.python.conftest import PATIENCE, until
from tests.clients.python.proxy import TcpProxy
from tests.support.launched import Launched
from tests.support.patience import eventually
from tests.support.system import token


def move(session: parley.Session) -> None:
    """As when its gateway says `go_away`."""
    session._link._happen(Event.GO_AWAY)


async def test_the_next_gateway_is_not_there(launched: Launched, room_id: str) -> None:
    """While nobody answers at the next URL the session goes on where it is; it moves when there is somebody."""
    async with (
        TcpProxy(launched.url) as here,
        TcpProxy(launched.url) as there,
        parley.connect([here.url, there.url], token=token("alice")) as alice,
        alice.join(room_id) as room,
    ):
        here.open = there.open = False  # for new connections
        states: list[object] = []
        alice.on(states.append)
        events = room.events()
        refused = there.refused
        move(alice)
        await eventually(lambda: there.refused > refused, "an attempt")
        await room.update(metadata={"still": "here"})
        assert alice._link.state is not State.CONNECTED
        there.open = True
        assert await until(events, Resumed) == Resumed(recovered=True)
        await eventually(lambda: alice._link.state is State.CONNECTED, "moved")
        assert (there.connections, states) == (1, [])


@asynccontextmanager
async def a_gateway_that_gives_up(asked: asyncio.Event, give_up: asyncio.Event) -> AsyncIterator[str]:
    """It takes an `authenticate`, says nothing, and closes when it is told to. Its URL."""

    async def take(socket: ServerConnection) -> None:
        await socket.recv()
        asked.set()
        await give_up.wait()
        await socket.close(1011)

    async with serve(take, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


async def test_the_next_gateway_gives_up(launched: Launched, room_id: str) -> None:
    """What the present connection says while the next one is asked for the session is held, and heard when that comes
    to nothing; what is asked meanwhile is done then. The session never was anything but connected."""
    asked, give_up = asyncio.Event(), asyncio.Event()
    async with (
        a_gateway_that_gives_up(asked, give_up) as other,
        parley.connect([launched.url, other], token=token("alice")) as alice,
        parley.connect(launched.url, token=token("bob")) as bob,
        alice.join(room_id) as here,
        bob.join(room_id) as there,
        asyncio.timeout(PATIENCE),
    ):
        states: list[object] = []
        alice.on(states.append)
        await eventually(lambda: len(here.others) == 1, "bob is seen")
        events = here.events()
        move(alice)
        await asked.wait()
        await there.update(metadata={"n": 1})
        mine = asyncio.ensure_future(here.update(metadata={"mine": True}))
        await eventually(lambda: bool(alice._link._held), "it is held")
        assert (here.others[0].metadata, here.me.metadata) == ({}, {})
        give_up.set()
        assert (await until(events, ParticipantUpdated)).participant.metadata == {"n": 1}
        await mine
        assert await until(events, Resumed) == Resumed(recovered=True)  # the next attempt is at the first URL again
        assert states == []


async def test_handed_over_and_lost(launched: Launched, room_id: str) -> None:
    """When the present connection was closed because the next one has the session, and then the next one breaks before
    it says so, the session is lost for a moment and comes back with everything."""
    async with (
        TcpProxy(launched.url) as proxy,
        parley.connect([launched.url, proxy.url], token=token("alice")) as alice,
        parley.connect(launched.url, token=token("bob")) as bob,
        alice.join(room_id) as here,
        bob.join(room_id) as there,
    ):
        me, states, events = here.me.id, alice.events(), here.events()
        proxy.deaf_to_new = True
        move(alice)
        await eventually(lambda: alice._link.state is State.HANDED_OVER, "handed over")
        assert alice.state == "connected"
        await there.update(metadata={"meanwhile": True})
        proxy.cut()
        proxy.deaf_to_new = proxy.deaf = False
        await until(states, StateChanged, state="reconnecting")
        assert await until(events, Resumed) == Resumed(recovered=True)
        assert (here.me.id, here.others[0].metadata) == (me, {"meanwhile": True})
