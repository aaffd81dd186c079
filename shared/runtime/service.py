"""What one process of a service is: the parts of `services/<name>/service.py: build`, put together and not started."""

from typing import Protocol


class ServiceInstance(Protocol):
    """One process's part in a service (an instance, in the words of NATS' services). Started once, stopped once."""

    async def start(self) -> None:
        """Answer, listen, take timers. The broker is connected. Raises Refused, or Failed when it never will."""

    async def ready(self) -> None:
        """Raises Refused while it cannot serve. Whether the broker answers is asked by the process, not here."""

    async def stop(self) -> None:
        """Finish what was begun. The broker is still connected; the process disconnects from it afterwards."""
