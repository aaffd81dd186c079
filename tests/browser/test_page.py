"""The page for everybody: on a phone, by keyboard, with a screen reader, without devices, and when one may not come in."""

import asyncio
from typing import Any

import httpx
import pytest
from playwright.async_api import Locator

from tests.browser import audit
from tests.browser.conftest import Arrive
from tests.browser.visitor import Visitor, all_flowing
from tests.support.chromium import Chromium
from tests.support.launched import Launched, bearer
from tests.support.system import token

pytestmark = pytest.mark.asyncio(loop_scope="session")

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "is_mobile": True,
    "has_touch": True,
    "device_scale_factor": 2,
}
CONTROLS = ("Mute", "Turn camera off", "Devices", "People", "Copy link", "Leave")


async def reach(visitor: Visitor, target: Locator) -> None:
    """Press Tab until this has the focus."""
    for _ in range(40):
        if await target.evaluate("(one) => one === document.activeElement"):
            return
        await visitor.page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {target}")


async def make_room(url: str, room: str, **properties: object) -> None:
    """Create a room as somebody else's program would."""
    async with httpx.AsyncClient(base_url=url, headers=bearer(token("owner"))) as api:
        body = {"name": "Daily", "type": "video", "roomId": room, **properties}
        assert (await api.post("/api/rooms", json=body)).status_code == 201


async def said(visitor: Visitor) -> str:
    """The words on the last screen."""
    text: str = await visitor.page.locator("main:visible").inner_text()
    return text


async def test_create_a_room_and_share_it(chromium: Chromium, launched: Launched) -> None:
    """Somebody says a name and makes a room; what Copy link copies leads somebody else there, and has the room's id only."""
    ada = await Visitor.open(chromium, launched.url, "Ada")
    await ada.picture("entry")
    await ada.page.get_by_label("Your name").fill("Ada")
    await ada.press("Create a room")
    await ada.until_state("call")
    await ada.picture("call-alone")
    link = ada.page.url
    room = link.removeprefix(f"{launched.url}/?room=")
    assert room.replace("-", "").isalnum(), link
    await ada.page.bring_to_front()
    await ada.press("Copy link")
    other = await ada.tab.context.new_page()
    await other.goto(f"{launched.url}/")
    await other.get_by_label("Room", exact=True).click()
    await other.keyboard.press("Control+V")
    assert await other.get_by_label("Room", exact=True).input_value() == link
    await other.close()
    ben = await Visitor.open(chromium, launched.url, "Ben", room)
    await ben.picture("entry-invited")
    await ben.enter()
    await all_flowing(ada, ben)


async def test_on_a_phone(arrive: Arrive, chromium: Chromium, launched: Launched, room: str) -> None:
    """At 390 px nothing is wider than the screen and every control is on it, at the entry and in a call."""
    ada = await arrive("Ada")
    ben = await Visitor.open(chromium, launched.url, "Ben", room, **PHONE)
    await ben.tab.until("() => document.querySelector('#preview-video').videoWidth > 0")
    await ben.picture("phone-entry")
    assert await audit.faults(ben) == []
    await ben.enter()
    await all_flowing(ada, ben)
    await ben.picture("phone-call")
    assert await audit.faults(ben) == []
    for name in CONTROLS:
        box = await ben.button(name).bounding_box()
        assert box is not None, name
        assert (box["x"] >= 0, box["y"] >= 0) == (True, True), (name, box)
        assert (box["x"] + box["width"] <= 390, box["y"] + box["height"] <= 844) == (True, True), (name, box)
    await ben.button("Mute").tap()
    await ada.until_tile(await ben.own_id(), audio="muted")


