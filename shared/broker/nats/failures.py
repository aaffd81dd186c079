"""Lines about messages that fail again and again: one of each kind in ten seconds, with how many there were since the last."""

import asyncio

import structlog

log = structlog.get_logger()

QUIET_SECONDS = 10.0


class Failures:
    """Says what failed, without filling the log: whoever may arm leases may arm thousands that are none."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], tuple[float, int]] = {}  # when it was said last, and how many since

    def say(self, what: str, kind: str, error: str = "") -> None:
        """Say that this failed, or count it for the next line. There are few kinds."""
        now, key = asyncio.get_running_loop().time(), (what, kind, error)
        said, count = self._kinds.get(key, (now - QUIET_SECONDS, 0))
        if now - said < QUIET_SECONDS:
            self._kinds[key] = said, count + 1
            return
        self._kinds[key] = now, 0
        log.warning(what, kind=kind, error=error, times=count + 1)
