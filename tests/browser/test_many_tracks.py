"""Descriptions with 64 media sections, as the two browsers make them, go through a gateway with its default limits."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.support.chromium import Chromium
from tests.support.client import Client
from tests.support.firefox import Firefox
from tests.support.launched import Launched
from tests.support.system import token

pytestmark = pytest.mark.asyncio(loop_scope="session")

# The offer with its candidates, and the answer of another connection to it.
DESCRIPTIONS = """async (simulcast) => {
  const offering = new RTCPeerConnection({bundlePolicy: "balanced"}), answering = new RTCPeerConnection();
  const encodings = simulcast ? {sendEncodings: [{rid: "a"}, {rid: "b"}, {rid: "c"}]} : {};
  for (let n = 0; n < 63; n++) offering.addTransceiver("video", {direction: "sendrecv", ...encodings});
  offering.createDataChannel("chat");
  await offering.setLocalDescription();
  await answering.setRemoteDescription(offering.localDescription);
  await answering.setLocalDescription();
  await new Promise((resolve) => setTimeout(resolve, 500));
  const both = [offering.localDescription.sdp, answering.localDescription.sdp];
  offering.close();
  answering.close();
  return both;
}"""


async def pass_through(url: str, room: str, offer: str, answer: str) -> None:
    """Send them between two participants, and compare what arrives."""
    ada, ben = [await Client.open(url) for _ in range(2)]
    try:
        for client, name in ((ada, "ada"), (ben, "ben")):
            await client.login(token(name))
            await client.join(room)
        await ada.hear("user_joined")
        assert offer.count("\nm=") == 64
        for kind, sender, receiver, sdp in (("offer", ada, ben, offer), ("answer", ben, ada, answer)):
            reply = await sender.ask(kind, to=receiver.participants[room], sdp=sdp)
            assert reply["type"] == "ok", (len(sdp), sdp.count("\n"), reply)
            assert (await receiver.hear(kind))["sdp"] == sdp
    finally:
        await ada.close()
        await ben.close()


@pytest_asyncio.fixture(loop_scope="session")
async def firefox() -> AsyncIterator[Firefox]:
    """A browser with a tab."""
    firefox = await Firefox.start()
    yield firefox
    await firefox.stop()


@pytest.mark.parametrize("simulcast", [False, True])
async def test_of_chromium(chromium: Chromium, launched: Launched, room: str, simulcast: bool) -> None:
    """63 video transceivers and a data channel, with and without simulcast."""
    tab = await chromium.tab()
    made: list[Any] = await tab.run(DESCRIPTIONS, simulcast)
    await pass_through(launched.url, room, *made)


@pytest.mark.parametrize("simulcast", [False, True])
async def test_of_firefox(firefox: Firefox, launched: Launched, room: str, simulcast: bool) -> None:
    """The same in Firefox."""
    made: list[Any] = await firefox.run(DESCRIPTIONS, simulcast)
    await pass_through(launched.url, room, *made)
