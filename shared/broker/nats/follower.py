"""Follows a log over NATS: subscribes to the copies that its stream republishes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import nats.errors
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from shared.broker.log import Draft, Item, LogFormat
from shared.broker.nats.connection import FAILURES, NatsConnection
from shared.telemetry import metrics
from shared.values.errors import Refused, unavailable
from shared.values.position import Position

log = structlog.get_logger()

FOLLOW_MESSAGES = 65536  # waiting per subscription; beyond that nats-py drops new ones, and `on_gap` is called
FOLLOW_BYTES = 64 << 20


@dataclass(slots=True)
class Follower:
    """One subscription to a log."""

    subscription: Subscription
    connection: NatsConnection

    async def stop(self) -> None:
        """Stop following."""
        self.connection.followers.pop(id(self.subscription), None)
        try:
            await self.subscription.unsubscribe()
        except nats.errors.Error:
            return  # the connection is gone, and with it the subscription


async def follow(
    connection: NatsConnection,
    log_format: LogFormat[Draft, Item],
    subject: str,
    receive: Callable[[Item], None],
    on_gap: Callable[[], None],
) -> Follower:
    """See Log.follow."""
    decode = log_format.decode

    async def take(message: Msg) -> None:
        if connection.gap:  # between a loss and `on_gap`: the follower will read this from the log, after what was lost
            return
        headers = message.headers
        if not headers or not _stored(log_format, message.subject, headers):
            metrics.BROKER_ERRORS.labels("stray_message").inc()
            return
        try:
            entry = decode(message.subject, Position(int(headers["Nats-Sequence"])), headers, message.data)
            if entry is None:
                metrics.BROKER_ERRORS.labels("stray_message").inc()
            else:
                receive(entry)
        except Exception:
            # `room_id` is what 0.3.0 said; it goes with the release after this one.
            log.exception("a follower failed", subject=message.subject, room_id=message.subject.split(".")[2])

    try:
        subscription = await connection.client.subscribe(
            log_format.live_subject(subject),
            cb=take,
            pending_msgs_limit=FOLLOW_MESSAGES,
            pending_bytes_limit=FOLLOW_BYTES,
        )
    except FAILURES:
        raise unavailable("the broker") from None
    follower = Follower(subscription, connection)
    connection.followers[id(subscription)] = on_gap
    try:
        await connection.replies.settle()
    except Refused:
        await follower.stop()
        raise
    return follower


def _stored(log_format: LogFormat[Draft, Item], subject: str, headers: Mapping[str, str]) -> bool:
    """Whether the stream says of this that it stored it, and on which subject.

    Without the stream's own headers it is no entry, but a message that somebody published here directly. With those of
    another subject it is an entry that somebody asked JetStream for, and that was answered to here.
    """
    return (
        headers.get("Nats-Stream") == log_format.stream
        and "Nats-Sequence" in headers
        and log_format.live_subject(headers.get("Nats-Subject", "")) == subject
    )
