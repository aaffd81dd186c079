"""Many clients in one process: they only do what a measurement needs."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from bench.deployment import Deployment

SDP = (
    "v=0\r\no=- 4611731400430051336 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:ETEn\r\n"
    "a=ice-pwd:OtSK0WpNtpUjkY4+86js7ZQl\r\na=ice-options:trickle\r\n"
    "a=fingerprint:sha-256 19:E2:1C:3B:4B:9F:81:E6:B8:5C:F4:A5:A8:D8:73:04:BB:05:2F:70:9F:04:A9:0E:05:E9:26:33:E8:70:88:A2\r\n"
    "a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n"
)
# An audio and video offer has about this size; the lines that make it up are attributes no validator stops at.
OFFER = SDP + "".join(f"a=x-filler-{i:03d}:0123456789012345678901234567890123456789\r\n" for i in range(26))


class BenchClient:
    """One joined participant."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.participant_id = ""
        self.on_signal: Callable[[dict[str, Any], float], None] | None = None
        self._replies: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, deployment: Deployment, token: str) -> "BenchClient":
        """Connect and authenticate."""
        url = deployment.url.replace("http", "ws", 1) + "/ws"
        client = cls(await connect(url, compression=None, ping_interval=None, max_queue=None))
        await client.ask("authenticate", token=token)
        return client

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in self.socket:
                arrived = time.perf_counter()
                message = json.loads(frame)
                reply = self._replies.pop(message.get("id", ""), None)
                if reply is not None:
                    reply.set_result(message)
                elif message["type"] == "offer" and self.on_signal is not None:
                    self.on_signal(message, arrived)

    async def ask(self, type_: str, **fields: Any) -> dict[str, Any]:
        """A request and its reply."""
        self._count += 1
        request_id = str(self._count)
        reply = self._replies[request_id] = asyncio.get_running_loop().create_future()
        await self.socket.send(json.dumps({"type": type_, "id": request_id, **fields}))
        async with asyncio.timeout(30):
            answer: dict[str, Any] = await reply
        return answer

    async def join(self, room_id: str) -> float:
        """Join; the seconds it took."""
        started = time.perf_counter()
        reply = await self.ask("join_room", roomId=room_id)
        seconds = time.perf_counter() - started
        if reply["type"] != "room_users":
            raise RuntimeError(f"join refused: {reply}")
        self.participant_id = reply["self"]
        return seconds

    async def close(self) -> None:
        """Close the connection."""
        await self.socket.close()


async def open_many(deployment: Deployment, count: int, at_once: int = 20) -> list[BenchClient]:
    """Authenticated clients, each an agent of its own."""
    turn = asyncio.Semaphore(at_once)
    tokens = [deployment.token(f"bench-{i}") for i in range(min(count, 50))]

    async def one(i: int) -> BenchClient:
        async with turn:
            return await BenchClient.open(deployment, tokens[i % len(tokens)])

    return list(await asyncio.gather(*(one(i) for i in range(count))))
