"""Frames of a connection that bring nothing: pings, pongs, tiny fragments. Each costs as much as a message."""

import asyncio
from collections.abc import Callable

from websockets.frames import DATA_OPCODES, Frame

from services.gateway.token_bucket import Bucket

RATE = 50.0  # a second, as of messages
BURST = 2000.0
TINY = 125  # bytes; who sends a message in fragments sends larger ones


class IdleFrames:
    """Counts them. After too many nothing of the connection is parsed until `rested` is called."""

    __slots__ = ("_bucket", "_count", "_rested", "_timer")

    def __init__(self, rested: Callable[[], None]) -> None:
        self._rested = rested
        self._bucket: Bucket | None = None  # most connections never need one
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def may_go_on(self) -> bool:
        """Whether more may be parsed: it did not send too many."""
        return self._timer is None

    def take(self, frame: Frame) -> None:
        """Count a frame, if it brings nothing."""
        if frame.opcode not in DATA_OPCODES or (len(frame.data) <= TINY and not frame.fin):
            self._count += 1

    def settle(self) -> None:
        """Rest, if those counted since the last time are too many."""
        if not self._count:
            return
        loop = asyncio.get_running_loop()
        self._bucket = self._bucket or Bucket(RATE, BURST)
        count, self._count = self._count, 0
        seconds = self._bucket.borrow(loop.time(), count)
        if seconds > 0:
            self.stop()
            self._timer = loop.call_later(seconds, self._go_on)

    def stop(self) -> None:
        """The connection is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _go_on(self) -> None:
        self._timer = None
        self._rested()
