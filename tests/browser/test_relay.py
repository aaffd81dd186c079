"""Calls that only a TURN server can carry: a real coturn, with the credentials that auth gives to participants."""

import asyncio
import base64
import hmac
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.bare_page import BarePage
from tests.support.chromium import Chromium
from tests.support.coturn import Coturn
from tests.support.launched import Launched
from tests.support.needed import needed

pytestmark = pytest.mark.asyncio(loop_scope="session")

RELAY_ONLY = {"iceTransportPolicy": "relay"}
LIFE_SECONDS = 30
# The relay addresses and the refusals that one gathering brings.
GATHERED = """async (server) => {
  const connection = new RTCPeerConnection({ iceServers: [server], iceTransportPolicy: "relay" });
  const found = { relays: 0, refusals: [] };
  connection.onicecandidateerror = ({ errorCode }) => found.refusals.push(errorCode);
  const done = new Promise((resolve) => {
    connection.onicecandidate = ({ candidate }) => {
      if (!candidate) return resolve();
      if (candidate.type === "relay") found.relays += 1;
    };
  });
  connection.createDataChannel("any");
  await connection.setLocalDescription();
  await done;
  connection.close();
  return found;
}"""
# Counts ICE restarts, and keeps the sockets.
WATCHED = """() => {
  globalThis.restarts = 0;
  const native = RTCPeerConnection.prototype.restartIce;
  RTCPeerConnection.prototype.restartIce = function () {
    globalThis.restarts += 1;
    return native.call(this);
  };
  globalThis.sockets = [];
  globalThis.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      sockets.push(this);
    }
  };
}"""
# What a gateway says whose auth cannot be asked.
NO_SERVERS = """() => {
  const data = JSON.stringify({ type: "ice_servers", roomId: bare.room.id, iceServers: [] });
  sockets.at(-1).dispatchEvent(new MessageEvent("message", { data }));
}"""
# How this end reaches its relays.
RELAY_PROTOCOLS = """async () => {
  const [peer] = bare.call.peers.values();
  const found = [...(await peer.connection.getStats()).values()].filter((one) => one.type === "local-candidate");
  return [...new Set(found.map((one) => one.relayProtocol))];
}"""


@pytest.fixture(scope="module")
def turn() -> Iterator[Coturn]:
    """A TURN server."""
    needed("chromium")
    with Coturn() as turn:
        yield turn


