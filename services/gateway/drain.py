"""Sending everyone elsewhere before the process ends: asked one by one, closed one by one, all within a window.

Thousands that come back at the same moment are a burden for the gateways that are left; spread over the window, they are
not.
"""

import asyncio
import math
import random
from collections.abc import Callable, Collection
from typing import Protocol

ASKING = 0.4  # part of the window in which clients are asked
COMING_BACK = 0.4  # part of the window in which they come back
SLOW = 0.1  # part of the window that each has beyond its time
TICK_SECONDS = 0.02


class Leaving(Protocol):
    """A session that is to go elsewhere."""

    def go_away(self, reason: str, after_ms: int) -> None:
        """Ask the client to come back on another connection after that time."""

    def leave_for_another(self, reason: str) -> None:
        """Close its connection."""


async def drain(sessions: Callable[[], Collection[Leaving]], seconds: float) -> None:
    """Returns when nobody is left, or when the time is over."""
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
            # A client that comes back in time is closed by that; the others a little after they should have.
            if loop.time() >= asked.get(id(session), math.inf) + SLOW * seconds:
                session.leave_for_another("shutdown")
        await asyncio.sleep(min(TICK_SECONDS, seconds / 50))
