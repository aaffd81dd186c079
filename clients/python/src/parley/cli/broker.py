"""Room events from NATS (docs/events.md): the stream ROOMS, read in order, from where one likes, across lost connections."""

import asyncio
import contextlib
import json
import secrets
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nats
import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, ConsumerInfo, DeliverPolicy

from parley.cli.address import without_password
from parley.cli.exits import Exit, Stop, unreachable, wrong
from parley.cli.happening import Json, from_cloud_events
from parley.cli.rest import why

STREAM = "ROOMS"
OBSERVER = "observer"
DOMAIN = "agentlink"  # under which observers reach JetStream (deploy/nats/accounts.conf)
SECONDS = 5.0
BATCH = 256
HEARTBEAT = 5.0
PAUSES = (0.5, 1.0, 2.0, 5.0)  # before the next attempt to connect; the last one repeats


class Lost(Exception):  # noqa: N818 - what follows is another attempt
    """The connection or the consumer is gone."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A NATS server and who we are there."""

    url: str
    user: str | None
    password: str | None
    tls: ssl.SSLContext

    @property
    def shown(self) -> str:
        """Its URL without a password."""
        return without_password(self.url)

    async def connect(self) -> Client:
        """One connection, without attempts to make it again. Raises Stop."""

        async def unsaid(_error: Exception) -> None:
            """What matters is raised as well."""

        options: dict[str, Any] = {}
        if self.user is not None:
            options |= {"user": self.user, "password": self.password, "inbox_prefix": f"_INBOX.{self.user}"}
        if urlsplit(self.url).scheme == "tls":
            options["tls"] = self.tls
        try:
            async with asyncio.timeout(SECONDS * 2):
                await self._reach()
                return await nats.connect(
                    self.shown,
                    allow_reconnect=False,
                    connect_timeout=SECONDS,
                    error_cb=unsaid,
                    name="parley-cli",
                    **options,
                )
        except (nats.errors.Error, OSError, TimeoutError, ValueError) as error:
            raise self._refusal(error) from None

    async def _reach(self) -> None:
        """The client tries for long and then says little; this says why there is no connection."""
        place = urlsplit(self.url)
        if place.hostname is None:
            raise ValueError
        _, writer = await asyncio.open_connection(place.hostname, place.port or 4222)
        writer.close()

    def _refusal(self, error: Exception) -> Stop:
        if "authorization" in str(error).lower():
            sentence = f"NATS at {self.shown} does not accept this user and password (NATS_USER, NATS_PASSWORD)"
            return Stop(Exit.REFUSED, sentence)
        if isinstance(error, ValueError):
            return wrong("the NATS URL cannot be read: give one like nats://127.0.0.1:4222")
        return unreachable(f"NATS at {self.shown}: {why(error)}")

    @property
    def api(self) -> str:
        """JetStream's API, where this user finds it."""
        return f"$JS.{DOMAIN}.API" if self.user == OBSERVER else "$JS.API"

    def log(self, client: Client) -> Any:
        """JetStream."""
        return client.jetstream(prefix=self.api, timeout=SECONDS)


@dataclass(frozen=True, slots=True)
class Start:
    """Where to begin: after an entry, at a moment, with the oldest, or (none of these) with what happens from now on."""

    after: int | None = None
    moment: datetime | None = None
    oldest: bool = False

    def config(self, subject: str) -> ConsumerConfig:
        """A consumer of our own that begins there, and goes away by itself."""
        config = ConsumerConfig(
            name="parley-cli-" + secrets.token_hex(6),
            filter_subject=subject,
            ack_policy=AckPolicy.NONE,
            inactive_threshold=60.0,
            mem_storage=True,
            num_replicas=1,
            deliver_policy=DeliverPolicy.ALL if self.oldest else DeliverPolicy.NEW,
        )
        if self.after is not None:
            return replace(config, deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=self.after + 1)
        if self.moment is not None:
            return replace(config, deliver_policy=DeliverPolicy.BY_START_TIME, opt_start_time=self.moment)
        return config


