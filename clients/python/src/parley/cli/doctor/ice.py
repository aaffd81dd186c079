"""Will a call get through: the STUN and TURN servers that a room names, each asked."""

import ssl
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from parley.cli.claims import duration
from parley.cli.doctor import ice_uri, relay
from parley.cli.doctor.ice_uri import IceUri
from parley.cli.doctor.report import Report
from parley.cli.options import Server
from parley.cli.rest import why

NONE = "the room names no STUN or TURN server, so calls work within one network only"
SET = "set PARLEY_STUN_URLS, and PARLEY_TURN_URLS with PARLEY_TURN_SECRET, for auth"
NO_TURN = "the room names no TURN server, so people behind strict firewalls will not get through"
SET_TURN = "set PARLEY_TURN_URLS and PARLEY_TURN_SECRET for auth"

Json = dict[str, Any]


async def look(server: Server, users: Json, report: Report) -> None:
    """Ask every server of a `room_users`."""
    servers = users.get("iceServers") or []
    if not servers:
        report.note("ice", NONE, SET)
        return
    if users.get("expiresAt"):
        left = datetime.fromisoformat(str(users["expiresAt"])).timestamp() - time.time()
        if left <= 0:
            advice = "compare the clocks of auth and this machine"
            report.wrong("ice", f"the TURN credentials ended {duration(left)} ago", advice)
    seen = False
    for uri, username, credential in _each(servers):
        seen |= uri.startswith("turn")
        await _try(server, uri, username, credential, report)
    if not seen:
        report.note("turn", NO_TURN, SET_TURN)


def _each(servers: list[Json]) -> Iterator[tuple[str, str, str]]:
    for one in servers:
        urls = one.get("urls", [])
        for uri in [urls] if isinstance(urls, str) else urls:
            yield str(uri), str(one.get("username", "")), str(one.get("credential", ""))


async def _try(server: Server, text: str, username: str, credential: str, report: Report) -> None:
    about = "turn" if text.startswith("turn") else "stun"
    try:
        uri = ice_uri.parse(text)
    except ValueError:
        report.wrong(about, f"{text} is no STUN or TURN URI", "correct PARLEY_STUN_URLS or PARLEY_TURN_URLS of auth")
        return
    if uri.tls and uri.transport == "udp":
        report.skipped(about, f"{text} is DTLS, which was not tried")
        return
    try:
        async with relay.reach(uri, server.tls) as wire:
            await _ask(wire, about, text, username, credential, report)
    except (OSError, TimeoutError, ValueError) as error:
        report.wrong(about, f"{text}: {_reason(error)}", _advice(uri, error))


async def _ask(wire: relay.Wire, about: str, text: str, username: str, credential: str, report: Report) -> None:
    try:
        if about == "stun":
            address = await relay.own_address(wire)
            report.ok(about, f"{text} sees us as {address}")
        else:
            relayed = await relay.allocate(wire, username, credential)
            report.ok(about, f"{text} relays for us at {relayed}")
    except relay.OpenRelay:
        advice = "turn on `use-auth-secret` there: strangers may use it"
        report.wrong(about, f"{text} relays for anybody, without a password", advice)
    except relay.Refused as refused:
        report.wrong(about, f"{text} refuses: {refused}", _meaning(refused.number))


def _meaning(number: int) -> str:
    if number == 401:
        return "its shared secret must be auth's PARLEY_TURN_SECRET (and its clock right)"
    if number == 486:
        return "it has no more allocations for this user: raise its `user-quota`"
    if number == 508:
        return "it has no free ports: raise its port range or `total-quota`"
    return "its log says more"


def _advice(uri: IceUri, error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"clients will not trust it either: give it a certificate for {uri.host} that they do"
    door = f"{uri.transport.upper()} port {uri.port}"
    if isinstance(error, ssl.SSLError):
        return f"see that {door} of {uri.host} is for TLS there: `tls-listening-port`, `cert` and `pkey` of coturn"
    return f"see that it runs, and that firewalls let {door} of {uri.host} through"


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLCertVerificationError):
        return "what answers there does not speak TLS"
    if isinstance(error, OSError):  # a certificate that is not trusted is a ValueError as well
        return why(error)
    return "what answers there does not speak STUN"
