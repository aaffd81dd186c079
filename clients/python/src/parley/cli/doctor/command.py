"""The command: looks at one thing after the other, as far as there is any use in it."""

import asyncio
from typing import Annotated

import typer

from parley.cli.broker import Broker
from parley.cli.doctor import credentials, entrance, gateway, ice, log, services
from parley.cli.doctor.report import Finding, Report
from parley.cli.exits import Exit, Stop, wrong
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
    traceless: Annotated[
        bool, typer.Option("--traceless", help="Make and enter no room: nothing of this look stays anywhere.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Look at everything a call needs, and say what is wrong and what to do.

    Exit status 4 if something is wrong, 5 if not and something could not be judged.
    """
    if traceless and room_id is not None:
        raise wrong("--room enters a room, which --traceless does not")
    broker = None
    if nats_url is not None:
        broker = broker_of(server, nats_url, nats_user, nats_password, nats_password_file)
    _ = server.tls  # a file of --ca that cannot be read is wrong usage, not a finding
    report = Report(_silent if as_json else Finding.show)
    asyncio.run(_look(server, room_id, traceless, broker, report))
    if as_json:
        put({"ok": report.sound, "findings": [finding.json() for finding in report.findings]})
    if not report.sound:
        raise Stop(Exit.FOUND if report.has("wrong") else Exit.UNJUDGED)


def _silent(_finding: Finding) -> None:
    """With --json everything is said at the end."""


async def _look(server: Server, room_id: str | None, traceless: bool, broker: Broker | None, report: Report) -> None:
    users = None
    reaches_broker = gateway.look(server, report)
    if reaches_broker is not None:
        answering = services.look(server, reaches_broker, report)
        if credentials.look(server, answering, report):
            users = await entrance.look(server, room_id, traceless, report)
        else:
            report.unknown("websocket", "not tried, without a good token")
    if users is not None:
        await ice.look(server, users, report)
    elif traceless:
        report.skipped("turn", "not tried: only who is in a room is told STUN and TURN servers (--traceless)")
    else:
        report.unknown("turn", "not tried: only who is in a room is told STUN and TURN servers")
    if broker is not None:
        await log.look(broker, report)
    else:
        report.skipped("nats", "not tried: no --nats-url (only for following room events)")
