"""What is to be done later, unless it is over by then."""

import asyncio
from collections.abc import Callable


class Timers:
    """Calls that are planned. `cancel` takes them all back."""

    def __init__(self) -> None:
        self._planned: set[asyncio.TimerHandle] = set()

    def later(self, seconds: float, do: Callable[[], object]) -> None:
        """Do this after so many seconds."""
        loop = asyncio.get_running_loop()
        self._planned = {one for one in self._planned if not one.cancelled() and one.when() > loop.time()}
        self._planned.add(loop.call_later(seconds, do))

    def cancel(self) -> None:
        """Do nothing of it."""
        for one in self._planned:
            one.cancel()
        self._planned.clear()
