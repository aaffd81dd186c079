"""A call whose participants are connected otherwise than each with each: the topology is the program's."""

import asyncio

import pytest

from tests.browser.bare_page import BarePage
from tests.support.chromium import Chromium
from tests.support.launched import Launched

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_star(chromium: Chromium, launched: Launched, room: str) -> None:
    """With a topology that connects everyone with whoever came first, three pages have two connections, and pictures and
    sound go over both. When the first one leaves, the two that stay are connected: one of them is the first now."""
    pages = [await BarePage.open(chromium, launched.urls[:1], name) for name in ("ada", "ben", "eve")]
    for page in pages:
        await page.enter(room, star=True)
    ada, ben, eve = pages
    await asyncio.gather(ada.until_flowing(2), ben.until_flowing(1), eve.until_flowing(1))
    connected = [sorted(await page.run("() => bare.peers()")) for page in pages]
    assert connected == [sorted([ben.id, eve.id]), [ada.id], [ada.id]]
    await ada.run("() => bare.session.close()")
    await asyncio.gather(ben.until_flowing(1), eve.until_flowing(1))
    assert [list(await page.run("() => bare.peers()")) for page in (ben, eve)] == [[eve.id], [ben.id]]
    assert await ben.heard() == await eve.heard() == []
