"""A room's log, read to the end: what happened to whom at which position, and what the room was at each of them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from shared.broker.ports import Ports
from shared.broker.subjects import event_log
from shared.rooms.events import RoomEvent
from shared.rooms.roster import Entry, Roster
from shared.values import moment
from shared.values.errors import Refused
from shared.values.ids import RoomId
from shared.values.position import NOWHERE
from tests.faults.belief import WHOLE, shown_at
from tests.support.client import Message
from tests.support.invariants import PAGE, check_entries
from tests.support.operations import named_in
from tests.support.stored import events_of

PATIENCE = 40  # refusals of a read in a row


@dataclass(frozen=True, slots=True)
class Fact:
    """One event about a participant, or an operation that an entry names. `at` is Unix seconds of the clock that decided it."""

    sequence: int
    at: float
    agent: str = ""
    reason: str | None = None


class History:
    """One room, by its changes. `broken` says what its log must never be. `trims` counts snapshots among the changes."""

    def __init__(self, room_id: str, stored: Sequence[Entry]) -> None:
        self.room_id = room_id
        self.entries = entries = [entry for entry in stored if entry.checkpoint is None]
        self.trims = len(stored) - len(entries)
        self.broken: str | None = None
        self.joined: dict[str, Fact] = {}
        self.left: dict[str, Fact] = {}
        self.named: dict[str, Fact] = {}  # by the fingerprint of the operation
        try:
            self.fold = check_entries(RoomId(room_id), entries)
        except AssertionError as violated:
            self.broken = f"{room_id}: {violated}"
            self.fold = Roster(RoomId(room_id), "any")
            for entry in entries:
                self.fold.apply(entry)
        for entry in entries:
            for event in entry.events:
                self._record(entry.sequence, event)
            if entry.events:
                at = moment.unix(entry.events[-1].time)
                for name in named_in(entry.stamp):
                    self.named.setdefault(name, Fact(entry.sequence, at))

    def _record(self, sequence: int, event: RoomEvent) -> None:
        participant = event.change.participant
        if participant is None:
            return
        fact = Fact(sequence, moment.unix(event.time), participant.agent_id, event.change.reason)
        if event.type == "participant_joined":
            self.joined[participant.id] = fact
        elif event.type == "participant_left":
            self.left[participant.id] = fact

    @classmethod
    async def read(cls, ports: Ports, room_id: str, recorded: Mapping[int, Entry] = MappingProxyType({})) -> "History":
        """The whole log as it is now, with what was recorded of it before it was trimmed.

        A broker that cannot answer is asked again.
        """
        entries = dict(recorded)
        refusals, after = 0, NOWHERE
        while True:
            try:
                page = await ports.room_log.read(event_log(RoomId(room_id)), after=after, limit=PAGE)
            except Refused:
                refusals += 1
                if refusals > PATIENCE:
                    raise
                await asyncio.sleep(0.1)
                continue
            entries |= {entry.sequence: entry for entry in events_of(page)}
            after = page[-1].position if page else after
            if len(page) < PAGE:
                return cls(room_id, [entries[position] for position in sorted(entries)])

    @property
    def seats(self) -> dict[str, dict[str, Any]]:
        """Who is in, as clients are shown it."""
        return {seat.participant.id: seat.participant.wire() for seat in self.fold.seats.values()}

    def disagreements(self, shown: Iterable[Message]) -> list[str]:
        """Which of these `room_users` are not what the log says at their cursors."""
        found: list[str] = []
        fold = Roster(RoomId(self.room_id), "any")
        rest = iter(self.entries)
        upcoming = next(rest, None)
        for message in sorted(shown, key=lambda message: shown_at(message["cursor"])):
            sequence, part = shown_at(message["cursor"])
            while upcoming is not None and upcoming.sequence <= sequence:
                if upcoming.sequence == sequence and part < min(WHOLE, len(upcoming.events)):
                    break
                fold.apply(upcoming)
                upcoming = next(rest, None)
            else:
                part = 0
            if part == 0 and not _same(fold, message):
                found.append(
                    f"{self.room_id}: shown at {message['cursor']} as revision {message['revision']} with "
                    f"{len(message['participants'])} participants; the log has revision {fold.revision} there with "
                    f"{len(fold.seats)}"
                )
        return found


def _same(fold: Roster, message: Message) -> bool:
    assert fold.room is not None
    participants = [seat.participant.wire() for seat in fold.seats.values()]
    room = {**fold.room.wire(), "participantCount": len(participants)}
    shown = {"topology": room["topology"], **message["room"]}  # gateways before 0.3.0 do not show it
    return (message["revision"], message["participants"], shown) == (fold.revision, participants, room)
