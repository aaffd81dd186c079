"""Negotiation between real browsers where it is hardest: both want something at the same moment."""

import asyncio
import time

import pytest

from tests.browser.bare_page import BarePage
from tests.support.chromium import Chromium
from tests.support.launched import Launched

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROUNDS = 50
# Counts the offers that met an offer of one's own: what perfect negotiation is for.
COUNT_COLLISIONS = """() => {
  globalThis.collisions = 0;
  const native = RTCPeerConnection.prototype.setRemoteDescription;
  RTCPeerConnection.prototype.setRemoteDescription = function (description) {
    if (description.type === "offer" && this.signalingState === "have-local-offer") globalThis.collisions += 1;
    return native.call(this, description);
  };
}"""
# Screens on when the clock says so, and off again in every other round; both pages share one clock.
AT = """async ([at, on]) => {
  await new Promise((resolve) => setTimeout(resolve, at - Date.now()));
  bare.call.track("screen")?.stop();
  await bare.call.setTrack("screen", on ? bare.drawn() : null);
}"""
RESTART_AT = """async (at) => {
  await new Promise((resolve) => setTimeout(resolve, at - Date.now()));
  for (const peer of bare.call.peers.values()) peer.connection.restartIce();
}"""
SETTLED = """(screens) => {
  const [peer] = Object.values(bare.peers());
  return peer.signaling === "stable" && peer.state === "connected" && peer.screen === screens
    && String(peer.kinds) === "audio,video";
}"""


async def test_glare(chromium: Chromium, launched: Launched, room: str) -> None:
    """Both ends add or remove a track at the same moment, 50 times: each time both come to rest with every track
    that there is, on the first RTCPeerConnection, and pictures and sound of camera and microphone never stop for good."""
    ada, ben = [await BarePage.open(chromium, launched.urls[:1], name) for name in ("ada", "ben")]
    for page in (ada, ben):
        await page.run(COUNT_COLLISIONS)
        await page.enter(room)
    await asyncio.gather(ada.until_flowing(1), ben.until_flowing(1))
    for number in range(ROUNDS):
        on = number % 2 == 0
        at = time.time() * 1000 + 60
        await asyncio.gather(*(page.run(AT, [at, on]) for page in (ada, ben)))
        await asyncio.gather(*(page.until(SETTLED, int(on)) for page in (ada, ben)))
    await asyncio.gather(ada.until_flowing(1), ben.until_flowing(1))
    assert await ada.run("() => collisions") + await ben.run("() => collisions") > 0, "nothing ever collided"
    for page in (ada, ben):
        assert await page.run("() => recorded.connections.length") == 1
        assert await page.heard() == []
        assert set(map(tuple, (await page.run("() => bare.kinds")).values())) == {("audio",), ("video",), ("screen",)}


async def test_both_restart_ice(chromium: Chromium, launched: Launched, room: str) -> None:
    """Both ends restart ICE at the same moment, ten times: the last agreement has new credentials, and media flows."""
    ada, ben = [await BarePage.open(chromium, launched.urls[:1], name) for name in ("ada", "ben")]
    for page in (ada, ben):
        await page.enter(room)
    await asyncio.gather(ada.until_flowing(1), ben.until_flowing(1))
    for _ in range(10):
        (before,) = await ada.sums()
        at = time.time() * 1000 + 60
        await asyncio.gather(*(page.run(RESTART_AT, at) for page in (ada, ben)))
        await ada.until("async (before) => (await recorded.sums())[0].ufrag !== before", before["ufrag"])
        await asyncio.gather(*(page.until(SETTLED, 0) for page in (ada, ben)))
    await asyncio.gather(ada.until_flowing(1), ben.until_flowing(1))
    for page in (ada, ben):
        assert await page.run("() => recorded.connections.length") == 1
        assert await page.heard() == []


async def test_data_channels(chromium: Chromium, launched: Launched, room: str) -> None:
    """Three pages each make a channel of one label: what one sends reaches both others, and what is for one only that."""
    pages = [await BarePage.open(chromium, launched.urls[:1], name) for name in ("ada", "ben", "eve")]
    for page in pages:
        await page.enter(room, tracks=[])
        await page.run("() => bare.talk('chat')")
    ada, ben, eve = pages
    await ada.until("() => Object.values(bare.peers()).filter(({state}) => state === 'connected').length === 2")
    await ada.run("() => bare.channel.send('to all')")
    await ada.run("(to) => bare.channel.send('to Ben', { to })", ben.id)
    await ben.until("() => bare.messages.length === 2")
    await eve.until("() => bare.messages.length === 1")
    assert await ben.run("() => bare.messages") == [[ada.id, "to all"], [ada.id, "to Ben"]]
    assert await eve.run("() => bare.messages") == [[ada.id, "to all"]]
    await eve.run("() => bare.channel.send('back', {})")
    await ada.until("() => bare.messages.length === 1")
    assert await ada.run("() => bare.messages") == [[eve.id, "back"]]
