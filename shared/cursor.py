"""A position in the log, as clients carry it: opaque to them, `<incarnation>.<sequence>[.<part>]` to us."""

import re
from dataclasses import dataclass

_FORM = re.compile(r"([A-Za-z0-9_-]{1,32})\.([0-9]{1,19})(?:\.([0-9]{1,4}))?")


@dataclass(frozen=True, slots=True)
class Cursor:
    """After the entry `sequence` of the log `incarnation`; with a `part`, only after so many of its events."""

    incarnation: str
    sequence: int
    part: int = 0

    def text(self) -> str:
        """As it goes over the wire."""
        end = f".{self.part}" if self.part else ""
        return f"{self.incarnation}.{self.sequence}{end}"

    @classmethod
    def parse(cls, text: str) -> "Cursor | None":
        """From the wire; None when it is none of ours."""
        found = _FORM.fullmatch(text)
        if found is None:
            return None
        incarnation, sequence, part = found.groups()
        return cls(incarnation, int(sequence), int(part or 0))
