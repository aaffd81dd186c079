"""The port to the broker over nats-py: the only module that knows how a Parley message travels on NATS."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from opentelemetry.trace import SpanKind

from shared import nats_streams, subjects, telemetry
from shared.bus import Conflict, Following, LogEntry, Reply, Request, Service, Signal
from shared.errors import Code, Refused, unavailable
from shared.events import CONTENT_TYPE, RoomEvent, Stamp, encode
from shared.ids import RoomId
from shared.nats_log import NatsLog
from shared.nats_replies import Replies
from shared.nats_service import NatsService
from shared.roster import Snapshot
from shared.subjects import Endpoint, LogSubject

log = structlog.get_logger()

OLDEST_SERVER = (2, 14)
FOLLOW_MESSAGES = (
    65536  # waiting in this process per followed topic; then the newest are dropped and `missed` is called
)
FOLLOW_BYTES = 64 << 20
CONFLICTS = frozenset({10071, 10164})  # wrong last sequence; the same, found by another replica of the stream
FULL = frozenset({10047, 10023, 10077})  # no storage, no resources, maximum bytes exceeded
_FAILURES = (nats.errors.Error, OSError, asyncio.TimeoutError)


class BrokerError(Exception):
    """The broker cannot be used at all (too old, wrong password, forbidden subject). The message is one sentence."""


@dataclass(frozen=True, slots=True)
class Broker:
    """How to reach it. `streams` only for the service that owns them; others wait until they are there."""

    url: str
    user: str | None
    password: str | None
    timeout: float
    uses_log: bool = True
    streams: nats_streams.Streams | None = None


@dataclass(slots=True)
class _Follower:
    subscription: Subscription
    missed: Callable[[], None]
    bus: "NatsBus"

    async def stop(self) -> None:
        """Stop following."""
        self.bus.followers.pop(id(self.subscription), None)
        try:
            await self.subscription.unsubscribe()
        except nats.errors.Error:
            return  # the connection is gone, and with it the subscription


class NatsBus:
    """One process's connection to NATS. Made by `connect`."""

    def __init__(self, client: Client, broker: Broker, name: str) -> None:
        self.client = client
        self.followers: dict[int, _Follower] = {}
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._broker = broker
        self._name = name
        self._incarnation = ""
        self._services: list[NatsService] = []
        self._replies = Replies(client, broker.timeout)
        self._log = NatsLog(self._replies, client)
        self._mending: asyncio.Task[None] | None = None
        self._closing = False

    # -- the connection ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Connect; returns when the broker answers and the streams are there."""
        user = self._broker.user
        try:
            await self.client.connect(
                self._broker.url.split(","),
                name=self._name,
                user=user,
                password=self._broker.password,
                inbox_prefix=f"_INBOX.{user}" if user else "_INBOX",
                # Hours of "try again" beat a process that gave up: Kubernetes sees it in /readyz.
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.25,  # type: ignore[arg-type]
                connect_timeout=2,
                ping_interval=3,
                max_outstanding_pings=2,
                # A publish during a disconnect fails at once, instead of being applied after the caller was told no.
                pending_size=-1,
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_reconnected,
                closed_cb=self._on_closed,
            )
        except _FAILURES as error:
            raise BrokerError(f"NATS at {_where(self.client, self._broker.url)} does not let us in: {error}") from None
        version = self.client.connected_server_version
        if (version.major, version.minor) < OLDEST_SERVER:
            await self.client.close()
            raise BrokerError(
                f"NATS server {version} is too old; Parley needs {'.'.join(map(str, OLDEST_SERVER))} or later"
            )
        telemetry.BROKER_CONNECTED.set(1)
        self._replies = Replies(self.client, self._broker.timeout)
        self._log = NatsLog(self._replies, self.client)
        await self._replies.start()
        if self._broker.uses_log:
            await self._find_streams()

    async def _find_streams(self) -> None:
        """Streams may be missing after the broker was replaced; whoever owns them makes them, the others wait."""
        said = False
        while not self._closing:
            try:
                if self._broker.streams is not None:
                    await nats_streams.ensure(self.client, self._broker.streams, self._broker.timeout)
                found = await nats_streams.incarnation(self.client, self._broker.timeout)
                if found is not None:
                    self._incarnation = found
                    return
            except Refused as refused:
                if not said:
                    log.warning("waiting for the streams", why=refused.message)
            if not said:
                said = True
            await asyncio.sleep(0.25)

    async def _on_error(self, error: Exception) -> None:
        """Runs inside nats-py's read loop: count, mark, and be gone."""
        telemetry.BROKER_ERRORS.labels(type(error).__name__).inc()
        if isinstance(error, nats.errors.SlowConsumerError):
            follower = self.followers.get(id(error.sub))
            if follower is not None:
                follower.missed()
        elif "permissions violation" in str(error).lower():
            self._fail(BrokerError(f"NATS user {self._broker.user!r} lacks a permission: {error}"))
        elif "authorization violation" in str(error).lower() and not self.client.is_connected:
            log.warning("NATS refuses our password")

    def _fail(self, error: BrokerError) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    async def _on_disconnected(self) -> None:
        telemetry.BROKER_CONNECTED.set(0)
        # What was not sent yet would be sent after the reconnect, when its sender was long told `unavailable`.
        self.client._pending.clear()
        self.client._pending_data_size = 0
        self._replies.fail_all()
        if not self._closing:
            log.warning("connection to NATS lost")

    async def _on_reconnected(self) -> None:
        telemetry.BROKER_CONNECTED.set(1)
        telemetry.BROKER_RECONNECTS.inc()
        log.info("connection to NATS is back")
        self._mend()

    def _mend(self) -> None:
        """After a reconnect, or when a stream turned out to be missing: find the streams, then have the holes filled."""
        if self._mending is None or self._mending.done():
            self._mending = asyncio.create_task(self._find_and_tell(), name="mend")

    async def _find_and_tell(self) -> None:
        if self._broker.uses_log:
            await self._find_streams()
        for follower in list(self.followers.values()):
            follower.missed()

    async def _on_closed(self) -> None:
        if not self._closing:
            self._fail(BrokerError("the connection to NATS was closed for good"))

    async def check(self) -> None:
        """See Bus."""
        try:
            if not self._broker.uses_log:
                await self.client.flush(timeout=2)
            elif await nats_streams.incarnation(self.client, 2) is None:
                self._mend()
                raise unavailable("the log")
        except _FAILURES:
            raise unavailable("the broker") from None

    async def close(self) -> None:
        """See Bus."""
        self._closing = True
        for service in self._services:
            try:
                await asyncio.wait_for(service.stop(), self._broker.timeout)
            except _FAILURES:
                log.warning("stopped before every request was answered")
        if self._mending is not None:
            self._mending.cancel()
        await self._replies.stop()
        try:
            # Draining raises while reconnecting, and a flush that times out skips the close: so close in any case.
            await asyncio.wait_for(self.client.drain(), 2)
        except _FAILURES:
            await self.client.close()
        if not self.failed.done():
            self.failed.cancel()

    # -- asking and answering ------------------------------------------------------------------------------------------

    async def request(self, endpoint: Endpoint[Request, Reply], request: Request) -> Reply:
        """See Bus."""
        body = request.model_dump_json(by_alias=True).encode()
        service = endpoint.name.partition(".")[0]
        with telemetry.span(endpoint.name, SpanKind.CLIENT):
            headers = telemetry.trace_headers({}) or None
            try:
                answer = await self.client.request(
                    endpoint.subject, body, timeout=self._broker.timeout, headers=headers
                )
            except _FAILURES:
                raise unavailable(service) from None
        if answer.headers and "Nats-Service-Error-Code" in answer.headers:
            raise _refusal(answer)
        try:
            return endpoint.reply.model_validate_json(answer.data)
        except ValueError:
            log.warning("an answer does not fit its schema", endpoint=endpoint.name)
            raise unavailable(service) from None

    async def serve(self, service: Service) -> None:
        """See Bus."""
        served = NatsService(self.client, service)
        await served.start()
        self._services.append(served)

    # -- the log -------------------------------------------------------------------------------------------------------

    @property
    def incarnation(self) -> str:
        """See Bus."""
        return self._incarnation

    async def append(self, room_id: RoomId, events: Sequence[RoomEvent], stamp: Stamp, *, after: int) -> int:
        """See Bus."""
        headers = stamp.headers()
        headers["Nats-Expected-Last-Subject-Sequence"] = str(after)
        headers["Content-Type"] = CONTENT_TYPE
        with telemetry.span("log.append", SpanKind.PRODUCER):
            return await self._store(subjects.event_log(room_id), encode(events), headers)

    async def post(self, signal: Signal) -> int:
        """See Bus."""
        return await self._store(subjects.signal_log(signal.room_id, signal.to), signal.body, signal.headers())

    async def _store(self, subject: str, body: bytes, headers: dict[str, str]) -> int:
        try:
            answer = await self._replies.one(subject, body, telemetry.trace_headers(headers))
        except Refused:
            telemetry.LOG_REFUSED.labels("timeout").inc()
            raise
        acknowledged: dict[str, Any] = json.loads(answer.data) if answer.data else {}
        if "seq" in acknowledged and "error" not in acknowledged:
            return int(acknowledged["seq"])
        code = acknowledged.get("error", {}).get("err_code")
        if code in CONFLICTS:
            raise Conflict
        telemetry.LOG_REFUSED.labels("full" if code in FULL else "unavailable").inc()
        if code is None:  # no responders: the stream is gone
            self._mend()
        raise unavailable("the log")

    async def follow(self, topic: str, receive: Callable[[LogEntry], None], missed: Callable[[], None]) -> Following:
        """See Bus."""
        try:
            subscription = await self.client.subscribe(
                topic, cb=_receiver(receive), pending_msgs_limit=FOLLOW_MESSAGES, pending_bytes_limit=FOLLOW_BYTES
            )
            follower = _Follower(subscription, missed, self)
            self.followers[id(subscription)] = follower
            await self.client.flush(timeout=self._broker.timeout)  # type: ignore[arg-type]
        except _FAILURES:
            raise unavailable("the broker") from None
        return follower

    async def read(self, subject: str, *, after: int, limit: int) -> list[LogEntry]:
        """See Bus."""
        return await self._log.read(subject, after=after, limit=limit)

    async def last(self, log_subjects: Sequence[str]) -> list[LogEntry]:
        """See Bus."""
        return await self._log.last(log_subjects)

    async def newest(self, subject: str) -> LogEntry | None:
        """See Bus."""
        return await self._log.newest(subject)

    async def newest_of_each(self, subject: str) -> list[LogEntry]:
        """See Bus."""
        return await self._log.newest_of_each(subject)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """See Bus."""
        try:
            await self.client.publish(
                subjects.snapshot(snapshot.room_id), snapshot.model_dump_json(by_alias=True).encode()
            )
        except _FAILURES:
            raise unavailable("the broker") from None

    async def load_snapshot(self, room_id: RoomId) -> Snapshot | None:
        """See Bus."""
        stored = await self._log.snapshot(room_id)
        snapshot = Snapshot.model_validate_json(stored) if stored else None
        return snapshot if snapshot and snapshot.incarnation == self._incarnation else None


def _receiver(receive: Callable[[LogEntry], None]) -> Callable[[Msg], Awaitable[None]]:
    async def take(message: Msg) -> None:
        headers = message.headers
        subject = LogSubject.parse(message.subject)
        # Without the stream's own headers it is not an entry, whoever managed to send it here.
        if subject is None or not headers or headers.get("Nats-Stream") != subjects.LOG_STREAM:
            telemetry.BROKER_ERRORS.labels("stray_message").inc()
            return
        try:
            receive(LogEntry(int(headers["Nats-Sequence"]), subject, headers, message.data))
        except Exception:
            log.exception("a follower failed", room_id=subject.room_id)

    return take


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


def _where(client: Client, url: str) -> str:
    """The address without a password that may stand in the URL."""
    return ", ".join(part.rpartition("@")[2] for part in url.split(","))


async def connect(broker: Broker, name: str) -> NatsBus:
    """A connected bus. Raises BrokerError when the broker is there and cannot be used; waits while it is not there."""
    bus = NatsBus(Client(), broker, name)
    await bus.start()
    return bus
