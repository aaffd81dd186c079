"""What strangers do to a gateway, as a process of its own: `python -m tests.faults.flooder HOST PORT KIND COUNT ADDRESSES`.

COUNT connections from so many addresses of 127.0.0.0/8. Each writes as much as it may, and opens again when it is closed;
once a second it says how many answers it has read and how often it was closed.
"""

import contextlib
import itertools
import json
import selectors
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.support.raw import frame, request
from tests.support.system import token

READ = 1 << 16
AGAIN_SECONDS = 0.2  # before a connection that was closed is opened again
OPENINGS = 50  # between two looks at all others

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
BAD_TOKEN = b"GET /api/rooms HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer a.b.c\r\n\r\n"
POST = b"POST /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000000\r\n\r\n"
CHUNKED = b"POST /api/guest/token HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
LOGIN = frame(json.dumps({"type": "authenticate", "token": token("flooder")}).encode())
HEAD = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"


@dataclass(frozen=True)
class Kind:
    """What a connection says first, and what it says again and again (nothing: it waits)."""

    first: bytes
    then: bytes = b""
    reads: bool = True


KINDS = {
    "pipelined": Kind(b"", REQUEST * 500),
    "unread": Kind(b"", b"GET /clients/js/room.js HTTP/1.1\r\nHost: a\r\n\r\n" * 500, reads=False),
    "bad-tokens": Kind(b"", BAD_TOKEN * 100),
    "bodies": Kind(POST, b"x" * READ),
    "chunks": Kind(CHUNKED, b"1\r\nx\r\n" * 5000),
    "heads": Kind(HEAD + b"X: " + b"x" * 60_000),
    "drip": Kind(HEAD, b"X: y\r\n"),
    "idle": Kind(b""),
    "handshakes": Kind(request()),
    "frames": Kind(request(), frame(b'{"type":"ping"}') * 500),
    "pings": Kind(request(), frame(b"", 9) * 5000),
    "member-pings": Kind(request() + LOGIN, frame(b"", 9) * 5000),
    "member-frames": Kind(request() + LOGIN, frame(b"", fin=False) + frame(b"", 0, fin=False) * 1000),
    "hello": Kind(b"\x16\x03\x01\x02\x00"),
}


class Flood:
    """All connections, in one thread."""

    def __init__(self, host: str, port: int, kind: Kind, count: int, addresses: int) -> None:
        self._to = (host, port)
        self._kind = kind
        self._addresses = itertools.cycle(f"127.0.{n // 200}.{n % 200 + 1}" for n in range(addresses))
        self._selector = selectors.DefaultSelector()
        self._closed: list[tuple[float, None]] = [(0.0, None)] * count
        self._left: dict[socket.socket, memoryview] = {}
        self.bytes = self.closes = 0

    def run(self, tell: Callable[[str], None]) -> None:
        """For ever."""
        told = time.monotonic()
        while True:
            self._open(time.monotonic())
            for key, events in self._selector.select(0.05):
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                try:
                    if events & selectors.EVENT_READ and not self._read(sock):
                        raise ConnectionResetError
                    if events & selectors.EVENT_WRITE:
                        self._write(sock)
                except BlockingIOError:
                    continue
                except OSError:
                    self._close(sock)
            if time.monotonic() - told >= 1:
                told = time.monotonic()
                tell(f"{len(self._left)} open, {self.bytes} bytes read, {self.closes} closed")

    def _open(self, now: float) -> None:
        for _ in range(OPENINGS):
            if not self._closed or self._closed[0][0] > now:
                return
            self._closed.pop(0)
            sock = socket.socket()
            sock.setblocking(False)
            with contextlib.suppress(OSError):
                sock.bind((next(self._addresses), 0))
            with contextlib.suppress(OSError):  # it is in progress
                sock.connect(self._to)
            self._left[sock] = memoryview(self._kind.first or self._kind.then)
            self._selector.register(sock, self._wants(sock))

    def _wants(self, sock: socket.socket) -> int:
        reads = selectors.EVENT_READ if self._kind.reads else 0
        writes = selectors.EVENT_WRITE if self._left[sock] else 0
        return reads | writes or selectors.EVENT_READ

    def _read(self, sock: socket.socket) -> int:
        if not self._kind.reads:
            return 1
        count = len(sock.recv(READ))
        self.bytes += count
        return count

    def _write(self, sock: socket.socket) -> None:
        left = self._left[sock]
        left = left[sock.send(left) :]
        self._left[sock] = left or memoryview(self._kind.then)
        self._selector.modify(sock, self._wants(sock))

    def _close(self, sock: socket.socket) -> None:
        self.closes += 1
        self._selector.unregister(sock)
        del self._left[sock]
        sock.close()
        self._closed.append((time.monotonic() + AGAIN_SECONDS, None))


def main(host: str, port: str, kind: str, count: str, addresses: str) -> None:
    """Until it is ended."""

    def tell(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    Flood(host, int(port), KINDS[kind], int(count), int(addresses)).run(tell)


if __name__ == "__main__":
    main(*sys.argv[1:])
