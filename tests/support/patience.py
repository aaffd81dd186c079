"""Waits for a condition, and not longer than it takes."""

import asyncio
from collections.abc import Awaitable, Callable

from shared.values.errors import Refused

PATIENCE = 15.0  # generous: the machine may be shared; nothing is measured with it


async def eventually(holds: Callable[[], bool], what: str, *, within: float = PATIENCE) -> None:
    """Wait until it holds."""
    await eventually_async(_settled(holds), what, within=within)


async def eventually_async(holds: Callable[[], Awaitable[bool]], what: str, *, within: float = PATIENCE) -> None:
    """Wait until it holds. A refusal (the broker is away) means: not yet."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while True:
        try:
            if await holds():
                return
        except Refused:
            pass
        assert loop.time() < deadline, f"not within {within} s: {what}"
        await asyncio.sleep(0.01)


def _settled(holds: Callable[[], bool]) -> Callable[[], Awaitable[bool]]:
    async def answer() -> bool:
        return holds()

    return answer
