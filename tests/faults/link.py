"""Keeps one agent connected, as an SDK would: back-off with full jitter, resuming, heartbeat, and moving when asked to."""

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tests.faults.ledger import Ledger
from tests.faults.wire import Wire
from tests.support.client import Message
from tests.support.system import token

BASE, CAP = 0.5, 5.0  # seconds of back-off
AUTH_SECONDS = 8.0
NEVER_COME_BACK = 4500  # and above


class Link:
    """The connection of the moment. `receive` gets what comes over it; what the one before still brings is not heard."""

    def __init__(
        self,
        name: str,
        urls: Sequence[str],
        ledger: Ledger,
        chance: random.Random,
        receive: Callable[[Message], None],
        cursors: Callable[[], dict[str, str]],
    ) -> None:
        self.name = name
        self.urls = urls
        self.online = asyncio.Event()
        self.stopped = False
        self.wire: Wire | None = None
        self.buffer: int | None = None
        self.trace: deque[tuple[float, str]] = deque(maxlen=2000)  # what became of it, for whoever wonders
        self.lost_at: float | None = None
        self._ledger = ledger
        self._chance = chance
        self._receive = receive
        self._cursors = cursors
        self._token = token(name)
        self._resume_token: str | None = None
        self._heartbeat = 10.0
        self._authenticating: asyncio.Future[Message] | None = None
        self._logins = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, url: str | None = None) -> None:
        """Connect and authenticate, to this gateway first."""
        self._later(self._watch())
        if url is not None:
            with contextlib.suppress(OSError, TimeoutError):
                return await self._connect(url)
        self._later(self._come_back())
        await self.online.wait()
        return None

    def send(self, message: Message) -> None:
        """A message, if there is a connection that has the session."""
        if self.online.is_set() and self.wire is not None:
            self.wire.send(message)

    def note(self, what: str) -> None:
        """Into the trace, with the time and the gateway's port."""
        self.trace.append((time.time(), f"{self.wire.url[-5:] if self.wire else '-'} {what}"))

    def told(self, since: float = 0.0, until: float = float("inf")) -> str:
        """The trace of a while."""
        return "; ".join(f"{at:.2f} {what}" for at, what in self.trace if since <= at <= until)

    def end(self) -> None:
        """Never come back."""
        self.stopped = True
        self.online.clear()
        for task in self._tasks:
            task.cancel()

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- connecting ----------------------------------------------------------------------------------------------------

    async def _come_back(self) -> None:
        """Try one gateway after another until one has taken the session."""
        first = self._chance.randrange(len(self.urls))
        attempt = 0
        while not self.stopped:
            await asyncio.sleep(self._chance.uniform(0, min(CAP, BASE * 2**attempt)))
            try:
                await self._connect(self.urls[(first + attempt) % len(self.urls)])
                return
            except (OSError, TimeoutError):
                attempt += 1

    async def _connect(self, url: str) -> None:
        """Open a connection and give it the session. From then on the one before it is not heard."""
        wire = await Wire.open(url, self._arrived, self._closed, buffer=self.buffer)
        self.online.clear()
        if self._resume_token is not None:
            self.lost_at = self.lost_at or time.monotonic()
        self.wire = wire
        self._logins += 1
        message: Message = {
            "type": "authenticate",
            "id": f"login-{self._logins}",
            "token": self._token,
            "deviceId": "device",
        }
        if self._resume_token is not None:
            message["resume"] = {"token": self._resume_token, "cursors": self._cursors()}
        self._authenticating = asyncio.get_running_loop().create_future()
        self.note(f"> authenticate {message.get('resume', {}).get('cursors', '')}")
        wire.send(message)
        try:
            async with asyncio.timeout(AUTH_SECONDS):
                reply = await self._authenticating
        except (OSError, TimeoutError):
            self._drop(wire)
            raise
        if reply["type"] != "auth_ok":
            self._drop(wire)
            raise ConnectionRefusedError(reply["code"])

    def _drop(self, wire: Wire) -> None:
        if self.wire is wire:
            self.wire = None
        wire.abort()

    async def _move(self, after: float) -> None:
        """Asked to go away: take the session elsewhere while the old connection still stands."""
        old = self.wire
        await asyncio.sleep(after)
        others = [url for url in self.urls if old is None or url != old.url] or list(self.urls)
        while self.wire is old and old is not None and not self.stopped:
            try:
                await self._connect(self._chance.choice(others))
            except (OSError, TimeoutError):
                if self.wire is None:
                    self._later(self._come_back())
                    return
                await asyncio.sleep(self._chance.uniform(0.05, 0.3))

    async def _watch(self) -> None:
        """A gateway that hangs keeps its connections open: one that answers no ping is taken for dead."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._heartbeat / 4)
            wire = self.wire
            if wire is None or not self.online.is_set():
                continue
            silent = loop.time() - wire.heard_at
            if silent > self._heartbeat * 1.5:
                self._ledger.counts["gateways given up for dead"] += 1
                wire.abort()
            elif silent > self._heartbeat / 2:
                wire.send({"type": "ping"})

    # -- what the wire says --------------------------------------------------------------------------------------------

    def _arrived(self, wire: Wire, message: Message) -> None:
        if wire is not self.wire or self.stopped:
            return
        if message["type"] in ("auth_ok", "error", "go_away", "room_resumed", "room_users"):
            said = [str(message[name]) for name in ("id", "roomId", "code", "resumed", "cursor") if name in message]
            self.note(f"< {message['type']} {' '.join(said)}")
        if message["type"] == "go_away":
            self._ledger.counts["go_away"] += 1
            self._later(self._move(message["reconnectAfterMs"] / 1000))
        elif str(message.get("id", "")).startswith("login-"):
            self._answered(message)
        else:
            self._receive(message)

    def _answered(self, message: Message) -> None:
        """The session is there, before anything else that stands in the same packet; or it is refused."""
        if message["type"] == "auth_ok":
            self._heartbeat = message["heartbeatMs"] / 1000
            self._resume_token = message["resumeToken"]
            self.online.set()
            self._receive(message)
        elif message["code"] not in ("unavailable", "throttled"):
            self._ledger.wrong.append(f"{self.name}: {message}")
        if self._authenticating is not None and not self._authenticating.done():
            self._authenticating.set_result(message)

    def _closed(self, wire: Wire) -> None:
        self.note(f"closed {wire.url[-5:]} with {wire.code}")
        self._ledger.counts[f"closed with {wire.code}"] += 1
        if wire is not self.wire or self.stopped:
            return
        self.wire = None
        self.lost_at = self.lost_at or time.monotonic()
        if not self.online.is_set():  # whoever is connecting hears it
            if self._authenticating is not None and not self._authenticating.done():
                self._authenticating.set_exception(ConnectionResetError("closed while authenticating"))
            return
        self.online.clear()
        if wire.code >= NEVER_COME_BACK:
            self._ledger.wrong.append(f"{self.name}: closed with {wire.code}, never to come back")
            self.stopped = True
        else:
            self._later(self._come_back())
