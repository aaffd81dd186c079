"""Composes auth from its settings and ports: keys, handlers."""

import asyncio
import os
import time
from collections.abc import Callable

from services.auth.handlers import AuthHandlers, endpoints
from services.auth.jwks import KeySource, key_source
from services.auth.settings import AuthSettings
from shared.broker.ports import HasRequests
from shared.broker.requests import Service
from shared.runtime.lifecycle import Failed
from shared.runtime.settings import SettingsError
from shared.values.errors import Code, Refused

DESCRIPTION = "Validates agent-link tokens and issues join and resume tokens; the only holder of their keys."


class Auth:
    """One process of auth."""

    def __init__(self, keys: KeySource, handlers: AuthHandlers, ports: HasRequests) -> None:
        self.handlers = handlers
        self._keys = keys
        self._requests = ports.requests
        self._stop = asyncio.Event()
        self._refreshing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to keep the keys current, and to answer requests."""
        self._refreshing = asyncio.create_task(self._keys.run(self._stop), name="keys")
        await self._requests.serve(Service("auth", DESCRIPTION, endpoints(self.handlers)))

    async def ready(self) -> None:
        """Raises Refused while there are no keys."""
        if not self._keys.ready:
            why = f": {self._keys.problem}" if self._keys.problem else ""
            raise Refused(Code.UNAVAILABLE, f"there are no keys of the issuer yet{why}")

    def reload(self, settings: AuthSettings) -> None:
        """Use the secrets and the key file as they are now. A JWKS document is fetched again by itself."""
        if settings.token_jwks_url is None:
            try:
                self._keys = key_source(settings)
            except SettingsError as error:
                raise Failed(str(error)) from None
        self.handlers.use(settings, self._keys)

    async def stop(self) -> None:
        """Stop fetching keys. Open requests are answered with the present keys."""
        self._stop.set()
        if self._refreshing is not None:
            await self._refreshing


def build(
    settings: AuthSettings,
    ports: HasRequests,
    *,
    clock: Callable[[], float] | None = None,
    chance: Callable[[int], bytes] = os.urandom,
) -> Auth:
    """One process of auth, not started. `clock` gives Unix seconds: the broker's, unless another is given.

    Raises Failed when a key cannot be used.
    """
    try:
        keys = key_source(settings)
    except SettingsError as error:
        raise Failed(str(error)) from None
    return Auth(
        keys, AuthHandlers(settings, keys, clock=clock or ports.clock, chance=chance, host=clock or time.time), ports
    )
