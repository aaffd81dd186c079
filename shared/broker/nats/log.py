"""A log over NATS: appends with an expected position, direct gets, and an ephemeral consumer for long results."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic

import nats.errors
from nats.aio.msg import Msg
from opentelemetry.trace import SpanKind

from shared.broker.following import Following
from shared.broker.headers import EXPECTED_LAST
from shared.broker.log import Draft, Item, LogFormat
from shared.broker.nats.connection import NatsConnection
from shared.broker.nats.follower import follow
from shared.broker.nats.replies import status
from shared.telemetry import tracing
from shared.values.errors import unavailable
from shared.values.position import EVERYWHERE, NOWHERE, Position

SUBJECTS_AT_ONCE = 200  # newest entries asked for in one request; the server allows 1,024
CONSUMER_BATCH = 500
PULL_SECONDS = 5.0
NO_MESSAGE = 10037  # JetStream API errors
NO_CONSUMER = 10014
CONSUMER_IDLE_NANOSECONDS = 30_000_000_000


class NatsLog(Generic[Draft, Item]):
    """See Log. Any replica of the stream may answer a direct get, so it may lag: never decide by it alone."""

    def __init__(self, connection: NatsConnection, log_format: LogFormat[Draft, Item]) -> None:
        self._connection = connection
        self._format = log_format
        self._stream = log_format.stream
        self._client = connection.client
        self._replies = connection.replies
        self._store = connection.store

    @property
    def incarnation(self) -> str:
        """See Log."""
        return self._connection.incarnation(self._stream)

    @property
    def generation(self) -> int:
        """See Log."""
        return self._connection.watch.generation(self._stream)

    async def append(self, subject: str, draft: Draft, *, after: Position) -> Position:
        """See Log."""
        headers, body = self._format.encode(draft)
        headers[EXPECTED_LAST] = str(after)
        with tracing.span("log.append", SpanKind.PRODUCER):
            return await self._store.store(subject, body, headers)

    async def follow(self, subject: str, receive: Callable[[Item], None], on_gap: Callable[[], None]) -> Following:
        """See Log."""
        return await follow(self._connection, self._format, subject, receive, on_gap)

    async def read(self, subject: str, *, after: Position = NOWHERE, limit: int) -> list[Item]:
        """See Log. Asks for the first entry alone, since most reads find none or few."""
        first = await self._first(subject, after)
        if first is None or limit == 1:
            return [] if first is None else [first]
        body = {"seq": first.position + 1, "batch": limit - 1, "next_by_subj": subject}
        return [first, *await self._get_batch(body)]

    async def last(self, subjects: Sequence[str]) -> list[Item]:
        """See Log."""
        entries: list[Item] = []
        for start in range(0, len(subjects), SUBJECTS_AT_ONCE):
            entries += await self._get_batch({"multi_last": list(subjects[start : start + SUBJECTS_AT_ONCE])})
        return sorted(entries, key=lambda entry: entry.position)

    async def position(self, subject: str) -> Position:
        """See Log. Asks the stream's leader, which does not lag."""
        body = json.dumps({"last_by_subj": subject}).encode()
        answer = await self._replies.one(f"$JS.API.STREAM.MSG.GET.{self._stream}", body)
        found: dict[str, Any] = json.loads(answer.data) if answer.data else {"error": {}}
        if found.get("error", {}).get("err_code") == NO_MESSAGE:
            return NOWHERE
        if "message" not in found:
            raise unavailable("the log")
        return Position(int(found["message"]["seq"]))

    async def newest_of_each(self, subject: str) -> list[Item]:
        """See Log. Uses an ephemeral consumer, since direct gets allow only 1,024 subjects."""
        name, stream = self._client._nuid.next().decode(), self._stream
        config = {
            "name": name,
            "deliver_policy": "last_per_subject",
            "ack_policy": "none",
            "filter_subject": subject,
            "inactive_threshold": CONSUMER_IDLE_NANOSECONDS,
            "mem_storage": True,
            "num_replicas": 1,
        }
        body = json.dumps({"stream_name": stream, "config": config}).encode()
        answer = json.loads((await self._replies.one(f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{subject}", body)).data)
        if "error" in answer:
            raise unavailable("the log")
        try:
            return await self._pull_all(name)
        finally:
            await self._replies.one(f"$JS.API.CONSUMER.DELETE.{stream}.{name}", b"")

    async def _pull_all(self, consumer: str) -> list[Item]:
        """All entries of a consumer. Pulled messages keep their subject, so they need a subscription of their own."""
        arrived: asyncio.Queue[Msg] = asyncio.Queue()
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox, cb=arrived.put)
        pull = json.dumps({"batch": CONSUMER_BATCH, "no_wait": True}).encode()
        entries: list[Item] = []
        try:
            while True:
                await self._client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{consumer}", pull, inbox)
                for _ in range(CONSUMER_BATCH):
                    message = await asyncio.wait_for(arrived.get(), PULL_SECONDS)
                    if status(message.headers):  # 404: there are no more
                        return entries
                    entry = self._consumed(message)
                    if entry is not None:
                        entries.append(entry)
        except (TimeoutError, nats.errors.Error, OSError):
            raise unavailable("the log") from None
        finally:
            await subscription.unsubscribe()

    async def trim(self, subject: str, *, before: Position | None = None) -> None:
        """See Log. A sequence of 0 would mean all entries to the server."""
        if before is not None and before <= NOWHERE:
            return
        kept = {"keep": 1} if before is None else {"seq": before}
        body = json.dumps({"filter": subject, **kept}).encode()
        answer = await self._replies.one(f"$JS.API.STREAM.PURGE.{self._stream}", body)
        if not answer.data or "error" in json.loads(answer.data):
            raise unavailable("the log")

    async def taken(self, consumer: str) -> Position | None:
        """See Log."""
        answer = await self._replies.one(f"$JS.API.CONSUMER.INFO.{self._stream}.{consumer}", b"")
        found: dict[str, Any] = json.loads(answer.data) if answer.data else {}
        if found.get("error", {}).get("err_code") == NO_CONSUMER:
            return None
        if "ack_floor" not in found:
            raise unavailable("the log")
        if not found["num_pending"] and not found["num_ack_pending"]:
            return EVERYWHERE
        return Position(int(found["ack_floor"]["stream_seq"]))

    async def _first(self, subject: str, after: Position) -> Item | None:
        """The first entry above a position. What is stored there and is no entry hides none behind it."""
        while True:
            body = json.dumps({"seq": after + 1, "next_by_subj": subject}).encode()
            answer = await self._replies.one(f"$JS.API.DIRECT.GET.{self._stream}", body)
            if status(answer.headers) == "503":
                raise unavailable("the log")
            entry, stored = self._entry(answer), (answer.headers or {}).get("Nats-Sequence")
            if entry is not None or stored is None:
                return entry
            after = Position(int(stored))

    async def _get_batch(self, body: dict[str, Any]) -> list[Item]:
        answers = await self._replies.batch(f"$JS.API.DIRECT.GET.{self._stream}", json.dumps(body).encode())
        return [entry for answer in answers if (entry := self._entry(answer)) is not None]

    def _entry(self, message: Msg) -> Item | None:
        """A directly read message; None for a status such as `404 Message Not Found`."""
        headers: Mapping[str, str] = message.headers or {}
        if "Nats-Sequence" not in headers:
            return None
        position = Position(int(headers["Nats-Sequence"]))
        return self._format.decode(headers.get("Nats-Subject", ""), position, headers, message.data)

    def _consumed(self, message: Msg) -> Item | None:
        """A message from a consumer: its position is in the reply subject."""
        position = Position(message.metadata.sequence.stream)
        return self._format.decode(message.subject, position, message.headers or {}, message.data)
