"""The launcher's options, from its command line and environment. Each service adds an option for its number."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from services.launcher.embedded_nats import SYNC
from services.launcher.plan import Plan, environment
from services.registry import Registry

MOST = 16  # replicas of a service, more than one machine has use for


def _planned(
    registry: Registry,
    counts: dict[str, int | None],
    *,
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
) -> Plan:
    return Plan(
        host=host,
        port=port,
        data=data,
        nats_url=nats_url or None,
        registry=registry,
        replicas={name: count or replicas for name, count in counts.items()},
        nats_servers=nats_servers,
        sync=nats_sync,
        environment=environment(),
        tls=tls,
    )


def parameters(registry: Registry) -> list[inspect.Parameter]:
    """All options. Those for the number of each service follow `replicas`."""
    found: list[inspect.Parameter] = []
    for parameter in list(inspect.signature(_planned).parameters.values())[2:]:
        found.append(parameter)
        if parameter.name == "replicas":
            found += [_count(record.replicas, record.name) for record in registry]
    return found


def _count(option: str, service: str) -> inspect.Parameter:
    asked = typer.Option(
        None,
        envvar=option.upper(),
        min=1,
        max=MOST,
        help=f"How many processes of {service}; unset: REPLICAS.",
    )
    return inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, default=asked, annotation=int | None)


def variables(registry: Registry) -> set[str]:
    """The environment variables from which the options are also read."""
    named = [parameter.default.envvar for parameter in parameters(registry)]
    return {variable for names in named for variable in ([names] if isinstance(names, str) else names)}


def command(registry: Registry, start: Callable[[Plan], None]) -> Callable[..., None]:
    """The function that typer runs. It makes a plan of the options, and passes it to `start`."""

    def launch(**given: Any) -> None:
        counts = {record.name: given.pop(record.replicas) for record in registry}
        start(_planned(registry, counts, **given))

    launch.__doc__ = f"Run {', '.join(registry.names)} with an embedded NATS server."
    launch.__signature__ = inspect.Signature(parameters(registry))  # type: ignore[attr-defined]  # what typer reads
    return launch
