"""One end of a call as a separate process: `python -m tests.support.call_peer URL ROOM TOKEN`.

The participant with the higher `order` offers. Both send messages over a data channel. The last line that the process
writes is a JSON object with the result. ICE uses this machine's addresses, and loopback if there is no other.
"""

import argparse
import asyncio
import json
from typing import Any

import aioice.ice
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

from tests.support.client import Client, Message

MESSAGES = 20
PATIENCE = 40.0
CHANNEL = "chat"


def allow_loopback_alone() -> None:
    """Let aioice use loopback where there is no other address. It leaves loopback out by itself."""
    gathered = aioice.ice.get_host_addresses

    def addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return gathered(use_ipv4, use_ipv6) or ["127.0.0.1"]

    aioice.ice.get_host_addresses = addresses


def without_candidates(sdp: str) -> tuple[str, list[dict[str, Any]]]:
    """The description as a browser sends it at once, and the candidates as it sends them one by one after it."""
    kept: list[str] = []
    found: list[dict[str, Any]] = []
    section, mid, fragment = -1, "", None
    for line in sdp.splitlines():
        if line.startswith("m="):
            section += 1
        elif line.startswith("a=mid:"):
            mid = line.partition(":")[2]
        elif line.startswith("a=ice-ufrag:"):
            fragment = line.partition(":")[2]
        if line.startswith("a=candidate:"):
            found.append({"candidate": line[2:], "sdpMLineIndex": section})
        elif line != "a=end-of-candidates":
            kept.append(line)
    wired = [{**one, "sdpMid": mid, "usernameFragment": fragment} for one in found]
    return "\r\n".join(kept) + "\r\n", wired


class Peer:
    """A participant and its RTCPeerConnection."""

    def __init__(self, client: Client, room: Message) -> None:
        self._client = client
        self._self: str = room["self"]
        self._orders = {p["id"]: p["order"] for p in room["participants"]}
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=room["iceServers"]))
        self._connection.on("datachannel", self._use)
        self._received: list[str] = []
        self._trickled = 0
        self._all = asyncio.Event()

    def _use(self, channel: RTCDataChannel) -> None:
        """Send all messages, and keep those that arrive."""

        def heard(text: str) -> None:
            self._received.append(text)
            if len(self._received) == MESSAGES:
                self._all.set()

        def opened() -> None:
            for n in range(MESSAGES):
                channel.send(f"{self._self} says {n}")

        channel.on("message", heard)
        if channel.readyState == "open":
            opened()
        else:
            channel.on("open", opened)

    async def call(self) -> dict[str, Any]:
        """From the first description to the last message; the result."""
        others = [one for one in self._orders if one != self._self]
        offers = bool(others) and self._orders[self._self] > self._orders[others[0]]
        other = others[0] if others else (await self._client.hear("user_joined", within=PATIENCE))["participant"]["id"]
        if offers:
            self._use(self._connection.createDataChannel(CHANNEL))
            await self._connection.setLocalDescription(await self._connection.createOffer())
            await self._send_description(other)
            answer = await self._client.hear("answer", within=PATIENCE, **{"from": other})
            await self._connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
        else:
            offer = await self._client.hear("offer", within=PATIENCE, **{"from": other})
            await self._connection.setRemoteDescription(RTCSessionDescription(offer["sdp"], "offer"))
            await self._connection.setLocalDescription(await self._connection.createAnswer())
            await self._send_description(other)
        await self._take_candidates(other)
        await self._all.wait()
        state = self._connection.connectionState
        await self._until_both_have_heard(other)
        await self._connection.close()
        return {
            "self": self._self,
            "other": other,
            "offered": offers,
            "state": state,
            "received": self._received,
            "trickled": self._trickled,
            "after": self._connection.connectionState,
        }

    async def _send_description(self, other: str) -> None:
        """Send the description without candidates, then each candidate, then their end: only trickled ones connect."""
        description = self._connection.localDescription
        sdp, candidates = without_candidates(description.sdp)
        stored = await self._client.ask(description.type, to=other, sdp=sdp, negotiation="n1")
        assert stored["type"] == "ok", stored
        for one in [*candidates, None]:
            stored = await self._client.ask("candidate", to=other, candidate=one, negotiation="n1")
            assert stored["type"] == "ok", stored

    async def _take_candidates(self, other: str) -> None:
        while (
            wired := (await self._client.hear("candidate", within=PATIENCE, **{"from": other}))["candidate"]
        ) is not None:
            candidate = candidate_from_sdp(wired["candidate"].partition(":")[2])
            candidate.sdpMid, candidate.sdpMLineIndex = wired["sdpMid"], wired["sdpMLineIndex"]
            await self._connection.addIceCandidate(candidate)
            self._trickled += 1
        await self._connection.addIceCandidate(None)

    async def _until_both_have_heard(self, other: str) -> None:
        """Wait until the other end has received everything, which its metadata says. Hanging up earlier would cut it off."""
        assert (await self._client.ask("update_self", metadata={"heard": len(self._received)}))["type"] == "ok"
        while True:
            updated = await self._client.hear("user_updated", within=PATIENCE)
            if updated["participant"]["id"] == other and updated["participant"]["metadata"] == {"heard": MESSAGES}:
                return


async def run(url: str, room_id: str, token: str) -> dict[str, Any]:
    """Come in, call, leave."""
    client = await Client.open(url)
    await client.login(token)
    peer = Peer(client, await client.join(room_id))
    async with asyncio.timeout(PATIENCE):
        result = await peer.call()
    assert (await client.ask("leave_room"))["type"] == "ok"
    await client.close()
    return {**result, "closed": client.close_code}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser()
    for name in ("url", "room_id", "token"):
        parser.add_argument(name)
    allow_loopback_alone()
    result = asyncio.run(run(**vars(parser.parse_args())))
    print(json.dumps(result), flush=True)  # noqa: T201 - the result is for whoever started this


if __name__ == "__main__":
    main()
