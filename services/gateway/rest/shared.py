"""One answer for everybody who asks at the same time."""

import asyncio
from collections.abc import Awaitable, Callable


class Shared:
    """Asks `question` for all who want to know. Whoever comes while it is being asked gets that answer."""

    def __init__(self, question: Callable[[], Awaitable[None]]) -> None:
        self._question = question
        self._asking: asyncio.Task[None] | None = None

    async def shared(self) -> None:
        """Raises what `question` raises."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(), name="check")
            self._asking.add_done_callback(_read)
        await asyncio.shield(self._asking)

    async def _ask(self) -> None:
        await self._question()


def _read(asked: "asyncio.Task[None]") -> None:
    """Nobody may be left who wants to know; asyncio would log that."""
    if not asked.cancelled():
        asked.exception()
