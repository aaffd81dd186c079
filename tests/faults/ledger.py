"""What all callers of a run asked, were answered and heard: the evidence that is held against the rooms' logs."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

from shared.rooms.roster import Entry
from tests.support.client import Message

SIGNALS = ("offer", "answer", "candidate")


@dataclass(slots=True)
class Asked:
    """One request. Times are Unix seconds; `began` is when its sender first wanted this (a join asked again, say)."""

    caller: str
    id: str
    type: str
    message: Message
    room_id: str
    stay: str | None
    began: float
    known: int
    answer: "asyncio.Future[Message]"
    operation: str = ""  # what the log calls it, if it is a change of oneself
    replied: float | None = None
    reply: Message | None = None

    @property
    def acknowledged(self) -> bool:
        """It was answered, and not with an error."""
        return self.reply is not None and self.reply["type"] != "error"

    @property
    def refused(self) -> bool:
        """It was answered with an error."""
        return self.reply is not None and self.reply["type"] == "error"


@dataclass(slots=True)
class Sent:
    """A signal on its way: from one stay to another, the nth between the two."""

    marker: str
    asked: Asked
    sender: str
    to: str
    nth: int


@dataclass(frozen=True, slots=True)
class Heard:
    """A signal that arrived at a stay."""

    marker: str
    stay: str
    room_id: str
    message: Message


@dataclass(frozen=True, slots=True)
class Shown:
    """A `room_users` as somebody got it, to be compared with the log at its cursor."""

    caller: str
    message: Message


@dataclass(slots=True)
class Over:
    """A stay that ended as its caller saw it: it left, was told so, or lost its session. `lost`: by nobody's wish."""

    caller: str
    room_id: str
    stay: str
    reason: str
    at: float


@dataclass
class Ledger:
    """Everything, in the order it happened in this process."""

    asked: list[Asked] = field(default_factory=list)
    sent: dict[str, Sent] = field(default_factory=dict)
    heard: list[Heard] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    over: list[Over] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    rooms: set[str] = field(default_factory=set)
    known: dict[str, int] = field(default_factory=dict)  # room -> highest position anybody has seen
    unrecovered: dict[str, float] = field(default_factory=dict)  # stay -> when its room came anew, signals lost
    recorded: dict[str, dict[int, Entry]] = field(default_factory=dict)  # of logs that are trimmed: room -> by position

    def note(self, asked: Asked) -> None:
        """A request is made."""
        self.asked.append(asked)
        if asked.room_id:
            self.rooms.add(asked.room_id)

    def signal(self, asked: Asked, sender: str, to: str) -> None:
        """A signal is sent; the negotiation is its marker."""
        marker = asked.message["negotiation"]
        nth = self.pairs[sender, to]
        self.pairs[sender, to] += 1
        self.sent[marker] = Sent(marker, asked, sender, to, nth)

    def answered(self, asked: Asked, reply: Message) -> None:
        """Its reply came."""
        if asked.reply is not None:
            self.wrong.append(f"{asked.caller}: {asked.type} {asked.id} was answered twice")
            return
        asked.reply, asked.replied = reply, time.time()
        if not asked.answer.done():
            asked.answer.set_result(reply)

    def sees(self, room_id: str, sequence: int) -> None:
        """Somebody has seen this position: whatever is asked from now on comes after it."""
        if sequence > self.known.get(room_id, 0):
            self.known[room_id] = sequence

    def acknowledged(self, *types: str) -> list[Asked]:
        """The requests of these types that were answered and not refused."""
        return [asked for asked in self.asked if asked.acknowledged and (not types or asked.type in types)]

    def refusals(self) -> Counter[str]:
        """How often which error was the answer."""
        return Counter(f"{a.type}: {a.reply['code']}" for a in self.asked if a.reply is not None and a.refused)
