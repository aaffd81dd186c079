"""`parley token`: one for development, or what a token says and whether the server takes it."""

import time
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from parley.cli import claims, credential
from parley.cli.claims import Claims, NoToken, duration
from parley.cli.exits import Exit, Stop, wrong
from parley.cli.options import AsJson, Server, takes_server
from parley.cli.room_commands import ROOMS
from parley.cli.terminal import clean, complain, fields, note, put, say

app = typer.Typer(help="A token for development, or what one says.")


class Kind(StrEnum):
    """What an agent is."""

    HUMAN = "human"
    AGENT = "agent"
    SERVICE = "service"


@app.callback(invoke_without_command=True)
@takes_server
def issue(
    server: Server,
    context: typer.Context,
    agent: Annotated[str | None, typer.Option(help="Whom it names; otherwise you.")] = None,
    name: Annotated[str | None, typer.Option(help="Shown to people.")] = None,
    kind: Annotated[Kind | None, typer.Option(help="What the agent is.")] = None,
    permission: Annotated[list[str] | None, typer.Option(help="Such as rooms:create; may be repeated.")] = None,
    ttl: Annotated[int | None, typer.Option(min=1, help="Seconds until it expires.")] = None,
    as_json: AsJson = False,
) -> None:
    """A token from a server in development mode, on standard output. `parley token show` reads one instead.

    export PARLEY_TOKEN="$(parley token --agent ada)"
    """
    if context.invoked_subcommand is not None:
        return
    order: dict[str, Any] = {"agentId": agent or credential.agent_id()}
    given = {"name": name, "kind": kind, "permissions": permission or None, "ttl": ttl}
    order |= {field: value for field, value in given.items() if value is not None}
    with server.public() as rest:
        answer = rest.send("POST", credential.DEV_TOKEN, body=order)
        if answer.status_code == 404:
            raise Stop(
                Exit.REFUSED, "this server issues no tokens: it is not in development mode, or not on this machine"
            )
        if not answer.is_success:
            raise rest.refusal(answer)
        issued = answer.json()
    if as_json:
        put(issued)
    else:
        say(clean(issued["token"]))


@app.command("show")
@takes_server
def show_token(
    server: Server,
    verify: Annotated[bool, typer.Option("--verify", help="Ask the server whether it takes the token.")] = False,
    as_json: AsJson = False,
) -> None:
    """What your token says. Nobody has checked that; --verify asks the server.

    parley token show --token-file - < token.txt
    """
    given = server.given
    if given is None:
        raise wrong(credential.NONE)
    try:
        found = claims.read(given.token)
    except NoToken as problem:
        raise wrong(f"this is no token: {problem}") from None
    verdict = _ask(server) if verify else None
    now = time.time()
    if as_json:
        put(_document(found, verify, verdict, now))
    else:
        _describe(found, verify, verdict, now)
    if verdict is not None:
        raise Stop(verdict.status) if as_json else verdict


def _ask(server: Server) -> Stop | None:
    """Why the server does not take the token; None if it does. Raises Stop when it cannot say."""
    try:
        with server.rest() as rest:
            rest.ask("GET", ROOMS, query={"limit": 1})
    except Stop as stop:
        if stop.status is Exit.UNREACHABLE:
            raise
        return stop
    return None


def _document(found: Claims, verify: bool, verdict: Stop | None, now: float) -> dict[str, Any]:
    left = found.left(now)
    return {
        "header": found.header,
        "claims": found.body,
        "expiresAt": _moment(found.ends),
        "secondsLeft": None if left is None else round(left),
        "accepted": verdict is None if verify else None,
        "code": verdict.code if verdict else None,
    }


def _moment(seconds: float | None) -> str | None:
    """RFC 3339; None where a number is no date."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return None


def _describe(found: Claims, verify: bool, verdict: Stop | None, now: float) -> None:
    body, left = found.body, found.left(now)
    permissions = body.get("permissions")
    fields(
        {
            "agent": found.agent_id,
            "name": body.get("name"),
            "kind": body.get("kind"),
            "permissions": " ".join(map(str, permissions))
            if isinstance(permissions, list)
            else "(the server's default)",
            "expires": _expiry(found, left),
            "issuer": body.get("iss"),
            "audience": body.get("aud"),
            "algorithm": found.header.get("alg"),
            "key": found.header.get("kid"),
        }
    )
    if not verify:
        note("nobody has checked this token: --verify asks the server")
    elif verdict is None:
        note("the server takes this token")
    else:
        complain("the server does not take this token")


def _expiry(found: Claims, left: float | None) -> str:
    if left is None:
        return "never (the server will refuse that)"
    when = _moment(found.ends) or "(no date)"
    return f"{when}, in {duration(left)}" if left > 0 else f"{when}, {duration(left)} ago"
