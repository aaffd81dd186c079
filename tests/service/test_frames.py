"""Frames no client library would send, and handshakes no browser would make: each ends as RFC 6455 says, silently."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from services.gateway import metrics
from tests.support.broker_kind import in_memory
from tests.support.raw import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Raw, frame, request
from tests.support.system import System, token

pytestmark = in_memory
MASKED_PING = b'{"type":"ping","id":"1"}'


@pytest.fixture(autouse=True)
def no_traceback(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Iterator[None]:
    """A malformed frame costs a counter: nothing is logged as an error, and no traceback is printed anywhere."""
    yield
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR or r.exc_info], caplog.text


MALFORMED: list[tuple[bytes, int]] = [
    (frame(b"\0\1", BINARY), 1003),
    (frame(b"", BINARY), 1003),
    (frame(b"\xff\xfe"), 1007),
    (frame(b'{"type":"\xed\xa0\x80"}'), 1007),
    (frame(b"\xc3", fin=False) + frame(b"(", CONTINUATION), 1007),
    (frame(b"x" * 655361), 1009),
    (frame(b"x" * 600_000, fin=False) + frame(b"x" * 60_000, CONTINUATION), 1009),
    (frame(b"x" * 5_000_000), 1009),
    (b"\x81\xff\x7f" + b"\xff" * 7 + b"mask", 1009),
    (frame(b"", fin=False) + frame(b"", CONTINUATION, fin=False) * 5000, 1009),
    (frame(MASKED_PING, masked=False), 1002),
    (frame(MASKED_PING, bits=4), 1002),
    (frame(MASKED_PING, bits=1), 1002),
    (frame(MASKED_PING, 3), 1002),
    (frame(MASKED_PING, 11), 1002),
    (frame(b"x", CONTINUATION), 1002),
    (frame(b"x", fin=False) + frame(b"x"), 1002),
    (frame(b"x" * 126, PING), 1002),
    (frame(b"x", PING, fin=False), 1002),
    (frame(b"\x03", CLOSE), 1002),
    (frame(b"\x03\xed", CLOSE), 1002),
    (frame(b"\x03\xe8\xff", CLOSE), 1007),
]


async def test_malformed_frames(system: System) -> None:
    """The connection is closed with the code of RFC 6455, which reaches the client even while it still sends."""
    await system.start()
    counters = [metrics.MALFORMED.labels(name)._value for name in metrics.MALFORMED.values]
    for sent, code in MALFORMED:
        before = sum(counter.get() for counter in counters)
        raw = await Raw.open(system.url)
        await raw.say("authenticate", token=token("a"))
        await raw.hear("auth_ok")
        sending = asyncio.create_task(raw.send(sent))
        assert await raw.close_code() == code, sent[:50]
        await sending
        await raw.send(frame(b"\x03\xe8", CLOSE))
        assert await raw.next_frame() is None, "nothing after a close"
        assert sum(counter.get() for counter in counters) == before + 1, "it is counted"
        await raw.close()
    assert (await (await system.client()).login(token("b")))["type"] == "auth_ok"


async def test_a_stranger_sends_little(system: System) -> None:
    """Before `auth_ok` a message has at most 32 KiB, in one piece or several; after it, as much as `limits` says."""
    await system.start()
    for sent in (frame(b"x" * 32769), frame(b"x" * 30_000, fin=False) + frame(b"x" * 3_000, CONTINUATION)):
        raw = await Raw.open(system.url)
        await raw.send(sent)
        assert await raw.close_code() == 1009
        await raw.close()
    raw = await Raw.open(system.url)
    await raw.say("authenticate", token=token("a"))
    await raw.hear("auth_ok")
    await raw.send(frame(b"x" * 655360))
    assert (await raw.hear("error"))["code"] == "bad_message"
    await raw.close()


async def test_the_engines_words_are_not_told(system: System) -> None:
    """What the client is told of a broken frame or handshake are our sentences, not those of an installed library."""
    await system.start()
    for sent, reason in (
        (frame(MASKED_PING, masked=False), b"a frame breaks the WebSocket protocol"),
        (frame(b"x" * 5_000_000), b"a message is too large"),
        (frame(b"\x03\xe8\xff", CLOSE), b"a message is UTF-8"),
    ):
        raw = await Raw.open(system.url)
        await raw.send(sent)
        while (got := await raw.next_frame()) is not None and got[0] != CLOSE:
            pass
        assert got is not None
        assert got[1][2:] == reason
        await raw.close()
    for changed in ({"Sec_WebSocket_Key": ""}, {"Sec_WebSocket_Version": "12"}, {"Sec_WebSocket_Key": "x"}):
        raw = await Raw.connect(system.url)
        await raw.send(request(**changed))
        status, headers = await raw.response()
        body = await raw.reader.readexactly(int(headers["content-length"]))
        assert (status, body) in (
            (400, b"the WebSocket handshake is malformed\n"),
            (426, b"only a WebSocket can be opened at this path\n"),
        )
        await raw.close()


async def test_a_client_that_closes(system: System) -> None:
    """Its close is answered with the same code, and the connection is gone."""
    await system.start()
    for code in (b"", b"\x03\xe8", b"\x03\xe9bye", b"\x0f\xa0"):
        raw = await Raw.open(system.url)
        await raw.send(frame(code, CLOSE) + frame(MASKED_PING))
        assert await raw.next_frame() == (CLOSE, code)
        assert await raw.next_frame() is None
        await raw.close()


async def test_one_byte_at_a_time(system: System) -> None:
    """Frames may come in any pieces, and messages in any fragments with control frames between them."""
    await system.start()
    raw = await Raw.connect(system.url)
    for byte in request() + frame(MASKED_PING):
        await raw.send(bytes([byte]))
    assert (await raw.response())[0] == 101
    assert (await raw.hear("error"))["code"] == "not_authenticated"
    pieces = [MASKED_PING[i : i + 3] for i in range(0, len(MASKED_PING), 3)]
    for n, piece in enumerate(pieces):
        await raw.send(frame(piece, CONTINUATION if n else TEXT, fin=n == len(pieces) - 1) + frame(b"%d" % n, PING))
    for n in range(len(pieces) - 1):
        assert await raw.next_frame() == (PONG, b"%d" % n)
    assert (await raw.hear("error"))["id"] == "1"
    await raw.close()


async def test_a_million_fragments(system: System) -> None:
    """A message in tiny fragments is not collected without end: it ends with 1009 long before."""
    await system.start()
    raw = await Raw.open(system.url)
    other = await system.agent("other")
    tiny = frame(b"x", CONTINUATION, fin=False)
    await raw.send(frame(b"x", fin=False))
    sending = asyncio.create_task(raw.send(tiny * 1_000_000))
    assert await raw.close_code() == 1009
    assert (await other.ask("ping"))["type"] == "pong"
    sending.cancel()
    await raw.close()


async def test_a_ping_flood(system: System) -> None:
    """Who reads its pongs gets them all; who does not is cut off instead of piling them up. Others are served."""
    await system.start()
    other = await system.agent("other")
    polite = await Raw.open(system.url)
    for _ in range(100):
        await polite.send(frame(b"x" * 125, PING) * 20)
        for _ in range(20):
            assert await polite.next_frame() == (PONG, b"x" * 125)
    rude = await Raw.open(system.url)
    gateway = system.gateways[0]
    connection = list(gateway._sessions)[-1]
    flood = frame(b"x" * 125, PING) * 5000
    worst = 0
    async with asyncio.timeout(10):
        while not rude.writer.is_closing():
            rude.writer.write(flood)
            await asyncio.wait({asyncio.ensure_future(rude.send(b""))}, timeout=0.05)
            worst = max(worst, sum(len(data) for data, _ in connection.outbox._waiting or ()))
            if connection not in gateway._sessions:
                break
            assert (await other.ask("ping"))["type"] == "pong"
    assert worst < 4 << 20
    for raw in (polite, rude):
        await raw.close()


HANDSHAKES = [
    (request(), 101),
    (request(Origin="http://localhost"), 101),
    (request(Origin="https://app.example"), 101),
    (request(Origin="https://app.example.evil.example"), 403),
    (request(Origin="http://localhost:81"), 403),
    (request(Origin="null"), 403),
    (request("/"), 404),
    (request("/api/rooms"), 404),
    (request("/ws?token=x"), 400),
    (request("/ws?Access_Token=x"), 400),
    (request(Sec_WebSocket_Version="12"), 400),
    (request(Sec_WebSocket_Key=""), 400),
    (request(Sec_WebSocket_Key="short"), 400),
    (request(Sec_WebSocket_Protocol="parley.v1"), 101),
    (request(Sec_WebSocket_Protocol=", ".join(f"p{n}" for n in range(500))), 101),
    (request(Sec_WebSocket_Protocol="a b, ,,"), 400),
    (request(Sec_WebSocket_Extensions="permessage-deflate; server_max_window_bits=99"), 101),
    (request(Sec_WebSocket_Extensions="x;;;,"), 101),
    (request().replace(b"GET", b"POST"), 405),
    (request(Content_Length="5"), 0),
    (request(**{f"X{n}": "y" for n in range(300)}), 431),
    (request(Cookie="x" * 20_000), 431),
]


async def test_handshakes(system: System) -> None:
    """Each is answered with its HTTP status (0: not at all), before anything is upgraded."""
    await system.start(allowed_origins=["https://app.example"])
    for upgrade, status in HANDSHAKES:
        raw = await Raw.connect(system.url)
        await raw.send(upgrade)
        got, headers = await raw.response()
        assert got == status, upgrade[:200]
        if status == 101:
            assert headers.get("sec-websocket-protocol") == ("parley.v1" if b"parley.v1" in upgrade else None)
            assert "sec-websocket-extensions" not in headers
        await raw.close()


async def test_endless_heads(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Headers without end are cut off, and so is a request that never becomes complete."""
    monkeypatch.setattr("services.gateway.transport.http_protocol.HEAD_SECONDS", 0.3)
    await system.start()
    endless, slow, idle = [await Raw.connect(system.url) for _ in range(3)]
    await endless.send(b"GET /ws HTTP/1.1\r\nX: " + b"y" * 120_000)
    for byte in b"GET /ws HTTP/1.1\r\nHost: localhost\r\n":
        await slow.send(bytes([byte]))
        await asyncio.sleep(0.015)
    async with asyncio.timeout(5):  # half of what it would be without the setting above
        for raw in (endless, slow, idle):
            assert (await raw.response())[0] == 0
