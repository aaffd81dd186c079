"""Virtual time: an event loop without clock and sockets, whose time jumps to the next timer when no task is ready."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

P = ParamSpec("P")

EPOCH = 1_770_804_000.0  # Unix seconds at the loop's time 0


class Stuck(Exception):  # noqa: N818 - what was found, not what failed
    """All tasks wait, and no timer is left that could wake one."""


class _Leap:
    """Replaces the selector: instead of sleeping until the next timer, it advances the time to it."""

    def __init__(self, loop: "VirtualLoop") -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[Any]:
        """Called once in every turn of the loop. Without a timeout there is no timer and no ready task: raises Stuck."""
        if timeout is None:
            raise Stuck
        self._loop.turns += 1
        self._loop.now += timeout
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """`now` is in seconds since its beginning; `turns` counts its iterations."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.turns = 0
        self._selector = _Leap(self)  # BaseEventLoop asks for both in every turn

    def time(self) -> float:
        """See AbstractEventLoop."""
        return self.now

    def wall(self) -> float:
        """Unix seconds."""
        return EPOCH + self.now

    def _process_events(self, events: list[Any]) -> None:
        """Do nothing: there are no I/O events."""


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run a test in virtual time, so that a busy machine makes no difference."""

    @functools.wraps(test)
    def run(*given: P.args, **named: P.kwargs) -> None:
        loop = VirtualLoop()
        try:
            loop.run_until_complete(test(*given, **named))
        finally:
            _cancel_the_rest(loop)
            loop.close()

    return run


def _cancel_the_rest(loop: VirtualLoop) -> None:
    """As `asyncio.run` does with the tasks that are left."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left))
