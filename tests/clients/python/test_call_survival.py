"""Calls that survive: connections that are replaced, lines that are cut, gateways that die, sessions and signals that are lost."""

import asyncio

from parley.events import Resumed
from parley.rtc import Call, Message

from tests.clients.python.calls import PATIENCE, connected, joined, only, pair
from tests.clients.python.conftest import gateway_processes, kill, until
from tests.clients.python.proxy import TcpProxy
from tests.clients.python.sound import Tone, hear_somebody
from tests.support.launched import Launched
from tests.support.patience import eventually
from tests.support.system import System


async def test_a_connection_is_replaced(launched: Launched, room_id: str) -> None:
    """A rebuild, by either end or by both at once, gives a new connection with the tracks and channels of the old."""
    async with pair(launched, room_id) as (alice, bob), asyncio.timeout(PATIENCE * 2):
        chat = alice.create_data_channel("chat")
        await asyncio.gather(alice.set_track("audio", Tone()), bob.set_track("audio", Tone()))
        await connected(alice, bob)
        for rebuilding in ((alice,), (bob,), (alice, bob)):
            generation, old = only(alice).generation, only(alice).connection
            for call in rebuilding:
                only(call).rebuild()
            await eventually(lambda before=generation: only(alice).generation > before, "a new one")  # type: ignore[misc]  # bound now
            await connected(alice, bob)
            assert only(alice).connection is not old
            heard = bob.events()
            chat.send("still here")
            assert (await until(heard, Message)).data == "still here"
            await asyncio.gather(hear_somebody(alice), hear_somebody(bob))


async def test_the_line_is_cut_during_setup(launched: Launched, room_id: str) -> None:
    """A call whose signals were under way when the proxy was cut is set up all the same."""
    async with (
        TcpProxy(launched.url) as proxy,
        joined(proxy.url, room_id, "alice") as here,
        joined(launched.url, room_id, "bob") as there,
        asyncio.timeout(PATIENCE),
    ):
        proxy.open = False
        proxy.cut()
        async with Call(here) as alice, Call(there) as bob:
            telling = asyncio.gather(alice.set_track("audio", Tone()), bob.set_track("audio", Tone()))
            await eventually(lambda: proxy.refused >= 1, "it is asked while there is no proxy")
            proxy.open = True
            await telling
            await asyncio.gather(hear_somebody(alice), hear_somebody(bob))


async def test_a_gateway_is_killed_during_setup(two_gateways: Launched) -> None:
    """A call survives the death of a gateway while it is set up, and another while it goes on."""
    first, second = two_gateways.urls
    victim, _ = await asyncio.to_thread(gateway_processes, two_gateways)
    async with (
        joined([first, second], "r", "alice") as here,
        joined(second, "r", "bob") as there,
        asyncio.timeout(PATIENCE * 2),
    ):
        events = here.events()
        async with Call(here) as alice, Call(there) as bob:
            telling = asyncio.gather(alice.set_track("audio", Tone()), bob.set_track("audio", Tone()))
            await asyncio.sleep(0)
            kill(victim)
            assert (await until(events, Resumed)).recovered
            await telling
            await asyncio.gather(hear_somebody(alice), hear_somebody(bob))
            chat = bob.create_data_channel("chat")
            chat.send("hello")
            assert (await until(alice.events(), Message)).data == "hello"


async def test_a_lost_session_calls_anew(system: System) -> None:
    """Who lost its session is another participant, and its call connects with everybody anew."""
    await system.start(grace_seconds=0.5)
    async with (
        TcpProxy(system.url) as proxy,
        joined(system.url, "r", "bob") as there,
        joined(proxy.url, "r", "alice") as here,
        Call(there) as bob,
        Call(here) as alice,
        asyncio.timeout(PATIENCE),
    ):
        await alice.set_track("audio", Tone())
        await hear_somebody(bob)
        old, events = only(alice), here.events()
        proxy.open = False
        proxy.cut()
        await eventually(lambda: not bob.peers, "alice is gone")
        proxy.open = True
        assert (await until(events, Resumed)).rejoined
        assert only(alice) is not old
        await hear_somebody(bob)
        assert bob.room.others[0].state_of("audio") == "on"


async def test_signals_that_were_lost(system: System) -> None:
    """When signals cannot be recovered, what was under way begins anew."""
    await system.start()
    async with (
        TcpProxy(system.url) as proxy,
        joined(system.url, "r", "bob") as there,
        joined(proxy.url, "r", "alice") as here,
        asyncio.timeout(PATIENCE),
        Call(there) as bob,
    ):
        await bob.set_track("audio", Tone())
        events = here.events()
        async with Call(here) as alice:
            proxy.deaf = True
            await eventually(lambda: b'"answer"' in proxy.withheld, "the offer is out, and its answer is not heard")
            proxy.cut()
            here._state.cursor = "v-other000.1"  # as if the log had been replaced: what came up to the cut is lost
            proxy.deaf = False
            assert not (await until(events, Resumed)).recovered
            await hear_somebody(alice)
            assert only(alice).generation >= 1
