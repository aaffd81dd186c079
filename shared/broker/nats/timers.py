"""Timers held by the broker: JetStream message schedules (ADR-51 of NATS), and the consumer that takes the due ones.

A schedule is a message that the server stores again, on its target subject, when it is due. All replicas of rooms share
one durable pull consumer. It hands each due timer to one replica, and to another one if that does not acknowledge it.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared.broker import subjects
from shared.broker.following import Following
from shared.broker.headers import EXPECTED_LAST
from shared.broker.nats import streams
from shared.broker.nats.connection import NatsConnection
from shared.broker.nats.replies import Replies, status
from shared.broker.timers import TimerHandler
from shared.rooms import timers
from shared.rooms.timers import Timer
from shared.telemetry import metrics
from shared.values import moment, pauses
from shared.values.errors import Refused, unavailable
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
        self._timeout = connection.broker.timeout

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

    async def incarnation(self) -> str:
        """See Timers."""
        found = await streams.state(self._client, STREAM, self._timeout)
        if found is None:
            raise unavailable("the broker")
        return found.incarnation

    async def take(self, handle: TimerHandler, retry_seconds: float) -> Following:
        """See Timers."""
        taker = TimerTaker(self._client, self._replies, handle, retry_seconds)
        await taker.start()
        return taker


class TimerTaker:
    """Takes due timers for as long as it runs."""

    def __init__(self, client: Client, replies: Replies, handle: TimerHandler, retry_seconds: float) -> None:
        self._client = client
        self._replies = replies
        self._handle = handle
        self._retry_seconds = retry_seconds
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue()
        self._handling: set[asyncio.Task[None]] = set()
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._running: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        """Begin to take timers. Raises `Refused(unavailable)`."""
        await self._ensure_consumer()
        try:
            self._subscription = await self._client.subscribe(self._inbox, cb=self._arrived.put)
        except (nats.errors.Error, OSError):
            raise unavailable("the broker") from None
        self._running = asyncio.create_task(self._run(), name="timers")

    async def _ensure_consumer(self) -> None:
        config = {
            "durable_name": CONSUMER,
            "name": CONSUMER,
            "filter_subject": subjects.DUE_TIMERS,
            "ack_policy": "explicit",
            "ack_wait": int(self._retry_seconds * NANOSECONDS),
            "max_deliver": -1,
        }
        body = json.dumps({"stream_name": STREAM, "config": config}).encode()
        answer = await self._replies.one(f"$JS.API.CONSUMER.CREATE.{STREAM}.{CONSUMER}.{subjects.DUE_TIMERS}", body)
        result: dict[str, Any] = json.loads(answer.data) if answer.data else {"error": {}}
        if "error" in result:
            raise unavailable(f"the timers ({result['error'].get('description', 'no stream')}): the broker")

    async def _run(self) -> None:
        while not self._stopping:
            try:
                if not await self._pull():
                    await self._ensure_consumer()
            except Refused:
                await asyncio.sleep(pauses.BROKER)
            except (nats.errors.Error, OSError, TimeoutError):
                await asyncio.sleep(pauses.BROKER)

    async def _pull(self) -> bool:
        """Take as many due timers as this process can handle. False when the consumer did not answer: it may be gone."""
        free = AT_ONCE - len(self._handling)
        if free <= 0:
            await asyncio.wait(self._handling, return_when=asyncio.FIRST_COMPLETED)
            return True
        pull = json.dumps({"batch": free, "expires": int(PULL_SECONDS * NANOSECONDS)}).encode()
        await self._client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}", pull, self._inbox)
        for _ in range(free):
            try:
                message = await asyncio.wait_for(self._arrived.get(), PULL_SECONDS + 1)
            except TimeoutError:
                return False
            if end := status(message.headers):
                return end in ("404", "408")
            task = asyncio.create_task(self._take(message), name="timer")
            self._handling.add(task)
            task.add_done_callback(self._handling.discard)
        return True

    async def _take(self, message: Msg) -> None:
        try:
            await self._while_working(message, self._handle(timers.decode(message.data)))
            verdict = b"+ACK"
        except Refused:
            verdict = b"-NAK " + json.dumps({"delay": NANOSECONDS}).encode()
        except Exception as error:  # a bug, or a newer version's timer, which another process may understand
            metrics.TIMER_FAILURES.inc()
            log.warning("a timer failed", subject=message.subject, error=type(error).__name__)
            verdict = b"-NAK " + json.dumps({"delay": int(self._retry_seconds * NANOSECONDS)}).encode()
        try:
            await self._client.publish(message.reply, verdict)
        except (nats.errors.Error, OSError):
            return  # the broker will hand the timer out again, and its handler will find nothing to do

    async def _while_working(self, message: Msg, work: Awaitable[None]) -> None:
        """Wait for the handler, and keep telling the broker that the timer is in progress (`+WPI`)."""
        task = asyncio.ensure_future(work)
        while not (await asyncio.wait({task}, timeout=self._retry_seconds / 2))[0]:
            with contextlib.suppress(nats.errors.Error, OSError):
                await self._client.publish(message.reply, b"+WPI")
        await task

    async def stop(self) -> None:
        """Take no more timers, and finish those that were taken."""
        self._stopping = True
        if self._running is not None:
            self._running.cancel()
        if self._subscription is not None:
            with contextlib.suppress(nats.errors.Error):  # the connection is gone, and with it the subscription
                await self._subscription.unsubscribe()
        if self._handling:
            await asyncio.wait(self._handling)
