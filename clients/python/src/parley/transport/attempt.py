"""An attempt to come in, step by step: a token, a connection to the next URL, and the gateway's word on the token.

Each step ends with an event of `link_state`, which is told together with the error when the step failed.
"""

import asyncio
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from parley.credentials import Credentials
from parley.errors import UNAVAILABLE, ParleyError
from parley.transport.connection import Connection, ConnectionEnded, ConnectOptions, Message, Unreachable
from parley.transport.link_state import Event, is_final

Happened = Callable[[Event, Exception | None], None]


class Attempt:
    """One attempt after another; never two at once."""

    def __init__(
        self,
        urls: Sequence[str],
        credentials: Credentials,
        device_id: str | None,
        options: ConnectOptions,
        happened: Happened,
    ) -> None:
        self.connection: Connection | None = None  # the next one, which is coming in
        self.auth_ok: Message = {}
        self.spoiled = False  # the last token had ended: this attempt has another one, and the same URL
        self._turn = itertools.cycle(urls)
        self._url = ""
        self._token = ""
        self._credentials = credentials
        self._device_id = device_id
        self._options = options
        self._happened = happened
        self._numbers = itertools.count(1)

    async def get_token(self) -> None:
        """The token there is, or another one: `token`, `no_token` or `token_refused`."""
        try:
            self._token = await self._credentials.current()
        except Exception as error:
            refused = isinstance(error, ParleyError) and not error.retryable
            self._fail(Event.TOKEN_REFUSED if refused else Event.NO_TOKEN, error)
        else:
            self._happened(Event.TOKEN, None)

    def spoil_token(self) -> None:
        """The token has ended: ask for another one at once."""
        self._credentials.spoil()
        self.spoiled = True

    async def open(self) -> None:
        """Connect with the next URL: `opened` or `refused`."""
        self._url = self._url if self.spoiled else next(self._turn)
        try:
            self.connection = await Connection.open(self._url, self._options)
        except Unreachable as error:
            self._fail(Event.REFUSED, error)
        else:
            self._happened(Event.OPENED, None)

    async def authenticate(self, resumption: Mapping[str, Any] | None) -> None:
        """Ask for the session, or for a new one: `entered`, `stale`, `refused` or `refused_for_good`."""
        assert self.connection is not None  # noqa: S101 - it has opened
        try:
            async with asyncio.timeout(self._options.open_timeout):
                self.auth_ok = await self.connection.authenticate(self.message(self._token, resumption))
        except (ConnectionEnded, TimeoutError) as ended:
            said = f"{self._url} ended the connection before it answered: {ended}"
            if isinstance(ended, ConnectionEnded) and is_final(ended.code):
                self._fail(Event.REFUSED_FOR_GOOD, ParleyError("not_authenticated", said))
            else:
                self._fail(Event.REFUSED, Unreachable(UNAVAILABLE, said))
        except ParleyError as error:
            if error.code == "expired_token" and self._credentials.renewable and not self.spoiled:
                self._fail(Event.STALE, error)
            else:
                self._fail(Event.REFUSED if error.retryable else Event.REFUSED_FOR_GOOD, error)
        else:
            self.spoiled = False
            self._credentials.accepted(self.auth_ok["expiresAt"])
            self._happened(Event.ENTERED, None)

    def message(self, token: str, resumption: Mapping[str, Any] | None = None) -> Message:
        """The `authenticate` that says who we are, or renews the token of a session."""
        message: Message = {"type": "authenticate", "id": f"auth-{next(self._numbers)}", "token": token}
        if self._device_id is not None:
            message["deviceId"] = self._device_id
        if resumption is not None:
            message["resume"] = resumption
        return message

    def drop(self) -> None:
        """Nothing comes of the connection."""
        if self.connection is not None:
            self.connection.abort()
            self.connection = None

    def _fail(self, event: Event, error: Exception) -> None:
        self.spoiled = False
        self.drop()
        self._happened(event, error)
