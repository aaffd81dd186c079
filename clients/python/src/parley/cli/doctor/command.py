"""The command: looks at one thing after the other, as far as there is any use in it."""

import asyncio
from typing import Annotated

import typer

from parley.cli.broker import Broker
from parley.cli.doctor import credentials, entrance, gateway, ice, log
from parley.cli.doctor.report import Finding, Report
from parley.cli.exits import Exit, Stop
from parley.cli.nats_options import USER, NatsPassword, NatsPasswordFile, NatsUrl, NatsUser, broker_of
from parley.cli.options import AsJson, Server, takes_server
from parley.cli.terminal import put


@takes_server
def doctor(
    server: Server,
    room_id: Annotated[
        str | None, typer.Option("--room", help="Enter this room; otherwise one is made and closed again.")
    ] = None,
    nats_url: NatsUrl = None,
    nats_user: NatsUser = USER,
    nats_password: NatsPassword = None,
    nats_password_file: NatsPasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Look at everything a call needs, and say what is wrong and what to do. Exit status 4 if something is."""
    broker = None
    if nats_url is not None:
        broker = broker_of(server, nats_url, nats_user, nats_password, nats_password_file)
    _ = server.tls  # a file of --ca that cannot be read is wrong usage, not a finding
    report = Report(_silent if as_json else Finding.show)
    asyncio.run(_look(server, room_id, broker, report))
    if as_json:
        put({"ok": report.sound, "findings": [finding.json() for finding in report.findings]})
    if not report.sound:
        raise Stop(Exit.FOUND)


def _silent(_finding: Finding) -> None:
    """With --json everything is said at the end."""


async def _look(server: Server, room_id: str | None, broker: Broker | None, report: Report) -> None:
    users = None
    if gateway.look(server, report):
        if credentials.look(server, report):
            users = await entrance.look(server, room_id, report)
        else:
            report.skipped("websocket", "not tried, without a good token")
    if users is not None:
        await ice.look(server, users, report)
    else:
        report.skipped("turn", "not tried: only who is in a room is told STUN and TURN servers")
    if broker is not None:
        await log.look(broker, report)
    else:
        report.skipped("nats", "not tried: no --nats-url (only for following room events)")
