"""What waits for one client: in order, bounded, cut off once."""

import asyncio
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from services.gateway.transport.outbox import OpenSink, Outbox, OutboxTotal, text_frame


class Socket:
    """A transport that pauses when it holds `room` bytes, as asyncio's do: inside `write`."""

    def __init__(self, room: int = 1 << 30) -> None:
        self.room = room
        self.written: list[bytes] = []
        self.held = 0
        self.outbox: Outbox | None = None

    def write(self, data: bytes) -> None:
        """Take it, and perhaps say that this was enough."""
        self.written.append(data)
        self.held += len(data)
        if self.held > self.room and self.outbox is not None:
            self.outbox.pause()

    def get_write_buffer_size(self) -> int:
        """What is held."""
        return self.held

    def drain(self) -> None:
        """The client read everything."""
        self.held = 0
        if self.outbox is not None:
            self.outbox.resume()


def outbox(
    room: int = 1 << 30, messages: int = 4, size: int = 100, total: OutboxTotal | None = None
) -> tuple[Outbox, Socket, list[str]]:
    """An outbox, its socket, and how often it overflowed."""
    sock, overflows = Socket(room), list[str]()
    sock.outbox = Outbox(sock, messages, size, lambda: overflows.append("!"), total or OutboxTotal(1 << 30))
    return sock.outbox, sock, overflows


async def test_straight_through() -> None:
    """While the socket takes everything nothing waits, however much it is."""
    box, sock, overflows = outbox()
    for n in range(1000):
        box.push(b"%d" % n)
    assert sock.written == [b"%d" % n for n in range(1000)]
    assert not overflows
    assert box.stuck_since is None


async def test_too_many_messages_or_bytes() -> None:
    """Beyond its bound the client is cut off, and that is said once."""
    box, _, overflows = outbox()
    box.pause()
    for _ in range(4):
        box.push(b"x")
    assert not overflows
    for _ in range(10):
        box.push(b"x")
    assert overflows == ["!"]
    box, _, overflows = outbox()
    box.pause()
    box.push(b"x" * 100)
    assert not overflows
    box.push(b"x")
    assert overflows == ["!"]


async def test_snapshots_are_not_counted_but_paced() -> None:
    """A room larger than the bound passes; `flowing` lets one wait until the client reads, or is gone."""
    box, sock, overflows = outbox()
    await box.flowing()
    box.pause()
    box.push(b"x" * 1000, counted=False)
    assert not overflows
    waiting = asyncio.create_task(box.flowing())
    await asyncio.sleep(0)
    assert not waiting.done()
    sock.drain()
    await waiting
    assert sock.written == [b"x" * 1000]
    box.pause()
    waiting = asyncio.create_task(box.flowing())
    await asyncio.sleep(0)
    box.clear()
    await waiting


async def test_many_slow_clients_together() -> None:
    """While too much waits in all outboxes, one takes an eighth of its limit; what a client that is gone waited for counts
    no more."""
    total = OutboxTotal(150)
    (first, sock, overflows), (second, _, later) = outbox(size=160, total=total), outbox(size=160, total=total)
    first.pause()
    second.pause()
    first.push(b"x" * 140)
    second.push(b"x" * 10)
    assert (total.waiting, overflows, later) == (150, [], [])
    second.push(b"x" * 10)
    assert (overflows, later) == ([], [])
    second.push(b"x")
    assert later == ["!"]
    second.clear()
    assert total.waiting == 140
    sock.drain()
    assert total.waiting == 0


async def test_since_when_it_is_stuck() -> None:
    """The time is that of the pause; it ends when the client reads again."""
    box, sock, _ = outbox()
    box.pause()
    assert box.stuck_since is not None
    assert box.stuck_since <= asyncio.get_running_loop().time()
    sock.drain()
    assert box.stuck_since is None


@given(st.integers(1, 60), st.lists(st.one_of(st.none(), st.binary(min_size=1, max_size=20)), max_size=80))
def test_order_and_wholeness(room: int, steps: list[bytes | None]) -> None:
    """Frames are written in the order they came, each once, however often the socket pauses; None is a reading client."""

    async def play() -> None:
        box, sock, _ = outbox(room, 1000, 1 << 20)
        pushed = []
        for step in steps:
            if step is None:
                sock.drain()
            else:
                pushed.append(step)
                box.push(step)
        for _ in range(len(pushed) + 1):
            sock.drain()
        assert sock.written == pushed

    asyncio.run(play())


def test_a_frame_is_the_same_for_all() -> None:
    """Unmasked and whole (RFC 6455, section 5.2): encoded once for all receivers."""
    assert text_frame(b"hi") == b"\x81\x02hi"
    assert text_frame(b"x" * 200)[:4] == b"\x81\x7e\x00\xc8"


def test_nothing_is_written_to_a_closed_socket() -> None:
    """Between the end of a transport and its connection being said to be lost, what is sent is dropped."""

    class Transport:
        closing = False
        written: list[bytes] = []

        def is_closing(self) -> bool:
            return self.closing

        def write(self, data: bytes) -> None:
            assert not self.closing
            self.written.append(data)

    transport = Transport()
    sink = OpenSink(cast("asyncio.Transport", transport))
    sink.write(b"a")
    transport.closing = True
    sink.write(b"b")
    assert transport.written == [b"a"]
