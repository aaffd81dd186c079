"""Tells what happened in sentences. It remembers how things were, so that it can say what changed (pure)."""

from collections.abc import Callable, Mapping
from typing import Any

from rich.text import Text

from parley.cli.happening import Json
from parley.cli.people import MEDIA
from parley.cli.terminal import clean

_STYLES = {
    "participant_joined": "green",
    "participant_left": "red",
    "room_created": "cyan",
    "room_closed": "bold red",
    "connection": "yellow",
    "left": "bold red",
}
_ROOM_FIELDS = {"name": "name", "type": "type", "access": "access", "maxParticipants": "seats", "topology": "topology"}


class Narrator:
    """One line for each happening."""

    def __init__(self) -> None:
        self._people: dict[str, Json] = {}
        self._rooms: dict[str, Json] = {}
        self._sentences: dict[str, Callable[[Json], str]] = {
            "room_created": self._created,
            "room_updated": self._room_updated,
            "room_closed": self._closed,
            "participant_joined": self._joined,
            "participant_updated": self._updated,
            "participant_left": self._left,
            "joined": self._in,
            "left": lambda event: f"we are out ({event.get('reason')})",
            "connection": lambda event: str(event.get("state")),
            "resumed": self._resumed,
            "peer": lambda event: f"{_who(event['participant'])}: call {event.get('state')}",
            "track": lambda event: f"{_who(event['participant'])}: we receive {event.get('kind')}",
            "track_ended": lambda event: f"{_who(event['participant'])}: {event.get('kind')} ended",
            "refused": lambda event: f"refused: {event.get('message')} [{event.get('code')}]",
            "ice_servers": lambda event: (
                f"new STUN and TURN servers, good until {event.get('expiresAt') or 'further notice'}"
            ),
        }

    def line(self, event: Json, room: bool = True) -> Text:
        """Time, room (if wanted) and sentence."""
        kind = event["type"]
        sentence = self._sentence(event)
        if isinstance(event.get("room"), dict):
            self._rooms[event["roomId"]] = event["room"]
        if kind == "room_closed":
            self._rooms.pop(event["roomId"], None)
        parts: list[Any] = [(f"{clean(event['time'])[:19]}Z  ", "dim")]
        if room:
            parts.append((f"{clean(event['roomId'])}  ", "bold"))
        return Text.assemble(*parts, (clean(sentence), _STYLES.get(kind, "")))

    def _sentence(self, event: Json) -> str:
        tell = self._sentences.get(event["type"])
        return tell(event) if tell is not None else str(event["type"])

    def _in(self, event: Json) -> str:
        self._people |= {one["id"]: one for one in event["participants"]}
        others = [_who(one) for one in event["participants"] if one["id"] != event.get("self")]
        return f"we are in, with {', '.join(others)}" if others else "we are in, alone"

    def _resumed(self, event: Json) -> str:
        self._people |= {one["id"]: one for one in event.get("participants", [])}
        if event.get("rejoined"):
            return "back, as a new participant"
        return "back, nothing was missed" if event.get("recovered") else "back; something may have been missed"

    def _created(self, event: Json) -> str:
        room = event.get("room", {})
        return f"made by {event.get('by') or room.get('createdBy')}: “{room.get('name')}”, {room.get('type')}, {room.get('access')}"

    def _room_updated(self, event: Json) -> str:
        room = event.get("room", {})
        before = event.get("previous") or self._rooms.get(event["roomId"])
        by = f" by {event['by']}" if event.get("by") else ""
        if before is None:
            return f"room changed{by}"
        changed = [f"{word} {room.get(f)}" for f, word in _ROOM_FIELDS.items() if room.get(f) != before.get(f)]
        if room.get("settings") != before.get("settings"):
            changed.append("settings")
        return f"room changed{by}" + (f": {', '.join(changed)}" if changed else "")

    def _closed(self, event: Json) -> str:
        return f"closed ({event.get('reason', 'no reason given')})"

    def _joined(self, event: Json) -> str:
        participant = event.get("participant", {})
        self._people[participant.get("id", "")] = participant
        return f"{_who(participant)} joined{_count(event)}"

    def _left(self, event: Json) -> str:
        participant = event.get("participant", {})
        self._people.pop(participant.get("id", ""), None)
        reason = event.get("reason")
        return f"{_who(participant)} left{f' ({reason})' if reason not in (None, 'left') else ''}{_count(event)}"

    def _updated(self, event: Json) -> str:
        after = event.get("participant", {})
        before = event.get("previous") or self._people.get(after.get("id", ""))
        self._people[after.get("id", "")] = after
        if before is None:
            return f"{_who(after)}: {', '.join(_state(after))}"
        return f"{_who(after)}: {', '.join(_changes(before, after)) or 'updated'}"


def _who(participant: Mapping[str, Any]) -> str:
    name, agent = participant.get("name"), participant.get("agentId")
    return f"{name} ({agent})" if name and name != agent else str(agent)


def _count(event: Json) -> str:
    room = event.get("room")
    return f"  {room['participantCount']}/{room['maxParticipants']}" if isinstance(room, dict) else ""


def _media(participant: Mapping[str, Any], kind: str) -> str:
    return str(((participant.get("media") or {}).get(kind) or {}).get("state", "off"))


def _state(participant: Mapping[str, Any]) -> list[str]:
    return [str(participant.get("connection")), *(f"{k} {_media(participant, k)}" for k in MEDIA)]


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    changes = [f"{kind} {_media(after, kind)}" for kind in MEDIA if _media(before, kind) != _media(after, kind)]
    if before.get("connection") != after.get("connection"):
        changes.insert(0, str(after.get("connection")))
    if before.get("name") != after.get("name"):
        changes.append(f"was called {before.get('name')}")
    if before.get("metadata") != after.get("metadata"):
        changes.append("metadata changed")
    return changes