async def test_keyboard_only(chromium: Chromium, launched: Launched, room: str) -> None:
    """Somebody without a mouse joins, mutes, opens and closes the devices, and leaves."""
    ada = await Visitor.open(chromium, launched.url, "Ada", room)
    await reach(ada, ada.page.get_by_label("Your name"))
    await ada.page.keyboard.type("Ada")
    await ada.page.keyboard.press("Enter")
    await ada.until_state("call")
    await reach(ada, ada.button("Mute"))
    await ada.page.keyboard.press("Space")
    await ada.until_tile(await ada.own_id(), audio="muted")
    await reach(ada, ada.button("Devices"))
    await ada.page.keyboard.press("Enter")
    await ada.tab.until("() => document.querySelector('dialog[open]')?.contains(document.activeElement)")
    await ada.picture("devices")
    assert await audit.faults(ada) == []
    await ada.page.keyboard.press("Escape")
    await ada.tab.until("() => !document.querySelector('dialog[open]')")
    await reach(ada, ada.button("Leave"))
    await ada.page.keyboard.press("Enter")
    await ada.until_state("left")
    assert await ada.tab.run("() => document.activeElement.tagName") == "H1"


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.slow)])
async def test_can_be_read_and_heard(chromium: Chromium, launched: Launched, room: str, scheme: str) -> None:
    """On every screen, light and dark: all that can be pressed has a name for screen readers, one title and one main
    landmark are shown, nothing refers to what is not there, and texts have the contrast that WCAG AA asks for."""
    ada = await Visitor.open(chromium, launched.url, "Ada", color_scheme=scheme)
    found = {"entry": await audit.faults(ada)}
    await ada.picture(f"entry-{scheme}")
    await ada.page.goto(f"{launched.url}/?room={room}")
    await ada.enter()
    found["alone"] = await audit.faults(ada)
    ben = await Visitor.open(chromium, launched.url, "Ben", room)
    await ben.enter()
    await all_flowing(ada, ben)
    await ada.press("People")
    found["call"] = await audit.faults(ada)
    await ada.picture(f"people-{scheme}")
    await ada.press("Leave")
    await ada.until_state("left")
    found["left"] = await audit.faults(ada)
    await ada.picture(f"left-{scheme}")
    assert {screen: faults for screen, faults in found.items() if faults} == {}


async def test_a_full_room(chromium: Chromium, launched: Launched, room: str) -> None:
    """Whoever comes to a full room is told so, and comes in with Try again once somebody has left."""
    await make_room(launched.url, room, maxParticipants=1)
    ada, ben = [await Visitor.open(chromium, launched.url, name, room) for name in ("Ada", "Ben")]
    await ada.enter()
    await ben.page.get_by_label("Your name").fill("Ben")
    await ben.press("Join")
    await ben.until_state("error")
    assert "full" in await said(ben)
    await ben.picture("room-full")
    await ada.press("Leave")
    await ada.until_state("left")
    await ben.press("Try again")
    await ben.until_state("call")


async def test_a_closed_room(chromium: Chromium, launched: Launched, room: str) -> None:
    """When a room is closed everyone in it is told; whoever follows its link later is told that it is closed for good."""
    await make_room(launched.url, room)
    ada = await Visitor.open(chromium, launched.url, "Ada", room)
    await ada.enter()
    async with httpx.AsyncClient(base_url=launched.url, headers=bearer(token("owner"))) as api:
        assert (await api.delete(f"/api/rooms/{room}")).status_code == 204
    await ada.until_state("error")
    assert "closed" in await said(ada)
    late = await Visitor.open(chromium, launched.url, "Late", room)
    await late.page.get_by_label("Your name").fill("Late")
    await late.press("Join")
    await late.until_state("error")
    assert "closed" in await said(late)
    assert await audit.faults(late) == []


async def test_leaving_by_closing_the_tab(arrive: Arrive) -> None:
    """A tab that is closed has left: the other's tile goes at once, not when the seat's time is over."""
    ada, ben = await arrive("Ada"), await arrive("Ben")
    await all_flowing(ada, ben)
    await asyncio.gather(ben.page.close(run_before_unload=False), ada.until_alone())
