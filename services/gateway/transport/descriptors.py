"""File descriptors: how many connections there may be, and whether the process ran short of them."""

import structlog

from services.gateway import metrics

try:
    import resource
except ImportError:  # Windows, where there is no such limit
    resource = None  # type: ignore[assignment]

log = structlog.get_logger()

UNLIMITED = 1 << 20
OVER_SECONDS = 10.0


def for_connections(reserved: int) -> int:
    """How many descriptors there are for connections, after raising the process's limit as far as it may."""
    if resource is None:
        return UNLIMITED
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = UNLIMITED if hard == resource.RLIM_INFINITY else min(hard, UNLIMITED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(1, min(soft if soft != resource.RLIM_INFINITY else UNLIMITED, UNLIMITED) - reserved)


class Shortage:
    """A time in which connections are refused for want of descriptors. Logged once when it begins, and when it ends."""

    def __init__(self) -> None:
        self.lasts = False
        self._last = 0.0

    def begin(self, why: str, connections: int, now: float) -> None:
        """Connections cannot be taken. `now` is in seconds of a clock that only goes forward."""
        self._last = now
        if not self.lasts:
            self.lasts = True
            metrics.DESCRIPTORS_SHORT.set(1)
            log.error("no file descriptors for more connections: they are refused", why=why, connections=connections)

    def notice(self) -> str | None:
        """For readiness: a sentence while it lasts."""
        return "There are no file descriptors for more connections: they are refused." if self.lasts else None

    def end(self, connections: int, now: float) -> None:
        """One was taken: it is over once none was refused for a while, so that a gateway at the edge does not log for ever."""
        if self.lasts and now - self._last >= OVER_SECONDS:
            self.lasts = False
            metrics.DESCRIPTORS_SHORT.set(0)
            log.info("there are file descriptors for connections again", connections=connections)
