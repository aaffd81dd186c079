"""Calls of people with the page open, in real Chromium, against the processes of `make run`."""

import asyncio

import pytest

from tests.browser.conftest import Arrive
from tests.browser.visitor import all_flowing

pytestmark = pytest.mark.asyncio(loop_scope="session")

SHOWN = """(id) => {
  const tile = document.querySelector(`[data-participant="${id}"]`);
  if ("speaking" in tile.dataset) tile.spoke = true;
  return tile.spoke && ["good", "fair", "poor"].includes(tile.dataset.quality);
}"""


async def test_two_people_see_and_hear_each_other(arrive: Arrive) -> None:
    """Two people who follow one link get each other's picture and sound: decoded frames and audio energy rise on both,
    and each tile shows how good the connection is and that its person is speaking (the pretended microphone beeps)."""
    ada, ben = await arrive("Ada"), await arrive("Ben")
    await all_flowing(ada, ben)
    for one, other in ((ada, ben), (ben, ada)):
        tiles = await one.tiles()
        assert len(tiles) == 2
        assert tiles[await other.own_id()]["connection"] == "connected"
        assert (tiles[await other.own_id()]["audio"], tiles[await other.own_id()]["video"]) == ("on", "on")
        await one.tab.until(SHOWN, await other.own_id())
    await ada.picture("call-of-two")


async def test_three_people_form_a_mesh(arrive: Arrive) -> None:
    """Of three who come at about the same time everybody sees and hears both others; whoever leaves is gone for both."""
    ada, ben, eve = await asyncio.gather(*(arrive(name) for name in ("Ada", "Ben", "Eve")))
    await all_flowing(ada, ben, eve)
    await ada.picture("call-of-three")
    await eve.press("Leave")
    await eve.until_state("left")
    await asyncio.gather(ada.until_tiles(2), ben.until_tiles(2))
    await all_flowing(ada, ben)


async def test_mute_and_camera_show_on_the_other_side(arrive: Arrive) -> None:
    """Muting and turning the camera off show on the other's screen, stop sound and picture, and can be taken back."""
    ada, ben = await arrive("Ada"), await arrive("Ben")
    await all_flowing(ada, ben)
    own = await ada.own_id()
    await ada.press("Mute")
    await ben.until_tile(own, audio="muted")
    await ada.press("Turn camera off")
    await ben.until_tile(own, video="off")
    await ben.until_silent()
    await ben.picture("other-is-muted")
    await ada.press("Unmute")
    await ben.until_tile(own, audio="on")
    await ada.press("Turn camera on")
    await ben.until_tile(own, video="on")
    await all_flowing(ada, ben)


async def test_screen_share(arrive: Arrive) -> None:
    """A shared screen arrives beside the camera as a picture of its own, with 720 lines, and goes when it is stopped."""
    ada, ben = await arrive("Ada"), await arrive("Ben")
    await all_flowing(ada, ben)
    own = await ada.own_id()
    await ada.press("Share screen")
    await ben.until_tile(own, screen="on")
    await ben.tab.until(
        """(id) => { const video = document.querySelector(`[data-screen-of="${id}"] video`);
          return video && video.videoHeight === 720 && video.getVideoPlaybackQuality().totalVideoFrames > 10; }""",
        own,
    )
    await ben.until_tile(own, audio="on", video="on")
    await ben.picture("screen-share")
    await ada.picture("screen-share-own")
    await all_flowing(ada, ben)
    await ada.press("Stop sharing")
    await ben.until_tile(own, screen="off")
    await ben.tab.until("() => !document.querySelector('[data-screen-of]')")


async def test_a_page_that_is_reloaded_returns(arrive: Arrive) -> None:
    """Whoever reloads the page comes back as the same agent; the others see one tile of them again, not two."""
    ada, ben = await arrive("Ada"), await arrive("Ben")
    await all_flowing(ada, ben)
    before = await ben.own_id()
    await ben.page.reload()
    await ben.until_state("call")
    await ada.until_no_tile(before)
    await asyncio.gather(ada.until_tiles(2), ben.until_tiles(2))
    await all_flowing(ada, ben)
    assert len(await ada.tiles()) == 2
