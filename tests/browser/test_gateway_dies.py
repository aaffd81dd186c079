"""A gateway is killed under a call, and under its set-up: the call goes on, over the other gateway or the same one again."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.browser.agent import ECHOED, HEARD, Agent
from tests.browser.bare_page import BarePage
from tests.browser.gateways import GONE, Gateways, at_first
from tests.browser.visitor import Visitor, all_flowing
from tests.support.chromium import Chromium
from tests.support.needed import needed

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROSTER = """() => [...bare.room.participants.values()].map(({ name, connection }) => `${name} ${connection}`).sort()"""
BOTH_CONNECTED = f"() => String(({ROSTER})()) === 'ada connected,ben connected'"


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    """Two of them, for all tests here: each waits until both are there again."""
    needed("chromium")
    gateways = Gateways(tmp_path_factory.mktemp("gateways"))
    yield gateways
    gateways.stop()


async def pair(chromium: Chromium, gateways: Gateways) -> tuple[BarePage, BarePage]:
    """Ada, whose first gateway is the second one, and Ben, whose first gateway is the first one."""
    await gateways.both_ready()
    ada = await BarePage.open(chromium, gateways.others_first(), "ada")
    ben = await BarePage.open(chromium, gateways.urls, "ben")
    for page in (ada, ben):
        page.tab.allow(*GONE)
    return ada, ben


@pytest.mark.slow
async def test_the_page_comes_back_to_its_gateway(chromium: Chromium, gateways: Gateways, room: str) -> None:
    """People whose one gateway is killed go on seeing and hearing each other; when the launcher has started it again,
    their pages come back by themselves, and muting shows on the other side as before."""
    await gateways.both_ready()
    ada, ben = [await Visitor.open(chromium, gateways.urls[0], name, room) for name in ("Ada", "Ben")]
    for person in (ada, ben):
        person.tab.allow(*GONE)
        await person.enter()
    await all_flowing(ada, ben)
    ids = [await ada.own_id(), await ben.own_id()]
    gateways.kill(0)
    await ada.until_session("reconnecting")
    await all_flowing(ada, ben)
    await asyncio.gather(ada.until_session("connected"), ben.until_session("connected"))
    await ada.press("Mute")
    await ben.until_tile(ids[0], audio="muted", connection="connected")
    await ada.until_tile(ids[1], audio="on", connection="connected")
    for person in (ada, ben):
        assert sorted(await person.tiles()) == sorted(ids)


async def test_killed_during_a_call(chromium: Chromium, gateways: Gateways, room: str) -> None:
    """Killing the gateway of one end costs no media: the same RTCPeerConnection goes on. Its session comes back through
    the other gateway as the same participant, the roster is right on both sides, and what is negotiated then works."""
    ada, ben = await pair(chromium, gateways)
    for page in (ada, ben):
        await page.enter(room)
    await asyncio.gather(ada.until_flowing(1), ben.until_flowing(1))
    gateways.kill(0)
    await ben.until("() => bare.heard.includes('session reconnecting')")
    await asyncio.gather(ada.until_flowing(1), ben.until_flowing(1))
    await ben.until("() => bare.heard.includes('resumed true')")
    await asyncio.gather(*(page.until(BOTH_CONNECTED) for page in (ada, ben)))
    assert await ben.run("() => bare.room.self.id") == ben.id
    await ben.run("() => bare.call.setTrack('screen', bare.drawn())")
    await ada.until("() => Object.values(bare.peers())[0].screen === 1")
    await asyncio.gather(ada.until_flowing(1), ben.until_flowing(1))
    for page in (ada, ben):
        assert await page.run("() => recorded.connections.length") == 1


@pytest.mark.parametrize(
    ("who", "event", "kind"),
    [
        pytest.param(*("ben", "framesent", "join_room"), marks=pytest.mark.slow),
        ("ben", "framesent", "offer"),
        pytest.param(*("ben", "framesent", "candidate"), marks=pytest.mark.slow),
        pytest.param(*("ada", "framereceived", "offer"), marks=pytest.mark.slow),
        pytest.param(*("ada", "framesent", "answer"), marks=pytest.mark.slow),
        pytest.param(*("ben", "framereceived", "answer"), marks=pytest.mark.slow),
    ],
)
async def test_killed_during_set_up(
    chromium: Chromium, gateways: Gateways, room: str, who: str, event: str, kind: str
) -> None:
    """Whichever end's gateway is killed, and at whichever step of the set-up, both see and hear each other in the end,
    and each has the other once in the roster."""
    ada, ben = await pair(chromium, gateways)
    victim, number = (ada, 1) if who == "ada" else (ben, 0)
    at_first(victim, event, kind, lambda: gateways.kill(number))
    await ada.enter(room)
    await ben.enter(room)
    await asyncio.gather(ada.until_flowing(1), ben.until_flowing(1))
    await asyncio.gather(*(page.until(BOTH_CONNECTED) for page in (ada, ben)))
    assert "session reconnecting" in await victim.heard()


@pytest.mark.slow
async def test_killed_under_an_agent(chromium: Chromium, gateways: Gateways, room: str) -> None:
    """The example agent, whose gateway is killed, goes on echoing over the data channel that there is, and greets a
    newcomer, to whom it has to be introduced by the other gateway."""
    await gateways.both_ready()
    ada = await BarePage.open(chromium, gateways.urls[:1], "ada")
    await ada.enter(room, tracks=[])
    await ada.run("() => bare.talk('chat')")
    agent = Agent(room, gateways.others_first())
    try:
        await ada.until(ECHOED, "before")
        gateways.kill(1)
        await agent.process.hear("reconnecting")
        await ada.until(ECHOED, "meanwhile")
        eve = await BarePage.open(chromium, gateways.urls[:1], "eve")
        await eve.enter(room, tracks=[])
        await eve.run("() => bare.talk('chat')")
        await eve.until(ECHOED, "after")
        await eve.until(HEARD)
        assert "Traceback" not in agent.process.output
    finally:
        agent.process.destroy()


@pytest.mark.slow
async def test_back_online(chromium: Chromium, gateways: Gateways, room: str) -> None:
    """When the browser is online again the session comes back at once: with the page's clock stopped, so that no waiting
    before the next attempt ever ends."""
    await gateways.both_ready()
    ada = await BarePage.open(chromium, gateways.urls[:1], "ada")
    # The browser says more of it than of a gateway that is gone.
    ada.tab.allow(*GONE, r"net::ERR_INTERNET_DISCONNECTED")
    await ada.tab.page.clock.install()
    await ada.enter(room, tracks=[])
    await ada.tab.page.clock.pause_at(time.time() + 60)
    gateways.kill(0)
    await ada.until("() => bare.session.state === 'reconnecting'")
    await gateways.both_ready()
    assert await ada.run("() => bare.session.state") == "reconnecting"
    await ada.tab.page.context.set_offline(True)
    await ada.tab.page.context.set_offline(False)
    await ada.until("() => bare.session.state === 'connected'")
    assert await ada.run("() => bare.room.self.id") == ada.id
