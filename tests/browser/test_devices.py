"""The page where the browser gives no camera and no microphone: refused, or not there. One still listens and watches."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.browser import audit
from tests.browser.agent import HEARD
from tests.browser.conftest import Arrive, fresh_tabs
from tests.browser.visitor import Visitor
from tests.support.chromium import Chromium
from tests.support.launched import Launched

pytestmark = pytest.mark.asyncio(loop_scope="session")

WATCHING = """() => {
  const video = document.querySelector("[data-participant]:not([data-own]) video");
  return video && video.videoWidth > 0 && video.getVideoPlaybackQuality().totalVideoFrames > 10;
}"""
CASES = {
    # Nobody clicks Allow; without a window, Chromium takes that for a refusal.
    "refused": ("--use-fake-ui-for-media-stream", "may not use your camera and microphone"),
    "missing": ("--use-fake-device-for-media-stream", "No camera and no microphone were found"),
}


@pytest_asyncio.fixture(loop_scope="session", params=["refused", pytest.param("missing", marks=pytest.mark.slow)])
async def without_devices(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Chromium, str]]:
    """A browser that gives no devices, and what the page says of it."""
    option, sentence = CASES[request.param]
    chromium = await Chromium.start(without=option)
    try:
        async with fresh_tabs(chromium, request):
            yield chromium, sentence
    finally:
        await chromium.stop()


async def test_without_devices(
    without_devices: tuple[Chromium, str], arrive: Arrive, launched: Launched, room: str
) -> None:
    """The page says in a sentence what is missing and what is still possible, and lets one in. One sees and hears the
    others, who are shown that there is no picture and no sound of one."""
    chromium, sentence = without_devices
    ada = await arrive("Ada")
    ben = await Visitor.open(chromium, launched.url, "Ben", room)
    await ben.page.get_by_text(sentence).first.wait_for()
    assert await audit.faults(ben) == []
    await ben.picture(f"entry-devices-{'refused' if 'may not' in sentence else 'missing'}")
    await ben.enter()
    own = await ben.own_id()
    await ada.until_tile(own, audio="off", video="off")
    await ben.tab.until(WATCHING)
    await ben.tab.until(HEARD)
    await ben.picture(f"call-devices-{'refused' if 'may not' in sentence else 'missing'}")
    await ada.picture("other-has-no-devices")
