"""A position in the log, as clients carry it: opaque to them, `<incarnation>.<sequence>[.<part>][~<events>]` to us."""

import re
from dataclasses import dataclass

from shared.values.position import Position

_FORM = re.compile(r"([A-Za-z0-9_-]{1,32})\.([0-9]{1,19})(?:\.([0-9]{1,4}))?(?:~([0-9]{1,19}))?")


@dataclass(frozen=True, slots=True)
class Cursor:
    """After the entry `sequence` of the log `incarnation`; with a `part`, only after so many of its events.

    A signal's also says after which entry of the room's `events`: an event that was lost on its way to the gateway shows
    itself only when the next one comes, and a signal may come before that.
    """

    incarnation: str
    sequence: Position
    part: int = 0
    events: Position | None = None

    @property
    def next_event(self) -> Position:
        """The sequence of the first entry in which there may be events that were not told."""
        if self.events is not None:
            return Position(self.events + 1)
        return self.sequence if self.part else Position(self.sequence + 1)

    def text(self) -> str:
        """As it goes over the wire."""
        end = f".{self.part}" if self.part else ""
        events = f"~{self.events}" if self.events is not None else ""
        return f"{self.incarnation}.{self.sequence}{end}{events}"

    @classmethod
    def parse(cls, text: str) -> "Cursor | None":
        """From the wire; None when it is none of ours."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        incarnation, sequence, part, events = found.groups()
        return cls(incarnation, Position(int(sequence)), int(part or 0), Position(int(events)) if events else None)
