"""What the launcher writes: the lines of its parts, each with a prefix, and the welcome."""

import json
import os
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

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


def welcome(urls: Sequence[str], nats: tuple[str, Path] | None) -> None:
    """Where everything is, a token, and a line to paste. `nats`: where our own server is, and its passwords."""
    console.print()
    for url in urls:
        socket = url.replace("http", "ws", 1)
        console.print(f"  [bold]URL[/]    {url}    (REST: {url}/api/docs, WebSocket: {socket}/ws)")
    token = _dev_token(urls[0])
    if token is not None:
        console.print(f"  [bold]token[/]  {token}")
        console.print()
        console.print("  [bold]try[/]    " + _paste(urls[0], token))
    if nats is not None:
        console.print()
        console.print(f"  [bold]NATS[/]   {nats[0]}    (room events: user observer, password in {nats[1]})")
    console.print()


def _dev_token(url: str) -> str | None:
    body = json.dumps({"agentId": "you", "ttl": 86400}).encode()
    request = urllib.request.Request(  # noqa: S310 - our own gateway
        url + "/api/dev/token", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
            return str(json.load(answer)["token"])
    except (OSError, ValueError, KeyError):
        return None  # not development mode, or not a loopback address


def _paste(url: str, token: str) -> str:
    return (
        f"curl -s {url}/api/rooms -H 'Authorization: Bearer {token}' "
        '-H \'Content-Type: application/json\' -d \'{"name": "First room", "type": "video"}\''
    )
