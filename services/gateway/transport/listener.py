"""Who is told what a connection brings."""

from typing import Protocol


class Listener(Protocol):
    """Who is told what a connection brings: the session."""

    def received(self, text: str) -> None:
        """A text message."""

    def unreadable(self, why: str) -> None:
        """A frame that cannot be read; the connection closes."""

    def closed(self) -> None:
        """The connection is gone. Called once, last."""
