"""What the launcher writes: the lines of its parts, each with a prefix."""

import os
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

COLOURS = {"gateway": "cyan", "rooms": "green", "auth": "magenta", "parley": "bold"}


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Nobody reads any more (`make run | head`): go on without words, instead of ending wherever this was said."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


console = _Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Lines:
    """Lines of parts, with their names in a column."""

    def __init__(self, names: Sequence[str]) -> None:
        self._width = max(map(len, ("parley", *names)))

    def say(self, who: str, line: str) -> None:
        """One line of somebody's."""
        colour = COLOURS.get(who.partition("-")[0], "")
        console.print(Text.assemble((f"{who:>{self._width}} ", colour), "│ ", line))
