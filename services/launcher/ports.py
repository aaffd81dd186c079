"""Reserves ports for processes of the launcher, while they start and restart."""

import socket
import sys

from shared.runtime.ops import listen


class Ports:
    """Ports that are bound without listening. On Linux our own processes can bind them too, since both set SO_REUSEADDR."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def take(self, host: str, port: int = 0) -> int:
        """Reserve this port, or a free one for 0, and return it. Raises OSError when it is taken or cannot be bound."""
        self._held.append(listen(host, port))
        return int(self._held[-1].getsockname()[1])

    @property
    def held(self) -> bool:
        """Whether any ports are reserved."""
        return bool(self._held)

    def complete(self) -> None:
        """All ports were taken. Release them again where a process could not bind them: everywhere except on Linux."""
        if sys.platform != "linux":
            self.let_go()

    def let_go(self) -> None:
        """Release the ports."""
        while self._held:
            self._held.pop().close()
