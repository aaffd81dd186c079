"""A person with the page open: what they do is done with its controls, what they see is read from what it shows."""

import asyncio
from pathlib import Path
from typing import Any, Self

from playwright.async_api import Locator

from tests.support.chromium import PATIENCE, Chromium, Tab
from tests.support.processes import ROOT

PICTURES = ROOT / "build" / "screenshots"
TILES = """() => Object.fromEntries([...document.querySelectorAll("[data-participant]")].map(
    (tile) => [tile.dataset.participant, {...tile.dataset}]))"""
# What came in of pictures and sound over each of so many connections, and what of it the tiles of the others show.
FLOWING = """async (count) => {
  const sums = (await recorded.sums()).filter((one) => one.state === "connected");
  const tiles = [...document.querySelectorAll("[data-participant]:not([data-own])")];
  if (sums.length !== count || tiles.length !== count) return null;
  return [
    ...sums.flatMap((one) => [Math.max(0, ...one.frames), Math.max(0, ...one.energy)]),
    ...tiles.map((tile) => tile.querySelector("video")).map(
      (video) => video.mozPaintedFrames ?? video.getVideoPlaybackQuality().totalVideoFrames),
  ];
}"""
# Nothing that ends moves any more, and what a timer begins has begun.
AT_REST = """async () => {
  await new Promise((resolve) => setTimeout(resolve, 250));
  return document.getAnimations().every((one) => one.effect.getComputedTiming().endTime === Infinity || one.playState !== "running");
}"""
Tiles = dict[str, dict[str, str]]


class Visitor:
    """One person, one tab."""

    def __init__(self, tab: Tab, url: str, name: str) -> None:
        self.tab = tab
        self.page = tab.page
        self.url = url
        self.name = name

    @classmethod
    async def open(cls, chromium: Chromium, url: str, name: str, room: str | None = None, **context: Any) -> Self:
        """Open the page, or the link to a room, in a browser that has never seen it."""
        self = cls(await chromium.tab(**context), url, name)
        await self.page.goto(url + (f"/?room={room}" if room else "/"))
        return self

    async def enter(self) -> None:
        """Say the name and join the room of the link; returns when the call is on the screen."""
        await self.page.get_by_label("Your name").fill(self.name)
        await self.page.get_by_role("button", name="Join", exact=True).click()
        await self.until_state("call")

    async def until_state(self, state: str) -> None:
        """Wait for one of the page's screens: entry, joining, call, left, error."""
        await self.tab.until("(state) => document.body.dataset.state === state", state)

    async def until_session(self, state: str) -> None:
        """Wait for the state of the SDK's session, as the page has it."""
        await self.tab.until("(state) => document.body.dataset.session === state", state)

    def button(self, name: str) -> Locator:
        """A control, by the name that a screen reader says."""
        return self.page.get_by_role("button", name=name, exact=True)

    async def press(self, name: str) -> None:
        """Click a control."""
        await self.button(name).click()

    async def tiles(self) -> Tiles:
        """What each participant's tile says, by participant."""
        tiles: Tiles = await self.tab.run(TILES)
        return tiles

    async def own_id(self) -> str:
        """The participant that is this person."""
        return next(tile["participant"] for tile in (await self.tiles()).values() if "own" in tile)

    async def until_alone(self) -> None:
        """Wait until nobody else has a tile."""
        await self.until_tiles(1)

    async def until_tiles(self, count: int) -> None:
        """Wait until so many participants have a tile, oneself included."""
        await self.tab.until("(count) => document.querySelectorAll('[data-participant]').length === count", count)

    async def until_tile(self, participant: str, **expected: str) -> None:
        """Wait until the tile of a participant says this."""
        await self.tab.until(
            """([id, expected]) => { const tile = document.querySelector(`[data-participant="${id}"]`);
              return tile && Object.entries(expected).every(([key, value]) => tile.dataset[key] === value); }""",
            [participant, expected],
        )

    async def until_no_tile(self, participant: str) -> None:
        """Wait until a participant has no tile."""
        await self.tab.until("(id) => !document.querySelector(`[data-participant='${id}']`)", participant)

    async def until_flowing(self, others: int, *, within: float = PATIENCE) -> None:
        """Wait until so many others are seen and heard: frames and audio energy of each, and what is drawn, rise from now."""
        before = await self.tab.until(FLOWING, others, within=within)
        await self.tab.until(
            f"""async ([count, before]) => {{
              const now = await ({FLOWING})(count);
              return now && now.every((one, n) => one > before[n]);
            }}""",
            [others, before],
            within=within,
        )

    async def until_silent(self, *, seconds: float = 2.0) -> None:
        """Wait until neither pictures nor sound came for a while."""
        await self.tab.until(
            """async (milliseconds) => {
              const energy = (sums) => JSON.stringify(sums.map((one) => [one.frames, one.energy.map((e) => e.toFixed(4))]));
              const before = energy(await recorded.sums());
              await new Promise((resolve) => setTimeout(resolve, milliseconds));
              return energy(await recorded.sums()) === before;
            }""",
            seconds * 1000,
        )

    async def picture(self, name: str) -> Path:
        """Keep a screenshot as an artefact."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        path = PICTURES / f"{name}.png"
        await self.tab.until(AT_REST)
        await self.page.screenshot(path=path)
        return path


async def all_flowing(*visitors: Visitor) -> None:
    """Everybody sees and hears everybody."""
    await asyncio.gather(*(visitor.until_flowing(len(visitors) - 1) for visitor in visitors))
