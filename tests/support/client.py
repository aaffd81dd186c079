"""A client as anybody could write it, with a vocabulary for conversations: `say`, `hear`, `ask`."""

import asyncio
import contextlib
import json
from typing import Any, Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

Message = dict[str, Any]
PATIENCE = 10.0  # generous: this machine is shared; no test measures time with it


class Client:
    """One WebSocket to a gateway. What arrives is kept in order until a test hears it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.inbox: list[Message] = []
        self.everything: list[Message] = []
        self._arrived = asyncio.Event()
        self._next_id = 0
        self._reader = asyncio.create_task(self._read())
        self.participants: dict[str, str] = {}

    @classmethod
    async def open(cls, url: str, **options: Any) -> Self:
        """Connect. `url` is the gateway's http URL."""
        return cls(await connect(url.replace("http", "ws", 1) + "/ws", compression=None, max_size=None, **options))

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for frame in self.socket:
                message = json.loads(frame)
                self.inbox.append(message)
                self.everything.append(message)
                self._arrived.set()
        self._arrived.set()

    async def say(self, type_: str, **fields: Any) -> None:
        """Send a message."""
        await self.socket.send(json.dumps({"type": type_, **fields}))

    async def hear(self, type_: str, *, within: float = PATIENCE, **fields: Any) -> Message:
        """The next message of this type with these fields; what came before it stays unheard."""
        async with asyncio.timeout(within):
            while True:
                self._arrived.clear()
                for i, message in enumerate(self.inbox):
                    if message["type"] == type_ and all(message.get(k) == v for k, v in fields.items()):
                        return self.inbox.pop(i)
                if self._reader.done():
                    raise AssertionError(f"closed with {self.close_code} before {type_} came; heard {self.inbox}")
                await self._arrived.wait()

    async def ask(self, type_: str, **fields: Any) -> Message:
        """Send a request and hear its one reply."""
        self._next_id += 1
        request_id = str(fields.pop("id", f"q{self._next_id}"))
        await self.say(type_, id=request_id, **fields)
        async with asyncio.timeout(PATIENCE):
            while True:
                self._arrived.clear()
                for i, message in enumerate(self.inbox):
                    if message.get("id") == request_id:
                        return self.inbox.pop(i)
                if self._reader.done():
                    raise AssertionError(f"closed with {self.close_code} before {type_} was answered")
                await self._arrived.wait()

    async def silence(self, type_: str, *, seconds: float = 0.2) -> None:
        """Nothing of this type comes for a while (a round trip first makes sure that what was on its way is here)."""
        await self.ask("ping")
        await asyncio.sleep(seconds)
        assert not [m for m in self.inbox if m["type"] == type_], self.inbox

    async def login(self, token: str, **fields: Any) -> Message:
        """Authenticate; the auth_ok."""
        reply = await self.ask("authenticate", token=token, **fields)
        assert reply["type"] == "auth_ok", reply
        return reply

    async def join(self, room_id: str, **fields: Any) -> Message:
        """Join a room; the room_users."""
        reply = await self.ask("join_room", roomId=room_id, **fields)
        assert reply["type"] == "room_users", reply
        self.participants[room_id] = reply["self"]
        return reply

    @property
    def close_code(self) -> int | None:
        """The code the connection was closed with."""
        return self.socket.close_code

    async def closed(self, within: float = PATIENCE) -> int | None:
        """Wait until the connection is closed; its code."""
        async with asyncio.timeout(within):
            await self.socket.wait_closed()
            await self._reader
        return self.close_code

    async def close(self) -> None:
        """Close the connection."""
        await self.socket.close()
        await self._reader
