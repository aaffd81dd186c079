"""The door of the public port: accepts connections a few at a time, and refuses those above a limit as cheaply as it can."""

import asyncio
import errno
import socket
import ssl
import time
from collections.abc import Callable
from functools import partial

from services.gateway import metrics
from services.gateway.token_bucket import Bucket
from services.gateway.transport import socket_options, tls
from services.gateway.transport.arrivals import Arrival
from services.gateway.transport.guard import Guard

AT_ONCE = 16  # connections before everybody else of the event loop has a turn
SHARE = 0.2  # of the event loop's time, for accepting
BURST_SECONDS = 0.02
PAUSE_SECONDS = 0.05  # while there is no room
SHORTAGE_SECONDS = 1.0
SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class Door:
    """Makes a protocol for each connection. `handshake_cost` is the seconds that a TLS handshake takes here."""

    def __init__(
        self,
        listening: socket.socket,
        guard: Guard,
        protocol: Callable[[Arrival], asyncio.Protocol],
        *,
        context: ssl.SSLContext | None = None,
        handshake_cost: float = 0.0,
    ) -> None:
        self._listening = listening
        self._guard = guard
        self._protocol = protocol
        self._context = context
        # asyncio's defaults are 60 s for a handshake and 30 s for a close.
        seconds = {"ssl_handshake_timeout": tls.HANDSHAKE_SECONDS, "ssl_shutdown_timeout": tls.SHUTDOWN_SECONDS}
        self._options = {} if context is None else seconds
        self._handshake_cost = handshake_cost
        self._time = Bucket(SHARE, BURST_SECONDS)
        self._shortage = guard.shortage
        self._later: asyncio.TimerHandle | None = None
        self._beginning: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    def open(self, backlog: int) -> None:
        """Listen, and accept from now on."""
        socket_options.tune(self._listening)
        self._listening.listen(backlog)
        self._listening.setblocking(False)
        self._loop.add_reader(self._listening, self._accept)

    def close(self) -> None:
        """Accept nobody more."""
        self._stop()
        if self._later is not None:
            self._later.cancel()
        for task in self._beginning:
            task.cancel()
        self._listening.close()

    # -- accepting -----------------------------------------------------------------------------------------------------

    def _accept(self) -> None:
        began = time.perf_counter()
        pause = 0.0
        for n in range(AT_ONCE):
            if not self._has_room(somebody_waits=n == 0):
                pause = PAUSE_SECONDS if n == 0 else 0.0
                break
            pause = self._accept_one()
            if pause:
                break
        now = time.perf_counter()
        debt = self._time.borrow(
            now, 2 * (now - began)
        )  # what is begun here goes on in a task, and costs as much again
        metrics.STRANGERS.set(self._guard.arrivals.strangers)
        if max(pause, debt) > 0:
            self._pause(max(pause, debt))

    def _has_room(self, *, somebody_waits: bool) -> bool:
        """Whether the next one may be accepted. For one who is known to wait, a stranger who is silent makes place."""
        arrivals = self._guard.arrivals
        return not arrivals.room_for_descriptors or arrivals.room_for_strangers(
            self._loop.time(), make_place=somebody_waits
        )

    def _accept_one(self) -> float:
        """Accept one connection. Returns for how long to accept no more: 0.0 to go on, below 0 when nobody is waiting."""
        arrivals = self._guard.arrivals
        try:
            sock, peer = self._listening.accept()
        except (BlockingIOError, InterruptedError):
            return -1.0
        except OSError as error:
            if error.errno not in SHORT:
                return -1.0  # the client was gone before
            self._shortage.begin(error.strerror or "", arrivals.open, self._loop.time())
            return SHORTAGE_SECONDS
        if not arrivals.room_for_descriptors and not arrivals.room_for_strangers(self._loop.time()):
            self._refuse(sock, "descriptors")
            self._shortage.begin("those left are in reserve", arrivals.open, self._loop.time())
            return 0.0
        self._shortage.end(arrivals.open, self._loop.time())
        arrival = arrivals.arrive(peer[0], self._loop.time())
        if arrival is None:
            self._refuse(sock, "address")
        else:
            sock.setblocking(False)
            self._begin(sock, arrival)
        return 0.0

    def _refuse(self, sock: socket.socket, reason: str) -> None:
        metrics.CONNECTIONS_REFUSED.labels(reason).inc()
        socket_options.refuse(sock)

    def _pause(self, seconds: float) -> None:
        self._stop()
        self._later = self._loop.call_later(seconds, self._resume)

    def _stop(self) -> None:
        if self._listening.fileno() >= 0:
            self._loop.remove_reader(self._listening)

    def _resume(self) -> None:
        self._later = None
        self._loop.add_reader(self._listening, self._accept)

    # -- beginning -----------------------------------------------------------------------------------------------------

    def _begin(self, sock: socket.socket, arrival: Arrival) -> None:
        task = self._loop.create_task(self._connect(sock, arrival), name="arrival")
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _connect(self, sock: socket.socket, arrival: Arrival) -> None:
        """Give the connection its protocol; with TLS, once the client has begun and it is its turn."""
        try:
            if self._context is not None:
                task = asyncio.current_task()
                arrival.cut = task.cancel if task is not None else arrival.cut
                await self._first_bytes(sock)
                await self._turn(arrival)
            await self._loop.connect_accepted_socket(
                lambda: self._protocol(arrival), sock, ssl=self._context, **self._options
            )
        except (OSError, TimeoutError, asyncio.CancelledError):  # ssl's errors are OSErrors
            metrics.CONNECTIONS_REFUSED.labels("handshake").inc()
            sock.close()
        finally:
            if not arrival.connected:
                self._guard.arrivals.gone(arrival)

    async def _first_bytes(self, sock: socket.socket) -> None:
        """Wait until the client has sent something. A client that says nothing costs no TLS."""
        readable: asyncio.Future[None] = self._loop.create_future()
        self._loop.add_reader(sock, _settle, readable)
        try:
            async with asyncio.timeout(tls.HANDSHAKE_SECONDS):
                await readable
        finally:
            self._loop.remove_reader(sock)

    async def _turn(self, arrival: Arrival) -> None:
        turn: asyncio.Future[None] = self._loop.create_future()
        self._guard.turn_of(arrival)(partial(_settle, turn))
        await turn
        self._guard.gate.spend(self._handshake_cost)


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
