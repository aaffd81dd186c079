"""What services write outside a terminal: every line of every library is JSON, strangers cause none, and they are true."""

import asyncio
import datetime
import json
import os
import signal
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from services.launcher.certificate import CERTIFICATE, KEY, certificate, names_of
from services.launcher.embedded_nats import EmbeddedNats
from services.registry import REGISTRY
from tests.support.processes import Deployment, Process
from tests.support.trouble import NOWHERE, Silent, heeds, metric, objects, service, stopped_well

NO_COLLECTOR = "http://127.0.0.1:1/v1/traces"
STRICT = ("-X", "dev", "-W", "default")  # Python's own warnings, and asyncio's debugging
GARBAGE = (
    b"\x16\x03\x01\x00\x05hello",  # something like TLS
    b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    b"\x00\x01\x02\x03\r\n\r\n",
    b"GET /\xff\xfe HTTP/9.9\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: !\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /api/rooms HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"x: " + b"y" * 100_000,
)
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
FRAMES = (
    b"\xff\xff\xff\xff",
    b"\x81\x05hello",
    b"\x82\x80abcd",
    b"\x81\xfe\xff\xff",
    b"\x88\x81abcdx",
    b"\x80\x80abcd",
)


def thrown(port: int, what: bytes, wrap: Callable[[socket.socket], socket.socket] = lambda plain: plain) -> None:
    """Send it and go, with a reset."""
    try:
        with wrap(socket.create_connection(("127.0.0.1", port), 5)) as connection:
            connection.settimeout(0.3)
            connection.sendall(what)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
            connection.recv(65536)
    except OSError:
        return


