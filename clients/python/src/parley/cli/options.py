"""The options that most commands share, and what they amount to: a server and a token for it."""

import inspect
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, wraps
from pathlib import Path
from ssl import SSLContext
from typing import Annotated, Any, TypeVar

import typer

from parley.cli import credential, trust
from parley.cli.address import DEFAULT, base_of, socket_of
from parley.cli.credential import Credential
from parley.cli.exits import wrong
from parley.cli.rest import Rest
from parley.cli.terminal import note

Result = TypeVar("Result")
URL, TOKEN, TOKEN_FILE = "PARLEY_URL", "PARLEY_TOKEN", "PARLEY_TOKEN_FILE"

AsJson = Annotated[bool, typer.Option("--json", help="For programs: JSON on standard output.")]


def _room_id(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", text):
        raise wrong("a roomId has 1 to 64 of A-Z a-z 0-9 _ -")
    return text


RoomId = Annotated[
    str, typer.Argument(metavar="ROOM", help="The room's roomId.", show_default=False, callback=_room_id)
]
AnyRoomId = Annotated[
    str | None, typer.Argument(metavar="[ROOM]", help="Without it: all rooms (NATS only).", callback=_room_id)
]


def _server_options(
    url: Annotated[str, typer.Option("--url", envvar=URL, help="A gateway: http(s):// or ws(s)://.")] = DEFAULT,
    token: Annotated[
        str | None, typer.Option("--token", help=f"An agent-link token. Better: {TOKEN}; others see your arguments.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help=f"A file that holds it ({TOKEN_FILE}); - is standard input.")
    ] = None,
    ca: Annotated[Path | None, typer.Option("--ca", help="Certificates (PEM) to trust as well.")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="Trust any certificate: for tests only.")] = False,
) -> "Server":
    return Server(base_of(url), token, token_file, ca, insecure)


def takes_server(command: Callable[..., Result]) -> Callable[..., Result]:
    """Gives a command whose first parameter is a Server the options above in its place."""
    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    shared = list(inspect.signature(_server_options, eval_str=True).parameters.values())
    keyword = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *shared)]

    @wraps(command)
    def run(**given: Any) -> Result:
        server = _server_options(**{p.name: given.pop(p.name) for p in shared})
        return command(server, **given)

    run.__signature__ = inspect.Signature(keyword)  # type: ignore[attr-defined]  # what typer reads
    run.__annotations__ = {p.name: p.annotation for p in keyword}
    del run.__wrapped__  # typing.get_type_hints would look there
    return run


@dataclass(frozen=True)
class Server:
    """A gateway, and what was said about the token for it."""

    base: str
    token: str | None
    token_file: Path | None
    ca: Path | None
    insecure: bool

    @property
    def socket(self) -> str:
        """Its WebSocket."""
        return socket_of(self.base)

    @cached_property
    def tls(self) -> SSLContext:
        """Whom we believe to be it. Raises Stop."""
        return trust.context(self.ca, self.insecure)

    @cached_property
    def given(self) -> Credential | None:
        """The token that was given, without asking the server: what is nearer to the command wins. Raises Stop."""
        if self.token is not None and self.token_file is not None:
            raise wrong("--token and --token-file exclude each other")
        if self.token is not None:
            return Credential(credential.sendable(self.token, "--token"), "option")
        if self.token_file is not None:
            return credential.of_file(self.token_file)
        if os.environ.get(TOKEN):
            return Credential(credential.sendable(os.environ[TOKEN], TOKEN), "environment")
        if os.environ.get(TOKEN_FILE):
            return credential.of_file(Path(os.environ[TOKEN_FILE]))
        return None

    @cached_property
    def credential(self) -> Credential:
        """The token to use; in development the server is asked for one. Raises Stop."""
        found = self.given
        if found is not None:
            return found
        with Rest(self.base, self.tls) as rest:
            return credential.from_development(rest, note)

    def fresh(self) -> str:
        """The token to use now, for a renewal: a file may hold a new one, and development mode issues one. Raises Stop."""
        return replace(self).credential.token

    def rest(self) -> Rest:
        """Its REST API, with the token."""
        return Rest(self.base, self.tls, self.credential.token)

    def public(self) -> Rest:
        """Its REST API, without a token."""
        return Rest(self.base, self.tls)
