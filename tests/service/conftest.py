"""Fixtures of conversations: services in virtual time, for what clocks decide."""

from collections.abc import Iterator

import pytest

from tests.support.virtual import VirtualSystem


@pytest.fixture
def virtual() -> Iterator[VirtualSystem]:
    """Not started: a test, which is `in_virtual_time`, says how many of what. Nothing in it may have broken."""
    system = VirtualSystem()
    yield system
    assert not system.network.wrong
