"""Keys that an issuer publishes: fetched in time, rotated, and kept while the issuer is away."""

import asyncio
import socketserver
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from services.auth.jwks import DOCUMENT_BYTES, JwksSource
from shared.values.errors import Code, Refused
from tests.unit.test_keys import P256, RSA, jwk, jwks, knows


class Issuer:
    """An HTTP server on this machine that serves a JWKS document, or misbehaves as told by `answer`."""

    def __init__(self) -> None:
        self.requests = 0
        self.body = jwks(jwk(P256, kid="old"))
        self.answer: Callable[[BaseHTTPRequestHandler], None] = self.serve
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.requests += 1
                issuer.answer(self)

            def log_message(self, *_: object) -> None:
                """The tests' output stays quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(self.body)

    def redirect(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", self.url)
        handler.end_headers()

    def drip(self, handler: BaseHTTPRequestHandler) -> None:
        """A byte now and then, so that no single read takes long."""
        handler.send_response(200)
        handler.end_headers()
        try:
            for byte in self.body * 100:
                handler.wfile.write(bytes([byte]))
                time.sleep(0.02)
        except OSError:
            return


class QuietServer(socketserver.TCPServer):
    """Accepts connections and never answers."""


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


def source_for(url: str, refresh_seconds: float = 0.02) -> JwksSource:
    return JwksSource(url, "ES256", refresh_seconds, retries=(0.01,), fetch_seconds=0.3)


@asynccontextmanager
async def running(source: JwksSource) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(source.run(stop))
    try:
        yield
    finally:
        stop.set()
        async with asyncio.timeout(2):
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def test_rotation(issuer: Issuer) -> None:
    """A key that the issuer adds is known after a refresh, and one it removes is known no more."""
    source = source_for(issuer.url)
    async with running(source):
        await until(lambda: source.ready and knows(source.keys, "old"))
        assert not knows(source.keys, "new")
        issuer.body = jwks(jwk(P256, kid="old"), jwk(P256, kid="new"))
        await until(lambda: knows(source.keys, "new"))
        issuer.body = jwks(jwk(P256, kid="new"))
        await until(lambda: not knows(source.keys, "old"))


async def test_unknown_kids_cause_no_fetch(issuer: Issuer) -> None:
    """Ten thousand unknown kids are answered from what is known; the issuer hears of none."""
    source = source_for(issuer.url, 3600)
    async with running(source):
        await until(lambda: source.ready)
        for number in range(10_000):
            assert not knows(source.keys, f"kid-{number}")
        assert await source.refresh(), "whatever they caused has reached the issuer when this has"
    assert issuer.requests == 2, "the first, and ours"


async def test_without_a_first_document_it_is_not_ready_and_retries(issuer: Issuer) -> None:
    """Until the first good document there are no keys (`unavailable`), and it is tried again by itself."""
    issuer.answer = lambda handler: handler.send_error(503)
    source = source_for(issuer.url)
    async with running(source):
        await until(lambda: issuer.requests >= 3)
        assert not source.ready
        with pytest.raises(Refused) as caught:
            _ = source.keys
        assert caught.value.code is Code.UNAVAILABLE
        issuer.answer = issuer.serve
        await until(lambda: source.ready)
        assert source.problem is None


FAILURES: dict[str, Callable[[Issuer], None]] = {
    "status 500": lambda issuer: setattr(issuer, "answer", lambda handler: handler.send_error(500)),
    "status 302": lambda issuer: setattr(issuer, "answer", issuer.redirect),
    "in time": lambda issuer: setattr(issuer, "answer", issuer.drip),
    "cannot be fetched": lambda issuer: setattr(issuer, "answer", lambda handler: handler.connection.close()),
    "not JSON": lambda issuer: setattr(issuer, "body", b"<html>nonsense</html>"),
    "no key that fits": lambda issuer: setattr(issuer, "body", jwks(jwk(RSA, kid="old"))),
    "larger than": lambda issuer: setattr(issuer, "body", issuer.body + b" " * DOCUMENT_BYTES),
}


@pytest.mark.parametrize("sentence", FAILURES)
async def test_a_refresh_that_fails_changes_nothing(issuer: Issuer, sentence: str) -> None:
    """An issuer that is broken, slow, redirects or talks nonsense is told in one sentence; the last keys stay."""
    source = source_for(issuer.url)
    assert await source.refresh()
    FAILURES[sentence](issuer)
    began = time.monotonic()
    assert not await source.refresh()
    assert time.monotonic() - began < 4  # the limit here is 0.3 s, and 5 s elsewhere
    assert sentence in (source.problem or "")
    assert source.ready
    assert knows(source.keys, "old")
    assert issuer.requests == 2


async def test_an_issuer_that_is_down_or_silent() -> None:
    """No server, or one that accepts and says nothing, ends the fetch in time; stopping does not wait for it."""
    with QuietServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as quiet:
        port = quiet.server_address[1]
        silent = source_for(f"http://127.0.0.1:{port}/keys")
        assert not await silent.refresh()
        assert silent.problem == "the JWKS document did not arrive in time"
        patient = JwksSource(f"http://127.0.0.1:{port}/keys", "ES256", 300)
        quiet.socket.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_accept(quiet.socket)  # the silent one's
        began = time.monotonic()
        async with running(patient):
            async with asyncio.timeout(5):
                await loop.sock_accept(quiet.socket)
        assert time.monotonic() - began < 4
    down = source_for(f"http://127.0.0.1:{port}/keys")
    assert not await down.refresh()
    assert "cannot be fetched" in (down.problem or "")
