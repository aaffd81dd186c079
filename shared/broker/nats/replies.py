"""One inbox for all answers of the broker to this process: publish acknowledgements and direct reads.

nats-py's own `js.publish` costs as much per message as a subscription; this costs one future. One task checks all
deadlines, instead of a timer for each.
"""

import asyncio
import itertools
import json
from collections.abc import Mapping
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.telemetry import metrics
from shared.values.errors import unavailable

SWEEP_SECONDS = 0.25
_END_OF_BATCH = frozenset({"204", "404", "408", "409"})
_FAILURES = (nats.errors.Error, OSError, asyncio.TimeoutError)


class Replies:
    """Pairs requests to the broker with their answers. `timeout` is in seconds.

    A request that cannot be sent, or is not answered in time, raises `Refused(unavailable)`. Its outcome is then unknown.
    """

    def __init__(self, client: Client, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self._prefix = ""  # known once connected
        self._tokens = itertools.count(1)
        # token -> (deadline in loop time, future, messages so far or None when one message is all); deadlines ascend
        self._waiting: dict[str, tuple[float, asyncio.Future[Any], list[Msg] | None]] = {}
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Subscribe the inbox. Call when the client is connected."""
        self._prefix = self._client.new_inbox() + "."
        await self._client.subscribe(self._prefix + "*", cb=self._take)
        self._sweeper = asyncio.create_task(self._sweep(), name="replies")

    async def stop(self) -> None:
        """Fail all requests that wait for an answer."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.fail_all()

    @property
    def connected(self) -> bool:
        """Whether there is a server that could answer."""
        return self._client.is_connected

    async def one(self, subject: str, body: bytes, headers: dict[str, str] | None = None) -> Msg:
        """Publish and wait for the one answer."""
        message: Msg = await self._ask(subject, body, headers, None)
        return message

    async def settle(self) -> None:
        """Make a round trip to this inbox. Then the server has done everything that was sent before, subscriptions too.

        `Client.flush` is not enough: nats-py writes its PING ahead of messages that still wait to be written.
        """
        await self._ask(None, b"", None, None)

    async def batch(self, subject: str, body: bytes) -> list[Msg]:
        """Publish and collect messages until the server says that the batch is over."""
        messages: list[Msg] = await self._ask(subject, body, None, [])
        return messages

    async def _ask(
        self, subject: str | None, body: bytes, headers: dict[str, str] | None, collected: list[Msg] | None
    ) -> Any:
        token = str(next(self._tokens))
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self._waiting[token] = (loop.time() + self._timeout, future, collected)
        try:
            inbox = self._prefix + token
            await self._client.publish(subject or inbox, body, reply=inbox, headers=headers)
            return await future
        except _FAILURES as error:
            if isinstance(error, nats.errors.MaxPayloadError):  # larger than this NATS takes: asking again never helps
                metrics.BROKER_ERRORS.labels(type(error).__name__).inc()
            raise unavailable("the broker") from None
        finally:
            self._waiting.pop(token, None)

    async def _take(self, message: Msg) -> None:
        token = message.subject[len(self._prefix) :]
        waiting = self._waiting.get(token)
        if waiting is None or waiting[1].done():
            return
        _, future, collected = waiting
        if collected is None:
            future.set_result(message)
        elif status(message.headers) in _END_OF_BATCH:
            future.set_result(collected)
        else:
            collected.append(message)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            now = asyncio.get_running_loop().time()
            for deadline, future, *_ in list(self._waiting.values()):
                if deadline > now:
                    break
                _fail(future)

    def fail_all(self) -> None:
        """The connection is gone: fail all requests that were sent over it."""
        for _, future, *_ in list(self._waiting.values()):
            _fail(future)


def _fail(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(nats.errors.TimeoutError())


def status(headers: Mapping[str, str] | None) -> str:
    """The status that the server put in front of the headers, such as `404` or `503`; empty if there is none."""
    return (headers or {}).get("Status", "")


async def subjects_of(replies: Replies, stream: str, pattern: str) -> list[str]:
    """The subjects of a stream that match and have a message. The server gives them page by page.

    Raises `Refused(unavailable)`.
    """
    found: list[str] = []
    while True:
        query = json.dumps({"subjects_filter": pattern, "offset": len(found)}).encode()
        told = json.loads((await replies.one(f"$JS.API.STREAM.INFO.{stream}", query)).data or b"{}")
        if "state" not in told:
            raise unavailable("the broker")
        page = told["state"].get("subjects") or {}
        found += page
        if not page or len(found) >= told.get("total", 0):
            return found
