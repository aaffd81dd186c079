"""Stores one message in a stream. It is acknowledged, refused because another one came first, or its outcome is unknown."""

import asyncio
import json
import re
from collections.abc import Callable
from typing import Any

from shared.broker.log import Conflict
from shared.broker.nats.refusals import Refusals
from shared.broker.nats.replies import Replies
from shared.broker.signals import Posted
from shared.telemetry import metrics, tracing
from shared.values.errors import Refused, unavailable
from shared.values.position import Position

CONFLICTS = frozenset({10071, 10164})  # wrong last sequence; the same, found by another replica of the stream
NO_ANSWER = "no answer"
FULL = frozenset({10002, 10047, 10023, 10077})  # the account's limit, no storage, no resources, maximum bytes exceeded

_LAST = re.compile(r"wrong last sequence: (\d+)")


class NatsStore:
    """Publishes and waits for JetStream's acknowledgement. Calls `missing` when there is no such stream."""

    def __init__(self, replies: Replies, missing: Callable[[], None]) -> None:
        self._replies = replies
        self._missing = missing
        self.refusals = Refusals()

    async def store(self, subject: str, body: bytes, headers: dict[str, str]) -> Position:
        """Store a message, and return its position.

        Raises Conflict, or `Refused(unavailable)`: then the message may or may not be stored.
        """
        return (await self.post(subject, body, headers)).position

    async def post(self, subject: str, body: bytes, headers: dict[str, str]) -> Posted:
        """As `store`. A message with a known `Nats-Msg-Id` is not stored again."""
        try:
            answer = await self._replies.one(subject, body, tracing.trace_headers(headers))
        except Refused:
            metrics.LOG_REFUSED.labels("timeout").inc()
            # Silent is a stream after a write error, and a cluster without a leader.
            if self._replies.connected:
                self._refused(subject, NO_ANSWER)
            raise
        acknowledged: dict[str, Any] = json.loads(answer.data) if answer.data else {}
        if "seq" in acknowledged and "error" not in acknowledged:
            self._stored(subject)
            return Posted(Position(int(acknowledged["seq"])), again=bool(acknowledged.get("duplicate")))
        code = acknowledged.get("error", {}).get("err_code")
        if code in CONFLICTS:
            self._stored(subject)
            found = _LAST.search(acknowledged["error"].get("description", ""))
            raise Conflict(Position(int(found[1])) if found else None)
        metrics.LOG_REFUSED.labels("full" if code in FULL else "unavailable").inc()
        self._refused(subject, acknowledged.get("error", {}).get("description", "there is no stream for it"))
        if code is None:  # no responders: the stream is gone
            self._missing()
        raise unavailable("the log")

    def _refused(self, subject: str, why: str) -> None:
        self.refusals.refused(subject, why, asyncio.get_running_loop().time())

    def _stored(self, subject: str) -> None:
        if self.refusals.any:
            self.refusals.stored(subject, asyncio.get_running_loop().time())
