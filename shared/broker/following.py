"""The handle of a subscription to a log or to due timers."""

from typing import Protocol


class Following(Protocol):
    """A subscription that can be stopped."""

    async def stop(self) -> None:
        """Stop. The callback is not called any more after this returns."""
