"""Says whether a process can do its work, when that changes, and why it waits: first within two seconds, then every 30 s."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from shared.values.errors import Refused

log = structlog.get_logger()

PATIENCE_SECONDS = 0.7  # to begin with: what is there after so long is not told as waited for
AGAIN_SECONDS = 30.0
CHANGED_SECONDS = 5.0  # between two reasons: of several servers each has its own, and they take turns
FIRST_LOOKS = 0.1  # between looks until the process is ready for the first time
LOOK_SECONDS = 1.0
THOROUGH_SECONDS = 5.0  # between looks that store something at the broker


class Readiness:
    """Looks again and again. `look(thorough)` raises Refused with the reason while the process cannot serve.

    A thorough look asks the broker; the others see only what the process knows already.
    """

    def __init__(self, look: Callable[[bool], Awaitable[object]]) -> None:
        self._look = look
        self._thorough_at = 0.0
        self._ready: bool | None = None  # None until it is ready for the first time
        self._why = ""
        self._told_at = 0.0

    async def run(self) -> None:
        """Look, and tell. Runs until cancelled."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while True:
            why = await self._reason()
            now = loop.time()
            if why is None:
                self._is_ready()
            elif now - started >= PATIENCE_SECONDS or self._ready:
                self._is_not(why, now)
            early = self._ready is None and now - started < AGAIN_SECONDS
            await asyncio.sleep(FIRST_LOOKS if early else LOOK_SECONDS)

    async def _reason(self) -> str | None:
        now = asyncio.get_running_loop().time()
        thorough = not self._ready or now >= self._thorough_at
        if thorough:
            self._thorough_at = now + THOROUGH_SECONDS
        try:
            await self._look(thorough)
        except Refused as refused:
            return refused.message
        return None

    def _is_ready(self) -> None:
        if not self._ready:
            log.info("ready" if self._ready is None else "ready again")
        self._ready, self._why = True, ""

    def _is_not(self, why: str, now: float) -> None:
        if self._ready:
            log.warning("not ready", why=why)
            self._ready = False
        elif now >= self._told_at + (AGAIN_SECONDS if why == self._why else CHANGED_SECONDS) or not self._why:
            log.warning("waiting", why=why)
        else:
            return
        self._why, self._told_at = why, now
