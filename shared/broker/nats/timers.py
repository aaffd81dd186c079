"""Timers held by the broker: JetStream message schedules (ADR-51 of NATS), and the consumer that takes the due ones.

A schedule is a message that the server stores again, on its target subject, when it is due. All replicas of rooms share
one durable pull consumer. It hands each due timer to one replica, and to another one if that does not acknowledge it.
"""

import json

import structlog

from shared.broker import subjects
from shared.broker.following import Following
from shared.broker.headers import EXPECTED_LAST
from shared.broker.nats.connection import NatsConnection
from shared.broker.nats.replies import status
from shared.broker.nats.taker import Due, Taker
from shared.broker.timers import TimerHandler
from shared.rooms import timers
from shared.rooms.timers import Timer
from shared.values import moment
from shared.values.errors import unavailable
from shared.values.position import Position

log = structlog.get_logger()

CONSUMER = "rooms"
AT_ONCE = 64  # due timers that one process handles at a time
PULL_SECONDS = 2.0
NANOSECONDS = 1_000_000_000
STREAM = subjects.TIMER_STREAM


class NatsTimers:
    """See Timers."""

    def __init__(self, connection: NatsConnection) -> None:
        self._client = connection.client
        self._replies = connection.replies
        self._store = connection.store

    async def arm(self, timer: Timer, *, after: Position | None = None) -> Position:
        """See Timers."""
        headers = {"Nats-Schedule": f"@at {moment.rfc3339(timer.due)}", "Nats-Schedule-Target": subjects.due(timer)}
        if after is not None:
            headers[EXPECTED_LAST] = str(after)
        return await self._store.store(subjects.armed(timer), timers.encode(timer), headers)

    async def armed(self, timer: Timer) -> Position | None:
        """See Timers."""
        body = json.dumps({"last_by_subj": subjects.armed(timer)}).encode()
        answer = await self._replies.one(f"$JS.API.DIRECT.GET.{STREAM}", body)
        if status(answer.headers) == "503":
            raise unavailable("the broker")
        if not answer.headers or status(answer.headers):
            return None
        return Position(int(answer.headers["Nats-Sequence"]))

    async def take(self, handle: TimerHandler, retry_seconds: float) -> Following:
        """See Timers."""

        async def decoded(due: Due) -> None:
            await handle(timers.decode(due.body))

        taker = Taker(self._client, self._replies, STREAM, subjects.DUE_TIMERS, decoded, retry_seconds)
        await taker.start()
        return taker
