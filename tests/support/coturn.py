"""A real coturn for tests, as deploy/coturn starts it, but on 127.0.0.1; ended by its process id."""

import asyncio
import datetime
import os
import socket
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from services.launcher.certificate import CERTIFICATE, certificate, names_of
from tests.support.needed import needed
from tests.support.ports import HeldPorts
from tests.support.processes import ROOT, Process

SECRET = "the secret that auth and the TURN server of tests share"
HOST = "127.0.0.1"
# RFC 8489: a Binding request with the magic cookie and a transaction id of our choice.
_BINDING = bytes.fromhex("000100002112a442") + b"parley-tests"


class Coturn:
    """`with Coturn(secret) as turn:`, `async with Coturn(secret) as turn:`, or `Coturn(secret).start()` and `stop()`.

    It runs with deploy/coturn/turnserver.conf, and listens and relays on the loopback address, for tests on this machine.
    Unless `to_loopback` is off it also relays *to* 127.0.0.1 (and to no other address of that network), which the
    deployed server never does. With `tls` it also has a certificate and `tls_url`. `options` go to turnserver unchanged.
    Skips the test where coturn is not installed.
    """

    host = HOST

    def __init__(self, secret: str = SECRET, *options: str, to_loopback: bool = True, tls: bool = False) -> None:
        self.secret = secret
        self.port = self.tls_port = 0
        self._tls = tls
        self._options = [*options, *(["--allow-loopback-peers", f"--allowed-peer-ip={HOST}"] if to_loopback else [])]
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: Process | None = None
        self._ports = HeldPorts()  # also while it is stopped

    @property
    def url(self) -> str:
        """Its URI for clients, by UDP."""
        return f"turn:{self.host}:{self.port}?transport=udp"

    @property
    def tcp_url(self) -> str:
        """Its URI for clients, by TCP."""
        return f"turn:{self.host}:{self.port}?transport=tcp"

    @property
    def tls_url(self) -> str:
        """Its URI for clients, by TLS."""
        return f"turns:{self.host}:{self.tls_port}?transport=tcp"

    @property
    def certificate(self) -> Path:
        """The file with the server's TLS certificate."""
        assert self._folder is not None, "it was not started"
        return Path(self._folder.name) / CERTIFICATE

    @property
    def stun_url(self) -> str:
        """Its URI as a STUN server."""
        return f"stun:{self.host}:{self.port}"

    @property
    def settings(self) -> dict[str, Any]:
        """The fields of auth's settings for this server."""
        return {"turn_urls": [self.url], "turn_secret": self.secret}

    @property
    def environment(self) -> dict[str, str]:
        """The same, as environment variables."""
        return {"PARLEY_TURN_URLS": self.url, "PARLEY_TURN_SECRET": self.secret}

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None, "it was not started"
        return self._process.popen.pid

    @property
    def output(self) -> str:
        """What it wrote so far."""
        return self._process.output if self._process is not None else ""

    def start(self) -> Self:
        """Start it; returns when it answers."""
        program = needed("coturn")
        self._folder = tempfile.TemporaryDirectory(prefix="coturn-")
        self.port = self.port or self._ports.row()  # the same after a stop: clients know it
        options = [f"--listening-ip={HOST}", f"--relay-ip={HOST}", f"--listening-port={self.port}", *self._options]
        environment = {
            "PARLEY_TURN_SECRET": self.secret,
            "PARLEY_TURN_REALM": "parley.test",
            "TURN_RUN": self._folder.name,
            "PATH": os.pathsep.join([str(Path(program).parent), os.environ.get("PATH", os.defpath)]),
        }
        if self._tls:
            self.tls_port = self.tls_port or self._ports.row()
            options.append(f"--tls-listening-port={self.tls_port}")
            shown, key = certificate(Path(self._folder.name), names_of(HOST, []), datetime.datetime.now(datetime.UTC))
            environment |= {"TURN_CERT": str(shown), "TURN_KEY": str(key)}
        self._process = Process("/bin/sh", str(ROOT / "deploy/coturn/start.sh"), *options, environment=environment)
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise
        return self

    def _wait_until_it_answers(self, within: float = 30.0) -> None:
        deadline = time.monotonic() + within
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.1)
            probe.connect((self.host, self.port))
            while time.monotonic() < deadline:
                if self._process is None or self._process.popen.poll() is not None:
                    raise AssertionError(f"coturn ended:\n{self.output}")
                try:
                    probe.send(_BINDING)
                    if probe.recv(1500)[8:20] == _BINDING[8:]:
                        return
                except OSError:  # it does not listen yet
                    time.sleep(0.02)
        raise AssertionError(f"coturn does not answer:\n{self.output}")

    def stop(self) -> None:
        """End it, at once; it may have ended already."""
        if self._process is not None:
            self._process.destroy()
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Self:
        return self if self._process is not None else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._ports.let_go()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.stop)
        self._ports.let_go()
