"""STUN and TURN servers, asked for real: for our address, or for an allocation with the room's credentials."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from parley.cli.doctor import stun_message as stun
from parley.cli.doctor.ice_uri import IceUri
from parley.cli.doctor.stun_message import Message

RESENDS = (0.0, 0.5, 1.0, 2.0)  # seconds before each sending over UDP, which may lose it
LAST = 1.5  # seconds to wait after the last one


class Refused(Exception):  # noqa: N818 - the server's answer
    """An error of the server's: number, words and the whole answer."""

    def __init__(self, number: int, words: str, answer: Message) -> None:
        super().__init__(f"{number} {words}".strip())
        self.number = number
        self.answer = answer


class OpenRelay(Exception):  # noqa: N818 - what was found
    """The server relays for anybody, without a password."""


class Wire(Protocol):
    """A way to a server."""

    async def ask(self, data: bytes, transaction: bytes) -> Message:
        """The answer of this transaction. Raises TimeoutError, OSError, ValueError."""


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self._came: asyncio.Queue[Message | OSError] = asyncio.Queue()
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # asyncio does not say which kind

    def datagram_received(self, data: bytes, _source: object) -> None:
        with contextlib.suppress(ValueError):
            self._came.put_nowait(stun.decode(data))

    def error_received(self, error: Exception) -> None:
        if isinstance(error, OSError):
            self._came.put_nowait(error)

    async def ask(self, data: bytes, transaction: bytes) -> Message:
        """See Wire."""
        assert self.transport is not None  # noqa: S101 - it was made by create_datagram_endpoint
        for number, pause in enumerate(RESENDS):
            self.transport.sendto(data)
            patience = RESENDS[number + 1] if number + 1 < len(RESENDS) else LAST
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(patience or pause):
                    while True:
                        came = await self._came.get()
                        if isinstance(came, OSError):
                            raise came
                        if came.transaction == transaction:
                            return came
        raise TimeoutError


class _Stream:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def ask(self, data: bytes, transaction: bytes) -> Message:
        """See Wire."""
        self._writer.write(data)
        async with asyncio.timeout(sum(RESENDS) + LAST):
            while True:
                try:
                    header = await self._reader.readexactly(stun.HEADER)
                    came = stun.decode(header + await self._reader.readexactly(stun.length_of(header)))
                except asyncio.IncompleteReadError:
                    raise ConnectionResetError("it closed the connection") from None
                if came.transaction == transaction:
                    return came


@asynccontextmanager
async def reach(uri: IceUri, tls: ssl.SSLContext) -> AsyncIterator[Wire]:
    """A way to the server. Raises OSError, TimeoutError."""
    if uri.transport == "udp":
        loop = asyncio.get_running_loop()
        transport, datagrams = await loop.create_datagram_endpoint(_Datagrams, remote_addr=(uri.host, uri.port))
        try:
            yield datagrams
        finally:
            transport.close()
        return
    async with asyncio.timeout(sum(RESENDS) + LAST):
        reader, writer = await asyncio.open_connection(uri.host, uri.port, ssl=tls if uri.tls else None)
    try:
        yield _Stream(reader, writer)
    finally:
        writer.close()


async def own_address(wire: Wire) -> str | None:
    """How the server sees us. Raises what a Wire raises, and Refused."""
    answer = await _ask(wire, stun.BINDING, {})
    return answer.address(stun.MAPPED)


async def allocate(wire: Wire, username: str, credential: str) -> str:
    """A relayed address, given back at once. Raises what a Wire raises, Refused and OpenRelay."""
    wish = {stun.TRANSPORT: stun.UDP}
    realm, nonce = await _challenge(wire, wish)
    key = stun.long_term_key(username, realm.decode(), credential)
    proof = {stun.USERNAME: username.encode(), stun.REALM: realm, stun.NONCE: nonce}
    answer = await _ask(wire, stun.ALLOCATE, wish | proof, key)
    with contextlib.suppress(TimeoutError, OSError, ValueError, Refused):
        await _ask(wire, stun.REFRESH, {stun.LIFETIME: bytes(4)} | proof, key)
    return answer.address(stun.RELAYED) or "(no address)"


async def _challenge(wire: Wire, wish: dict[int, bytes]) -> tuple[bytes, bytes]:
    """Realm and nonce, which a server says when it is asked without a password."""
    try:
        answer = await _ask(wire, stun.ALLOCATE, wish)
    except Refused as refused:
        said = refused.answer.attributes
        if refused.number != 401 or stun.REALM not in said or stun.NONCE not in said:
            raise
        return said[stun.REALM], said[stun.NONCE]
    raise OpenRelay(answer.address(stun.RELAYED))


async def _ask(wire: Wire, method: int, attributes: dict[int, bytes], key: bytes | None = None) -> Message:
    message = Message(method, os.urandom(12), attributes)
    answer = await wire.ask(message.encode(key), message.transaction)
    if answer.kind == method | stun.SUCCESS:
        return answer
    raise Refused(*(answer.error or (0, "an answer that is none")), answer)