def over_tls(plain: socket.socket) -> socket.socket:
    """A stranger that does not look at certificates."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


async def ops(process: Process) -> str:
    """The address of its internal port."""
    return (await process.hear(r'"metrics": "([^"]+)/metrics"'))[1]


@pytest.mark.parametrize("name", REGISTRY.names)
async def test_every_line_is_json(name: str, tmp_path: Path) -> None:
    """NATS refuses, is unknown, or is silent, the collector is down, a setting is wrong, Python warns: all lines are JSON."""
    silent, wrong = Silent(), tmp_path / "ca.pem"
    wrong.write_text("no certificate")
    processes = [
        service(name, NOWHERE, *STRICT, OTLP_ENDPOINT=NO_COLLECTOR, TRACE_RATIO="1"),
        service(name, "nats://does-not-exist.invalid:4222", *STRICT),
        service(name, silent.url, *STRICT, LOG_LEVEL="debug"),
    ]
    said = ("refuses the connection", "does not resolve", "does not answer")
    wrong_setting = service(name, NOWHERE, *STRICT, LOG_LEVEL="loud")
    try:
        for process, words in zip(processes, said, strict=True):
            await process.hear(words)
            answer = await asyncio.to_thread(httpx.get, f"{await ops(process)}/readyz")
            assert (answer.status_code, words in answer.json()["reason"]) == (503, True), answer.text
            process.signal(signal.SIGTERM)
            await asyncio.to_thread(stopped_well, process)
        assert await asyncio.to_thread(wrong_setting.end) == 2
        assert "PARLEY_LOG_LEVEL" in objects(wrong_setting)[-1]["why"]
    finally:
        silent.close()
        for process in (*processes, wrong_setting):
            process.destroy()


async def test_the_reason_comes_in_time() -> None:
    """Within two seconds of its first line a process says what it waits for."""
    process = service("auth", NOWHERE)
    try:
        await asyncio.to_thread(heeds, process)
        await process.hear(r"waiting for NATS", within=5)
        first, then = objects(process)[0], objects(process)[1]
        assert then["event"] == "waiting"
        seconds = [float(line["timestamp"][17:-1]) for line in (first, then)]
        assert (seconds[1] - seconds[0]) % 60 < 2
    finally:
        process.destroy()


@pytest.mark.parametrize("tls", [False, True])
async def test_strangers_cause_no_lines(deployment: Deployment, tmp_path: Path, tls: bool) -> None:
    """Garbage, broken HTTP, bad frames and resets, on the public and the internal port: not one line, and counted."""
    if tls:
        names = names_of("127.0.0.1", [])
        certificate(tmp_path / "tls", names, datetime.datetime.now(datetime.UTC))
        files = {"TLS_CERTIFICATE": str(tmp_path / "tls" / CERTIFICATE), "TLS_KEY": str(tmp_path / "tls" / KEY)}
        deployment.kill("gateway")
        deployment.add(**files)
        deployment.spawn("gateway")
        await deployment.ready("gateway")
    gateway = deployment.services["gateway"]
    public = int((await gateway.hear(r'"url": "https?://[^"]+:(\d+)".*"listening"'))[1])
    metrics = await ops(gateway)
    before = len(gateway.lines)
    for what in (*GARBAGE, *(HANDSHAKE + frame for frame in FRAMES), os.urandom(4096), b""):
        await asyncio.to_thread(thrown, public, what)
        if tls:
            await asyncio.to_thread(thrown, public, what, over_tls)
        await asyncio.to_thread(thrown, int(metrics.rpartition(":")[2]), what)
    text = (await asyncio.to_thread(httpx.get, f"{metrics}/metrics")).text
    assert gateway.lines[before:] == []
    assert metric(text, "parley_strangers_lines_total") + metric(text, "parley_malformed_frames_total") > 0


async def test_no_collector_and_traffic(deployment: Deployment) -> None:
    """Traces that nobody takes make lines, and each is JSON with a time."""
    deployment.add(OTLP_ENDPOINT=NO_COLLECTOR, TRACE_RATIO="1")
    deployment.kill("gateway")
    await deployment.restart("gateway")
    gateway = deployment.services["gateway"]
    url = (await gateway.hear(r'"url": "(http://[^"]+)".*"listening"'))[1]
    await asyncio.to_thread(httpx.get, f"{url}/api/rooms")
    gateway.signal(signal.SIGTERM)  # exports what there is
    await asyncio.to_thread(stopped_well, gateway, 40)
    assert [line for line in objects(gateway) if line.get("logger", "").startswith("opentelemetry")]


async def test_ready_is_true(deployment: Deployment) -> None:
    """auth without its issuer's keys is `waiting` with the reason, not `ready`; when NATS goes and comes, that is said."""
    document = Silent()
    port = document.url.rpartition(":")[2]
    document.close()
    auth = service(
        "auth",
        deployment.nats.url,
        NATS_USER="auth",
        NATS_PASSWORD=deployment.nats.passwords["auth"],
        TOKEN_ALGORITHM="ES256",
        TOKEN_JWKS_URL=f"http://127.0.0.1:{port}/keys",
    )
    try:
        await auth.hear(r'"why": "there are no keys of the issuer yet: .*cannot be fetched.*"event": "waiting"')
        assert not [line for line in objects(auth) if line["event"] == "ready"]
    finally:
        auth.destroy()
    rooms = deployment.services["rooms"]
    deployment.kill_nats()
    await rooms.hear(r'"event": "not ready"')
    await deployment.nats.start()
    await rooms.hear(r'"event": "ready again"')
    assert [json.loads(line)["event"] for line in rooms.lines].count("ready") == 1


async def test_a_certificate_that_is_not_trusted(tmp_path: Path) -> None:
    """NATS speaks TLS with a certificate of an unknown authority: that is said, in the log and in `readyz`."""
    path, key = certificate(tmp_path / "tls", names_of("127.0.0.1", []), datetime.datetime.now(datetime.UTC))
    tls = f'tls {{ cert_file: "{path}", key_file: "{key}" }}'
    server = EmbeddedNats(tmp_path / "nats", settings=tls)
    await server.start()
    process = service("auth", server.url.replace("nats://", "tls://"))
    try:
        await process.hear(r"waiting for NATS at \S+: its certificate is not trusted \(self.signed certificate\)")
        process.signal(signal.SIGTERM)
        await asyncio.to_thread(stopped_well, process)
    finally:
        process.destroy()
        await server.stop()
