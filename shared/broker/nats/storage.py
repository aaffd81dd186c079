"""What NATS says of its storage: the stream's bytes, the account's, and whether the stream takes anything."""

import json
from typing import Any

from shared.broker import subjects
from shared.broker.nats.connection import NatsConnection
from shared.broker.nats.replies import Replies
from shared.broker.storage import LOG, STORE, Stock
from shared.rooms.reserve import Place
from shared.values.errors import unavailable

WRITE_FAILED = 10051  # JetStream API error of a purge: the stream has met a write error, and takes nothing more
NOTHING = {subjects.LOG_STREAM: subjects.NO_ROOM_EVENTS, subjects.TIMER_STREAM: subjects.NO_TIMERS}
LOOKS_PER_PROBE = 5  # a purge is agreed on by all replicas of the stream, so not every look makes one


class NatsStorage:
    """See Storage."""

    def __init__(self, connection: NatsConnection) -> None:
        self._replies: Replies = connection.replies
        self._looks = 0
        self._refusal: str | None = None

    async def look(self) -> Stock:
        """See Storage."""
        stream = await self._ask(f"STREAM.INFO.{subjects.LOG_STREAM}")
        account = await self._ask("INFO")
        if "state" not in stream or "limits" not in account:
            raise unavailable("the broker")
        if self._looks % LOOKS_PER_PROBE == 0 or self._refusal is not None:
            self._refusal = await self._write_error()
        self._looks += 1
        stored = int(account["storage"])
        places = [
            Place(LOG, int(stream["state"]["bytes"]), max(0, int(stream["config"]["max_bytes"]))),
            Place(STORE, stored, max(0, int(account["limits"]["max_storage"]))),
        ]
        return Stock(places, stored, self._refusal)

    async def _write_error(self) -> str | None:
        """Purge nothing: after a write error nats-server refuses this too, and says why. It leaves appends unanswered."""
        for stream, nothing in NOTHING.items():
            error = (await self._ask(f"STREAM.PURGE.{stream}", {"filter": nothing})).get("error", {})
            if error.get("err_code") == WRITE_FAILED:  # its words, without the path on the broker's disk
                return str(error.get("description", "write error")).rpartition(": ")[2]
        return None

    async def _ask(self, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        answer = await self._replies.one(f"$JS.API.{subject}", json.dumps(body).encode() if body else b"")
        found: dict[str, Any] = json.loads(answer.data) if answer.data else {}
        return found
