"""A system behind TLS, on asyncio's own event loop and on uvloop, with which the services run: each has its own TLS."""

import asyncio
import datetime
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from services.launcher.certificate import certificate, names_of
from tests.support.system import System

try:
    import uvloop
except ImportError:  # Windows
    LOOPS: Mapping[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
else:
    LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Any]:
    """Every test here runs on each loop."""
    return LOOPS


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate and its key."""
    names = names_of("127.0.0.1", [])
    return certificate(tmp_path_factory.mktemp("tls") / "tls", names, datetime.datetime.now(datetime.UTC))


@pytest.fixture
def trusting(pair: tuple[Path, Path]) -> ssl.SSLContext:
    """A client that believes this certificate and no other."""
    return ssl.create_default_context(cafile=str(pair[0]))


@pytest.fixture
async def secure(system: System, pair: tuple[Path, Path]) -> Callable[..., Any]:
    """Starts a system whose gateway speaks TLS."""

    async def start(**settings: Any) -> System:
        await system.start(tls_certificate=str(pair[0]), tls_key=str(pair[1]), **settings)
        return system

    return start
