"""Which of the services that a gateway asks answer it now: for whoever looks from outside, without a token.

Everybody gets the same answer for a moment, so strangers who ask often cost the services nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from shared.auth.commands import Validate
from shared.broker.requests import Requests
from shared.broker.subjects import READ_SNAPSHOT, VALIDATE
from shared.rooms.commands import ReadSnapshot
from shared.values.errors import Code, Refused
from shared.values.ids import RoomId

SECONDS = 2.0  # for an answer
KEPT_SECONDS = 2.0
NOBODYS = RoomId("nobody-has-this-room")


class Neighbours:
    """Asks each of them something that it refuses: a refusal is an answer. `ticks` only goes forward."""

    def __init__(self, requests: Requests, ticks: Callable[[], float]) -> None:
        self._requests = requests
        self._ticks = ticks
        self._asked_at = 0.0
        self._asking: asyncio.Task[dict[str, bool]] | None = None

    async def answering(self) -> dict[str, bool]:
        """Whether each answers, by its name; no older than a moment."""
        if self._asking is None or (self._asking.done() and self._ticks() >= self._asked_at + KEPT_SECONDS):
            self._asked_at = self._ticks()
            self._asking = asyncio.create_task(self._ask(), name="neighbours")
        return await asyncio.shield(self._asking)

    async def _ask(self) -> dict[str, bool]:
        auth, rooms = await asyncio.gather(
            _answers(self._requests.request(VALIDATE, Validate(token=""))),
            _answers(self._requests.request(READ_SNAPSHOT, ReadSnapshot(room_id=NOBODYS))),
        )
        return {"auth": auth, "rooms": rooms}


async def _answers(request: Coroutine[Any, Any, object]) -> bool:
    try:
        async with asyncio.timeout(SECONDS):
            await request
    except Refused as refused:
        return refused.code is not Code.UNAVAILABLE
    except TimeoutError:
        return False
    return True
