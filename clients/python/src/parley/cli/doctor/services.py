"""Do auth and rooms answer the gateway? Each is judged by itself, so that one that is away hides nothing of the other."""

from parley.cli.doctor.report import Report
from parley.cli.exits import Stop
from parley.cli.options import Server

SERVICES = "/api/services"
WITHOUT = {
    "auth": "who is in stays in, and nobody can come in",
    "rooms": "calls go on, and nobody can join, leave or change a room",
}


def look(server: Server, reaches_broker: bool, report: Report) -> dict[str, bool]:
    """Whether each answers, of those that could be judged."""
    if not reaches_broker:
        for name in WITHOUT:
            report.unknown(name, "not asked: the gateway reaches it through NATS")
        return {}
    try:
        with server.public() as rest:
            answering = dict(rest.ask("GET", SERVICES)["answering"])
    except (Stop, TypeError, KeyError, ValueError):
        for name in WITHOUT:
            report.unknown(
                name, "this gateway does not say: it is older than this program, or the path is not passed on"
            )
        return {}
    for name, without in WITHOUT.items():
        if answering.get(name):
            report.ok(name, f"{name} answers the gateway")
        else:
            report.wrong(
                name, f"{name} does not answer the gateway: {without}", f"see that {name} runs; its log says more"
            )
    return {name: bool(answering.get(name)) for name in WITHOUT}
