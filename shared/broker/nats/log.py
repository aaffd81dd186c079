"""A log over NATS: appends with an expected position, and direct gets."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic

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
NO_MESSAGE = 10037  # JetStream API errors
NO_CONSUMER = 10014


class NatsLog(Generic[Draft, Item]):
    """See Log. Any replica of the stream may answer a direct get, so it may lag: never decide by it alone."""

    def __init__(self, connection: NatsConnection, log_format: LogFormat[Draft, Item]) -> None:
        self._connection = connection
        self._format = log_format
        self._stream = log_format.stream
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
        """See Log. Asks which subjects there are, then for the newest of each.

        A consumer would do it in one go. But others may have made as many consumers of the stream as NATS allows.
        """
        found: list[str] = []
        while True:
            body = json.dumps({"subjects_filter": subject, "offset": len(found)}).encode()
            answer = await self._replies.one(f"$JS.API.STREAM.INFO.{self._stream}", body)
            told: dict[str, Any] = json.loads(answer.data) if answer.data else {}
            if "state" not in told:
                raise unavailable("the log")
            more = list(told["state"].get("subjects") or ())
            found += more
            if not more or len(found) >= told.get("total", 0):
                return await self.last(found)

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
