"""A TCP proxy to a gateway that a test can cut: what is on its way is lost, as with a network."""

import asyncio
import contextlib
from typing import Self
from urllib.parse import urlsplit


class TcpProxy:
    """Listens on a free port and passes everything on."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._there = (parts.hostname or "127.0.0.1", parts.port or 80)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[asyncio.StreamWriter, bytearray] = {}
        self._deaf = False
        self.open = True  # to new connections
        self.deaf_to_new = False  # what the gateway says after the handshake is held back, of connections from now on
        self.withheld = b""  # all that was ever held back: texts can be read in it, as gateways do not mask
        self.connections = 0
        self.refused = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def url(self) -> str:
        """What to connect to."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def deaf(self) -> bool:
        """Whether what the gateway says is held back, and nobody is told."""
        return self._deaf

    @deaf.setter
    def deaf(self, deaf: bool) -> None:
        self._deaf = deaf
        if not deaf:
            for writer, held in self._held.items():
                writer.write(held)
            self._held.clear()

    @property
    def connected(self) -> bool:
        """Whether anything is connected by it."""
        return bool(self._writers)

    def cut(self) -> None:
        """End every connection without a word. What is held back is lost."""
        self._held.clear()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.open:
            self.refused += 1
            writer.transport.abort()
            return
        self.connections += 1
        try:
            there_reader, there_writer = await asyncio.open_connection(*self._there)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, there_writer}
        tasks = [
            asyncio.create_task(self._say(reader, there_writer)),
            asyncio.create_task(self._hear(there_reader, writer)),
        ]
        self._tasks.update(tasks)
        await asyncio.wait(tasks)

    async def _say(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        self._end(writer)

    async def _hear(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            if self.deaf_to_new:
                writer.write(await reader.readuntil(b"\r\n\r\n"))
                self.deaf = True
            while data := await reader.read(65536):
                if self._deaf:
                    self.withheld += data
                    self._held.setdefault(writer, bytearray()).extend(data)
                    continue
                writer.write(data)
                await writer.drain()
        self._end(writer)

    def _end(self, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        self._writers.discard(writer)
        self._held.pop(writer, None)
