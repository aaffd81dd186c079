"""Sends all clients to other gateways before the process ends: asks and closes one by one, within a window of time.

Thousands of clients that reconnect at the same moment would overload the other gateways. The window spreads them.
"""

import asyncio
import math
import random
from collections.abc import Callable, Collection
from typing import Protocol

ASKING = 0.4  # part of the window in which clients are asked
COMING_BACK = 0.4  # part of the window in which they reconnect; each is given a random moment of it
SLOW = 0.1  # part of the window by which each client may be late before its connection is closed
TICK_SECONDS = 0.02


class Leaving(Protocol):
    """A session whose client is to reconnect to another gateway."""

    def go_away(self, reason: str, after_ms: int) -> None:
        """Ask the client to reconnect after `after_ms` milliseconds."""

    def leave_for_another(self, reason: str) -> None:
        """Close its connection."""


async def drain(sessions: Callable[[], Collection[Leaving]], seconds: float) -> None:
    """Send them away over `seconds`. Returns when no session is left, or when the time is over."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    waiting = list(sessions())
    random.shuffle(waiting)
    asked: dict[int, float] = {}  # a session's identity -> when it is closed
    pace = ASKING * seconds / max(1, len(waiting))
    while sessions() and loop.time() < started + seconds:
        due = min(len(waiting), int((loop.time() - started) / pace) + 1) if pace else len(waiting)
        for session in waiting[len(asked) : due]:
            after = random.uniform(0, COMING_BACK * seconds)  # noqa: S311 - a spread, not a secret
            asked[id(session)] = loop.time() + after
            session.go_away("shutdown", int(after * 1000))
        for session in list(sessions()):
            # A client that reconnects in time loses this connection by that. Close the others a little later.
            if loop.time() >= asked.get(id(session), math.inf) + SLOW * seconds:
                session.leave_for_another("shutdown")
        await asyncio.sleep(min(TICK_SECONDS, seconds / 50))
