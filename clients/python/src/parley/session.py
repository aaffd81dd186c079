"""One's presence as an agent: it enters rooms, and survives its connections."""

import asyncio
import contextlib
import ssl as ssl_module
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType, TracebackType
from typing import Any, Self

from parley.credentials import Credentials, TokenSource
from parley.events import Closed, SessionEvent
from parley.feed import Events
from parley.opening import Opening
from parley.profile import Profile
from parley.room import Room
from parley.session_core import CONNECTED, OVER, SessionCore
from parley.transport.connection import ConnectOptions
from parley.transport.endpoint import endpoint
from parley.transport.link import Link

FAREWELL = 2.0  # seconds that a closing session waits for its rooms to hear that it leaves


class Session:
    """An authenticated session; `connect` makes them."""

    def __init__(self, core: SessionCore, link: Link) -> None:
        self._core = core
        self._link = link

    def __repr__(self) -> str:
        return f"<Session {self.session_id!r} of {self.agent_id!r}, {self.state}>"

    @property
    def state(self) -> str:
        """`connecting`, `connected`, `reconnecting` or `closed`."""
        return self._core.state

    @property
    def agent_id(self) -> str:
        """Whom the token names."""
        return self._core.agent_id

    @property
    def session_id(self) -> str:
        """The session's id; another one after a session was lost."""
        return self._core.session_id

    @property
    def limits(self) -> Mapping[str, int]:
        """The gateway's limits, by the protocol's names."""
        return MappingProxyType(self._core.limits)

    @property
    def rooms(self) -> Mapping[str, Room]:
        """The rooms we are in, by id. It is a live view."""
        return MappingProxyType(self._core.rooms)

    def join(
        self,
        room_id: str,
        *,
        name: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        media: Mapping[str, Any] | None = None,
        token: TokenSource | None = None,
    ) -> Opening[Room]:
        """Enter a room: `room = await session.join(…)`, or `async with session.join(…) as room:`, which leaves it.

        `token` is a join token, or a function that gives one: they are good once, and coming back after a lost session
        needs another. Raises ParleyError.
        """

        def enter() -> Any:
            profile = Profile(room_id, name, dict(metadata or {}), dict(media or {}), token)
            return self._core.enter(profile)

        return Opening(enter, Room.leave_soon)

    def events(self) -> Events[SessionEvent]:
        """An iterator over what happens from this call on; its last event is `Closed`."""
        return self._core.feed.events()

    def on(self, callback: Callable[[SessionEvent], object]) -> Callable[[], None]:
        """Call this with every event, at once; returns what ends that."""
        return self._core.feed.on(callback)

    async def wait_closed(self) -> Closed:
        """Wait until the session is over, and how it ended."""
        return await asyncio.shield(self._core.closed)

    async def close(self) -> None:
        """Leave all rooms, if there is a connection, and end the session. Closing twice is no error."""
        if self.state == OVER:
            return
        try:
            if self.state == CONNECTED:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(FAREWELL):
                        await self._core.farewell()
        finally:
            try:
                await self._link.close()
            finally:
                self._core.over(None, "closed by the program", None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def connect(
    url: str | Sequence[str],
    *,
    token: TokenSource,
    device_id: str | None = None,
    ssl: ssl_module.SSLContext | None = None,
    open_timeout: float = 10.0,
    keep_trying: bool = False,
) -> Opening[Session]:
    """Open a session: `session = await connect(…)`, or `async with connect(…) as session:`, which closes it.

    `url` is the http(s) or ws(s) URL of a gateway, or several, which are tried in turn. `token` is an agent-link token,
    or a function (async or not) that gives one and is asked again when it ends. `open_timeout` is in seconds, for each
    attempt. The first connection is tried once with each URL, or with `keep_trying` until it works or is refused for
    good. Raises ParleyError, ValueError for a URL that is none, and what the token function raises.
    """
    urls = [endpoint(one) for one in ([url] if isinstance(url, str) else url)]
    if not urls:
        raise ValueError("no URL")

    async def enter() -> Session:
        core = SessionCore()
        options = ConnectOptions(ssl, open_timeout)
        link = Link(urls, Credentials(token), device_id, options, core)
        core.link = link
        try:
            await link.start(keep_trying=keep_trying)
        except BaseException:
            await link.close()
            raise
        return Session(core, link)

    return Opening(enter, Session.close)
