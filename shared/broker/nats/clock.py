"""Asks NATS for its time again and again, shows by how much this host's clock differs, and says so when it is too much.

The answer to a question about a stream is of the server that leads it. A process that reads no stream asks the server it
is connected to.
"""

import asyncio
import json
import time
from typing import Any

import structlog

from shared.broker.clock import BrokerClock, Difference
from shared.broker.nats.replies import Replies
from shared.telemetry import metrics
from shared.values import moment
from shared.values.errors import Refused

log = structlog.get_logger()

OF_THE_SERVER = "$SYS.REQ.USER.INFO"
FIRST_ASKS = 3  # at once, of which the fastest counts
ASK_SECONDS = 3.0  # between questions
PATIENCE_SECONDS = 2.0


class NatsClock:
    """Keeps `clock` at the broker's time. `stream` is one that the process reads; None if it reads none."""

    def __init__(self, replies: Replies, stream: str | None) -> None:
        self.clock = BrokerClock(time.monotonic, time.time)
        self.subject = f"$JS.API.STREAM.INFO.{stream}" if stream is not None else OF_THE_SERVER
        self._replies = replies
        self._difference = Difference()
        self._asking: asyncio.Task[None] | None = None
        self.forbidden = False  # NATS has the accounts of the release before, which does not let us ask

    async def start(self) -> None:
        """Ask for the first time, then go on in the background."""
        for _ in range(FIRST_ASKS):
            await self._ask()
        self._asking = asyncio.create_task(self._go_on(), name="clock")

    def stop(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()

    async def _go_on(self) -> None:
        while not self.forbidden:
            self._tell()
            await asyncio.sleep(ASK_SECONDS)
            await self._ask()

    async def _ask(self) -> None:
        if self.forbidden:
            return
        sent = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                answer = await self._replies.one(self.subject, b"")
            said = _time_in(answer.data)
        except (Refused, TimeoutError, ValueError):
            return
        if said is not None:
            self.clock.take(sent, time.monotonic(), said)

    def _tell(self) -> None:
        off = self.clock.off
        if off is None:
            return
        metrics.CLOCK_OFF.set(off[0])
        if self._difference.changed(*off):
            if self._difference.differs:
                log.warning(
                    "this host's clock differs from the broker's", seconds=round(off[0], 3), doubt=round(off[1], 3)
                )
            else:
                log.info("this host's clock agrees with the broker's again", seconds=round(off[0], 3))


def _time_in(body: bytes) -> float | None:
    """The time in an answer (Unix seconds); None when it has none, since the stream is missing. Raises ValueError."""
    answer: dict[str, Any] = json.loads(body)
    told = answer.get("ts") or answer.get("server", {}).get("time")
    return moment.unix(told) if isinstance(told, str) else None
