"""Marks over NATS: the only message of a subject beside what it speaks of."""

import base64
import json
from typing import Any

from shared.broker import subjects
from shared.broker.headers import EXPECTED_LAST
from shared.broker.marks import Mark, Marked
from shared.broker.nats.connection import NatsConnection
from shared.values.errors import unavailable
from shared.values.position import Position

NO_MESSAGE = 10037  # JetStream API error
PLACES = {
    Marked.TIMERS: (subjects.TIMER_STREAM, subjects.TIMERS_MARK),
    Marked.LEASES: (subjects.LEASE_STREAM, subjects.LEASES_MARK),
}


class NatsMarks:
    """See Marks."""

    def __init__(self, connection: NatsConnection) -> None:
        self._replies = connection.replies
        self._store = connection.store

    async def read(self, what: Marked) -> Mark | None:
        """See Marks. Asks the stream's leader."""
        stream, subject = PLACES[what]
        body = json.dumps({"last_by_subj": subject}).encode()
        answer = await self._replies.one(f"$JS.API.STREAM.MSG.GET.{stream}", body)
        found: dict[str, Any] = json.loads(answer.data) if answer.data else {"error": {}}
        if found.get("error", {}).get("err_code") == NO_MESSAGE:
            return None
        if "message" not in found:
            raise unavailable("the broker")
        message = found["message"]
        return Mark(Position(int(message["seq"])), base64.b64decode(message.get("data", "")))

    async def write(self, what: Marked, body: bytes, *, after: Position) -> Position:
        """See Marks."""
        _, subject = PLACES[what]
        return await self._store.store(subject, body, {"Nats-Rollup": "sub", EXPECTED_LAST: str(after)})
