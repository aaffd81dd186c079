"""The double of a log's stream: its entries in order, its followers, and the keys of signals. Nothing is durable."""

import asyncio
import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic

from shared.broker.log import Draft, Item, LogFormat
from shared.values.position import NOWHERE, Position


def matches(pattern: str, subject: str) -> bool:
    """Whether a NATS subject matches a pattern with `*` (one token) and `>` (the rest)."""
    tokens = subject.split(".")
    for i, part in enumerate(pattern.split(".")):
        if part == ">":
            return len(tokens) > i
        if i >= len(tokens) or part not in ("*", tokens[i]):
            return False
    return len(tokens) == len(pattern.split("."))


@dataclass(frozen=True, slots=True)
class Message(Generic[Item]):
    """A stored message, as it was written and as the entry that readers get."""

    subject: str
    headers: Mapping[str, str]
    body: bytes
    entry: Item


@dataclass(eq=False)
class MemoryFollower(Generic[Draft, Item]):
    """One follower of a subject."""

    subject: str
    receive: Callable[[Item], None]
    on_gap: Callable[[], None]
    stream: "MemoryStream[Draft, Item]"

    async def stop(self) -> None:
        """Stop following."""
        if self in self.stream.followers:
            self.stream.followers.remove(self)


class MemoryStream(Generic[Draft, Item]):
    """All entries of one log."""

    def __init__(self, log_format: LogFormat[Draft, Item], incarnation: str) -> None:
        self.format = log_format
        self.incarnation = incarnation
        self.generation = 0
        self.messages: list[Message[Item]] = []
        self.keys: dict[str, Position] = {}
        self.followers: list[MemoryFollower[Draft, Item]] = []
        self.position = NOWHERE  # of the newest entry
        self.consumers: dict[str, Position] = {}  # durable ones, which tests keep: up to where each has acknowledged
        self._newest: dict[str, Item] = {}

    def store(self, subject: str, headers: dict[str, str], body: bytes) -> Position:
        """Commit an entry. The followers get it later from the event loop, in order, not inside the writer's call."""
        before = {"Nats-Last-Sequence": str(self.last_of(subject))}  # as the stream's republished copies have it
        entry = self.format.decode(subject, Position(self.position + 1), headers | before, body)
        if entry is None:
            raise ValueError("not a subject of the log")
        self.position = entry.position
        self.messages.append(Message(subject, headers, body, entry))
        self._newest[subject] = entry
        for follower in self.followers:
            if matches(follower.subject, subject):
                asyncio.get_running_loop().call_soon(self._tell, follower, entry)
        return entry.position

    def go_back(self, to: Position, incarnation: str) -> None:
        """Be another log: this one as it was at `to`, from where positions are given anew. NOWHERE: an empty one."""
        self.incarnation = incarnation
        self.generation += 1
        self.position = to
        self.messages = [one for one in self.messages if one.entry.position <= to]
        self.keys = {key: position for key, position in self.keys.items() if position <= to}
        self._newest = {one.subject: one.entry for one in self.messages}
        for follower in self.followers:
            asyncio.get_running_loop().call_soon(follower.on_gap)

    def _tell(self, follower: MemoryFollower[Draft, Item], entry: Item) -> None:
        if follower in self.followers:
            follower.receive(entry)

    def last_of(self, subject: str) -> Position:
        """The last position of one subject, NOWHERE for none."""
        newest = self._newest.get(subject)
        return newest.position if newest else NOWHERE

    def read(self, pattern: str, after: Position, up_to: Position) -> Iterator[Item]:
        """The entries of matching subjects above `after`, up to and with `up_to`, oldest first."""
        start = bisect.bisect_right(self.messages, after, key=lambda message: message.entry.position)
        for index in range(start, len(self.messages)):
            message = self.messages[index]
            if message.entry.position > up_to:
                return
            if matches(pattern, message.subject):
                yield message.entry

    def newest(self, patterns: Sequence[str]) -> list[Item]:
        """The newest entry of every subject that matches one of these, oldest first."""
        found = [e for name, e in self._newest.items() if any(matches(pattern, name) for pattern in patterns)]
        return sorted(found, key=lambda entry: entry.position)

    def trim(self, subject: str, before: Position | None = None) -> None:
        """Delete all entries of a subject below `before`; without it all but the last."""
        last = self.last_of(subject)
        before = last if before is None else before
        self.messages = [one for one in self.messages if one.subject != subject or one.entry.position >= before]
        if last < before:
            self._newest.pop(subject, None)
