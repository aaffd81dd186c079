"""Reserves ports for programs that tests start, or that must stay free, while the test runs."""

from services.launcher.ports import Ports

HOST = "127.0.0.1"


class HeldPorts(Ports):
    """`row()` is one, `row(2)` the first of two that follow each other. Our own processes can listen there (see Ports)."""

    def row(self, count: int = 1, host: str = HOST) -> int:
        """Reserve `count` consecutive ports. Returns the first."""
        while True:
            attempt = Ports()
            try:
                first = attempt.take(host)
                for number in range(1, count):
                    attempt.take(host, first + number)
            except (OSError, OverflowError):  # taken, or above the last there is
                attempt.let_go()
                continue
            self._held += attempt._held
            return first
