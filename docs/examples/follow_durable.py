"""Takes every change of every room exactly once, across restarts.  Needs NATS_URL and NATS_PASSWORD (`observer`)."""

import asyncio
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nats
import nats.errors
from nats.js.api import ConsumerConfig

# One at a time, so that what is delivered again after a crash comes before what is new.
IN_ORDER = ConsumerConfig(max_ack_pending=1, ack_wait=10)


class HoleError(Exception):
    """Revisions of a room are missing: its log was replaced, or part of what we stored was lost."""


class Taken:
    """The last revision taken of each room. Store it together with what you make of the events, in one transaction."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._last: dict[str, int] = json.loads(path.read_text()) if path.exists() else {}

    def is_new(self, event: dict[str, Any], *, ends: bool = False) -> bool:
        room_id, _, revision = event["id"].rpartition(":")
        last = self._last.get(room_id, 0)
        if event["type"] == "agentlink.room.snapshot":
            return (
                int(revision) > last
            )  # the whole room as of there: in place of changes that were trimmed from the log
        if int(revision) > last + 1 and not ends:  # the end of a room is told, whatever is left of its log
            raise HoleError(f"{event['id']} came after revision {last}")
        return int(revision) > last  # otherwise a repeat: delivered again because its acknowledgement got lost

    def add(self, event: dict[str, Any]) -> None:
        room_id, _, revision = event["id"].rpartition(":")
        self._last[room_id] = int(revision)
        self._path.write_text(json.dumps(self._last))


async def follow(url: str, password: str, name: str, taken: Taken, take: Callable[[dict[str, Any]], None]) -> None:
    client = await nats.connect(url, user="observer", password=password, inbox_prefix="_INBOX.observer")
    task = asyncio.current_task()
    try:
        log = client.jetstream(domain="agentlink")
        consumer = await log.pull_subscribe("agentlink.log.*.event", name, "ROOMS", IN_ORDER)
        # Asked, not only awaited: in Python 3.11 a cancellation that comes together with an answer of NATS gets lost.
        while task is not None and not task.cancelling():
            try:
                (message,) = await consumer.fetch(1, timeout=30)
            except nats.errors.TimeoutError:
                continue  # nothing happened
            batch = json.loads(message.data)
            ends = batch[-1]["type"] == "agentlink.room.closed"
            for event in batch:
                if taken.is_new(event, ends=ends):
                    take(event)
                    taken.add(event)
            await message.ack_sync()
    finally:
        await client.close()


if __name__ == "__main__":
    state = Taken(Path("taken.json"))
    asyncio.run(follow(os.environ["NATS_URL"], os.environ["NATS_PASSWORD"], "printer", state, print))
