"""Marks for tests whose claim is about one bus, or about none: everything else runs on both (tiers)."""

import pytest

on_nats = pytest.mark.parametrize("bus_kind", ["nats"], indirect=True)
both_buses = pytest.mark.both_buses  # in `make test` too: the claim is about what only one of them can break
in_memory = pytest.mark.parametrize("bus_kind", ["memory"], indirect=True)
