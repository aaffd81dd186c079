"""A NATS server that takes only small messages: its `max_payload` is below what Parley may send."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from services.launcher.embedded_nats import EmbeddedNats
from shared.broker.requests import Service
from shared.broker.subjects import READ_RESERVE
from shared.rooms.reserve import ReadReserve, Reserve
from shared.telemetry import metrics
from shared.values.errors import Refused
from tests.support.broker import connector
from tests.support.logs import signal


async def test_a_server_for_small_messages_is_named(tmp_path: Path) -> None:
    """It is said at the start, and an answer that it does not take is `unavailable` at once instead of silence."""
    server = EmbeddedNats(tmp_path / "nats", settings="max_payload: 65536")
    await server.start()
    with capture_logs() as logs:
        rooms = await connector(server.url, server.passwords)("rooms")
    gateway = await connector(server.url, server.passwords)("gateway")
    try:
        assert [line["max_payload"] for line in logs if line["event"] == "NATS takes only small messages"] == [65536]

        async def large(_asked: ReadReserve) -> Reserve:
            return Reserve(refusal="x" * 100_000)

        await rooms.requests.serve(Service("rooms", "Owns rooms.", [(READ_RESERVE, large)]))
        for doing in (
            gateway.requests.request(READ_RESERVE, ReadReserve()),
            gateway.signals.post(signal("room-a", body=bytes(100_000))),
        ):
            with pytest.raises(Refused, match="cannot answer now"):
                async with asyncio.timeout(5):
                    await doing
        assert metrics.BROKER_ERRORS.labels("MaxPayloadError")._value.get() >= 2
    finally:
        await gateway.connection.close()
        await rooms.connection.close()
        await server.stop()
