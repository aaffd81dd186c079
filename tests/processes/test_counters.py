"""Counters are there before anything was counted: `rate()` never sees a series that begins with its first event."""

import importlib
import pkgutil
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY, Counter

import services
import shared
from shared.telemetry.tally import OTHER, TALLIES
from tests.faults.figures import Exposition
from tests.support.processes import ROOT, Deployment, Process


@pytest.fixture
async def deployment(tmp_path: Path) -> AsyncIterator[Deployment]:
    """Every service as a process, as it starts."""
    deployment = Deployment(tmp_path)
    try:
        await deployment.start()
        yield deployment
    finally:
        await deployment.stop()


def _import_everything() -> None:
    for package in (services, shared):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)


async def _metrics(process: Process) -> str:
    url = (await process.hear(r'"metrics": "(http://[^"]+)"'))[1]
    async with httpx.AsyncClient() as client:
        return (await client.get(url)).text


def test_every_counter_says_which_values_it_has() -> None:
    """No counter has a label whose values come up as they come: each is a Tally, with a row for what nobody thought of."""
    _import_everything()
    collectors: Any = REGISTRY._collector_to_names
    labelled = {
        one._name
        for one in collectors
        if isinstance(one, Counter) and one._name.startswith("parley_") and len(one._labelnames) == 1
    }
    assert labelled == {tally.name.removesuffix("_total") for tally in TALLIES}
    assert all(OTHER in tally.values for tally in TALLIES)


async def test_counters_exist_from_the_start(deployment: Deployment) -> None:
    """A process that has just started shows every counter of its own, with each value of its label, at 0."""
    _import_everything()
    shown: dict[str, set[str]] = {}
    for name, process in deployment.services.items():
        text = await _metrics(process)
        declared = set(re.findall(r"^# TYPE (parley_\w+) counter$", text, re.MULTILINE))
        assert declared >= {"parley_broker_errors_total", "parley_log_refused_total"}, name
        for tally in TALLIES:
            if tally.name not in declared:
                continue
            values = dict(re.findall(rf'^{tally.name}\{{\w+="([^"]+)"\}} (\S+)$', text, re.MULTILINE))
            assert values.keys() == tally.values, (name, tally.name)
            shown.setdefault(tally.name, set()).add(name)
        for counter in declared - {tally.name for tally in TALLIES}:
            # One with several labels makes its rows itself.
            assert re.search(rf"^{counter}[ {{]", text, re.MULTILINE), (name, counter)
    assert shown.keys() == {tally.name for tally in TALLIES}


async def test_alerts_can_fire(deployment: Deployment) -> None:
    """Every series that docs/operations.md alerts on is there at the start, in some service."""
    alerts = (ROOT / "docs/operations.md").read_text().partition("## What to alert on")[2].partition("\n## ")[0]
    texts = [await _metrics(process) for process in deployment.services.values()]
    named = set(re.findall(r'(parley_\w+)(?:\{(\w+)="([^"]+)"\})?', alerts))
    assert len(named) > 15
    for name, label, value in named:
        labels = {label: value} if label else {}
        there = [text for text in texts if _has(text, name, labels)]
        assert there, (name, labels)


def _has(text: str, name: str, labels: dict[str, str]) -> bool:
    exposition = Exposition(text)
    return any(labels.items() <= has.items() for has, _ in exposition.samples(name))
