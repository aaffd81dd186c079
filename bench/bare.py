"""The yardstick: a relay that does nothing else. `websockets` and core NATS; no validation, no rooms, no storage, no seal.

Speaks just enough of the protocol for the same clients to measure it at the same rate on the same machine.
"""

import asyncio
import json
import os
import sys
from typing import Any

import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


class BareGateway:
    """One process of it."""

    def __init__(self, client: Client) -> None:
        self._nats = client
        self._count = 0

    async def handle(self, socket: ServerConnection) -> None:
        """One connection."""
        self._count += 1
        own = f"p{self._count}"

        async def deliver(message: Msg) -> None:
            await socket.send(message.data.decode())

        subscription = await self._nats.subscribe(f"bare.{own}", cb=deliver)
        try:
            async for frame in socket:
                await self._answer(socket, own, json.loads(frame))
        except ConnectionClosed:
            pass
        finally:
            await subscription.unsubscribe()

    async def _answer(self, socket: ServerConnection, own: str, message: dict[str, Any]) -> None:
        reply: dict[str, Any] = {"type": "ok", "id": message.pop("id")}
        if message["type"] == "join_room":
            reply |= {"type": "room_users", "self": own}
        elif message["type"] == "offer":
            await self._nats.publish(f"bare.{message.pop('to')}", json.dumps({**message, "from": own}).encode())
        await socket.send(json.dumps(reply))


async def main(nats_url: str) -> None:
    """Serve on a free port, which is printed."""
    client = Client()
    await client.connect(nats_url)
    async with serve(BareGateway(client).handle, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        sys.stdout.write(f"URL http://127.0.0.1:{port}\n")
        sys.stdout.flush()
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main(os.environ["NATS_URL"]))
