"""Participants as rows of a table, the same in `rooms show` and `join` (pure)."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from parley.cli.terminal import clean

PEOPLE = ("NAME", "AGENT", "KIND", "ROLE", "CONNECTION", "AUDIO", "VIDEO", "SCREEN")
MEDIA = ("audio", "video", "screen")
STYLES = {"on": "green", "muted": "yellow", "off": "dim", "connected": "green", "reconnecting": "yellow"}


def word(text: str) -> Text:
    """A state in its colour."""
    return Text(clean(text), style=STYLES.get(text.partition(" ")[0], ""))


def person(participant: Mapping[str, Any]) -> list[str | Text]:
    """The row of a participant in the protocol's JSON."""
    media = participant.get("media") or {}
    return [
        str(participant["name"]),
        str(participant["agentId"]),
        str(participant["kind"]),
        str(participant["role"]),
        word(str(participant["connection"])),
        *(word(str((media.get(kind) or {}).get("state", "off"))) for kind in MEDIA),
    ]
