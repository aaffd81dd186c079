"""Counters with a label whose values are all known, and there from the start.

`rate()` and `increase()` see only changes of a series. One that begins with its first event never shows that event.
"""

from collections.abc import Iterable
from typing import Final

from prometheus_client import Counter

from shared.values.errors import Code

OTHER = "other"  # whatever value nobody thought of
CODES: Final = tuple(code.value for code in Code)
OUTCOMES: Final = ("ok", *CODES)


class Tally:
    """A counter with one label. A value that was not named counts as `other`."""

    def __init__(self, name: str, documentation: str, label: str, values: Iterable[str]) -> None:
        self.name = name
        self.values = frozenset((*values, OTHER))
        counter = Counter(name, documentation, [label])
        self._children = {value: counter.labels(value) for value in self.values}
        TALLIES.append(self)

    def labels(self, value: str) -> Counter:
        """The counter of this value."""
        return self._children.get(value) or self._children[OTHER]


TALLIES: list[Tally] = []
"""All of this process."""
