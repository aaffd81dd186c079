"""Real Chromium for tests: the installed one, without a window, with devices that only pretend to be a camera."""

import asyncio
import contextlib
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError

from tests.support.needed import needed

PATIENCE = 60.0  # generous: a browser that encodes video on two shared cores takes its time
RECORDER = Path(__file__).with_name("recorder.js").read_text()
OPTIONS = (
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),  # no person is there to click
    "--allow-loopback-in-peer-connection",  # a machine may have no other network
    "--autoplay-policy=no-user-gesture-required",
    # Pages in the background are on screen somewhere for their users.
    *("--disable-background-timer-throttling", "--disable-backgrounding-occluded-windows"),
    "--disable-renderer-backgrounding",
)


class Tab:
    """A page in its own browser context, as on another person's computer. Keeps the page's complaints."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context = context
        self.page = page
        self.complaints: list[str] = []
        self.allowed: list[str] = []
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text} ({message.location.get('url', '')})")

    def allow(self, *patterns: str) -> None:
        """Allow complaints that match. A test that kills the gateway expects some, for instance."""
        self.allowed += patterns

    def faults(self) -> list[str]:
        """The complaints that were not allowed. A violation of the Content Security Policy is one (a console error)."""
        return [one for one in self.complaints if not any(re.search(pattern, one) for pattern in self.allowed)]

    async def run(self, function: str, argument: Any = None) -> Any:
        """Call a function in the page; what it returns."""
        return await self.page.evaluate(function, argument)

    async def until(self, function: str, argument: Any = None, *, within: float = PATIENCE) -> Any:
        """Wait until the function, or what it resolves to, is true in the page; what it was then."""
        deadline = time.monotonic() + within
        while True:
            # A page that is just navigating away gives no answer.
            with contextlib.suppress(PlaywrightError):
                if found := await self.page.evaluate(function, argument):
                    return found
            assert time.monotonic() < deadline, f"not within {within:.0f} s: {function} of {argument}"
            await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Close the page and forget everything of it."""
        await self.context.close()


class Chromium:
    """One browser process for many tabs."""

    def __init__(self, driver: Playwright, browser: Browser) -> None:
        self._driver = driver
        self._browser = browser
        self._open: list[Tab] = []

    @classmethod
    async def start(cls, *options: str, without: str = "") -> Self:
        """Start it without a window, with these options beside (and without one of) those that tests have."""
        program = needed("chromium")
        driver = await async_playwright().start()
        try:
            root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to run its sandbox as root
            given = [*root, *(option for option in OPTIONS if option != without), *options]
            browser = await driver.chromium.launch(executable_path=program, args=given)
        except BaseException:
            await driver.stop()
            raise
        return cls(driver, browser)

    @property
    def tabs(self) -> Sequence[Tab]:
        """The open ones."""
        return tuple(self._open)

    @property
    def version(self) -> str:
        """Chromium's own number."""
        return self._browser.version

    async def tab(self, *, scripts: Sequence[str] = (), **context: Any) -> Tab:
        """A blank tab with storage, permissions and (by `context`, as Playwright has it) a size of its own."""
        own = await self._browser.new_context(**context)
        own.set_default_timeout(PATIENCE * 1000)
        await own.add_init_script(RECORDER)
        for script in scripts:
            await own.add_init_script(script)
        tab = Tab(own, await own.new_page())
        self._open.append(tab)
        return tab

    async def close_tabs(self) -> list[str]:
        """Close every tab; what they complained about."""
        tabs, self._open = self._open, []
        for tab in tabs:
            await tab.close()
        return [fault for tab in tabs for fault in tab.faults()]

    async def stop(self) -> None:
        """End it."""
        await self._browser.close()
        await self._driver.stop()
