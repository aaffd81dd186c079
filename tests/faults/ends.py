"""Both kinds of ends of a call: a real RTCPeerConnection, and one that only goes through the motions.

Each sends its description, then its candidates one by one, and stops at a gate in the middle of it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection, RTCSessionDescription
from aiortc.sdp import candidate_from_sdp

from tests.faults.caller import Caller
from tests.faults.load import description, marker, send
from tests.support.call_peer import without_candidates
from tests.support.client import Message
from tests.support.sdp import candidate

WORD = "hello"
Gate = Callable[[str], Awaitable[None]]


class Media(Protocol):
    """What makes descriptions and candidates, and knows whether it is connected."""

    async def describe(self, remote: str | None) -> tuple[str, list[dict[str, Any]]]:
        """An offer, or the answer to this one: without candidates, and the candidates."""

    async def take_answer(self, sdp: str) -> None:
        """The other's answer."""

    async def take_candidate(self, wired: dict[str, Any] | None) -> None:
        """The other's next candidate, or their end."""

    async def connected(self) -> None:
        """Wait until it is."""

    async def close(self) -> None:
        """Hang up."""


class RealMedia:
    """A peer connection with a data channel; connected when a word has come through it."""

    def __init__(self) -> None:
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connection.on("datachannel", self._use)
        self._heard = asyncio.Event()

    def _use(self, channel: RTCDataChannel) -> None:
        def opened() -> None:
            channel.send(WORD)

        channel.on("message", lambda _word: self._heard.set())
        if channel.readyState == "open":
            opened()
        else:
            channel.on("open", opened)

    async def describe(self, remote: str | None) -> tuple[str, list[dict[str, Any]]]:
        """See Media."""
        connection = self._connection
        if remote is None:
            self._use(connection.createDataChannel("chat"))
            await connection.setLocalDescription(await connection.createOffer())
        else:
            await connection.setRemoteDescription(RTCSessionDescription(remote, "offer"))
            await connection.setLocalDescription(await connection.createAnswer())
        return without_candidates(connection.localDescription.sdp)

    async def take_answer(self, sdp: str) -> None:
        """See Media."""
        await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def take_candidate(self, wired: dict[str, Any] | None) -> None:
        """See Media."""
        if wired is None:
            return await self._connection.addIceCandidate(None)
        found = candidate_from_sdp(wired["candidate"].partition(":")[2])
        found.sdpMid, found.sdpMLineIndex = wired["sdpMid"], wired["sdpMLineIndex"]
        return await self._connection.addIceCandidate(found)

    async def connected(self) -> None:
        """See Media."""
        await self._heard.wait()

    async def close(self) -> None:
        """See Media."""
        await self._connection.close()


class ScriptedMedia:
    """Connected when the other's description and all its candidates are here."""

    def __init__(self) -> None:
        self._complete = asyncio.Event()

    async def describe(self, remote: str | None) -> tuple[str, list[dict[str, Any]]]:
        """See Media."""
        return description("offer" if remote is None else "answer", marker()), [candidate()] * 3

    async def take_answer(self, sdp: str) -> None:
        """See Media."""

    async def take_candidate(self, wired: dict[str, Any] | None) -> None:
        """See Media."""
        if wired is None:
            self._complete.set()

    async def connected(self) -> None:
        """See Media."""
        await self._complete.wait()

    async def close(self) -> None:
        """See Media."""


class End:
    """One end of a call between the two participants of a room."""

    def __init__(self, caller: Caller, room_id: str, media: Media, gate: Gate) -> None:
        self._caller = caller
        self._room_id = room_id
        self._media = media
        self._gate = gate
        self._signals: asyncio.Queue[Message] = asyncio.Queue()
        caller.on_push = self._hear

    def _hear(self, push: Message) -> None:
        if push["type"] in ("offer", "answer", "candidate"):
            self._signals.put_nowait(push)

    async def call(self, other: str | None) -> None:
        """Offer to the other, or answer who offers; returns when it is connected."""
        taking: asyncio.Task[None] | None = None
        try:
            if other is None:
                offer = await self._signals.get()
                other = str(offer["from"])
                sdp, candidates = await self._media.describe(offer["sdp"])
                await self._gate("answer")
                await self._send("answer", other, sdp=sdp)
                taking = asyncio.create_task(self._take_candidates())
            else:
                sdp, candidates = await self._media.describe(None)
                await self._gate("offer")
                await self._send("offer", other, sdp=sdp)
                taking = asyncio.create_task(self._take_answer_and_candidates())
            for n, one in enumerate([*candidates, None]):
                await self._gate(f"candidate {n}")
                await self._send("candidate", other, candidate=one)
            await taking
            await self._media.connected()
        finally:
            if taking is not None:
                taking.cancel()

    async def _send(self, kind: str, to: str, **fields: Any) -> None:
        reply = await send(self._caller, self._room_id, kind, to, **fields)
        assert reply is not None, f"{kind}: the session was lost"
        assert reply["type"] == "ok", f"{kind}: {reply['code']}"

    async def _take_answer_and_candidates(self) -> None:
        answer = await self._signals.get()
        assert answer["type"] == "answer", f"{answer['type']} before the answer"
        await self._media.take_answer(answer["sdp"])
        await self._take_candidates()

    async def _take_candidates(self) -> None:
        while True:
            push = await self._signals.get()
            assert push["type"] == "candidate", f"{push['type']} instead of a candidate"
            await self._media.take_candidate(push["candidate"])
            if push["candidate"] is None:
                return
