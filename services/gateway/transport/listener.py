"""The port from a connection up to its session."""

from typing import Protocol


class Listener(Protocol):
    """Receives what a connection brings; the session is one."""

    def received(self, text: str) -> None:
        """A text message."""

    def unreadable(self, why: str) -> None:
        """A frame that cannot be read; the connection closes."""

    def closed(self) -> None:
        """The connection is gone. Called once, last."""
