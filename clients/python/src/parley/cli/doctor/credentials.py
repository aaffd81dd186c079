"""Is there a token, how long is it good, and does the server take it?"""

import time
from collections.abc import Mapping

from parley.cli import claims
from parley.cli.claims import Claims, NoToken, duration
from parley.cli.credential import Credential
from parley.cli.doctor.report import Report
from parley.cli.exits import Exit, Stop
from parley.cli.options import TOKEN, TOKEN_FILE, Server
from parley.cli.room_commands import ROOMS

SOON = 120.0  # seconds that are hardly enough to join
ADVICE = {
    "expired_token": "get another one",
    "not_yet_valid": "wait, or compare the clocks of the issuer and the server",
    "wrong_audience": "the issuer must write the audience that auth expects (PARLEY_AUDIENCE) into it",
    "wrong_issuer": "it must come from the issuer that auth expects (PARLEY_ISSUER)",
    "throttled": "too many refused tokens came from this address: wait a few seconds",
    "rate_limited": "wait a few seconds",
    "invalid_token": "it must be signed with the key that auth has",
}
SOURCES = {
    "option": "--token",
    "file": f"--token-file or {TOKEN_FILE}",
    "stdin": "standard input",
    "environment": TOKEN,
    "development": "/api/dev/token",
}


def look(server: Server, answering: Mapping[str, bool], report: Report) -> bool:
    """Whether there is a token worth trying: one that the server takes, or that nobody could judge yet."""
    try:
        found = server.credential
    except Stop as stop:
        if stop.status is Exit.UNREACHABLE:
            report.unknown("token", f"the server could not issue one now: {stop.sentence}")
        else:
            advice = f"set {TOKEN} to an agent-link token; only a server in development mode issues them by itself"
            report.wrong("token", stop.sentence, advice)
        return False
    sentence, warning = _described(found)
    if answering.get("auth") and not answering.get("rooms"):
        report.skipped("token", f"{sentence}; the WebSocket judges it, since rooms does not answer")
        return True
    try:
        with server.rest() as rest:
            rest.ask("GET", ROOMS, query={"limit": 1})
    except Stop as stop:
        return _refused(stop, sentence, report)
    if warning:
        report.note("token", f"{sentence}; the server takes it", warning)
    else:
        report.ok("token", f"{sentence}; the server takes it")
    return True


def _refused(stop: Stop, sentence: str, report: Report) -> bool:
    if stop.status is Exit.UNREACHABLE:
        report.unknown("token", f"{sentence}; the server cannot judge it now: {stop.sentence}")
        return False
    advice = ADVICE.get(stop.code or "", "get another one")
    report.wrong("token", f"{sentence}; the server refuses it: {stop.sentence} [{stop.code}]", advice)
    return False


def _described(found: Credential) -> tuple[str, str]:
    """The token in words, and what may be wrong with it."""
    source = SOURCES[found.source]
    try:
        said = claims.read(found.token)
    except NoToken as problem:
        return f"what {source} holds is no JWT ({problem})", ""
    return f"{said.agent_id}, from {source}, {_left(said)}", _warning(said)


def _left(said: Claims) -> str:
    left = said.left(time.time())
    if left is None:
        return "without an end"
    return f"good for {duration(left)}" if left > 0 else f"expired {duration(left)} ago"


def _warning(said: Claims) -> str:
    left = said.left(time.time())
    return "it ends soon: get another one before you join" if left is not None and left < SOON else ""
