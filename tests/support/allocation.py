"""Allocates a relayed address on a TURN server as a WebRTC client does, and reports refusals by their STUN code."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aioice import stun, turn

IceServer = dict[str, Any]
_USED_PORTS: set[int] = set()


class _Arrived(asyncio.DatagramProtocol):
    """Receives what the server relays to the client."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        self._queue.put_nowait(data)

    async def get(self) -> bytes:
        return await self._queue.get()


class Allocation:
    """An allocation of these credentials. `relayed` is its address."""

    def __init__(self, client: turn.TurnClientUdpProtocol, relayed: tuple[str, int]) -> None:
        self._client = client
        self.relayed = relayed
        self._arrived = client.receiver = _Arrived()

    async def permit(self, address: str) -> int:
        """Ask for relaying to this address: 0, or the STUN error code of the refusal."""
        request = stun.Message(message_method=stun.Method.CREATE_PERMISSION, message_class=stun.Class.REQUEST)
        request.attributes["XOR-PEER-ADDRESS"] = (address, 9)
        try:
            await self._client.request_with_retry(request)
        except stun.TransactionFailed as failed:
            return failed.response.error_code or -1
        return 0

    async def bind(self, address: str) -> int:
        """Ask for a channel to this address: 0, or the STUN error code of the refusal."""
        try:
            await self._client.channel_bind(0x4000, (address, 9))
        except stun.TransactionFailed as failed:
            return failed.response.error_code or -1
        return 0

    async def send(self, data: bytes, to: tuple[str, int]) -> None:
        """Send data by the relay. Data that comes back from there is received here too."""
        await self._client.send_data(data, to)

    async def receive(self) -> bytes:
        """The next data that was relayed to the client."""
        async with asyncio.timeout(10):
            return await self._arrived.get()


def _fresh_socket(host: str, port: int) -> socket.socket:
    """A socket on a port that was not used before: a TURN server remembers old clients' ports for a while (error 437)."""
    while True:
        fresh = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        fresh.setblocking(False)
        fresh.connect((host, port))
        used = fresh.getsockname()[1]
        if used not in _USED_PORTS:
            _USED_PORTS.add(used)
            return fresh
        fresh.close()


@asynccontextmanager
async def allocated(server: IceServer) -> AsyncIterator[Allocation]:
    """An allocation on the first URI of an RTCIceServer, of the form `turn:host:port?…`, by UDP."""
    host, port = server["urls"][0].removeprefix("turn:").partition("?")[0].rsplit(":", 1)
    _, client = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: turn.TurnClientUdpProtocol(
            (host, int(port)),
            username=server["username"],
            password=server["credential"],
            lifetime=600,
            channel_refresh_time=500,
        ),
        sock=_fresh_socket(host, int(port)),
    )
    try:
        yield Allocation(client, await client.connect())
        await client.delete()
    finally:
        client.transport.close()


async def refusal(server: IceServer) -> int:
    """The STUN error code with which an allocation is refused."""
    try:
        async with allocated(server):
            raise AssertionError("the TURN server allocated")
    except stun.TransactionFailed as failed:
        return failed.response.error_code or -1
