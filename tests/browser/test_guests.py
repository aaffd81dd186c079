"""The page as a stranger sees it: under another name than localhost, over TLS=1, with guest tokens."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.browser.conftest import fresh_tabs
from tests.browser.visitor import Visitor, all_flowing
from tests.support.chromium import Chromium
from tests.support.launched import Launched
from tests.support.needed import needed

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOST = "calls.example"
SELF_SIGNED: dict[str, Any] = {"ignore_https_errors": True}  # what a person does by clicking through the warning


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launched]:
    """Parley as somebody might show it to others: https, and rooms are only there when somebody made them."""
    needed("chromium")
    environment = {
        "TLS": "1",
        "PARLEY_GUEST_ACCESS": "true",
        "PARLEY_AUTO_CREATE_ROOMS": "false",
        "PARLEY_MESH_PARTICIPANTS": "2",
    }
    running = Launched(tmp_path_factory.mktemp("public") / "data", environment=environment).ready()
    yield running
    running.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def abroad(request: pytest.FixtureRequest) -> AsyncIterator[Chromium]:
    """A browser for which calls.example is this machine."""
    chromium = await Chromium.start(f"--host-resolver-rules=MAP {HOST} 127.0.0.1")
    try:
        async with fresh_tabs(chromium, request):
            yield chromium
    finally:
        await chromium.stop()


async def test_guests_meet(abroad: Chromium, public: Launched) -> None:
    """Two strangers, neither of whom has a token, meet over https and wss in a room that one of them makes; whoever
    follows a link to a room that nobody made is told that there is none. With one more than the setting says, everybody
    is advised that it is getting crowded, until somebody leaves."""
    url = f"https://{HOST}:{public.url.rpartition(':')[2]}"
    ada = await Visitor.open(abroad, url, "Ada", **SELF_SIGNED)
    await ada.page.get_by_label("Your name").fill("Ada")
    await ada.press("Create a room")
    await ada.until_state("call")
    ben = await Visitor.open(abroad, url, "Ben", ada.page.url.partition("?room=")[2], **SELF_SIGNED)
    await ben.enter()
    await all_flowing(ada, ben)
    assert await ada.tab.run("() => location.protocol") == "https:"

    eve = await Visitor.open(abroad, url, "Eve", ada.page.url.partition("?room=")[2], **SELF_SIGNED)
    await eve.enter()
    advice = [person.page.get_by_text("turning cameras off helps") for person in (ada, ben, eve)]
    await asyncio.gather(*(one.wait_for() for one in advice))
    await eve.picture("crowded")
    await eve.press("Leave")
    await advice[0].wait_for(state="hidden")

    lost = await Visitor.open(abroad, url, "Lost", "nobody-made-this", **SELF_SIGNED)
    await lost.page.get_by_label("Your name").fill("Lost")
    await lost.press("Join")
    await lost.until_state("error")
    await lost.page.get_by_text("There is no such room").wait_for()
    await lost.picture("room-not-found")
