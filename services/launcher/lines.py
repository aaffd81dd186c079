"""Writes the lines of the launcher and its processes, each with the name of its process."""

import os
import sys
from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

OWN = {"parley": "bold"}  # the style of the launcher's own lines


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """The reader of the output is gone (`make run | head`): write nothing more, instead of ending the launcher."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


console = _Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


class Lines:
    """Writes lines with names in a column. `colours` has the colour of each name."""

    def __init__(self, colours: Mapping[str, str]) -> None:
        self._colours = {**colours, **OWN}
        self._width = max(map(len, self._colours))

    def say(self, who: str, line: str) -> None:
        """Write one line of the process `who`."""
        console.print(Text.assemble((f"{who:>{self._width}} ", self._colours.get(who, "")), "│ ", line))
