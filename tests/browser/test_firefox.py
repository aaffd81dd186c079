"""The page in Firefox and in Chromium, in one call."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.browser.conftest import Arrive
from tests.browser.visitor import FLOWING, PICTURES
from tests.support.chromium import RECORDER
from tests.support.firefox import Firefox
from tests.support.launched import Launched

pytestmark = pytest.mark.asyncio(loop_scope="session")

ENTER = """async (name) => {
  const field = document.querySelector("#entry-name");
  field.value = name;
  field.dispatchEvent(new Event("input"));
  document.querySelector("#entry-join").click();
}"""


@pytest_asyncio.fixture(loop_scope="session")
async def firefox() -> AsyncIterator[Firefox]:
    """A browser with a tab."""
    firefox = await Firefox.start()
    try:
        await firefox.record("() => {" + RECORDER + "}")
        yield firefox
    finally:
        await firefox.stop()


@pytest.mark.parametrize("first", [pytest.param("chromium", marks=pytest.mark.slow), "firefox"])
async def test_firefox_and_chromium(
    firefox: Firefox, arrive: Arrive, launched: Launched, room: str, first: str
) -> None:
    """Whoever of the two came first (so that each makes the first offer once), both see and hear the other, muting in
    Firefox shows in Chromium, and Firefox complains of nothing."""

    async def enter_with_firefox() -> None:
        await firefox.open(f"{launched.url}/?room={room}")
        await firefox.run(ENTER, "Fox")
        await firefox.until("() => document.body.dataset.state === 'call'")

    if first == "firefox":
        await enter_with_firefox()
    ada = await arrive("Ada")
    if first == "chromium":
        await enter_with_firefox()
    await asyncio.gather(ada.until_flowing(1), firefox_flowing(firefox))
    (fox,) = set(await ada.tiles()) - {await ada.own_id()}
    await firefox.run("() => document.querySelector('#mute').click()")
    await ada.until_tile(fox, audio="muted")
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"firefox-{first}-first.png").write_bytes(await firefox.screenshot())
    await firefox.run("() => document.querySelector('#leave').click()")
    await ada.until_alone()
    assert firefox.faults == []


async def firefox_flowing(firefox: Firefox) -> None:
    """Frames and audio energy rise in Firefox, and what its tile shows."""
    before = await firefox.until(FLOWING, 1)
    await firefox.until(
        f"async (before) => (await ({FLOWING})(1))?.every((one, n) => one > before[n])",
        before,
    )
