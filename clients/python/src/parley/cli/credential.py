"""Where the token comes from: option, file, environment, or in development the server itself."""

import getpass
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from parley.cli.exits import Exit, Stop, wrong
from parley.cli.rest import Rest

Source = Literal["option", "file", "stdin", "environment", "development"]
STDIN = "-"
NONE = "no token: set PARLEY_TOKEN, or name a file with --token-file"
DEV_TOKEN = "/api/dev/token"


@dataclass(frozen=True, slots=True)
class Credential:
    """A token, and how we came by it."""

    token: str
    source: Source

    @property
    def renewable(self) -> bool:
        """Whether asking again may bring another one."""
        return self.source in ("file", "development")


def of_file(path: Path) -> Credential:
    """The token in a file, or on standard input, which is read only once. Raises Stop."""
    return Credential(from_file(path), "stdin" if str(path) == STDIN else "file")


def from_file(path: Path) -> str:
    """The token that is all of a file's text; `-` is standard input. Raises Stop."""
    try:
        text = sys.stdin.read() if str(path) == STDIN else path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise wrong(f"the token file {path} cannot be read: {reason}") from None
    return sendable(text, f"the token file {path}")


def sendable(text: str, where: str) -> str:
    """A token that can stand in a header. Raises Stop, which repeats nothing of it."""
    token = text.strip()
    if not token:
        raise wrong(f"{where} holds no token")
    if not re.fullmatch(r"[!-~]+", token):
        raise wrong(f"{where} holds something that is no token")
    return token


def agent_id() -> str:
    """Who we are in development: the same agent each time, so that one owns what one made."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user without a name
        name = "somebody"
    return "cli-" + re.sub(r"[^A-Za-z0-9_.@:-]", "-", name)[:120]


def from_development(rest: Rest, say: Callable[[str], None]) -> Credential:
    """A token of the development mode's. Raises Stop: the server is not in that mode."""
    try:
        issued = rest.ask("POST", DEV_TOKEN, body={"agentId": agent_id()})
    except Stop as stop:
        if stop.status is Exit.UNREACHABLE:
            raise
        raise wrong(NONE) from None
    say(f"no token given: using one for {agent_id()} that the server issues in development mode")
    return Credential(str(issued["token"]), "development")
