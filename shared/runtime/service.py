"""What `services/<name>/service.py: build` returns: the composed service of one process, not started."""

from typing import Any, Protocol


class ServiceInstance(Protocol):
    """One instance of a service, in one process (NATS' services use the word so). Started once, stopped once."""

    async def start(self) -> None:
        """Begin to answer, listen or take timers. The broker is connected. Raises Refused, or Failed for good."""

    async def ready(self) -> str | None:
        """Raises Refused while the service cannot serve. The process itself checks whether the broker answers.

        Returns what whoever looks should know although it serves, in one sentence; None when there is nothing.
        """

    def reload(self, settings: Any) -> None:
        """Take what may change while the process runs from settings that were read anew. Raises Failed, and changes
        nothing then.
        """

    async def stop(self) -> None:
        """Finish what was begun. The broker is still connected; the process disconnects afterwards."""
