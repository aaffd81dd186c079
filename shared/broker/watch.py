"""What a process sees of the streams it stands on, look by look: whether each is still the one it was. Pure.

A stream is another one when it was made anew, or when it went back: its store was put back to an earlier time, as by a
restored backup. Positions above where it went back to mean something else from then on.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from shared.values.position import Position


@dataclass(frozen=True, slots=True)
class StreamState:
    """A stream at one look. `incarnation` identifies it; `max_bytes` is 0 where nothing limits it."""

    name: str
    incarnation: str
    created: str  # by the broker's clock
    first: Position
    last: Position
    messages: int
    bytes: int
    max_bytes: int


class Change(StrEnum):
    """What a look may find. After ANEW and BACK the stream is another one."""

    MISSING = "missing"
    ANEW = "made anew"
    BACK = "went back"


class Watch(Protocol):
    """Looks at the streams of this process every few seconds, and after a reconnect."""

    def state(self, stream: str) -> StreamState | None:
        """The stream at the last look; None when it was not there, or not looked at yet."""

    def generation(self, stream: str) -> int:
        """How often this process has found that the stream is another one."""

    async def went_back(self, stream: str) -> None:
        """Who asks knows that this stream is another one than its name says: give it another name, for everybody.

        Only who owns the stream may ask. Raises `Refused(unavailable)`.
        """

    def tell(self, heard: Callable[[str, Change], None]) -> None:
        """Call `heard` with the stream's name and each change from now on. It may neither raise nor block."""


class Sight:
    """One stream as one process sees it.

    A new leader of a cluster may show an end that it has to catch up with. So a lower end counts only when it was lower
    for `patience` seconds.
    """

    def __init__(self, patience: float) -> None:
        self.state: StreamState | None = None  # at the last look
        self.generation = 0
        self._patience = patience
        self._known: StreamState | None = None  # the last one that was there and is believed
        self._lower_since: float | None = None

    def take(self, state: StreamState | None, now: float) -> Change | None:
        """Take in what a look showed at `now` (seconds that only go forward)."""
        was_there, known = self.state is not None, self._known
        self.state = state
        if state is None:
            return Change.MISSING if was_there else None
        if known is None or state.incarnation == known.incarnation:
            if known is not None and state.last < known.last:
                return self._lower(state, now)
            self._lower_since, self._known = None, state
            return None
        return self._another(state, Change.ANEW)

    def _lower(self, state: StreamState, now: float) -> Change | None:
        if self._lower_since is None:
            self._lower_since = now
        if now - self._lower_since < self._patience:
            return None
        return self._another(state, Change.BACK)

    def _another(self, state: StreamState, change: Change) -> Change:
        self._lower_since, self._known = None, state
        self.generation += 1
        return change

    def rename(self, state: StreamState | None) -> None:
        """The owner gave the stream another name: it is no other one than it was found to be."""
        if state is not None:
            self.state = self._known = state

    @property
    def known(self) -> StreamState | None:
        """The last state that is believed: what positions of this process belong to."""
        return self._known

    @property
    def doubtful(self) -> bool:
        """Whether the end is lower than it was, and it is too early to say why."""
        return self._lower_since is not None
