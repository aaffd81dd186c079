"""The port for timers: held by the broker until they are due, then handed to one of the processes that take them."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from shared.broker.following import Following
from shared.rooms.timers import Timer
from shared.values.position import Position

TimerHandler = Callable[[Timer], Awaitable[None]]


class Timers(Protocol):
    """Arms and takes timers. Every method raises `Refused(unavailable)` when the broker cannot answer."""

    async def arm(self, timer: Timer, *, after: Position | None = None) -> Position:
        """Have the broker hold a timer until it is due, in place of one of the same name; its position.

        With `after`, only if that is still the position of the one before (NOWHERE: none waits). Raises Conflict when it
        is not.
        """

    async def armed(self, timer: Timer) -> Position | None:
        """The position of the waiting timer of this name, if one waits. May lag."""

    async def take(self, handle: TimerHandler, retry_seconds: float) -> Following:
        """Hand every due timer to `handle`, in one of the processes that take them; again when that one died or raised.

        Many at once, in no order; a second time after a second when it was refused, else after `retry_seconds`.
        """
