"""What was begun by following a log or taking timers, and can be stopped."""

from typing import Protocol


class Following(Protocol):
    """Something being followed."""

    async def stop(self) -> None:
        """No more calls after this returns."""
