"""Keeps a session connected: connects, renews, comes back with back-off, and moves over when a gateway goes away.

It executes the table of `link_state`. It knows the first messages of a connection and its end; everything else it hands
to its owner.
"""

import asyncio
import logging
import random
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Protocol

from parley.credentials import Credentials
from parley.errors import UNAVAILABLE, ParleyError
from parley.transport.attempt import Attempt
from parley.transport.backoff import Backoff
from parley.transport.connection import Connection, ConnectionEnded, ConnectOptions, Message, Unreachable
from parley.transport.link_state import Event, State, loss_of, step
from parley.transport.renewal import Renewal

logger = logging.getLogger(__name__)

STABLE = 5.0  # seconds: a connection that lived so long was a good one


class Owner(Protocol):
    """Whose connection it is."""

    def resumption(self) -> Mapping[str, Any] | None:
        """What proves the session, and the last cursors; None before there is one."""

    def entered(self, auth_ok: Message) -> None:
        """A new connection, authenticated, is the one from now on."""

    def renewed(self, auth_ok: Message) -> None:
        """The session lives longer."""

    def received(self, message: Message) -> None:
        """Anything else."""

    def flush(self) -> None:
        """Messages can be sent again."""

    def lost(self) -> None:
        """The connection is gone; another is looked for."""

    def over(self, code: int | None, reason: str, error: ParleyError | None) -> None:
        """There will be no other."""


