"""Streams as archives: JetStream's snapshots taken, and restored. For an operator's tools; no service does this.

The archive is the server's own: every message with its sequence, time and headers, and the consumers. While a stream is
being restored it carries a mark in its metadata, and services take it for missing (`streams.state`).
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared.broker.nats.replies import status
from shared.broker.nats.streams import NOT_FOUND, RESTORING

SECONDS = 30.0  # for an answer; the server gives up on us after 5
NAME_TAKEN = 10130  # JetStream API error: somebody made the stream meanwhile
ATTEMPTS = 20
_FAILURES = (nats.errors.Error, OSError, TimeoutError)

About = dict[str, Any]
"""What an archive is of: `config` and `state`, as the server says them."""


class ArchiveError(Exception):
    """The server will not, or is gone. The message is one sentence."""

    def __init__(self, sentence: str, code: int | None = None) -> None:
        super().__init__(sentence)
        self.code = code


async def describe(client: Client, stream: str) -> dict[str, Any] | None:
    """What the server says of a stream; None if there is none. Raises ArchiveError."""
    try:
        return await _ask(client, f"$JS.API.STREAM.INFO.{stream}", None, stream)
    except ArchiveError as error:
        if error.code == NOT_FOUND:
            return None
        raise


async def snapshot(client: Client, stream: str, write: Callable[[bytes], object]) -> About:
    """Write the archive of a stream, as it is now. Raises ArchiveError, and what `write` raises."""
    inbox = client.new_inbox()
    subscription = await client.subscribe(inbox)
    about = await _ask(client, f"$JS.API.STREAM.SNAPSHOT.{stream}", {"deliver_subject": inbox}, stream)
    expected = 1
    while (message := await _next(subscription, stream)).data:
        if message.reply:  # the last piece has none
            if int(message.reply.rpartition(".")[2]) != expected:
                raise ArchiveError(f"a piece of the archive of {stream} was lost on its way")
            expected += 1
        write(message.data)
        if message.reply:
            await _acknowledge(client, message.reply, stream)
    if (ended := status(message.headers)) not in ("", "204"):
        why = (message.headers or {}).get("Description") or ended
        raise ArchiveError(f"NATS broke off the archive of {stream}: {why}")
    await subscription.unsubscribe()
    return {"config": about["config"], "state": about["state"]}


async def restore(
    client: Client, stream: str, about: About, pieces: Callable[[], Iterable[bytes]], copies: int
) -> None:
    """Make the stream anew from its archive, in place of one of that name, and leave it marked. Raises ArchiveError.

    A service that owns the stream may make an empty one just when the old one is gone: then that one goes too.
    """
    config = about["config"] | {"num_replicas": copies}
    config["metadata"] = (config.get("metadata") or {}) | {RESTORING: datetime.now(UTC).isoformat(timespec="seconds")}
    for attempt in range(ATTEMPTS):
        await delete(client, stream)
        try:
            return await _upload(client, stream, {"config": config, "state": about["state"]}, pieces())
        except ArchiveError as error:
            if error.code != NAME_TAKEN or attempt == ATTEMPTS - 1:
                raise
    return None


async def _upload(client: Client, stream: str, about: About, pieces: Iterable[bytes]) -> None:
    told = await _ask(client, f"$JS.API.STREAM.RESTORE.{stream}", about, stream)
    for piece in pieces:
        await _ask_raw(client, told["deliver_subject"], piece, stream)
    restored = await _ask_raw(client, told["deliver_subject"], b"", stream)
    if restored.get("state", {}).get("last_seq", -1) < about["state"]["last_seq"]:
        raise ArchiveError(f"NATS restored only a part of {stream}")


async def release(client: Client, stream: str) -> None:
    """Take the mark off a restored stream: from now on services use it. Raises ArchiveError."""
    there = await describe(client, stream)
    if there is None:
        raise ArchiveError(f"{stream} is gone again, just after it was restored")
    config = there["config"]
    config["metadata"] = {k: v for k, v in config.get("metadata", {}).items() if k != RESTORING}
    await _ask(client, f"$JS.API.STREAM.UPDATE.{stream}", config, stream)


async def delete(client: Client, stream: str) -> None:
    """Delete a stream, if it is there. Raises ArchiveError."""
    try:
        await _ask(client, f"$JS.API.STREAM.DELETE.{stream}", None, stream)
    except ArchiveError as error:
        if error.code != NOT_FOUND:
            raise


async def _acknowledge(client: Client, subject: str, stream: str) -> None:
    try:
        await client.publish(subject, b"")
    except _FAILURES as error:
        raise _gone(stream, error) from None


async def _next(subscription: Any, stream: str) -> Msg:
    try:
        message: Msg = await subscription.next_msg(timeout=SECONDS)
    except _FAILURES as error:
        raise _gone(stream, error) from None
    _heed_cancellation()
    return message


def _heed_cancellation() -> None:
    """Raises the CancelledError that nats-py's `asyncio.wait_for` loses when it comes together with an answer."""
    if (task := asyncio.current_task()) is not None and task.cancelling():
        raise asyncio.CancelledError


async def _ask(client: Client, subject: str, body: dict[str, Any] | None, stream: str) -> dict[str, Any]:
    return await _ask_raw(client, subject, json.dumps(body).encode() if body is not None else b"", stream)


async def _ask_raw(client: Client, subject: str, body: bytes, stream: str) -> dict[str, Any]:
    """The answer; an empty one is the acknowledgement of a piece."""
    try:
        answer = await client.request(subject, body, timeout=SECONDS)
    except _FAILURES as error:
        raise _gone(stream, error) from None
    _heed_cancellation()
    told: dict[str, Any] = json.loads(answer.data) if answer.data else {}
    if "error" in told:
        why = told["error"]
        raise ArchiveError(f"NATS refuses {stream}: {why.get('description', 'no reason')}", why.get("err_code"))
    return told


def _gone(stream: str, error: Exception) -> ArchiveError:
    if isinstance(error, nats.errors.NoRespondersError):
        return ArchiveError(f"nobody at NATS answers for {stream}: is JetStream on, and does the stream have a leader?")
    if isinstance(error, TimeoutError) or "timeout" in str(error):
        return ArchiveError(f"NATS did not answer for {stream} in {SECONDS:.0f} s")
    return ArchiveError(f"the connection to NATS was lost while {stream} was on its way")
