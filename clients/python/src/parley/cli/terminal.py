"""What is written: answers on standard output, everything else on standard error; nothing a server sent is trusted."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from parley.cli.exits import Exit, Stop

# A pipe has no width: what is written into one is neither cut nor wrapped.
ENDLESS = 100_000


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Nobody reads any more (`parley watch | head`)."""
        raise Stop(Exit.UNREAD)


out = _Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
err = _Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def clean(value: object) -> str:
    """A text from elsewhere without what would steer a terminal or break a line."""
    return "".join(c if c.isprintable() else "�" for c in str(value))


def say(text: str | Text) -> None:
    """A line of the answer."""
    out.print(text)


def note(sentence: str) -> None:
    """Something worth knowing that is no part of the answer."""
    err.print(Text(f"parley: {clean(sentence)}", style="dim"))


def complain(sentence: str) -> None:
    """Why the command did not do what it was asked to."""
    err.print(Text.assemble(("parley: ", "bold red"), clean(sentence)))


def put(document: Any) -> None:
    """One JSON document on one line, for programs; at once, for those that follow."""
    try:
        sys.stdout.write(_json(document) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise Stop(Exit.UNREAD) from None


def _json(document: Any) -> str:
    """Readable, but for what would steer a terminal or end a line."""
    text = json.dumps(document, ensure_ascii=not (sys.stdout.encoding or "").lower().startswith("utf"))
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def table(columns: Sequence[str], rows: Iterable[Sequence[str | Text]], title: str | None = None) -> Table:
    """A table whose cells are plain text."""
    made = Table(box=SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(clean(cell)) for cell in row))
    return made


def show(columns: Sequence[str], rows: Iterable[Sequence[str | Text]]) -> None:
    """A table as an answer: as wide as the terminal, or in a pipe as wide as it needs to be."""
    made = table(columns, rows)
    if out.is_terminal:
        out.print(made, soft_wrap=False)
        return
    made.box = None
    _Console(file=sys.stdout, width=ENDLESS, highlight=False, emoji=False).print(made)


def fields(pairs: Mapping[str, object]) -> None:
    """Names and values, one under another; those without a value are left out."""
    width = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        if value is not None:
            say(Text.assemble((f"{name:<{width}}  ", "bold"), clean(value)))
