"""Composition root of auth: settings → keys → bus → handlers; nothing else."""

import asyncio
import os
import time

from services.auth.handlers import AuthHandlers, endpoints
from services.auth.jwks import key_source
from services.auth.settings import AuthSettings
from shared.broker.bus import Service
from shared.runtime import lifecycle, process
from shared.runtime.lifecycle import Failed
from shared.runtime.settings import SettingsError
from shared.values.errors import unavailable


async def serve(settings: AuthSettings, stop: asyncio.Event) -> None:
    """Serve until `stop`."""
    try:
        source = key_source(settings)
    except SettingsError as error:
        raise Failed(str(error)) from None
    refreshing = asyncio.create_task(source.run(stop), name="keys")

    async def has_keys() -> None:
        if not source.ready:
            raise unavailable("the issuer's key document")

    async with process.on_the_bus("auth", settings, stop) as running:
        handlers = AuthHandlers(settings, source, clock=time.time, chance=os.urandom)
        running.also.append(has_keys)
        description = "Validates agent-link tokens and issues join and resume tokens; the only holder of their keys."
        await running.bus.serve(Service("auth", description, endpoints(handlers)))
        await running.until_stopped()
    stop.set()
    await refreshing


if __name__ == "__main__":
    lifecycle.run("auth", AuthSettings, serve)
