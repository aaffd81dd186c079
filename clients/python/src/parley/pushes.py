"""Pushes of a room on their way to whoever asked for their type: calls, chats, and types this SDK does not know."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

logger = logging.getLogger(__name__)

Push = Mapping[str, Any]
PushCallback = Callable[[Push], object]


class Pushes:
    """The subscriptions of a room."""

    def __init__(self) -> None:
        self._subscriptions: list[tuple[frozenset[str], PushCallback]] = []

    def on(self, types: str | Iterable[str], callback: PushCallback) -> Callable[[], None]:
        """Call this with every push of these types, at once and in order. Returns what ends that."""
        subscription = (frozenset([types] if isinstance(types, str) else types), callback)
        self._subscriptions.append(subscription)

        def off() -> None:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)

        return off

    def tell(self, push: Push) -> None:
        """It came."""
        for subscription in list(self._subscriptions):
            types, callback = subscription
            if push["type"] in types and subscription in self._subscriptions:
                self.call(callback, push)

    @staticmethod
    def call(callback: PushCallback, push: Push) -> None:
        """A callback that fails is logged and harms nobody else."""
        try:
            callback(push)
        except Exception:
            logger.exception("a callback failed for a push of type %s", push["type"])
