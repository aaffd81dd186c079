"""Takes what is due from a stream of schedules: one durable pull consumer, shared by all processes that take from it.

The consumer hands each due message to one process, and to another one if that does not acknowledge it.
"""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared.broker.nats.failures import Failures
from shared.broker.nats.replies import Replies, status
from shared.rooms.unfoldable import is_unfoldable
from shared.telemetry import metrics
from shared.values import pauses
from shared.values.errors import Refused, unavailable

CONSUMER = "rooms"
AT_ONCE = 64  # due messages that one process handles at a time
PULL_SECONDS = 2.0
REFUSED_SECONDS = 1.0  # before what was refused comes again
# A process of the release before asks for wider filters when it starts. So this asks again for its own now and then.
ENSURE_SECONDS = 60.0
NANOSECONDS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Due:
    """A message that is due."""

    subject: str
    body: bytes


class Taker:
    """Takes what is due on `filters` of a stream, for as long as it runs."""

    def __init__(
        self,
        client: Client,
        replies: Replies,
        stream: str,
        filters: tuple[str, ...],
        handle: Callable[[Due], Awaitable[None]],
        retry_seconds: float,
    ) -> None:
        self._client = client
        self._replies = replies
        self._stream = stream
        self._filters = filters
        self._handle = handle
        self._retry_seconds = retry_seconds
        self._arrived: asyncio.Queue[Msg] = asyncio.Queue()
        self._handling: set[asyncio.Task[None]] = set()
        self._inbox = client.new_inbox()
        self._subscription: Subscription | None = None
        self._running: asyncio.Task[None] | None = None
        self._ensured_at = 0.0
        self._stopping = False
        self._failures = Failures()

    async def start(self) -> None:
        """Begin to take. Raises `Refused(unavailable)`."""
        await self._ensure_consumer()
        try:
            self._subscription = await self._client.subscribe(self._inbox, cb=self._arrived.put)
        except (nats.errors.Error, OSError):
            raise unavailable("the broker") from None
        self._running = asyncio.create_task(self._run(), name=f"due in {self._stream}")

    async def _ensure_consumer(self) -> None:
        """Make the consumer, or give it these filters. Consumers of a work queue may not overlap with others."""
        config = {
            "durable_name": CONSUMER,
            "name": CONSUMER,
            "ack_policy": "explicit",
            "ack_wait": int(self._retry_seconds * NANOSECONDS),
            "max_deliver": -1,
            # A message that failed keeps its place until it comes again: with a bound, so many that nobody can handle
            # would keep all others waiting. AT_ONCE is the bound of what is under way.
            "max_ack_pending": -1,
        }
        subject = f"$JS.API.CONSUMER.CREATE.{self._stream}.{CONSUMER}"
        if len(self._filters) == 1:
            config["filter_subject"] = self._filters[0]
            subject += f".{self._filters[0]}"
        else:
            config["filter_subjects"] = list(self._filters)
        body = json.dumps({"stream_name": self._stream, "config": config}).encode()
        answer = await self._replies.one(subject, body)
        result: dict[str, Any] = json.loads(answer.data) if answer.data else {"error": {}}
        if "error" in result:
            why = result["error"].get("description", "no stream")
            raise unavailable(f"what is due in {self._stream} ({why}): the broker")
        self._ensured_at = asyncio.get_running_loop().time()

    async def _run(self) -> None:
        while not self._stopping:
            try:
                late = asyncio.get_running_loop().time() > self._ensured_at + ENSURE_SECONDS
                if late or not await self._pull():
                    await self._ensure_consumer()
            except Refused:
                await asyncio.sleep(pauses.BROKER)
            except (nats.errors.Error, OSError, TimeoutError):
                await asyncio.sleep(pauses.BROKER)

    async def _pull(self) -> bool:
        """Take as much of what is due as this process can handle. False when the consumer did not answer: it may be gone."""
        free = AT_ONCE - len(self._handling)
        if free <= 0:
            await asyncio.wait(self._handling, return_when=asyncio.FIRST_COMPLETED)
            return True
        pull = json.dumps({"batch": free, "expires": int(PULL_SECONDS * NANOSECONDS)}).encode()
        await self._client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{CONSUMER}", pull, self._inbox)
        for _ in range(free):
            try:
                async with asyncio.timeout(PULL_SECONDS + 1):
                    message = await self._arrived.get()
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
            await self._while_working(message, self._handle(Due(message.subject, message.data)))
            verdict = b"+ACK"
        except Refused as refused:
            verdict = _again(_slower(message, REFUSED_SECONDS) if is_unfoldable(refused) else REFUSED_SECONDS)
        except Exception as error:  # a bug, or a newer version's timer, which another process may understand
            metrics.TIMER_FAILURES.inc()
            self._failures.say("a timer failed", _kind(message.subject), type(error).__name__)
            verdict = _again(_slower(message, self._retry_seconds))
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
        """Take no more, and finish what was taken."""
        self._stopping = True
        if self._running is not None:
            self._running.cancel()
        if self._subscription is not None:
            with contextlib.suppress(nats.errors.Error):  # the connection is gone, and with it the subscription
                await self._subscription.unsubscribe()
        if self._handling:
            await asyncio.wait(self._handling)


def _again(seconds: float) -> bytes:
    return b"-NAK " + json.dumps({"delay": int(seconds * NANOSECONDS)}).encode()


def _slower(message: Msg, seconds: float) -> float:
    """The pause before what failed comes again: thousands of them cost little."""
    return pauses.doubled(seconds, int(message.metadata.num_delivered))


def _kind(subject: str) -> str:
    """The kind of a timer: `agentlink.timer.due.grace`. The names of leases are secrets, and of others there are many."""
    return ".".join(subject.split(".")[:4]) if ".timer." in subject else subject.rpartition(".")[0]
