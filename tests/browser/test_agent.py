"""A person's browser and the example agent of the Python SDK, which is aiortc, in one room."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.browser.agent import HEARD, Agent
from tests.browser.bare_page import BarePage
from tests.browser.conftest import Arrive
from tests.support.chromium import Chromium
from tests.support.launched import Launched
from tests.support.processes import Process

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def agent(chromium: Chromium, launched: Launched, room: str) -> AsyncIterator[Process]:
    """The agent, in the room."""
    agent = Agent(room, [launched.url])
    try:
        await agent.present()
        yield agent.process
    finally:
        agent.process.destroy()


async def test_heard_and_echoed(agent: Process, chromium: Chromium, launched: Launched, room: str) -> None:
    """A browser that has no devices, and so hides its addresses behind mDNS names, hears the agent's greeting and gets
    back what it sends; an agent that is asked to end leaves with status 0, and is gone at once."""
    ada = await BarePage.open(chromium, launched.urls[:1], "ada")
    await ada.enter(room, tracks=[])
    await ada.run("() => bare.talk('chat')")
    await ada.until(HEARD)
    for text in ("hello", "and äöü"):
        await ada.run("(text) => bare.channel.send(text)", text)
    await ada.until("() => bare.messages.length === 2")
    (echo,) = await ada.run("() => [...bare.call.peers.keys()]")
    assert await ada.run("() => bare.messages") == [[echo, "hello"], [echo, "and äöü"]]
    agent.signal(signal.SIGTERM)
    assert await asyncio.to_thread(agent.end) == 0, agent.output
    await ada.until("() => bare.call.peers.size === 0")
    assert "Traceback" not in agent.output


async def test_on_the_page(agent: Process, arrive: Arrive) -> None:
    """On the page the agent has a tile with its name, is heard, and is shown as connected and without a camera; also
    for whoever comes back after leaving."""
    ada = await arrive("Ada")
    for again in (False, True):
        await ada.until_tiles(2)
        (echo,) = set(await ada.tiles()) - {await ada.own_id()}
        await ada.until_tile(echo, audio="on", video="off", connection="connected", peer="connected")
        await ada.tab.until(HEARD)
        if not again:
            await ada.picture("call-with-agent")
            await ada.press("Leave")
            await ada.until_state("left")
            await ada.press("Come back")
            await ada.until_state("call")
    assert "Traceback" not in agent.output
