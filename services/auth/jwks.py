"""The source of the verification keys: fixed keys, or a JWKS document that is fetched in the background.

No token ever causes a fetch. The document's URL is a setting. Redirects are not followed, and proxies not used.
"""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import structlog

from services.auth.keys import Algorithm, KeyRing, UnusableKey
from services.auth.settings import AuthSettings
from shared.runtime.settings import SettingsError
from shared.values import pauses
from shared.values.errors import unavailable

FETCH_SECONDS = 5.0
DOCUMENT_BYTES = 256 * 1024

log = structlog.get_logger()


class KeySource(Protocol):
    """A source of the current verification keys."""

    @property
    def keys(self) -> KeyRing:
        """The current keys. Raises Refused with `unavailable` while there are none."""

    @property
    def ready(self) -> bool:
        """Whether there are keys."""

    @property
    def problem(self) -> str | None:
        """Why there are none, or why the last try to get newer ones failed."""

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the keys current until told to stop."""


class FixedKeys:
    """Keys that change only when auth restarts: a secret or a key file."""

    ready = True
    problem: str | None = None

    def __init__(self, keys: KeyRing) -> None:
        self.keys = keys

    async def run(self, stop: asyncio.Event) -> None:
        """Wait until told to stop: fixed keys need no refresh."""
        await stop.wait()


class JwksSource:
    """The keys of a JWKS document, fetched at start and again every `refresh_seconds`.

    When a document cannot be fetched or used, the last good keys stay. The next try follows after 1 s, 2 s, 4 s … up to a
    minute. `problem` says in one sentence why the last try failed; None after a good one.
    """

    def __init__(
        self,
        url: str,
        algorithm: Algorithm,
        refresh_seconds: float,
        *,
        retries: Sequence[float] = pauses.KEY_DOCUMENT,
        fetch_seconds: float = FETCH_SECONDS,
    ) -> None:
        self._url = url
        self._algorithm = algorithm
        self._refresh_seconds = refresh_seconds
        self._retries = retries
        self._fetch_seconds = fetch_seconds
        self._keys: KeyRing | None = None
        self.problem: str | None = None

    @property
    def keys(self) -> KeyRing:
        """The keys of the last good document. Raises Refused with `unavailable` while there was none."""
        if self._keys is None:
            raise unavailable("auth")
        return self._keys

    @property
    def ready(self) -> bool:
        """Whether a document was loaded once."""
        return self._keys is not None

    async def run(self, stop: asyncio.Event) -> None:
        """Fetch again and again until told to stop. A fetch under way is then abandoned."""
        refreshing = asyncio.create_task(self._refresh_for_ever())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({refreshing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if refreshing.done():
                refreshing.result()
        finally:
            refreshing.cancel()
            stopping.cancel()
            await asyncio.gather(refreshing, stopping, return_exceptions=True)

    async def _refresh_for_ever(self) -> None:
        failures = 0
        while True:
            failures = 0 if await self.refresh() else failures + 1
            wait = self._refresh_seconds
            if failures:
                wait = min(pauses.before(failures - 1, self._retries), self._refresh_seconds)
            await asyncio.sleep(wait)

    async def refresh(self) -> bool:
        """Fetch the document once. Returns whether the keys are now those of the document."""
        before = self.problem
        try:
            body = await _fetched(self._url, self._fetch_seconds)
            self._keys = await asyncio.to_thread(KeyRing.from_jwks, body, self._algorithm)
            self.problem = None
        except TimeoutError:
            self.problem = "the JWKS document did not arrive in time"
        except UnusableKey as error:
            self.problem = str(error)
        except (OSError, HTTPException, ValueError) as error:
            self.problem = f"the JWKS document cannot be fetched ({type(error).__name__})"
        if self.problem is not None and self.problem != before:
            log.warning("jwks_failed", reason=self.problem)
        elif self.problem is None and before is not None:
            log.info("jwks_recovered")
        return self.problem is None


def key_source(settings: AuthSettings) -> KeySource:
    """The source that the settings describe. Raises SettingsError when a secret or a key file cannot be used."""
    if settings.token_jwks_url is not None:
        return JwksSource(settings.token_jwks_url, settings.token_algorithm, settings.jwks_refresh_seconds)
    variable = "PARLEY_TOKEN_SECRET" if settings.token_key_file is None else "PARLEY_TOKEN_KEY_FILE"
    try:
        if settings.token_key_file is None:
            return FixedKeys(KeyRing.from_secret(settings.token_key()))
        return FixedKeys(KeyRing.from_pem(Path(settings.token_key_file).read_bytes(), settings.token_algorithm))
    except OSError as error:
        raise SettingsError(f"{variable}: cannot be read ({type(error).__name__})") from None
    except UnusableKey as error:
        raise SettingsError(f"{variable}: {error}") from None


async def _fetched(url: str, seconds: float) -> bytes:
    """The document. `seconds` is the time for the whole fetch, so that a slow server cannot prolong it byte by byte.

    Raises TimeoutError, UnusableKey, OSError or HTTPException.
    """
    fetch = _Fetch(url, seconds)
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.to_thread(fetch.body)
    finally:
        fetch.abandon()


class _Fetch:
    """One GET in a thread. `abandon` shuts its socket down, which wakes the thread."""

    def __init__(self, url: str, seconds: float) -> None:
        parts = urlsplit(url)
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=seconds)
        self._target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._socket: socket.socket | None = None
        self._abandoned = False

    def body(self) -> bytes:
        try:
            self._connection.connect()
            self._socket = self._connection.sock
            if self._abandoned:
                return b""
            self._connection.request("GET", self._target, headers={"Accept": "application/json"})
            response = self._connection.getresponse()
            if response.status != 200:
                raise UnusableKey(f"the JWKS document's server answered with status {response.status}, not 200")
            body = response.read(DOCUMENT_BYTES + 1)
            if len(body) > DOCUMENT_BYTES:
                raise UnusableKey(f"the JWKS document is larger than {DOCUMENT_BYTES} bytes")
            return body
        finally:
            self._connection.close()

    def abandon(self) -> None:
        self._abandoned = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
