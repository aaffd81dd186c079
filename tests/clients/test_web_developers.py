"""docs/web-developers.md: its blocks are one page, which real browsers are in a call with; its TypeScript is checked."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Route

from tests.clients.test_js import SDK, installed, run
from tests.support.chromium import Chromium, Tab
from tests.support.launched import Launched
from tests.support.processes import ROOT

__all__ = ["installed"]
DOCUMENT = ROOT / "docs" / "web-developers.md"
# A page that a test makes has no address; Chromium counts it as one of the internet, which may not reach this machine.
OPTION = "--disable-features=LocalNetworkAccessChecks"
CONNECTED = (
    "() => parts.call.peers.size === 1 && [...parts.call.peers.values()].every((one) => one.state === 'connected')"
)
WATCHED = "() => [...document.querySelectorAll('video')].some((one) => one.videoWidth > 0 && one.currentTime > 0)"
SCREEN = "() => [...parts.call.peers.values()].every((one) => one.screen && document.querySelector('video').srcObject === one.screen)"


def blocks(language: str) -> list[str]:
    """The document's blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)


def page() -> str:
    """The page of the first block, whose script goes on with the others: each in braces, its imports before them."""
    (html,) = blocks("html")
    later = "".join(blocks("js"))
    imports = "".join(re.findall(r"^import .*\n", later, re.MULTILINE))
    bodies = "".join("{\n" + re.sub(r"^import .*\n", "", block, flags=re.MULTILINE) + "}\n" for block in blocks("js"))
    end = "globalThis.parts = { session, room, call };\n</script>"
    assert html.count("</script>") == 1
    return html.replace("</script>", imports + bodies + end)


@pytest.fixture
async def launched(tmp_path: Path) -> AsyncIterator[Launched]:
    """`make run`."""
    launched = Launched(tmp_path / "data")
    try:
        yield await asyncio.to_thread(launched.ready)
        await asyncio.to_thread(launched.stop)
    finally:
        await asyncio.to_thread(launched.destroy)


@pytest.fixture
async def chromium() -> AsyncIterator[Chromium]:
    """A real browser."""
    browser = await Chromium.start(OPTION)
    yield browser
    await browser.stop()


async def opened(chromium: Chromium, url: str) -> Tab:
    """Somebody with the page open."""

    async def serve(route: Route) -> None:
        await route.fulfill(body=page(), content_type="text/html")

    tab = await chromium.tab()
    await tab.context.route("**/document", serve)
    await tab.page.goto(f"{url}/document")
    await tab.until("() => globalThis.parts")
    return tab


async def test_the_page_of_the_document(launched: Launched, chromium: Chromium) -> None:
    """Two who open it see each other, hear what the data channel says, and see a screen that is shared; every block has
    run, and nothing complained."""
    alice = await opened(chromium, launched.url)
    said: list[str] = []
    alice.page.on("console", lambda message: said.append(message.text))
    bob = await opened(chromium, launched.url)
    for tab in (alice, bob):
        await tab.until(CONNECTED)
        await tab.until(WATCHED)
    await bob.page.click("#share")
    await alice.until(SCREEN)
    await alice.until("() => parts.room.others[0].media.screen.state === 'on'")
    assert {"Visitor came", "Visitor raises a hand", "Visitor says hello, everyone", "user_joined makes 2"} <= set(said)
    await bob.run("() => parts.session.close()")
    await alice.until("() => parts.call.peers.size === 0 && !document.querySelector('video')")
    assert said.count("user_left makes 1") == 1
    assert not alice.faults()
    assert not bob.faults()


@pytest.mark.slow
def test_typescript(tmp_path: Path) -> None:
    """Its TypeScript is correct by the types of the package."""
    run("npm", "run", "--silent", "types")
    scope = tmp_path / "node_modules" / "@agent-link"
    scope.mkdir(parents=True)
    (scope / "parley").symlink_to(SDK)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (block,) = blocks("ts")
    (tmp_path / "app.ts").write_text(block)
    options = ("--strict", "--noEmit", "--module", "nodenext", "--target", "es2022", "--lib", "es2023,dom,dom.iterable")
    run(str(SDK / "node_modules" / ".bin" / "tsc"), *options, "app.ts", cwd=tmp_path)
