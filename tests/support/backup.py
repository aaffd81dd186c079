"""A backup of a stream over JetStream's snapshot API, as `nats stream backup` takes it; and how it is restored."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg


@dataclass
class Backup:
    """A stream as JetStream's snapshot API gives it: what it is, and pieces of an archive."""

    about: dict[str, Any]
    pieces: list[bytes]

    @classmethod
    async def take(cls, client: Client, stream: str) -> "Backup":
        """Ask for it, and wait until it is whole."""
        inbox, pieces, whole = client.new_inbox(), [], asyncio.Event()

        async def receive(message: Msg) -> None:
            if not message.data:
                whole.set()
                return
            pieces.append(message.data)
            if message.reply:
                await client.publish(message.reply, b"")

        await client.subscribe(inbox, cb=receive)
        about = await asked(client, f"$JS.API.STREAM.SNAPSHOT.{stream}", {"deliver_subject": inbox})
        async with asyncio.timeout(10):
            await whole.wait()
        return cls({"config": about["config"], "state": about["state"]}, pieces)

    async def restore(self, client: Client, stream: str) -> None:
        """Make the stream from it. There must be none of this name."""
        told = await asked(client, f"$JS.API.STREAM.RESTORE.{stream}", self.about)
        for piece in (*self.pieces, b""):
            answer = await client.request(told["deliver_subject"], piece, timeout=5)
        assert json.loads(answer.data)["state"]["messages"] == self.about["state"]["messages"]


async def asked(client: Client, subject: str, body: dict[str, Any]) -> dict[str, Any]:
    """Ask JetStream's API, which must not refuse."""
    answer: dict[str, Any] = json.loads((await client.request(subject, json.dumps(body).encode(), timeout=5)).data)
    assert "error" not in answer, answer
    return answer
