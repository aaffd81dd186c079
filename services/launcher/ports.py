"""Ports that are kept for processes of ours: while they start, and while they are started again."""

import socket
import sys

from shared.runtime.ops import listen


class Ports:
    """Held without listening, which on Linux lets our own processes bind them (both say SO_REUSEADDR), and nobody else."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def take(self, host: str, port: int = 0) -> int:
        """The port, or a free one for 0. Raises OSError when it is taken or the address is not ours."""
        self._held.append(listen(host, port))
        return int(self._held[-1].getsockname()[1])

    @property
    def held(self) -> bool:
        """Whether there are any."""
        return bool(self._held)

    def complete(self) -> None:
        """No more are needed, so that no two are the same. Elsewhere than on Linux they must be free to be bound."""
        if sys.platform != "linux":
            self.let_go()

    def let_go(self) -> None:
        """Give them back."""
        while self._held:
            self._held.pop().close()
