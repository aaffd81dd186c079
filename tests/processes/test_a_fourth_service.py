"""A service more is a folder, a record and a NATS user: started by the launcher, found and asked like the others."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest

from shared.broker.nats import ports as nats_ports
from shared.broker.nats.connection import Broker
from shared.values.errors import Refused
from shared.version import __version__
from tests.processes.toy.service import GREET, Greet, Greeting
from tests.processes.with_toy import RECORD, TOY
from tests.support.broker import over_nats
from tests.support.launched import Launched, refusal
from tests.support.patience import eventually

LINES = 60


def test_it_is_small() -> None:
    """Everything in its folder, its NATS user too, has sixty lines at most."""
    files = [path for path in TOY.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {path.name for path in files} == {"__init__.py", "__main__.py", "service.py", "user.conf"}
    assert sum(len(path.read_text().splitlines()) for path in files) <= LINES


async def test_it_is_started_and_asked(tmp_path: Path) -> None:
    """The launcher has an option for how many of it, gives it the settings that it has and a NATS user, waits for it and
    stops it; gateways may ask it, who may not is refused by NATS, and it is measured like every service."""
    environment = {"ACCOUNTS_WITH_TOY": str(tmp_path / "accounts.conf"), "TOYS": "2", "PARLEY_GREETING": "Good evening"}
    launched = Launched(tmp_path / "data", module="tests.processes.with_toy", environment=environment)
    try:
        await asyncio.to_thread(launched.ready)
        commands = launched.process.tree().commands().values()
        assert len([command for command in commands if RECORD.module in command.split()]) == 2
        url = launched.process.wait_for(r"^\s*NATS\s+(nats://\S+)")[1]
        passwords = json.loads((tmp_path / "data" / "nats" / "passwords.json").read_text())
        gateway = await nats_ports.connect(Broker(url, "gateway", passwords["gateway"], 5.0), "test")
        assert await gateway.requests.request(GREET, Greet(name="Ada")) == Greeting(text="Good evening, Ada")
        await gateway.connection.close()
        auth = await nats_ports.connect(Broker(url, "auth", passwords["auth"], 0.5, logs=()), "test")
        with pytest.raises(Refused):
            await auth.requests.request(GREET, Greet(name="Eve"))
        await eventually(over_nats(auth).failed.done, "NATS refuses auth")
        assert "'auth' lacks a permission" in str(over_nats(auth).failed.exception())
        await auth.connection.close()
        ops = launched.process.wait_for(r"toy-1 .*internal port.*metrics=(http://127\.0\.0\.1:\d+)/metrics")[1]
        async with httpx.AsyncClient(base_url=ops) as api:
            assert (await api.get("/readyz")).status_code == 200
            build = f'parley_build_info{{service="toy",version="{__version__}"}} 1.0'
            assert build in (await api.get("/metrics")).text
    finally:
        assert await asyncio.to_thread(launched.stop) == 0


def test_without_its_record_nobody_knows_it(tmp_path: Path) -> None:
    """What is installed takes services from its own table only: the toy's setting is an unknown one there."""
    assert "unknown setting PARLEY_GREETING" in refusal(tmp_path / "data", PARLEY_GREETING="Hello")
