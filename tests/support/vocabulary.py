"""The vocabulary of conversations, whatever lies between a client and its gateway: `say`, `hear`, `ask`, `silence`."""

import asyncio
from abc import ABC, abstractmethod
from typing import Any

Message = dict[str, Any]
PATIENCE = 10.0  # generous: this machine is shared; no test measures time with it


class Vocabulary(ABC):
    """One connection to a gateway. What arrives is kept in order until a test hears it."""

    def __init__(self) -> None:
        self.inbox: list[Message] = []
        self.everything: list[Message] = []
        self.participants: dict[str, str] = {}
        self._arrived = asyncio.Event()
        self._over = asyncio.Event()  # nothing comes any more
        self._next_id = 0

    # -- what lies below -----------------------------------------------------------------------------------------------

    @abstractmethod
    async def _send(self, message: Message) -> None:
        """Send a message."""

    @abstractmethod
    async def close(self) -> None:
        """Close the connection."""

    @property
    @abstractmethod
    def close_code(self) -> int | None:
        """The code the connection was closed with."""

    def _take(self, message: Message) -> None:
        self.inbox.append(message)
        self.everything.append(message)
        self._arrived.set()

    def _end(self) -> None:
        self._over.set()
        self._arrived.set()

    # -- the vocabulary ------------------------------------------------------------------------------------------------

    async def say(self, type_: str, **fields: Any) -> None:
        """Send a message."""
        await self._send({"type": type_, **fields})

    async def hear(self, type_: str, *, within: float = PATIENCE, **fields: Any) -> Message:
        """The next message of this type with these fields. Messages before it stay in the queue."""
        async with asyncio.timeout(within):
            while True:
                self._arrived.clear()
                for i, message in enumerate(self.inbox):
                    if message["type"] == type_ and all(message.get(k) == v for k, v in fields.items()):
                        return self.inbox.pop(i)
                if self._over.is_set():
                    raise AssertionError(f"closed with {self.close_code} before {type_} came; heard {self.inbox}")
                await self._arrived.wait()

    async def ask(self, type_: str, **fields: Any) -> Message:
        """Send a request and hear its one reply."""
        self._next_id += 1
        request_id = str(fields.pop("id", f"q{self._next_id}"))
        await self.say(type_, id=request_id, **fields)
        return await self.hear_answer(request_id)

    async def hear_answer(self, request_id: str, *, within: float = PATIENCE) -> Message:
        """The one reply to a request that was said with this id."""
        async with asyncio.timeout(within):
            while True:
                self._arrived.clear()
                for i, message in enumerate(self.inbox):
                    if message.get("id") == request_id:
                        return self.inbox.pop(i)
                if self._over.is_set():
                    raise AssertionError(f"closed with {self.close_code} before {request_id} was answered")
                await self._arrived.wait()

    async def silence(self, type_: str, *, seconds: float = 0.2) -> None:
        """Assert that no message of this type comes for a while. A round trip first brings what was under way."""
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

    async def closed(self, within: float = PATIENCE) -> int | None:
        """Wait until the connection is closed; its code."""
        async with asyncio.timeout(within):
            await self._over.wait()
        return self.close_code
