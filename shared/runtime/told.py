"""What the operating system tells a process, from its first line to its last: SIGTERM and SIGINT to stop, SIGHUP to read
its files anew. None of them kills it, and none makes it fail.

It imports the standard library alone, because it comes before all other imports, which take a second.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable
from types import FrameType

STOPS = ("SIGTERM", "SIGINT")
RELOADS = "SIGHUP"  # Windows has none


class Told:
    """The signals of this process. Python's own handlers: those of an event loop are gone when it closes, and then the
    second SIGTERM kills a process that is just about to end.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: Callable[[], None] = _nothing
        self._reload: Callable[[], None] = _nothing

    def heed(self) -> None:
        """From here on: stopping ends a process that has begun nothing, with status 0. SIGHUP does nothing."""
        for name in STOPS:
            signal.signal(getattr(signal, name), self._heard)
        if hasattr(signal, RELOADS):
            signal.signal(getattr(signal, RELOADS), self._heard)

    def tell(self, stop: Callable[[], None], reload: Callable[[], None]) -> None:
        """From here on: call these in the running event loop."""
        self._loop, self._stop, self._reload = asyncio.get_running_loop(), stop, reload
        self.heed()

    def end(self) -> None:
        """The work is done: nothing that is told now changes how the process ends."""
        for name in (*STOPS, RELOADS):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), signal.SIG_IGN)

    def _heard(self, number: int, _frame: FrameType | None) -> None:
        stops = number in (signal.SIGTERM, signal.SIGINT)
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it was closed just now: the process ends already
                self._loop.call_soon_threadsafe(self._stop if stops else self._reload)
        elif stops:
            os._exit(0)


def _nothing() -> None:
    """Until there is somebody to tell."""


TOLD = Told()
