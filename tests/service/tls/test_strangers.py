"""Who comes to the TLS port without being a client of it: handshakes and heads that never end, and other protocols."""

import asyncio
import contextlib
import logging
import ssl
import warnings
from collections import Counter

import pytest

from services.gateway.transport import http_protocol as port
from services.gateway.transport import tls
from tests.service.tls.test_tls import Secure, agent
from tests.support.raw import Raw


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02"], ids=["nothing", "half a hello"])
async def test_a_handshake_that_never_ends(secure: Secure, monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """Who connects and does not shake hands is cut off."""
    monkeypatch.setattr(tls, "HANDSHAKE_SECONDS", 0.3)
    system = await secure()
    raw = await Raw.connect(system.url)
    await raw.send(said)
    async with asyncio.timeout(5):
        with contextlib.suppress(ConnectionError):
            assert await raw.reader.read() == b""
    await raw.close()


async def test_a_head_that_never_ends(
    secure: Secure, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the handshake the time for a request's head begins, and its size is bounded as without TLS."""
    monkeypatch.setattr(port, "HEAD_SECONDS", 0.3)
    system = await secure()
    for said in (b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nA: " + b"a" * 100_000):
        raw = await Raw.connect(system.url, ssl=trusting)
        await raw.send(said)
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                assert await raw.reader.read() == b""
        await raw.close()


async def test_strangers_write_no_lines(
    secure: Secure, trusting: ssl.SSLContext, caplog: pytest.LogCaptureFixture
) -> None:
    """Plain HTTP, garbage, old protocols and a client that does not believe us end their own connection: nothing is
    logged of it, and the next one is served."""
    system = await secure()
    caplog.set_level(logging.INFO)
    for said in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\x00" * 300, b"\x16\x03\x01\x00\x05hello"):
        raw = await Raw.connect(system.url)
        await raw.send(said)
        async with asyncio.timeout(5):
            with contextlib.suppress(ConnectionError):
                await raw.reader.read()
        await raw.close()
    with pytest.raises(ssl.SSLCertVerificationError):
        await Raw.connect(system.url, ssl=ssl.create_default_context())
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings(action="ignore"):  # that it is old is the point
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await Raw.connect(system.url, ssl=old)
    await asyncio.sleep(0.1)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING], caplog.text
    assert (await agent(system, trusting, "alice")).close_code is None


async def test_handshakes_have_a_share_of_the_time(
    secure: Secure, trusting: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each handshake is paid for with what it costs here, in its address's turn; who is in does not wait for all of them."""
    system = await secure()
    guard = system.gateways[0].guard
    alice = await agent(system, trusting, "alice")
    spent: list[float] = []
    spend = guard.gate.spend

    def noted(seconds: float) -> None:
        spent.append(seconds)
        spend(seconds)

    monkeypatch.setattr(guard.gate, "spend", noted)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    coming = [
        asyncio.create_task(Raw.connect(system.url, ssl=context, local_addr=(f"127.0.3.{n + 1}", 0))) for n in range(40)
    ]
    for _ in range(5):
        assert (await alice.ask("ping"))["type"] == "pong"
    raws = await asyncio.gather(*coming)
    cost = max(Counter(spent).items(), key=lambda item: item[1])
    assert cost[1] == 40
    assert cost[0] > 0.0001
    for raw in raws:
        await raw.close()
