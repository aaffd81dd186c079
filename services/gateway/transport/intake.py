"""What was read from a WebSocket and is not parsed yet. A piece is parsed at a time, so that nobody holds up the others."""

from collections.abc import Callable

PIECE = 2048  # bytes; of the smallest frames, that is some hundred
AT_THE_END = 32  # pieces that are still parsed when the client has closed

Turn = Callable[[Callable[[], None]], None]


class Intake:
    """Passes bytes to `parse` while `ready` says so. `turn` calls a function when it is this connection's turn."""

    __slots__ = ("_held", "_parse", "_queued", "_ready", "_turn")

    def __init__(self, parse: Callable[[bytes], None], ready: Callable[[], bool], turn: Turn) -> None:
        self._parse = parse
        self._ready = ready
        self._turn = turn
        self._held = bytearray()  # at most one read of the socket: it is not read while something is here
        self._queued = False

    @property
    def waiting(self) -> bool:
        """Whether something is not parsed yet."""
        return bool(self._held)

    def take(self, data: bytes) -> None:
        """Parse this, now or later."""
        self._held += data
        self.go_on()

    def go_on(self) -> None:
        """Parse what waits, if it may be, when it is this connection's turn."""
        if self._held and not self._queued and self._ready():
            self._queued = True
            self._turn(self._next)

    def change(self, turn: Turn) -> None:
        """From now on it has its turns from somebody else."""
        self._turn = turn

    def finish(self, go_on: Callable[[], bool], rest: bytes = b"") -> None:
        """The client has closed: parse what came before and `rest`, within bounds, while `go_on` says so."""
        self._held += rest
        for _ in range(AT_THE_END):
            if self._held and go_on():
                self._parse(self._piece())
        self._held.clear()

    def clear(self) -> None:
        """Drop what waits: the connection is gone."""
        self._held.clear()

    def _next(self) -> None:
        self._queued = False
        if self._held and self._ready():
            self._parse(self._piece())
            self.go_on()

    def _piece(self) -> bytes:
        piece = bytes(self._held[:PIECE])
        del self._held[:PIECE]
        return piece
