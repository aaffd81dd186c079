"""Can room events be had from NATS?"""

import time

from parley.cli.broker import Broker, RoomLog, Start
from parley.cli.doctor.report import Report
from parley.cli.exits import Exit, Stop
from parley.cli.terminal import note


async def look(broker: Broker, report: Report) -> None:
    """Read the newest entry of the log, as `parley watch` would."""
    log = RoomLog(broker, None, note)
    started = time.monotonic()
    try:
        found = await log.exists()
        async for _ in log.events(Start(), follow=False):
            pass
    except Stop as stop:
        advice = "see that NATS runs, and that network policies let you through"
        if stop.status is Exit.REFUSED:
            advice = "set NATS_PASSWORD to the password of that user (deploy/nats/accounts.conf)"
        report.wrong("nats", stop.sentence, advice)
        return
    took = (time.monotonic() - started) * 1000
    state = "can be read" if found else "is empty so far"
    report.ok("nats", f"{broker.shown} answers, and the log of rooms {state} ({took:.0f} ms)")