class Link:
    """The connection of a session, whichever it is at the moment."""

    def __init__(
        self,
        urls: Sequence[str],
        credentials: Credentials,
        device_id: str | None,
        options: ConnectOptions,
        owner: Owner,
    ) -> None:
        self.state = State.IDLE
        self._urls = urls
        self._credentials = credentials
        self._owner = owner
        self._attempt = Attempt(urls, credentials, device_id, options, self._happen)
        self._backoff = Backoff(random.random)
        self._present: Connection | None = None
        self._since = 0.0  # when the present connection came in
        self._held: list[Message] = []  # what it said while the next one was resuming
        self._last_error: ParleyError | None = None  # that it said
        self._move_after = 0.0
        self._refusal: Exception | None = None  # why the last attempt failed
        self._end: tuple[int | None, str, ParleyError | None] = (None, "", None)
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._keep_trying = False
        self._attempts = 0  # before there was a session

    async def start(self, *, keep_trying: bool) -> None:
        """Connect for the first time: each URL once, or until it works. Raises what the last attempt raised."""
        self._keep_trying = keep_trying
        self._happen(Event.DIAL)
        await self._opened

    def send(self, text: str) -> bool:
        """Send it now, if that is possible."""
        if self._present is None or self.state is State.RESUMING:
            return False
        self._present.send(text)
        return True

    async def close(self) -> None:
        """End it for good; nothing is heard any more."""
        self._happen(Event.CLOSE)
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # The table.

    def _happen(self, event: Event, error: Exception | None = None) -> None:
        """Take the next state, and do what the table says, until something of it leads to yet another state."""
        if error is not None:
            self._refusal = error
            if isinstance(error, ParleyError):
                self._end = (None, error.message, error)
        to, actions = step(self.state, event)
        self.state = to
        for action in actions:
            getattr(self, f"_do_{action}")()
            if self.state is not to:
                return

    def _do_get_token(self) -> None:
        self._stop_timer()
        self._in_task(self._attempt.get_token())

    def _do_spoil_token(self) -> None:
        self._attempt.spoil_token()

    def _do_open(self) -> None:
        self._in_task(self._attempt.open())

    def _do_authenticate(self) -> None:
        """What the present connection says from here on comes again by the next one, which resumes from this moment."""
        self._in_task(self._attempt.authenticate(self._owner.resumption()))

    def _do_enter(self) -> None:
        before, self._present, self._attempt.connection = self._present, self._attempt.connection, None
        assert self._present is not None  # noqa: S101 - it has just come in
        self._since = asyncio.get_running_loop().time()
        self._in_task(self._follow(self._present))
        if before is not None:
            self._in_task(before.close())
        self._owner.entered(self._attempt.auth_ok)
        if not self._opened.done():
            self._opened.set_result(None)

    def _do_retry(self) -> None:
        """After a pause that grows, and as long as the gateway asked for; with another token at once."""
        error = self._refusal
        after = error.retry_after or 0.0 if isinstance(error, ParleyError) else 0.0
        if self._attempt.spoiled:
            self._wait(0.0)
        elif self._opened.done():
            self._wait(after + self._backoff.next())
        else:
            self._retry_first(error, after)

    def _retry_first(self, error: Exception | None, after: float) -> None:
        """There was no session yet: try the other URLs at once, and go on only if the program wants to keep trying."""
        self._attempts += 1
        if isinstance(error, Unreachable) and self._attempts < len(self._urls):
            self._wait(0.0)
        elif self._keep_trying and isinstance(error, ParleyError) and error.retryable:
            logger.warning("not connected yet: %s", error)
            self._wait(max(after, self._backoff.next()))
        else:
            self._give_up(error)

    def _give_up(self, error: Exception | None) -> None:
        """The first connection has failed: `start` raises why."""
        self._happen(Event.CLOSE)
        self._opened.set_exception(error or ParleyError(UNAVAILABLE, "there is no connection"))

    def _do_move_later(self) -> None:
        self._wait(self._move_after)

    def _do_report(self) -> None:
        if isinstance(self._refusal, ParleyError):
            logger.debug("not back yet: %s", self._refusal)
        else:
            logger.warning("the token function failed: %s", type(self._refusal).__name__)

    def _do_lost(self) -> None:
        self._owner.lost()

    def _do_release(self) -> None:
        held, self._held = self._held, []
        for message in held:
            if self.state is not State.CLOSED:  # what was heard may have closed it
                self._owner.received(message)
        self._owner.flush()

    def _do_discard(self) -> None:
        self._held.clear()

    def _do_close(self) -> None:
        """End the present connection in order, and whatever is under way at once."""
        self._stop_timer()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        present, self._present = self._present, None
        self._held.clear()
        self._attempt.drop()
        if present is not None:
            self._in_task(present.close())

    def _do_end(self) -> None:
        code, reason, error = self._end
        self._do_close()
        if self._opened.done():
            self._owner.over(code, reason, error)
        else:
            self._opened.set_exception(error or ParleyError(UNAVAILABLE, reason))

    # The present connection.

    async def _follow(self, connection: Connection) -> None:
        """Hand over what comes, until the connection ends."""
        renewal = Renewal(self._credentials, self._attempt.message, self._owner.renewed)
        try:
            while True:
                message = await connection.receive()
                if connection is self._present:
                    self._heard(renewal, message)
        except ConnectionEnded as ended:
            renewal.abandon()
            if connection is self._present:
                self._broke(ended)

    def _heard(self, renewal: Renewal, message: Message) -> None:
        if self.state is State.RESUMING:
            self._held.append(message)
        elif not self._concerns_connection(renewal, message):
            self._owner.received(message)

    def _concerns_connection(self, renewal: Renewal, message: Message) -> bool:
        type_, renews = str(message.get("type")), str(message.get("id", "")).startswith("auth-")
        if type_ == "auth_error" or (type_ == "error" and "id" not in message):
            self._last_error = ParleyError.of(message)
        if type_ == "go_away":
            self._move_after = message.get("reconnectAfterMs", 0) / 1000
            self._happen(Event.GO_AWAY)
        elif type_ == "token_expiring" and self._present is not None:
            self._in_task(renewal.run(self._present))
        elif type_ == "auth_ok" or renews:
            renewal.answered(message)
        return type_ in ("go_away", "token_expiring", "auth_ok", "auth_error", "pong") or renews

    def _broke(self, ended: ConnectionEnded) -> None:
        logger.debug("connection ended: %s", ended)
        self._present = None
        if asyncio.get_running_loop().time() - self._since > STABLE:
            self._backoff.reset()
        self._refusal = None
        self._end = (ended.code, ended.reason, self._last_error)
        self._happen(loss_of(ended.code))

    # Time and tasks.

    def _wait(self, seconds: float) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, self._happen, Event.TIMER)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _in_task(self, doing: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(doing, name="parley-link")
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is None or self.state is State.CLOSED:
            return
        if isinstance(error, Exception) and not self._opened.done():
            self._give_up(error)
            return
        logger.error("the session ends because of a bug", exc_info=error)
        self._happen(Event.CLOSE)
        self._owner.over(None, type(error).__name__, ParleyError("internal", type(error).__name__))
