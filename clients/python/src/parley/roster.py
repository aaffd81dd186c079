"""Who is in a room: the fold of its pushes. Pure: messages in, events out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from parley.events import ParticipantJoined, ParticipantLeft, ParticipantUpdated, RoomUpdated, RosterEvent
from parley.participant import Participant
from parley.room_info import RoomInfo

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """What a push changed. With a `gap`, changes before it were missed: nothing is taken, and the room has to be asked
    for."""

    events: tuple[RosterEvent, ...] = ()
    gap: bool = False


class Roster:
    """A room and its participants at one revision."""

    def __init__(self, users: Message) -> None:
        self.info = RoomInfo.of(users["room"])
        self.revision: int = users["revision"]
        self.self_id: str = users["self"]
        self.participants = _ordered(users["participants"])

    @property
    def me(self) -> Participant:
        """The own participant."""
        return self.participants[self.self_id]

    def apply(self, push: Message) -> Change:
        """Take a push that changes the room. One that was taken already changes nothing, one of a type that is not known
        is counted."""
        revision = push["revision"]
        if revision <= self.revision:
            return Change()
        if revision > self.revision + 1:
            return Change(gap=True)
        self.revision = revision
        return Change(tuple(self._take(push)))

    def replace(self, users: Message) -> tuple[RosterEvent, ...]:
        """Take a `room_users`: what differs. One that is older than what is known changes nothing, unless the room's log
        is another one (`recovered` is false)."""
        fresh = Roster(users)
        older = fresh.self_id == self.self_id and fresh.revision < self.revision
        if older and users.get("recovered") is not False:
            return ()
        events: list[RosterEvent] = [
            ParticipantLeft(one, None) for id_, one in self.participants.items() if id_ not in fresh.participants
        ]
        for id_, one in fresh.participants.items():
            previous = self.participants.get(id_)
            if previous is None:
                events.append(ParticipantJoined(one))
            elif previous != one:
                events.append(ParticipantUpdated(one, previous))
        if fresh.info != self.info:
            events.append(RoomUpdated(fresh.info, self.info))
        self.info, self.revision, self.self_id = fresh.info, fresh.revision, fresh.self_id
        self.participants = fresh.participants
        return tuple(events)

    def _take(self, push: Message) -> Iterable[RosterEvent]:
        match push["type"]:
            case "user_joined" | "user_updated":
                one = Participant.of(push["participant"])
                previous = self.participants.get(one.id)
                self.participants[one.id] = one
                if previous is None:
                    self.participants = dict(sorted(self.participants.items(), key=lambda pair: pair[1].order))
                    yield ParticipantJoined(one)
                elif previous != one:
                    yield ParticipantUpdated(one, previous)
            case "user_left":
                gone = self.participants.pop(push["participantId"], None)
                if gone is not None:
                    yield ParticipantLeft(gone, push.get("reason", "left"))
            case "room_updated":
                previous_info, self.info = self.info, RoomInfo.of(push["room"])
                if previous_info != self.info:
                    yield RoomUpdated(self.info, previous_info)


def _ordered(raw: Iterable[Message]) -> dict[str, Participant]:
    participants = sorted((Participant.of(one) for one in raw), key=lambda one: one.order)
    return {one.id: one for one in participants}
