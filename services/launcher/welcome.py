"""The launcher's message when everything is ready: the page's URL, the interfaces, a token, and a command to try."""

import json
import shlex
import ssl
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.launcher.lines import console


@dataclass(frozen=True, slots=True)
class Welcome:
    """What to show. `others` are URLs for other machines, `nats` is the embedded server's URL and its password file."""

    urls: Sequence[str]
    others: Sequence[str] = ()
    page: bool = True
    certificate: Path | None = None
    self_signed: bool = False
    nats: tuple[str, Path] | None = None

    def say(self) -> None:
        """Print it."""
        console.print()
        if self.page:
            self._page()
        for url in self.urls:
            socket = url.replace("http", "ws", 1)
            console.print(f"  [bold]URL[/]    {url}    (REST: {url}/api/docs, WebSocket: {socket}/ws)")
        if self.certificate is not None:
            console.print(f"  [bold]TLS[/]    {self.certificate}    (for programs that verify who they talk to)")
        token = self._dev_token()
        if token is not None:
            console.print(f"  [bold]token[/]  {token}")
            console.print()
            console.print("  [bold]try[/]    " + self._paste(token))
        if self.nats is not None:
            console.print()
            url, passwords = self.nats
            console.print(f"  [bold]NATS[/]   {url}    (room events: user observer, password in {passwords})")
        console.print()

    def _page(self) -> None:
        console.print(f"  [bold]open this in a browser:[/]  {self.urls[0]}")
        for number, url in enumerate(self.others):
            before = "from a phone on the same network:" if number == 0 else "or:"
            console.print(f"  {before}  {url}")
        if self.self_signed:
            console.print(
                "  (the browser warns of the certificate, because nobody but this machine vouches for it: go on)"
            )
        elif self.others and self.certificate is None:
            console.print("  (over the network browsers give a page camera and microphone only by https: TLS=1)")
        console.print()

    def _dev_token(self) -> str | None:
        body = json.dumps({"agentId": "you", "ttl": 86400}).encode()
        request = urllib.request.Request(  # noqa: S310 - our own gateway
            self.urls[0] + "/api/dev/token", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5, context=self._trusting()) as answer:  # noqa: S310
                return str(json.load(answer)["token"])
        except (OSError, ValueError, KeyError):
            return None  # not development mode, or not a loopback address

    def _trusting(self) -> ssl.SSLContext | None:
        """A TLS context that trusts the gateway's certificate whatever its names, which may not include loopback."""
        if self.certificate is None:
            return None
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def _paste(self, token: str) -> str:
        trusting = f"--cacert {shlex.quote(str(self.certificate))} " if self.self_signed else ""
        return (
            f"curl -s {self.urls[0]}/api/rooms {trusting}-H 'Authorization: Bearer {token}' "
            '-H \'Content-Type: application/json\' -d \'{"name": "First room", "type": "video"}\''
        )
