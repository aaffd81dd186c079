"""Worlds for the tests of the REST API."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.service.rest.world import Start, World


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Makes worlds with settings of one's own."""
    worlds: list[World] = []

    async def make(**settings: Any) -> World:
        worlds.append(World(**settings))
        await worlds[-1].start()
        return worlds[-1]

    yield make
    for world in worlds:
        await world.stop()


@pytest.fixture
async def world(start: Start) -> World:
    """A world with default settings."""
    made: World = await start()
    return made


@pytest.fixture
async def owner(world: World) -> httpx.AsyncClient:
    """An agent with the default permissions."""
    return await world.agent("agent-fawzi")
