"""The port for timers: the broker holds them until they are due, then hands each to one process that takes them."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from shared.broker.following import Following
from shared.rooms.timers import Timer
from shared.values.position import Position

TimerHandler = Callable[[Timer], Awaitable[None]]


class Timers(Protocol):
    """Arms and takes timers. Every method raises `Refused(unavailable)` when the broker cannot answer."""

    async def arm(self, timer: Timer, *, after: Position | None = None) -> Position:
        """Have the broker hold a timer until it is due. It replaces a timer of the same name. Returns its position.

        With `after`, only if that is still the position of the timer it replaces (NOWHERE: none waits). Raises Conflict
        when it is not.
        """

    async def armed(self, timer: Timer) -> Position | None:
        """The position of the waiting timer of this name, if one waits. May lag."""

    async def take(self, handle: TimerHandler, retry_seconds: float) -> Following:
        """Pass every due timer to `handle`, in one of the processes that take them; many at once, in no order.

        A timer comes again when its process died or `handle` raised: after a second when it raised Refused, else after
        `retry_seconds`. What failed, or is about a room that cannot be folded, waits twice as long each time, up to a
        minute. However many such timers there are, they keep no others waiting.
        """