class RoomLog:
    """The events of one room or of all, in the log's order, each once."""

    def __init__(self, broker: Broker, room_id: str | None, say: Callable[[str], None]) -> None:
        self._broker = broker
        self._say = say
        self._subject = f"agentlink.log.{room_id or '*'}.event"
        self._room_id = room_id

    async def events(self, start: Start, follow: bool) -> AsyncGenerator[Json, None]:
        """Until cancelled, or, without `follow`, until there are no more. Raises Stop."""
        client = await self._broker.connect()
        attempt = 0
        while True:
            try:
                async with contextlib.aclosing(self._read(client, start, follow)) as entries:
                    async for after, batch in entries:
                        start, attempt = after, 0
                        for event in batch:
                            yield event
                return
            except (Lost, nats.errors.Error, TimeoutError):
                self._say("the connection to NATS is lost; trying again")
            finally:
                await _close(client)
            client, attempt = await self._again(attempt)

    async def _again(self, attempt: int) -> tuple[Client, int]:
        while True:
            await asyncio.sleep(PAUSES[min(attempt, len(PAUSES) - 1)])
            attempt += 1
            try:
                client = await self._broker.connect()
            except Stop as stop:
                if stop.status is not Exit.UNREACHABLE:
                    raise
                continue
            self._say("connected to NATS again; nothing was missed")
            return client, attempt

    async def _read(self, client: Client, start: Start, follow: bool) -> AsyncGenerator[tuple[Start, list[Json]], None]:
        """What one consumer delivers: where to go on after it, and the events. Raises Lost."""
        consumer, start = await self._consumer(client, start)
        if not follow and not consumer.num_pending:
            return
        if start.after is None and start.moment is None and not start.oldest:
            newest = consumer.delivered.stream_seq if consumer.delivered else 0
            yield Start(after=newest), []  # what follows is new, also after a lost connection
        pull = _Pull(client, f"{self._broker.api}.CONSUMER.MSG.NEXT.{STREAM}.{consumer.name}")
        expected = 1
        async for message in pull.messages():
            place = message.metadata
            if place.sequence.consumer != expected:
                raise Lost  # one got lost on the way: read again from before it
            expected += 1
            yield Start(after=place.sequence.stream), _parse(message.data)
            if not follow and not place.num_pending:
                return

    async def _consumer(self, client: Client, start: Start) -> tuple[ConsumerInfo, Start]:
        """One that begins there, or with the oldest of a log that took the place of the one we knew. Raises Lost."""
        log = self._broker.log(client)
        try:
            if start.after is not None and (await log.stream_info(STREAM)).state.last_seq < start.after:
                self._say("the log of rooms was replaced by another: what follows begins anew")
                start = Start(oldest=True)
            return await log.add_consumer(STREAM, start.config(self._subject)), start
        except nats.js.errors.NotFoundError:
            if start.after is not None:
                raise Lost from None  # it was there: NATS is not quite back yet
            raise unreachable(f"NATS at {self._broker.shown} has no stream {STREAM}: is it Parley's?") from None
        except (nats.errors.NoRespondersError, nats.js.errors.ServiceUnavailableError):
            raise Lost from None

    async def exists(self) -> bool:
        """Whether the log has anything of it. Raises Stop."""
        client = await self._broker.connect()
        try:
            info = await self._broker.log(client).stream_info(STREAM, subjects_filter=self._subject)
        except nats.js.errors.NotFoundError:
            raise unreachable(f"NATS at {self._broker.shown} has no stream {STREAM}: is it Parley's?") from None
        except (nats.errors.Error, TimeoutError) as error:
            raise unreachable(
                f"NATS at {self._broker.shown}: JetStream does not answer ({type(error).__name__})"
            ) from None
        finally:
            await _close(client)
        return bool(info.state.subjects)


class _Pull:
    """Asks a consumer for messages, again and again; sees by its heartbeats that it still lives."""

    def __init__(self, client: Client, subject: str) -> None:
        self._client = client
        self._subject = subject
        self._wish = json.dumps(
            {"batch": BATCH, "expires": int(6 * HEARTBEAT * 1e9), "idle_heartbeat": int(HEARTBEAT * 1e9)}
        ).encode()

    async def messages(self) -> AsyncIterator[Msg]:
        """Until cancelled. Raises Lost."""
        inbox = self._client.new_inbox()
        subscription = await self._client.subscribe(inbox)
        wanted = 0
        while True:
            if wanted <= 0:
                await self._client.publish(self._subject, self._wish, reply=inbox)
                wanted = BATCH
            try:
                message = await subscription.next_msg(timeout=3 * HEARTBEAT)
            except (nats.errors.Error, TimeoutError):
                raise Lost from None
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise asyncio.CancelledError  # Python 3.11 loses one that comes together with a message
            status = (message.headers or {}).get("Status")
            if status is None:
                wanted -= 1
                yield message
            elif status == "408":  # the request has run its time
                wanted = 0
            elif status != "100":
                raise Lost


def _parse(data: bytes) -> list[Json]:
    try:
        return list(from_cloud_events(json.loads(data)))
    except ValueError:
        return []


async def _close(client: Client) -> None:
    with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
        await client.close()


def password_of(file: Path | None, given: str | None) -> str | None:
    """From the file, or as given. Raises Stop."""
    if file is None:
        return given
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        raise wrong(f"the password file {file} cannot be read") from None
