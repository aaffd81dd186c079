"""The reserve as rooms tells it: slows this gateway's signals when storage runs out, and refuses them before it is full."""

import asyncio
from collections.abc import Callable

from services.gateway import metrics
from services.gateway.token_bucket import Bucket
from shared.broker.requests import Requests
from shared.broker.subjects import READ_RESERVE
from shared.rooms.reserve import ReadReserve, Reserve
from shared.values import pauses
from shared.values.errors import Code, Refused

BELIEVED_SECONDS = 10.0  # then the last answer means nothing; what was stored since is gone after a minute
HEAD_BYTES = 400  # of a stored signal, besides its body: subject and headers
FORESEEN = 0.9  # of what is left for signals, at most this part is believed to be gone without knowing
PATIENCE_SECONDS = 2.0  # a signal waits this long for its turn before its sender is told to slow down
MILLISECONDS = 1000


class SignalReserve:
    """Admits signals. `ticks` gives seconds that only go forward; a signal is kept for `seconds`."""

    def __init__(self, requests: Requests, seconds: float, ticks: Callable[[], float]) -> None:
        self._requests = requests
        self._seconds = seconds
        self._ticks = ticks
        self._reserve = Reserve()
        self._told_at = float("-inf")
        self._posted = 0  # bytes since then, by this gateway
        self._growth = 0.0  # bytes a second of all, between the last two answers
        self._bucket = Bucket(1.0, 1.0)

    async def run(self) -> None:
        """Ask every second. Runs until cancelled."""
        while True:
            try:
                self.told(await self._requests.request(READ_RESERVE, ReadReserve()), self._ticks())
            except Refused:  # rooms is away, or of a release before this one
                if self._ticks() - self._told_at > BELIEVED_SECONDS:
                    self._reserve, self._growth = Reserve(), 0.0
            await asyncio.sleep(pauses.STORAGE)

    def told(self, reserve: Reserve, now: float) -> None:
        """Rooms answered at `now`."""
        passed = now - self._told_at
        same = reserve.place == self._reserve.place and 0 < passed < BELIEVED_SECONDS
        self._growth = max(0.0, (reserve.used - self._reserve.used) / passed) if same else 0.0
        self._reserve, self._told_at, self._posted = reserve, now, 0

    def notice(self) -> str | None:
        """What is worth a sentence at `/readyz`."""
        return self._reserve.notice()

    async def admit(self, receivers: int, body: int) -> None:
        """Count a signal of `body` bytes for each receiver, and wait for its turn. Raises Refused."""
        wait = self.wait(receivers * (body + HEAD_BYTES), self._ticks())
        if wait:
            metrics.SIGNALS_SLOWED.inc()
            await asyncio.sleep(wait)

    def wait(self, size: int, now: float) -> float:
        """Seconds until these bytes may be stored. Raises Refused when that is too long.

        What was stored before must have been paid for; so a signal of any size has its turn.
        """
        rate = self._reserve.signal_rate(self._seconds, self._since(now))
        if rate is None:
            self._posted += size
            return 0.0
        if rate <= 0:
            metrics.SIGNALS_REFUSED.inc()
            raise Refused(
                Code.UNAVAILABLE, "storage is full but for a reserve, and takes no signals now; try again later"
            )
        self._bucket.rate = self._bucket.burst = rate
        wait = max(0.0, -self._bucket.level(now)) / rate
        if wait > PATIENCE_SECONDS:
            metrics.SIGNALS_REFUSED.inc()
            raise Refused(
                Code.RATE_LIMITED,
                "storage is running out, and signals are slowed; try again later",
                retry_after_ms=int(wait * MILLISECONDS),
            )
        self._bucket.borrow(now, size)
        self._posted += size
        return wait

    def _since(self, now: float) -> float:
        """Bytes stored since the last answer: as far as this gateway knows, or as before, whichever is more.

        What is only foreseen slows signals, and refuses none.
        """
        reserve = self._reserve
        foreseen = self._growth * min(now - self._told_at, BELIEVED_SECONDS)
        left = (reserve.signals_above - reserve.share()) * reserve.size
        return max(self._posted, min(foreseen, left * FORESEEN))
