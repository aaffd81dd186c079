"""Options of a client's TCP socket: what the kernel may buffer, when the peer counts as gone, how to drop at once."""

import asyncio
import contextlib
import os
import socket
import struct

SEND_BUFFER_BYTES = 131072  # what the kernel may hold for a client that does not read
RECEIVE_BUFFER_BYTES = (
    16384  # and from a stranger that is not read; so it is also about what one read of the socket brings
)
MEMBER_BUFFER_BYTES = 131072  # and from who is let in, whose descriptions may be long, and far away
PEER_GONE_MILLISECONDS = 20_000  # TCP_USER_TIMEOUT: with data unacknowledged for so long, the peer is gone

_RESET = struct.pack("ii", 1, 0)


def tune(listening: socket.socket) -> None:
    """Bound what the kernel holds, and notice a peer whose network vanished. Accepted sockets inherit it."""
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, PEER_GONE_MILLISECONDS)


def widen(transport: asyncio.BaseTransport) -> None:
    """Let who is let in have more on its way: the kernel sees to no more than a stranger's by itself."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MEMBER_BUFFER_BYTES)
            if hasattr(socket, "TCP_WINDOW_CLAMP"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, MEMBER_BUFFER_BYTES)


def discard(transport: asyncio.BaseTransport) -> None:
    """Have the kernel throw away, when the transport is aborted, what it still holds for the client."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


def left_over(transport: asyncio.BaseTransport) -> bytes:
    """What the kernel still has from a client whose connection broke while it was written to. Not for TLS."""
    sock = transport.get_extra_info("socket")
    if sock is None or transport.get_extra_info("ssl_object") is not None:
        return b""
    try:
        return os.read(sock.fileno(), MEMBER_BUFFER_BYTES)
    except OSError:
        return b""


def refuse(sock: socket.socket) -> None:
    """Close at once, and leave nothing in the kernel."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()
