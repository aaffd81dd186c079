"""One process's connection to NATS: connects, reconnects, finds the streams, and tells followers of gaps.

The workarounds for nats-py are here, and tests/contract/test_nats.py tests them.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import nats.errors
import structlog
from nats.aio.client import Client

from shared.broker import subjects
from shared.broker.nats import streams as nats_streams
from shared.broker.nats import watch as nats_watch
from shared.broker.nats.clock import NatsClock
from shared.broker.nats.replies import Replies
from shared.broker.nats.store import NatsStore
from shared.broker.nats.trouble import is_late_answer, where, words
from shared.telemetry import metrics
from shared.values import pauses
from shared.values.errors import Refused, unavailable

log = structlog.get_logger()

OLDEST_SERVER = (2, 14)
LARGEST_MESSAGE = 1 << 20  # NATS' default; a room of 250 with large metadata comes near it
CHECK_SECONDS = 2.0
FAILURES = (nats.errors.Error, OSError, asyncio.TimeoutError)


class BrokerError(Exception):
    """The broker cannot be used at all (too old, wrong password, forbidden subject). The message is one sentence."""


@dataclass(frozen=True, slots=True)
class Broker:
    """How to reach the broker. `timeout` is in seconds.

    `logs` are the streams that the process reads (auth: none); `start` waits until they are there. `streams` is only for
    the service that owns them, and makes them.
    """

    url: str
    user: str | None
    password: str | None
    timeout: float
    logs: tuple[str, ...] = (subjects.LOG_STREAM,)
    streams: nats_streams.Streams | None = None


class NatsConnection:
    """A connection that reconnects for as long as the process lives."""

    def __init__(self, client: Client, broker: Broker, name: str) -> None:
        self.client = client
        self.replies = Replies(client, broker.timeout)
        self.store = NatsStore(self.replies, self.repair)
        self.time = NatsClock(self.replies, broker.logs[0] if broker.logs else None)
        self.followers: dict[int, Callable[[], None]] = {}  # id of a subscription -> its `on_gap`
        self.before_close: list[Callable[[], Awaitable[None]]] = []
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.trouble = "it does not answer yet"  # why the process waits for NATS; empty while all is well
        self.gap = False  # entries may have been lost, and the followers were not told yet
        self.broker = broker
        self.watch = nats_watch.NatsWatch(client, broker.logs, broker.streams, broker.timeout)
        self._name = name
        self._repairing: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._closing = False
        self._let_in = False
        self._losses = 0  # how often the connection was lost

    async def start(self) -> None:
        """Connect. Returns when the broker answers and the streams are there. Raises BrokerError, `Refused`."""
        user = self.broker.user
        connecting = asyncio.ensure_future(
            self.client.connect(
                self.broker.url.split(","),
                name=self._name,
                user=user,
                password=self.broker.password,
                inbox_prefix=f"_INBOX.{user}" if user else "_INBOX",
                # Never give up: /readyz shows Kubernetes that the broker is away, and the process recovers by itself.
                max_reconnect_attempts=-1,
                reconnect_time_wait=pauses.BROKER,  # type: ignore[arg-type]  # nats-py says int, and takes parts of a second
                connect_timeout=2,
                # This notices a server that hangs within four seconds, before a gateway loses its lease.
                ping_interval=1,
                max_outstanding_pings=3,
                # A publish during a disconnect fails at once. Else it would be sent after its caller was refused.
                pending_size=-1,
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_reconnected,
                closed_cb=self._on_closed,
            )
        )
        await self._connected(connecting)
        version = self.client.connected_server_version
        if (version.major, version.minor) < OLDEST_SERVER:
            await self.client.close()
            found, oldest = f"{version.major}.{version.minor}.{version.patch}", ".".join(map(str, OLDEST_SERVER))
            raise BrokerError(f"NATS server {found} is too old; Parley needs {oldest} or later")
        if self.client.max_payload < LARGEST_MESSAGE:
            log.warning("NATS takes only small messages", max_payload=self.client.max_payload, needed=LARGEST_MESSAGE)
        metrics.BROKER_CONNECTED.set(1)
        self.trouble = ""
        await self.replies.start()
        if self.broker.logs:
            await self._find_streams()
            self._looking = asyncio.create_task(self._look_on(), name="look at the streams")
        await self.time.start()

    async def _connected(self, connecting: asyncio.Future[None]) -> None:
        """Wait for the first connection. Raises BrokerError when the server refuses us, where nats-py would try for ever."""
        try:
            await asyncio.wait({connecting, self.failed}, return_when=asyncio.FIRST_COMPLETED)
            if self.failed.done():
                self.failed.result()
            await connecting
        except FAILURES as error:
            raise self._refused(str(error)) from None
        finally:
            if not connecting.done() or self.failed.done():
                self._closing = True
                connecting.cancel()
                await self._close_client()
        self._let_in = True

    def use_password(self, password: str | None) -> None:
        """Show this password when the connection is made again."""
        self.client.options["password"] = password

    @property
    def waits_for(self) -> str:
        """Why the process waits for NATS, in one sentence; empty while it does not."""
        return f"NATS at {where(self.broker.url)}: {self.trouble}" if self.trouble else ""

    def _refused(self, why: str) -> BrokerError:
        return BrokerError(f"NATS at {where(self.broker.url)} does not let us in: {why}")

    async def _find_streams(self) -> None:
        """Wait for the streams, which may be missing after the broker was replaced. The service that owns them makes them."""
        while not self._closing:
            try:
                await self.watch.look()
                if self.watch.complete:
                    self.trouble = ""
                    return
                self.trouble = self.watch.waits_for
            except Refused as refused:
                if self.client.is_connected:  # else it is said already why not
                    self.trouble = refused.message
            await asyncio.sleep(pauses.BROKER)

    async def _look_on(self) -> None:
        """Look at the streams for as long as the connection lives; `repair` does it after a loss of the connection."""
        while True:
            await asyncio.sleep(self.watch.every)
            if self.gap or (self._repairing is not None and not self._repairing.done()):
                continue
            with contextlib.suppress(Refused):
                if await self.watch.look():
                    self.repair()

    def incarnation(self, stream: str) -> str:
        """Identifies the stream of this name. Empty when this process does not look at it."""
        return self.watch.incarnation(stream)

    async def _on_error(self, error: Exception) -> None:
        """Count the error, and note what follows from it. Runs inside nats-py's read loop, so it must not wait."""
        metrics.BROKER_ERRORS.labels(type(error).__name__).inc()
        if not self.client.is_connected:
            self.trouble = words(error)
        if isinstance(error, nats.errors.SlowConsumerError):
            on_gap = self.followers.get(id(error.sub))
            if on_gap is not None:
                on_gap()
        elif "permissions violation" in str(error).lower():
            if self.time.subject.lower() in str(error).lower():
                self.time.forbidden = True
                return
            if is_late_answer(error, self.broker.user):
                log.warning("an answer came too late: nobody waits for it any more")
                return
            self._fail(BrokerError(f"NATS user {self.broker.user!r} lacks a permission: {error}"))
        elif "authorization violation" in str(error).lower() and not self.client.is_connected:
            if not self._let_in:
                self._fail(self._refused("wrong user or password"))
            self.trouble = "it refuses our user or password"

    def _fail(self, error: BrokerError) -> None:
        if not self.failed.done():
            self.failed.set_exception(error)

    async def _on_disconnected(self) -> None:
        metrics.BROKER_CONNECTED.set(0)
        # nats-py would send it after the reconnect, when its sender was told `unavailable`.
        self._drop_unsent()
        self.replies.fail_all()
        self._losses += 1
        self.gap = True
        self.trouble = "the connection was lost"
        if not self._closing:
            log.warning("connection to NATS lost")

    def _drop_unsent(self) -> None:
        self.client._pending.clear()
        self.client._pending_data_size = 0

    async def _close_client(self) -> None:
        """Close. While it reconnects, nats-py would write what was not sent to the transport that is gone (RuntimeError)."""
        self._drop_unsent()
        with contextlib.suppress(*FAILURES, RuntimeError):
            await self.client.close()

    async def _on_reconnected(self) -> None:
        metrics.BROKER_CONNECTED.set(1)
        metrics.BROKER_RECONNECTS.inc()
        self.trouble = ""
        log.info("connection to NATS is back")
        self.repair()

    def repair(self) -> None:
        """Find the streams, then call every `on_gap`; after a reconnect, or when a stream was found missing."""
        if self._repairing is None or self._repairing.done():
            self._repairing = asyncio.create_task(self._find_and_tell(), name="repair")

    async def _find_and_tell(self) -> None:
        losses = -1
        while losses != self._losses:
            losses = self._losses
            if self.broker.logs:
                await self._find_streams()
        self.gap = False
        for on_gap in list(self.followers.values()):
            on_gap()

    async def _on_closed(self) -> None:
        if not self._closing:
            self._fail(BrokerError("the connection to NATS was closed for good"))

    async def check(self) -> None:
        """Store a message, to prove that the broker has a quorum. Raises `Refused(unavailable)`.

        A server that is cut off from the quorum still answers, and still says that it is connected.
        """
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                for stream in self.broker.logs:
                    if await nats_streams.state(self.client, stream, CHECK_SECONDS) is None:
                        self.repair()
                        raise unavailable("the log")
                await self.store.store(subjects.PROBE, b"", {"Nats-Rollup": "sub"})  # only the last one is kept
        except (*FAILURES, Refused) as error:
            why = self.store.refusals.why
            if why is None and isinstance(error, Refused):
                raise
            raise unavailable(f"the broker, which refuses to store ({why})," if why else "the broker") from None

    async def close(self) -> None:
        """Finish the requests that are being answered, then disconnect. A lost connection is no failure from here on."""
        self._closing = True
        for finish in self.before_close:
            await finish()
        for task in (self._repairing, self._looking):
            if task is not None:
                task.cancel()
        self.time.stop()
        await self.replies.stop()
        try:
            # Draining raises while reconnecting, and skips the close when its flush times out. So close in any case.
            async with asyncio.timeout(2):
                await self.client.drain()
        except FAILURES:
            await self._close_client()
        if not self.failed.done():
            self.failed.cancel()
