"""A plain client of the protocol: the vocabulary of conversations over one WebSocket."""

import asyncio
import contextlib
import json
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.vocabulary import PATIENCE, Message, Vocabulary

__all__ = ["PATIENCE", "Client", "Message"]


class Client(Vocabulary):
    """One WebSocket to a gateway."""

    def __init__(self, socket: ClientConnection) -> None:
        super().__init__()
        self.socket = socket
        self._reader = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, url: str, **options: Any) -> Self:
        """Connect. `url` is the gateway's http URL."""
        return cls(await connect(url.replace("http", "ws", 1) + "/ws", compression=None, max_size=None, **options))

    async def _read(self) -> None:
        try:
            with contextlib.suppress(ConnectionClosed):
                async for frame in self.socket:
                    self._take(json.loads(frame))
        finally:
            self._end()

    async def _send(self, message: Message) -> None:
        await self.socket.send(json.dumps(message))

    @property
    def close_code(self) -> int | None:
        """See Vocabulary."""
        return self.socket.close_code

    async def closed(self, within: float = PATIENCE) -> int | None:
        """See Vocabulary."""
        async with asyncio.timeout(within):
            await self.socket.wait_closed()
            await self._reader
        return self.close_code

    async def close(self) -> None:
        """See Vocabulary."""
        await self.socket.close()
        await self._reader
