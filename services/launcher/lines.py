"""What the launcher writes: the lines of its parts, each with a prefix."""

import os
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

OWN = {"parley": "bold"}  # what the launcher says itself


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Nobody reads any more (`make run | head`): go on without words, instead of ending wherever this was said."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


console = _Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Lines:
    """Lines of parts, with their names in a column. `colours`: of each name."""

    def __init__(self, colours: Mapping[str, str]) -> None:
        self._colours = {**colours, **OWN}
        self._width = max(map(len, self._colours))

    def say(self, who: str, line: str) -> None:
        """One line of somebody's."""
        console.print(Text.assemble((f"{who:>{self._width}} ", self._colours.get(who, "")), "│ ", line))
