"""Checks an existing NATS server (NATS_URL) before the services start, which would try to connect for ever."""

import asyncio

import nats
import nats.errors

from services.launcher.plan import CannotStart
from shared.broker.nats.connection import OLDEST_SERVER


async def check_server(url: str) -> None:
    """Connect once, and check version and JetStream. Raises CannotStart, with one sentence."""
    shown = ", ".join(part.rpartition("@")[2] for part in url.split(","))
    try:
        client = await nats.connect(
            url.split(","),
            allow_reconnect=False,
            connect_timeout=3,
            max_reconnect_attempts=1,
            reconnect_time_wait=0.2,
            error_cb=_ignore,
        )
    except Exception as error:
        raise CannotStart(f"the NATS server at {shown} (NATS_URL) cannot be used: {_reason(error)}") from None
    version = client.connected_server_version
    jetstream = client._server_info.get("jetstream")
    await client.close()
    if (version.major, version.minor) < OLDEST_SERVER:
        oldest = ".".join(map(str, OLDEST_SERVER))
        found = f"{version.major}.{version.minor}.{version.patch}"
        raise CannotStart(f"the NATS server at {shown} is version {found}; Parley needs {oldest} or later")
    if not jetstream:
        raise CannotStart(f"the NATS server at {shown} runs without JetStream; start it with -js")


async def _ignore(_error: Exception) -> None:
    """Ignore the error, which nats-py prints by default. The launcher says it in one sentence."""


def _reason(error: Exception) -> str:
    if isinstance(error, nats.errors.NoServersError | OSError | asyncio.TimeoutError):
        return "nobody answers there"
    return str(error).removeprefix("nats: ").strip("'")
