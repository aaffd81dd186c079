"""A WebSocket client of raw bytes. It can send what no client library would send, and stop reading."""

import asyncio
import json
import os
import socket
import struct
from typing import Any, Self
from urllib.parse import urlsplit

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455, section 1.3
TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0


def frame(payload: bytes, opcode: int = TEXT, *, fin: bool = True, masked: bool = True, bits: int = 0) -> bytes:
    """A frame as RFC 6455 section 5.2 lays it out, or on purpose not quite; `bits` are RSV1 to RSV3."""
    head = bytes([(fin << 7) | (bits << 4) | opcode])
    size = len(payload)
    if size < 126:
        head += bytes([(masked << 7) | size])
    elif size < 1 << 16:
        head += bytes([(masked << 7) | 126]) + struct.pack("!H", size)
    else:
        head += bytes([(masked << 7) | 127]) + struct.pack("!Q", size)
    return head + (b"\0\0\0\0" if masked else b"") + payload  # a mask of zeros changes nothing


def request(path: str = "/ws", **headers: str) -> bytes:
    """An upgrade request. Headers are given with underscores; an empty one is left out."""
    given = {
        "Host": "localhost",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Version": "13",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in given.items() if value]
    return "\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode()


class Raw:
    """One TCP connection to a gateway."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def connect(cls, url: str, **options: Any) -> Self:
        """Only connected, nothing sent."""
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port, **options))

    @classmethod
    async def open(cls, url: str, **options: Any) -> Self:
        """With the handshake done."""
        raw = await cls.connect(url, **options)
        raw.writer.write(request())
        status, _ = await raw.response()
        assert status == 101
        return raw

    async def response(self) -> tuple[int, dict[str, str]]:
        """Status and headers of an HTTP answer (0 when there is none)."""
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0, {}
        pairs = (line.partition(": ") for line in head[1:] if line)
        return int(head[0].split()[1]), {name.lower(): value for name, _, value in pairs}

    async def send(self, data: bytes) -> None:
        """Send bytes, if the gateway still takes them."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except ConnectionError:
            return

    async def say(self, type_: str, **fields: Any) -> None:
        """A message as any client would send it."""
        await self.send(frame(json.dumps({"type": type_, **fields}).encode()))

    async def next_frame(self) -> tuple[int, bytes] | None:
        """Opcode and payload; None when the connection is gone."""
        try:
            first, second = await self.reader.readexactly(2)
            size = second & 127
            if size == 126:
                size = struct.unpack("!H", await self.reader.readexactly(2))[0]
            elif size == 127:
                size = struct.unpack("!Q", await self.reader.readexactly(8))[0]
            return first & 15, await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def hear(self, type_: str) -> dict[str, Any]:
        """The next message of this type, whatever comes before it."""
        while (got := await self.next_frame()) is not None:
            if got[0] == TEXT and (message := json.loads(got[1]))["type"] == type_:
                return dict(message)
        raise AssertionError(f"closed before {type_}")

    async def close_code(self, within: float = 10) -> int | None:
        """Read until the server closes. Returns its close code, or None (1006) when it sends none."""
        async with asyncio.timeout(within):
            while (got := await self.next_frame()) is not None:
                if got[0] == CLOSE:
                    return int(struct.unpack("!H", got[1][:2])[0])
        return None

    @property
    def port(self) -> int:
        """The local port."""
        name: tuple[str, int] = self.writer.get_extra_info("sockname")[:2]
        return name[1]

    async def close(self) -> None:
        """Reset the connection."""
        sock = self.writer.get_extra_info("socket")
        if sock is not None and sock.fileno() >= 0:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


def random_mask_frame(payload: bytes) -> bytes:
    """A text frame with a real mask."""
    mask = os.urandom(4)
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return frame(payload)[: -len(payload) - 4] + mask + masked
