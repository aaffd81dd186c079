"""Marks for tests whose claim is about one kind of broker, or about none: everything else runs on both (tiers)."""

import pytest

on_nats = pytest.mark.parametrize("broker_kind", ["nats"], indirect=True)
on_both = pytest.mark.on_both  # in `make test` too: the claim is about what only one of them can break
in_memory = pytest.mark.parametrize("broker_kind", ["memory"], indirect=True)
