"""Fixtures with real browsers: one Chromium for all tests, fresh tabs for each."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from tests.browser.visitor import PICTURES, Visitor
from tests.support.chromium import Chromium
from tests.support.launched import Launched

Arrive = Callable[..., Awaitable[Visitor]]


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def running_chromium() -> AsyncIterator[Chromium]:
    """One browser process."""
    chromium = await Chromium.start()
    yield chromium
    await chromium.stop()


@asynccontextmanager
async def fresh_tabs(chromium: Chromium, request: pytest.FixtureRequest) -> AsyncIterator[Chromium]:
    """The browser, for one test: its tabs are closed afterwards, and what they complained about fails the test."""
    failed_before = request.session.testsfailed
    yield chromium
    if request.session.testsfailed > failed_before:
        await _keep_pictures(chromium, request.node.name)
    faults = await chromium.close_tabs()
    assert not faults, "\n".join(faults)


@pytest_asyncio.fixture(loop_scope="session")
async def chromium(running_chromium: Chromium, request: pytest.FixtureRequest) -> AsyncIterator[Chromium]:
    """The browser with devices that pretend to be a camera and a microphone, and with fresh tabs."""
    async with fresh_tabs(running_chromium, request) as chromium:
        yield chromium


async def _keep_pictures(chromium: Chromium, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    for number, tab in enumerate(chromium.tabs):
        with contextlib.suppress(Exception):  # a tab that hangs is no reason to lose the other pictures
            async with asyncio.timeout(10):
                await tab.page.screenshot(path=PICTURES / f"failed-{name}-{number}.png")


@pytest.fixture
def room() -> str:
    """A room that no other test knows. In development, whoever comes first creates it."""
    return f"room-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def arrive(chromium: Chromium, launched: Launched, room: str) -> Arrive:
    """`await arrive("Ada")`: Ada follows the link to the room and is in the call."""

    async def arrive(name: str, **context: Any) -> Visitor:
        visitor = await Visitor.open(chromium, launched.url, name, room, **context)
        await visitor.enter()
        return visitor

    return arrive
