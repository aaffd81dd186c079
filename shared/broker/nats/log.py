"""Reading the log by direct gets: tails, newest entries, snapshots."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.broker import subjects
from shared.broker.bus import LogEntry
from shared.broker.nats.replies import Replies, status
from shared.broker.subjects import LogSubject
from shared.values.errors import unavailable
from shared.values.ids import RoomId

SUBJECTS_AT_ONCE = 200  # newest entries asked for in one request; the server stops at 1,024
CONSUMER_BATCH = 500
PULL_SECONDS = 5.0
NO_MESSAGE = 10037  # JetStream API error
CONSUMER_IDLE_NANOSECONDS = 30_000_000_000


class NatsLog:
    """Reads. Direct gets are answered by any replica of the stream and may lag; they are hints, never decisions."""

    def __init__(self, replies: Replies, client: Client) -> None:
        self._replies = replies
        self._client = client

    async def read(self, subject: str, *, after: int, limit: int) -> list[LogEntry]:
        """See Bus.read. Most tails are empty or short, so the first entry is asked for alone."""
        first = await self._get({"seq": after + 1, "next_by_subj": subject})
        if first is None or limit == 1:
            return [] if first is None else [first]
        body = {"seq": first.sequence + 1, "batch": limit - 1, "next_by_subj": subject}
        return [first, *await self._get_batch(body)]

    async def last(self, log_subjects: Sequence[str]) -> list[LogEntry]:
        """See Bus.last."""
        entries: list[LogEntry] = []
        for start in range(0, len(log_subjects), SUBJECTS_AT_ONCE):
            entries += await self._get_batch({"multi_last": list(log_subjects[start : start + SUBJECTS_AT_ONCE])})
        return sorted(entries, key=lambda entry: entry.sequence)

    async def position(self, subject: str) -> int:
        """See Bus.position: asked of the stream's leader, not of any replica."""
        body = json.dumps({"last_by_subj": subject}).encode()
        answer = await self._replies.one(f"$JS.API.STREAM.MSG.GET.{subjects.LOG_STREAM}", body)
        found: dict[str, Any] = json.loads(answer.data) if answer.data else {"error": {}}
        if found.get("error", {}).get("err_code") == NO_MESSAGE:
            return 0
        if "message" not in found:
            raise unavailable("the log")
        return int(found["message"]["seq"])

    async def newest_of_each(self, subject: str) -> list[LogEntry]:
        """See Bus.newest_of_each: an ephemeral consumer, since direct gets stop at 1,024 subjects."""
        name = self._client._nuid.next().decode()
        stream = subjects.LOG_STREAM
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

    async def _pull_all(self, consumer: str) -> list[LogEntry]:
        """Everything a consumer has. Pulled messages keep their subject, so they need a subscription of their own."""
        arrived: asyncio.Queue[Msg] = asyncio.Queue()
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox, cb=arrived.put)
        pull = json.dumps({"batch": CONSUMER_BATCH, "no_wait": True}).encode()
        entries: list[LogEntry] = []
        try:
            while True:
                await self._client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{subjects.LOG_STREAM}.{consumer}", pull, inbox)
                for _ in range(CONSUMER_BATCH):
                    message = await asyncio.wait_for(arrived.get(), PULL_SECONDS)
                    if status(message.headers):  # 404: there are no more
                        return entries
                    entry = _consumed(message)
                    if entry is not None:
                        entries.append(entry)
        except (TimeoutError, nats.errors.Error, OSError):
            raise unavailable("the log") from None
        finally:
            await subscription.unsubscribe()

    async def trim(self, room_id: RoomId) -> None:
        """See Bus.trim."""
        body = json.dumps({"filter": subjects.event_log(room_id), "keep": 1}).encode()
        answer = await self._replies.one(f"$JS.API.STREAM.PURGE.{subjects.LOG_STREAM}", body)
        if not answer.data or "error" in json.loads(answer.data):
            raise unavailable("the log")

    async def snapshot(self, room_id: RoomId) -> bytes | None:
        """The stored snapshot of a room."""
        body = json.dumps({"last_by_subj": subjects.snapshot(room_id)}).encode()
        answer = await self._replies.one(f"$JS.API.DIRECT.GET.{subjects.SNAPSHOT_STREAM}", body)
        return None if status(answer.headers) else answer.data

    async def _get(self, body: dict[str, Any]) -> LogEntry | None:
        answer = await self._replies.one(f"$JS.API.DIRECT.GET.{subjects.LOG_STREAM}", json.dumps(body).encode())
        if status(answer.headers) == "503":
            raise unavailable("the log")
        return _entry(answer)

    async def _get_batch(self, body: dict[str, Any]) -> list[LogEntry]:
        answers = await self._replies.batch(f"$JS.API.DIRECT.GET.{subjects.LOG_STREAM}", json.dumps(body).encode())
        return [entry for answer in answers if (entry := _entry(answer)) is not None]


def _entry(message: Msg) -> LogEntry | None:
    """A directly read message as an entry; None for a status such as `404 Message Not Found`."""
    headers = message.headers or {}
    subject = LogSubject.parse(headers.get("Nats-Subject", ""))
    if subject is None:
        return None
    return LogEntry(int(headers["Nats-Sequence"]), subject, headers, message.data)


def _consumed(message: Msg) -> LogEntry | None:
    """A message from a consumer as an entry: its position is in the reply subject."""
    subject = LogSubject.parse(message.subject)
    if subject is None:
        return None
    return LogEntry(message.metadata.sequence.stream, subject, message.headers or {}, message.data)
