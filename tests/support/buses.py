"""Marks for tests whose claim is about one bus, or about none: everything else runs on both."""

import pytest

on_nats = pytest.mark.parametrize("bus_kind", ["nats"], indirect=True)
in_memory = pytest.mark.parametrize("bus_kind", ["memory"], indirect=True)
