"""A position in the log, as clients carry it: opaque to them; its form is `<incarnation>.<sequence>[.<part>][~<events>]`."""

import re
from dataclasses import dataclass

from shared.values.position import Position

_FORM = re.compile(r"([A-Za-z0-9_-]{1,32})\.([0-9]{1,19})(?:\.([0-9]{1,4}))?(?:~([0-9]{1,19}))?")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The position after the entry `sequence` of the log `incarnation`; with a `part`, after so many events of the entry.

    A signal's cursor also has `events`: the last event entry that the client was sent before it. When an event is lost on
    its way to the gateway, only the next event shows that, and a signal may be delivered before it. A push that is found
    late has both: it is after that signal, and its `part` is of the entry behind `events`.
    """

    incarnation: str
    sequence: Position
    part: int = 0
    events: Position | None = None

    @property
    def next_event(self) -> Position:
        """The position of the first entry that may have events which the client was not sent."""
        if self.events is not None:
            return Position(self.events + 1)
        return self.sequence if self.part else Position(self.sequence + 1)

    @property
    def begun(self) -> Position:
        """The position of the entry of which the client was sent `part` events."""
        return self.sequence if self.events is None else Position(self.events + 1)

    def text(self) -> str:
        """The cursor as it goes over the wire."""
        end = f".{self.part}" if self.part else ""
        events = f"~{self.events}" if self.events is not None else ""
        return f"{self.incarnation}.{self.sequence}{end}{events}"

    @classmethod
    def parse(cls, text: str) -> "Cursor | None":
        """The cursor from the wire; None when the text has another form."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        incarnation, sequence, part, events = found.groups()
        return cls(incarnation, Position(int(sequence)), int(part or 0), Position(int(events)) if events else None)