@pytest.fixture(scope="module")
def relayed(turn: Coturn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Parley, whose auth knows the TURN server; its credentials are renewed after half of a short life."""
    environment = {**turn.environment, "PARLEY_TURN_SECONDS": str(LIFE_SECONDS)}
    running = Launched(tmp_path_factory.mktemp("relayed") / "data", environment=environment).ready()
    yield running
    running.stop()


@pytest.mark.slow
async def test_relayed_call_outlives_its_credentials(chromium: Chromium, relayed: Launched, room: str) -> None:
    """Two pages that may use relays only are connected, by a relay on both sides. At half of the credentials' life new
    ones are pushed and used by an ICE restart; pictures and sound go on over the same connection, relayed as before. One of them
    hears meanwhile of servers without credentials: its relay is left alone, and when its credentials end stays known."""
    ada, ben = [await BarePage.open(chromium, relayed.urls[:1], name) for name in ("ada", "ben")]
    for page in (ada, ben):
        await page.run(WATCHED)
        await page.enter(room, rtcConfiguration=RELAY_ONLY)
    await asyncio.gather(ada.until_flowing(1), ben.until_flowing(1))
    before = {}
    for page in (ada, ben):
        (before[page],) = await page.sums()
        assert (before[page]["local"], before[page]["remote"]) == ("relay", "relay")
        expiry, _, agent = before[page]["username"].partition(":")
        assert agent == f"bare-{page.name}"
        assert 0 < int(expiry) - time.time() <= LIFE_SECONDS
    await ben.run(NO_SERVERS)
    assert "ice servers until null" in await ben.heard()
    for page in (ada, ben):
        await page.until(
            """async ({ username, ufrag }) => (await recorded.sums()).some((one) =>
                 one.username && one.username !== username && one.ufrag !== ufrag && one.signaling === "stable")""",
            before[page],
        )
    await asyncio.gather(ada.until_flowing(1), ben.until_flowing(1))
    for page in (ada, ben):
        (now,) = await page.sums()
        assert (now["local"], now["remote"]) == ("relay", "relay")
        assert await page.run("() => recorded.connections.length") == 1
        assert await page.run("() => restarts") == 1
        assert any(line.startswith("ice servers until 2") for line in await page.heard())


@pytest.mark.slow
async def test_the_turn_server_is_restarted(chromium: Chromium, relayed: Launched, turn: Coturn, room: str) -> None:
    """When the one server that carries a call is killed and started again, the call breaks, is repaired by itself, and
    both see and hear each other again, with nobody having left the room."""
    ada, ben = [await BarePage.open(chromium, relayed.urls[:1], name) for name in ("ada", "ben")]
    for page in (ada, ben):
        await page.enter(room, rtcConfiguration=RELAY_ONLY)
    await asyncio.gather(ada.until_flowing(1), ben.until_flowing(1))
    turn.stop()
    await asyncio.gather(
        *(page.until("async () => (await recorded.sums())[0].state !== 'connected'") for page in (ada, ben))
    )
    turn.start()
    await asyncio.gather(ada.until_flowing(1), ben.until_flowing(1))
    for page, other in ((ada, ben), (ben, ada)):
        assert list(await page.run("() => bare.peers()")) == [other.id]


async def test_wrong_and_expired_credentials(chromium: Chromium, relayed: Launched, turn: Coturn, room: str) -> None:
    """Credentials from our auth get a relay address; with another password, or an expired name with the right password,
    the TURN server answers 401 and gives none."""
    ada = await BarePage.open(chromium, relayed.urls[:1], "ada")
    await ada.enter(room, tracks=[])
    (ours,) = await ada.run("() => bare.room.iceServers")
    name = f"{int(time.time()) - 60}:bare-ada"
    expired = base64.b64encode(hmac.digest(turn.secret.encode(), name.encode(), "sha1")).decode()

    async def gathered(**changed: str) -> Any:
        return await ada.run(GATHERED, {**ours, **changed})

    found = await gathered()
    assert (found["relays"] > 0, found["refusals"]) == (True, [])
    for changed in ({"credential": "wrong"}, {"username": name, "credential": expired}):
        found = await gathered(**changed)
        assert (found["relays"], set(found["refusals"])) == (0, {401}), changed


async def test_by_tls(tmp_path: Path, room: str) -> None:
    """Where only TLS gets through, `turns:` carries the call: both ends reach their relay by it."""
    with Coturn(tls=True) as turn:
        environment = {"PARLEY_TURN_URLS": turn.tls_url, "PARLEY_TURN_SECRET": turn.secret}
        launched = Launched(tmp_path / "data", environment=environment).ready()
        # Media threads ask no context of ours whom to trust.
        chromium = await Chromium.start("--ignore-certificate-errors")
        try:
            ada, ben = [await BarePage.open(chromium, launched.urls[:1], name) for name in ("ada", "ben")]
            for page in (ada, ben):
                await page.enter(room, rtcConfiguration=RELAY_ONLY)
            await asyncio.gather(ada.until_flowing(1), ben.until_flowing(1))
            for page in (ada, ben):
                (sums,) = await page.sums()
                assert (sums["local"], sums["remote"]) == ("relay", "relay")
                assert await page.run(RELAY_PROTOCOLS) == ["tls"]
            assert await chromium.close_tabs() == []
        finally:
            await chromium.stop()
            launched.stop()
