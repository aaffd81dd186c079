"""TLS of the public port, where the gateway itself ends it: the certificate's context, and a server that bounds handshakes."""

import asyncio
import socket
import ssl
from pathlib import Path

import uvicorn

from services.gateway.settings import GatewaySettings
from shared.runtime.lifecycle import Failed
from shared.runtime.ops import EmbeddedServer

HANDSHAKE_SECONDS = 10.0
SHUTDOWN_SECONDS = 2.0  # for the client's part of a TLS close


def tls_context(settings: GatewaySettings) -> ssl.SSLContext | None:
    """The TLS context of the public port; None without TLS. Raises Failed when certificate and key cannot be used."""
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    _read("PARLEY_TLS_CERTIFICATE", settings.tls_certificate)
    if b"ENCRYPTED" in _read("PARLEY_TLS_KEY", settings.tls_key):
        raise Failed("the key in PARLEY_TLS_KEY must not be encrypted")  # OpenSSL would ask the terminal for a password
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise Failed("the key in PARLEY_TLS_KEY is not that of the certificate in PARLEY_TLS_CERTIFICATE") from None
        raise Failed(
            "PARLEY_TLS_CERTIFICATE and PARLEY_TLS_KEY must be a certificate and its key, in PEM form"
        ) from None
    return context


def renew(context: ssl.SSLContext, settings: GatewaySettings) -> None:
    """Have new connections see the certificate as it is in its files now. Raises Failed, and changes nothing then."""
    if settings.tls_certificate is not None and tls_context(settings) is not None:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)


def _read(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise Failed(f"{name}: {path} cannot be read ({error.strerror})") from None


class TlsServer(EmbeddedServer):
    """uvicorn behind TLS, with shorter time-outs: asyncio's defaults are 60 s for a handshake and 30 s for a close."""

    def __init__(self, config: uvicorn.Config, context: ssl.SSLContext) -> None:
        super().__init__(config)
        self._context = context

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn.Server."""
        servers = [await self._listen(listening) for listening in sockets or []]
        await super().startup(sockets=[])
        self.servers += servers

    async def _listen(self, listening: socket.socket) -> asyncio.Server:
        return await asyncio.get_running_loop().create_server(
            self._protocol,
            sock=listening,
            ssl=self._context,
            ssl_handshake_timeout=HANDSHAKE_SECONDS,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS,
            backlog=self.config.backlog,
        )

    def _protocol(self) -> asyncio.Protocol:
        kind = self.config.http_protocol_class
        return kind(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)  # type: ignore[call-arg]  # uvicorn: any callable
