"""The options that say where NATS is and who we are there."""

from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from parley.cli.broker import OBSERVER, Broker, password_of
from parley.cli.options import Server

NatsUrl = Annotated[str | None, typer.Option("--nats-url", envvar="NATS_URL", help="NATS, for room events.")]
NatsUser = Annotated[str, typer.Option("--nats-user", envvar="NATS_USER", help="Who we are there.")]
NatsPassword = Annotated[
    str | None,
    typer.Option("--nats-password", envvar="NATS_PASSWORD", help="Better by NATS_PASSWORD; others see your arguments."),
]
NatsPasswordFile = Annotated[Path | None, typer.Option("--nats-password-file", help="A file that holds it.")]
USER = OBSERVER


def broker_of(server: Server, url: str, user: str, password: str | None, file: Path | None) -> Broker:
    """NATS as it was described; without a password it is taken for one without users. Raises Stop."""
    secret = password_of(file, password)
    named = urlsplit(url)
    if secret is None and named.password is not None:
        user, secret = named.username or user, named.password
    return Broker(url, user if secret else None, secret, server.tls)
