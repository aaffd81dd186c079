"""The agent-link token of a session: given, or asked for, again and again."""

import inspect
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

TokenSource = str | Callable[[], str | Awaitable[str]]
MARGIN = 20.0  # seconds: a token that ends sooner is asked for anew


async def ask(source: TokenSource) -> str:
    """The token, from wherever it comes."""
    if isinstance(source, str):
        return source
    given = source()
    token = await given if inspect.isawaitable(given) else given
    if not isinstance(token, str) or not token:
        raise TypeError("the token function must give a text")
    return token


class Credentials:
    """A token and its end. The gateway says when that is; the token itself is never looked into, logged or shown."""

    def __init__(self, source: TokenSource, *, clock: Callable[[], float] = time.time) -> None:
        self._source = source
        self._clock = clock
        self._token: str | None = None
        self._ends: float | None = None

    @property
    def renewable(self) -> bool:
        """Whether another token can be had."""
        return not isinstance(self._source, str)

    async def current(self) -> str:
        """The token there is, or another one if it is about to end. Raises what the token function raises."""
        if self._token is None or (self._ends is not None and self._clock() > self._ends - MARGIN):
            return await self.fresh()
        return self._token

    async def fresh(self) -> str:
        """Another token (the same one, if it was given as a text)."""
        self._token = await ask(self._source)
        self._ends = None
        return self._token

    def spoil(self) -> None:
        """The token there is has ended: forget it, if another one can be had."""
        if self.renewable:
            self._token = None

    def accepted(self, expires_at: str) -> None:
        """The gateway took it, and says when it ends."""
        self._ends = datetime.fromisoformat(expires_at).timestamp()
