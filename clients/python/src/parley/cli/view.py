"""The room as a table that stays below the lines of what happens; only where there is a terminal."""

from types import TracebackType
from typing import Self

from rich.live import Live
from rich.table import Table
from rich.text import Text

import parley
from parley.cli.people import PEOPLE, person, word
from parley.cli.terminal import clean, out, table

NARROW = 72  # columns; below that only what changes is shown
_ALWAYS = {"NAME", "CONNECTION", "AUDIO", "VIDEO", "SCREEN"}


class View:
    """Shows a room. Without a terminal it shows nothing."""

    def __init__(self, extra: str | None = None) -> None:
        self._extra = extra
        self._live = Live(console=out, auto_refresh=False, transient=True) if out.is_terminal else None

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, room: parley.Room, state: str, extra: dict[str, str]) -> None:
        """The room as it is now; `extra` is one more cell for each participant."""
        if self._live is not None:
            if not self._live.is_started:
                return  # somebody looks once more while we leave
            self._live.update(self._table(room, state, extra), refresh=True)

    def _table(self, room: parley.Room, state: str, extra: dict[str, str]) -> Table:
        shown = [i for i, column in enumerate(PEOPLE) if out.width >= NARROW or column in _ALWAYS]
        rows = []
        for one in room.participants.values():
            cells = person(one.raw)
            if one.id == room.me.id:
                cells[0] = Text(f"{clean(cells[0])} (you)", style="bold")
            row = [cells[i] for i in shown]
            rows.append([*row, word(extra.get(one.id, "—"))] if self._extra else row)
        columns = [PEOPLE[i] for i in shown] + ([self._extra] if self._extra else [])
        made = table(
            columns,
            rows,
            title=f"{clean(room.name)} · {len(rows)}/{room.info.max_participants} · {room.topology} · {state}",
        )
        made.caption = "Ctrl-C leaves"
        made.caption_justify = "left"
        return made
