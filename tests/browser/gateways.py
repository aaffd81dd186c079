"""Two gateways of one `make run`, of which tests kill one without warning; the launcher starts it again on its port."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
from playwright.async_api import WebSocket

from tests.browser.bare_page import BarePage
from tests.support.launched import Launched
from tests.support.patience import eventually_async
from tests.support.ports import HeldPorts

# What a browser says of a gateway that is gone, whatever the page does about it.
GONE = (r"WebSocket connection to '\S+' failed", r"Failed to load resource: net::ERR_CONNECTION_(REFUSED|RESET)")


class Gateways:
    """Two gateways, their NATS server and their services."""

    def __init__(self, folder: Path) -> None:
        self._ports = HeldPorts()
        port = self._ports.row(2)
        urls = [f"http://127.0.0.1:{port + number}" for number in (0, 1)]
        self.launched = Launched(
            folder / "data",
            environment={"PORT": str(port), "GATEWAYS": "2", "PARLEY_ALLOWED_ORIGINS": ",".join(urls)},
        ).ready()
        assert self.launched.urls == urls
        self.urls = urls

    def stop(self) -> None:
        """End them."""
        self.launched.stop()
        self._ports.let_go()

    def others_first(self) -> list[str]:
        """The second gateway's URL, then the first one's."""
        return self.urls[::-1]

    def kill(self, number: int) -> None:
        """End a gateway with SIGKILL, if it is there."""
        mark = f"PARLEY_PORT={self.urls[number].rpartition(':')[2]}".encode()
        for pid, command in self.launched.process.tree().commands().items():
            if "services.gateway" in command and mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                os.kill(pid, signal.SIGKILL)

    async def both_ready(self) -> None:
        """Wait until the one that was killed serves again."""
        async with httpx.AsyncClient() as api:

            async def ready() -> bool:
                try:
                    return all([(await api.get(f"{url}/readyz")).status_code == 200 for url in self.urls])
                except httpx.TransportError:
                    return False

            await eventually_async(ready, "both gateways serve", within=60)


def at_first(page: BarePage, event: str, kind: str, act: Callable[[], None]) -> None:
    """Act at the very moment the page sends ("framesent") or hears ("framereceived") its first signal of this kind."""
    acted = False

    def look(payload: Any) -> None:
        nonlocal acted
        if not acted and f'"type":"{kind}"' in str(payload):
            acted = True
            act()

    def watch(socket: WebSocket) -> None:
        socket.on(event, look)  # type: ignore[call-overload] # one of the two names

    page.tab.page.on("websocket", watch)
