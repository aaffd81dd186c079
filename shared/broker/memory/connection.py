"""One process's connection to the broker in memory."""

from collections.abc import Callable

from shared.broker.memory.broker import MemoryBroker
from shared.values.errors import unavailable


class MemoryConnection:
    """See Connection."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.before_close: list[Callable[[], None]] = []

    def reach(self) -> None:
        """Raises `Refused(unavailable)` while the broker is down."""
        if self.broker.down:
            raise unavailable("the broker")

    async def check(self) -> None:
        """See Connection."""
        self.reach()

    async def close(self) -> None:
        """See Connection."""
        for finish in self.before_close:
            finish()
