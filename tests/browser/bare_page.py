"""Pages without a face: the gateway's own page, headers and all, with tests at the SDK in the place of its script."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from playwright.async_api import Route, WebSocket

from tests.support.chromium import PATIENCE, Chromium, Tab
from tests.support.system import token

SCRIPT = Path(__file__).with_name("bare.js")
FLOWING = """async (count) => {
  const sums = (await recorded.sums()).filter((one) => one.state === "connected");
  if (sums.length !== count) return null;
  return sums.flatMap((one) => [Math.max(0, ...one.frames), Math.max(0, ...one.energy)]);
}"""


class BarePage:
    """One participant in a tab of its own."""

    def __init__(self, tab: Tab, urls: Sequence[str], name: str) -> None:
        self.tab = tab
        self.urls = urls
        self.name = name
        self.id = ""
        self.sockets: list[WebSocket] = []

    @classmethod
    async def open(cls, chromium: Chromium, urls: Sequence[str], name: str) -> Self:
        """A page of the first gateway. It may connect to all of them, which the real page's policy has no reason to allow."""
        self = cls(await chromium.tab(bypass_csp=len(urls) > 1), urls, name)

        def keep(socket: WebSocket) -> None:
            self.sockets.append(socket)

        self.tab.page.on("websocket", keep)

        async def serve(route: Route) -> None:
            await route.fulfill(body=SCRIPT.read_text(), content_type="text/javascript")

        await self.tab.page.route(f"{urls[0]}/web/main.js", serve)
        await self.tab.page.goto(f"{urls[0]}/")
        await self.tab.until("() => 'bare' in globalThis && 'peers' in bare")
        return self

    async def enter(self, room: str, **options: Any) -> str:
        """Connect, join, send what is asked for; the participant's id."""
        given = {"urls": list(self.urls), "token": token(f"bare-{self.name}"), "room": room, "name": self.name}
        self.id = await self.run("(given) => bare.enter(given)", {**given, **options})
        return self.id

    async def run(self, function: str, argument: Any = None) -> Any:
        """Call a function in the page."""
        return await self.tab.run(function, argument)

    async def until(self, function: str, argument: Any = None) -> Any:
        """Wait until it is true in the page."""
        return await self.tab.until(function, argument)

    async def heard(self) -> list[str]:
        """What session, room and call told since they began."""
        heard: list[str] = await self.run("() => bare.heard")
        return heard

    async def sums(self) -> list[dict[str, Any]]:
        """What each live connection has received (tests/support/recorder.js)."""
        sums: list[dict[str, Any]] = await self.run("() => recorded.sums()")
        return sums

    async def until_flowing(self, others: int, *, within: float = PATIENCE) -> None:
        """Wait until frames and audio energy rise, from now on, over each of so many connections."""
        before = await self.tab.until(FLOWING, others, within=within)
        rising = f"""async ([count, before]) => {{
          const now = await ({FLOWING})(count);
          return now && now.every((one, n) => one > before[n]);
        }}"""
        await self.tab.until(rising, [others, before], within=within)
