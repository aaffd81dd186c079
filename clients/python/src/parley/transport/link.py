"""Keeps a session connected: connects, renews, comes back with back-off, and moves over when a gateway goes away.

It knows the first messages of a connection and its end; everything else it hands to its owner.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from parley.credentials import Credentials
from parley.errors import UNAVAILABLE, ParleyError
from parley.transport.backoff import Backoff
from parley.transport.connection import Connection, ConnectionEnded, ConnectOptions, Message, Unreachable

logger = logging.getLogger(__name__)

STABLE = 5.0  # seconds: a connection that lived so long was a good one
FOR_GOOD = frozenset({1003, 1007, 1009})  # the same would happen again


def is_final(code: int) -> bool:
    """Whether this close code means: do not come back (docs/protocol.md, section 2)."""
    return 4500 <= code <= 4999 or code in FOR_GOOD


class Owner(Protocol):
    """Whose connection it is."""

    def resumption(self) -> Mapping[str, Any] | None:
        """What proves the session, and the last cursors; None before there is one."""

    def entered(self, auth_ok: Message) -> None:
        """A new connection, authenticated, is the one from now on."""

    def renewed(self, auth_ok: Message) -> None:
        """The session lives longer."""

    def received(self, message: Message) -> None:
        """Anything else."""

    def flush(self) -> None:
        """Messages can be sent again."""

    def lost(self) -> None:
        """The connection is gone; another is looked for."""

    def over(self, code: int | None, reason: str, error: ParleyError | None) -> None:
        """There will be no other."""


class Link:
    """The connection of a session, whichever it is at the moment."""

    def __init__(
        self,
        urls: Sequence[str],
        credentials: Credentials,
        device_id: str | None,
        options: ConnectOptions,
        owner: Owner,
    ) -> None:
        self._urls = urls
        self._turn = itertools.cycle(urls)
        self._credentials = credentials
        self._device_id = device_id
        self._options = options
        self._owner = owner
        self._backoff = Backoff(random.random)
        self._connection: Connection | None = None
        self._held: list[Message] | None = None  # what the old connection said while a new one is being authenticated
        self._last_error: ParleyError | None = None
        self._numbers = itertools.count(1)
        self._renewal: asyncio.Future[Message] | None = None
        self._task: asyncio.Task[None] | None = None
        self._moving: asyncio.Task[None] | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def start(self, *, keep_trying: bool) -> None:
        """Connect for the first time: each URL once, or until it works. Raises what the last attempt raised."""
        attempts = 0
        while self._connection is None:
            try:
                await self._enter()
            except ParleyError as error:
                attempts += 1
                if isinstance(error, Unreachable) and attempts < len(self._urls):
                    continue
                if not (keep_trying and error.retryable):
                    raise
                logger.warning("not connected yet: %s", error)
                await asyncio.sleep(max(error.retry_after or 0.0, self._backoff.next()))
        self._task = asyncio.create_task(self._live(), name="parley-session")

    def send(self, text: str) -> bool:
        """Send it now, if that is possible."""
        if self._connection is None or self._held is not None:
            return False
        self._connection.send(text)
        return True

    async def close(self) -> None:
        """End it for good; nothing is heard any more."""
        tasks = [task for task in (self._task, self._moving, self._renewing) if task is not None]
        for task in tasks:
            task.cancel()
        connection, self._connection = self._connection, None
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
            if connection is not None:
                await connection.close()
        except asyncio.CancelledError:
            if connection is not None:
                connection.abort()
            raise

    async def _enter(self) -> None:
        """One attempt, at the next URL. An expired token is replaced once, if it can be."""
        token = await self._credentials.current()
        url = next(self._turn)
        try:
            await self._enter_with(token, url)
        except ParleyError as error:
            if error.code != "expired_token" or not self._credentials.renewable:
                raise
            await self._enter_with(await self._credentials.fresh(), url)

    async def _enter_with(self, token: str, url: str) -> None:
        connection = await Connection.open(url, self._options)
        try:
            # From here on what the old connection says comes again on the new one, which resumes from this moment.
            self._held = []
            async with asyncio.timeout(self._options.open_timeout):
                reply = await connection.authenticate(self._authenticate(token, self._owner.resumption()))
        except BaseException as error:
            connection.abort()
            self._release()
            if isinstance(error, ConnectionEnded | TimeoutError):
                message = f"{url} ended the connection before it answered: {error}"
                if isinstance(error, ConnectionEnded) and is_final(error.code):
                    raise ParleyError("not_authenticated", message) from None
                raise Unreachable(UNAVAILABLE, message) from None
            raise
        old, self._connection, self._held = self._connection, connection, None
        self._credentials.accepted(reply["expiresAt"])
        self._owner.entered(reply)
        if old is not None:
            await old.close()

    def _release(self) -> None:
        held, self._held = self._held, None
        for message in held or ():
            self._owner.received(message)
        if self._connection is not None:
            self._owner.flush()

    def _authenticate(self, token: str, resumption: Mapping[str, Any] | None) -> Message:
        message: Message = {"type": "authenticate", "id": f"auth-{next(self._numbers)}", "token": token}
        if self._device_id is not None:
            message["deviceId"] = self._device_id
        if resumption is not None:
            message["resume"] = resumption
        return message

    async def _live(self) -> None:
        try:
            while (connection := self._connection) is not None:
                started = asyncio.get_running_loop().time()
                ended = await self._follow(connection)
                if asyncio.get_running_loop().time() - started > STABLE:
                    self._backoff.reset()
                if self._moving is not None:
                    await asyncio.wait([self._moving])
                    self._moving = None
                if self._connection is not connection:
                    continue
                self._connection = None
                if is_final(ended.code):
                    self._owner.over(ended.code, ended.reason, self._last_error)
                    return
                self._owner.lost()
                await self._come_back()
        except ParleyError as error:
            self._owner.over(None, error.message, error)
        except Exception as error:
            logger.exception("the session ends because of a bug")
            self._owner.over(None, type(error).__name__, ParleyError("internal", type(error).__name__))

    async def _follow(self, connection: Connection) -> ConnectionEnded:
        """Hand over what comes, until the connection ends."""
        while True:
            try:
                message = await connection.receive()
            except ConnectionEnded as ended:
                logger.debug("connection ended: %s", ended)
                if self._renewal is not None and not self._renewal.done():
                    self._renewal.cancel()
                return ended
            if self._held is not None:
                self._held.append(message)
            elif not self._concerns_connection(connection, message):
                self._owner.received(message)

    def _concerns_connection(self, connection: Connection, message: Message) -> bool:
        type_, renews = str(message.get("type")), str(message.get("id", "")).startswith("auth-")
        if type_ == "go_away":
            if self._moving is None:
                after = message.get("reconnectAfterMs", 0) / 1000
                self._moving = asyncio.create_task(self._move(connection, after), name="parley-move")
        elif type_ == "token_expiring":
            self._renewing = asyncio.create_task(self._renew(connection), name="parley-renewal")
        elif type_ == "auth_ok" or renews:
            if self._renewal is not None and not self._renewal.done():
                self._renewal.set_result(message)
        elif type_ in ("error", "auth_error") and "id" not in message:
            self._last_error = ParleyError.of(message)
            return type_ == "auth_error"
        if type_ == "auth_error":
            self._last_error = ParleyError.of(message)
        return type_ in ("go_away", "token_expiring", "auth_ok", "auth_error", "pong") or renews

    async def _move(self, old: Connection, after: float) -> None:
        """Make before break: the old connection is good until the new one has resumed."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(old.over(), after)
        while self._connection is old and not old.ended:
            try:
                await self._enter()
            except ParleyError as error:
                if not error.retryable and not isinstance(error, Unreachable):
                    return  # coming back will meet the same, and end the session
            except Exception as error:
                logger.warning("the token function failed: %s", type(error).__name__)
            if self._connection is old:
                await asyncio.sleep(self._backoff.next())

    async def _renew(self, connection: Connection) -> None:
        """Ask for another token and hand it in, as often as it takes while the connection lives."""
        if not self._credentials.renewable:
            logger.warning("the token is about to end, and there is no function to get another from")
            return
        pause = Backoff(random.random, first=1.0)
        while self._connection is connection and not connection.ended:
            try:
                token = await self._credentials.fresh()
            except Exception as error:
                logger.warning("the token function failed: %s", type(error).__name__)
            else:
                self._renewal = asyncio.get_running_loop().create_future()
                connection.send(json.dumps(self._authenticate(token, None)))
                reply = await self._renewal
                if reply["type"] == "auth_ok":
                    self._credentials.accepted(reply["expiresAt"])
                    self._owner.renewed(reply)
                if reply["type"] != "error":
                    return  # auth_error: the connection closes
            await asyncio.sleep(0.2 + pause.next())

    async def _come_back(self) -> None:
        """Until there is a connection again. Raises the ParleyError that makes it pointless."""
        while self._connection is None:
            await asyncio.sleep(self._backoff.next())
            try:
                await self._enter()
            except Unreachable as error:
                logger.debug("not back yet: %s", error)
            except ParleyError as error:
                if not error.retryable:
                    raise
                logger.debug("not back yet: %s", error)
                await asyncio.sleep(error.retry_after or 0.0)
            except Exception as error:
                logger.warning("the token function failed: %s", type(error).__name__)
