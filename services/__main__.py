"""Every service and an embedded NATS server, as separate processes: development and small installations.

`python -m services`: prints where it is and how to use it; Ctrl-C stops everything.
"""

import asyncio
import sys
from pathlib import Path

import typer
from typer.exceptions import TyperException

from services.launcher.embedded_nats import SYNC
from services.launcher.launcher import Launcher
from services.launcher.lines import errors
from services.launcher.plan import CannotStart, Plan, environment
from shared.runtime.settings import SettingsError

MOST = 16  # replicas of a service, of which one machine has use for fewer


def main(
    host: str = typer.Option("127.0.0.1", envvar=["HOST", "PARLEY_HOST"], help="Address of the gateways' ports."),
    port: int = typer.Option(
        8080,
        envvar=["PORT", "PARLEY_PORT"],
        min=0,
        max=65535,
        help="The gateway's port; a second one takes the next, and so on. 0 takes free ones.",
    ),
    data: Path = typer.Option(Path(".data"), envvar="DATA", help="Folder of the embedded NATS servers' data."),  # noqa: B008
    nats_url: str | None = typer.Option(
        None, envvar=["NATS_URL", "PARLEY_NATS_URL"], help="An existing NATS server, instead of embedded ones."
    ),
    tls: bool = typer.Option(
        False, envvar="TLS", help="Whether to speak https and wss, with a self-signed certificate kept in DATA/tls."
    ),
    replicas: int = typer.Option(1, envvar="REPLICAS", min=1, max=MOST, help="How many of each service."),
    gateways: int | None = typer.Option(
        None, envvar="GATEWAYS", min=1, max=MOST, help="How many gateways; unset: REPLICAS."
    ),
    rooms: int | None = typer.Option(
        None, envvar="ROOMS", min=1, max=MOST, help="How many processes of rooms; unset: REPLICAS."
    ),
    auths: int | None = typer.Option(
        None, envvar="AUTHS", min=1, max=MOST, help="How many processes of auth; unset: REPLICAS."
    ),
    nats_servers: int = typer.Option(
        1,
        envvar="NATS_SERVERS",
        help="1, or an embedded cluster of 3 or 5 that keeps three copies. Each number has data of its own.",
    ),
    nats_sync: str = typer.Option(
        SYNC,
        envvar="NATS_SYNC",
        help="When embedded servers have entries on the disk: `always` before they acknowledge, or every so often (`2m`).",
    ),
) -> None:
    """Run the gateway, rooms and auth with an embedded NATS server."""
    plan = Plan(
        host,
        port,
        data,
        nats_url or None,
        {"gateway": gateways or replicas, "rooms": rooms or replicas, "auth": auths or replicas},
        nats_servers,
        nats_sync,
        environment(),
        tls,
    )
    plan.check()
    asyncio.run(Launcher(plan).run())


def run() -> int:
    """The exit status: 1 and one sentence when it cannot start."""
    app = typer.Typer(add_completion=False)
    app.command()(main)
    try:
        app(standalone_mode=False)
    except TyperException as error:
        why = _sentence(error)
    except (CannotStart, SettingsError) as error:
        why = str(error)
    else:
        return 0
    errors.print(f"parley cannot start: {why}", markup=False)
    return 1


def _sentence(error: TyperException) -> str:
    """As the settings of services say it: by the variable's name."""
    option = getattr(error, "param", None)
    if option is None:
        return error.format_message()
    names = option.envvar
    return f"{names if isinstance(names, str) else names[0]}: {error.message}"


if __name__ == "__main__":
    sys.exit(run())
