"""The port to the broker over nats-py: the only module that knows how a Parley message travels on NATS."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from opentelemetry.trace import SpanKind

from shared.broker import subjects
from shared.broker.bus import Following, LogEntry, Posted, Reply, Request, Service, Signal, TimerHandler, with_deadline
from shared.broker.nats.connection import FAILURES, Broker, NatsConnection
from shared.broker.nats.log import NatsLog
from shared.broker.nats.service import NatsService
from shared.broker.nats.store import EXPECTED
from shared.broker.nats.timers import TimerTaker
from shared.broker.subjects import Endpoint, LogSubject
from shared.rooms.events import CONTENT_TYPE, RoomEvent, Stamp, encode
from shared.rooms.roster import Snapshot
from shared.rooms.timers import Timer
from shared.telemetry import metrics, tracing
from shared.values.errors import Code, Refused, unavailable
from shared.values.ids import GatewayId, RoomId

log = structlog.get_logger()

FOLLOW_MESSAGES = 65536  # waiting in this process per topic; then the newest are dropped and `on_gap` is called
FOLLOW_BYTES = 64 << 20


@dataclass(slots=True)
class _Follower:
    subscription: Subscription
    connection: NatsConnection

    async def stop(self) -> None:
        """Stop following."""
        self.connection.followers.pop(id(self.subscription), None)
        try:
            await self.subscription.unsubscribe()
        except nats.errors.Error:
            return  # the connection is gone, and with it the subscription


class NatsBus:
    """The bus over one connection. Made by `connect`."""

    def __init__(self, connection: NatsConnection, broker: Broker) -> None:
        self.connection = connection
        self.client = connection.client
        self._broker = broker
        self._services: list[NatsService] = []
        self._replies = connection.replies
        self._log = NatsLog(connection.replies, connection.client)
        self._store = connection.store
        self._timers = connection.timers

    @property
    def failed(self) -> "asyncio.Future[None]":
        """Fails with BrokerError when the connection is of no use any more."""
        return self.connection.failed

    async def check(self) -> None:
        """See Bus."""
        await self.connection.check()

    async def close(self) -> None:
        """See Bus."""
        self.connection.closing()
        for service in self._services:
            try:
                await asyncio.wait_for(service.stop(), self._broker.timeout)
            except FAILURES:
                log.warning("stopped before every request was answered")
        await self.connection.close()

    # -- asking and answering ------------------------------------------------------------------------------------------

    async def request(self, endpoint: Endpoint[Request, Reply], request: Request) -> Reply:
        """See Bus."""
        request = with_deadline(request, time.time() + self._broker.timeout)
        body = request.model_dump_json(by_alias=True).encode()
        service = endpoint.name.partition(".")[0]
        with tracing.span(endpoint.name, SpanKind.CLIENT):
            headers = tracing.trace_headers({}) or None
            try:
                answer = await self.client.request(
                    endpoint.subject, body, timeout=self._broker.timeout, headers=headers
                )
            except FAILURES:
                raise unavailable(service) from None
        if answer.headers and "Nats-Service-Error-Code" in answer.headers:
            raise _refusal(answer)
        try:
            return endpoint.reply.model_validate_json(answer.data, extra="ignore")
        except ValueError:
            log.warning("an answer does not fit its schema", endpoint=endpoint.name)
            raise unavailable(service) from None

    async def serve(self, service: Service) -> None:
        """See Bus."""
        served = NatsService(self.client, service)
        await served.start()
        self._services.append(served)
        await self._replies.settle()

    # -- the log -------------------------------------------------------------------------------------------------------

    @property
    def incarnation(self) -> str:
        """See Bus."""
        return self.connection.incarnation

    async def append(self, room_id: RoomId, events: Sequence[RoomEvent], stamp: Stamp, *, after: int) -> int:
        """See Bus."""
        headers = stamp.headers()
        headers[EXPECTED] = str(after)
        headers["Content-Type"] = CONTENT_TYPE
        with tracing.span("log.append", SpanKind.PRODUCER):
            return await self._store.store(subjects.event_log(room_id), encode(events), headers)

    async def post(self, signal: Signal) -> Posted:
        """See Bus."""
        subject = subjects.signal_log(signal.room_id, signal.to)
        return await self._store.post(subject, signal.body, signal.headers())

    async def follow(self, topic: str, receive: Callable[[LogEntry], None], on_gap: Callable[[], None]) -> Following:
        """See Bus."""
        try:
            subscription = await self.client.subscribe(
                topic, cb=self._receiver(receive), pending_msgs_limit=FOLLOW_MESSAGES, pending_bytes_limit=FOLLOW_BYTES
            )
        except FAILURES:
            raise unavailable("the broker") from None
        follower = _Follower(subscription, self.connection)
        self.connection.followers[id(subscription)] = on_gap
        try:
            await self._replies.settle()
        except Refused:
            await follower.stop()
            raise
        return follower

    def _receiver(self, receive: Callable[[LogEntry], None]) -> Callable[[Msg], Awaitable[None]]:
        async def take(message: Msg) -> None:
            if (
                self.connection.holed
            ):  # between a reconnect and `on_gap`: it will be read from the log, after what was lost
                return
            headers = message.headers
            subject = LogSubject.parse(message.subject)
            # Without the stream's own headers it is not an entry, whoever managed to send it here.
            if subject is None or not headers or headers.get("Nats-Stream") != subjects.LOG_STREAM:
                metrics.BROKER_ERRORS.labels("stray_message").inc()
                return
            try:
                receive(LogEntry(int(headers["Nats-Sequence"]), subject, headers, message.data))
            except Exception:
                log.exception("a follower failed", room_id=subject.room_id)

        return take

    async def read(self, subject: str, *, after: int, limit: int) -> list[LogEntry]:
        """See Bus."""
        return await self._log.read(subject, after=after, limit=limit)

    async def last(self, log_subjects: Sequence[str]) -> list[LogEntry]:
        """See Bus."""
        return await self._log.last(log_subjects)

    async def position(self, subject: str) -> int:
        """See Bus."""
        return await self._log.position(subject)

    async def newest_of_each(self, subject: str) -> list[LogEntry]:
        """See Bus."""
        return await self._log.newest_of_each(subject)

    async def trim(self, room_id: RoomId) -> None:
        """See Bus."""
        await self._log.trim(room_id)

    # -- timers --------------------------------------------------------------------------------------------------------

    async def arm(self, timer: Timer, *, after: int | None = None) -> int:
        """See Bus."""
        return await self._timers.arm(timer, after)

    async def armed(self, timer: Timer) -> int | None:
        """See Bus."""
        return await self._timers.armed(timer)

    async def take_timers(self, handle: TimerHandler, retry_seconds: float) -> Following:
        """See Bus."""
        taker = TimerTaker(self.client, self._replies, handle, retry_seconds)
        await taker.start()
        return taker

    async def note_room(self, gateway: GatewayId, room_id: RoomId) -> None:
        """See Bus."""
        await self._timers.note_room(gateway, room_id)

    async def noted_rooms(self, gateway: GatewayId) -> list[RoomId]:
        """See Bus."""
        return await self._timers.noted_rooms(gateway)

    async def forget_rooms(self, gateway: GatewayId) -> None:
        """See Bus."""
        await self._timers.forget_rooms(gateway)

    # -- snapshots -----------------------------------------------------------------------------------------------------

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """See Bus."""
        try:
            await self.client.publish(
                subjects.snapshot(snapshot.room_id), snapshot.model_dump_json(by_alias=True).encode()
            )
        except FAILURES:
            raise unavailable("the broker") from None

    async def load_snapshot(self, room_id: RoomId) -> Snapshot | None:
        """See Bus."""
        stored = await self._log.snapshot(room_id)
        snapshot = Snapshot.model_validate_json(stored, extra="ignore") if stored else None
        return snapshot if snapshot and snapshot.incarnation == self.connection.incarnation else None


def _refusal(answer: Msg) -> Refused:
    headers = answer.headers or {}
    try:
        code = Code(headers["Nats-Service-Error-Code"])
    except ValueError:
        return unavailable("the service")
    body: dict[str, Any] = json.loads(answer.data) if answer.data else {}
    return Refused(
        code,
        headers.get("Nats-Service-Error", code),
        details=body.get("details"),
        retry_after_ms=body.get("retryAfterMs"),
    )


async def connect(broker: Broker, name: str) -> NatsBus:
    """A connected bus. Raises BrokerError when the broker is there and cannot be used; waits while it is not there."""
    connection = NatsConnection(Client(), broker, name)
    await connection.start()
    return NatsBus(connection, broker)
