"""Prints what happens in all rooms while it happens.  Needs NATS_URL and NATS_PASSWORD (of the user `observer`)."""

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

import nats


def show(event: dict[str, Any]) -> None:
    who = event["data"].get("participant", {}).get("agentId", "")
    print(event["time"], event["id"], event["type"], who)


async def follow(url: str, password: str, take: Callable[[dict[str, Any]], None]) -> None:
    client = await nats.connect(url, user="observer", password=password, inbox_prefix="_INBOX.observer")
    try:
        changes = await client.subscribe("agentlink.room.*.event")
        async for message in changes.messages:
            for event in json.loads(message.data):  # a batch: what happened together
                take(event)
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(follow(os.environ["NATS_URL"], os.environ["NATS_PASSWORD"], show))
