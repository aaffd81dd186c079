"""The gateway's settings: contradictions stop the start with one sentence that names the variables."""

import pytest

from services.gateway.settings import GatewaySettings
from shared.runtime.settings import SettingsError

DEVELOPMENT = {"PARLEY_MODE": "development"}


def read(**settings: str) -> GatewaySettings:
    return GatewaySettings.read(DEVELOPMENT | {f"PARLEY_{name.upper()}": value for name, value in settings.items()})


@pytest.mark.parametrize(
    "settings",
    [
        {"grace_seconds": "32.1"},
        {"ping_seconds": "11.1"},
        {"lease_seconds": "10.1"},
        {"signal_seconds": "57"},
        {"signal_seconds": "600", "grace_seconds": "600"},
        {"ping_seconds": "300"},
    ],
)
def test_signals_outlast_an_absence(settings: dict[str, str]) -> None:
    """Who may come back must find its signals: grace, twice the ping and the lease together are within their life."""
    with pytest.raises(SettingsError) as caught:
        read(**settings)
    sentence = str(caught.value)
    for name in ("SIGNAL", "GRACE", "PING", "LEASE"):
        assert f"PARLEY_{name}_SECONDS" in sentence
    assert "\n" not in sentence
    assert not any(value in sentence for value in settings.values())


@pytest.mark.parametrize(
    "origins",
    [
        *("app.example", "https://app.example/", "https://App.example", "https://a.example/x", "https://a.example b"),
        *("https://*.example", "https://a.example:443", "http://a.example:80"),
    ],
)
def test_an_origin_that_could_never_match(origins: str) -> None:
    """Browsers send a scheme and a host: what is written otherwise would let nobody in, and say nothing."""
    with pytest.raises(SettingsError, match="PARLEY_ALLOWED_ORIGINS"):
        read(allowed_origins=f"https://good.example,{origins}")


def test_origins_of_all_kinds() -> None:
    """Of pages, of a development server, of apps and extensions."""
    good = ["https://app.example", "http://localhost:5173", "http://[::1]:8080", "capacitor://localhost", "null", "*"]
    assert read(allowed_origins=",".join(good)).allowed_origins == good


@pytest.mark.parametrize(
    ("settings", "replay"),
    [
        ({}, 32.0),
        ({"signal_seconds": "58"}, 30.0),
        ({"signal_seconds": "628", "grace_seconds": "600"}, 600.0),
        ({"ping_seconds": "5", "lease_seconds": "20"}, 30.0),
    ],
)
def test_what_fits_together(settings: dict[str, str], replay: float) -> None:
    """As long as the sum fits, exactly too; what is left is how long ago an absence may have been noticed."""
    assert read(**settings).replay_seconds == replay


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lease_seconds", "0.9"),
        ("lease_seconds", "301"),
        ("lease_seconds", "soon"),
        ("grace_seconds", "0"),
        ("grace_seconds", "3601"),
        ("drain_seconds", "0"),
        ("drain_seconds", "3601"),
        ("signal_seconds", "0"),
    ],
)
def test_times_that_cannot_be(name: str, value: str) -> None:
    """Each is refused by its own name."""
    with pytest.raises(SettingsError, match=f"PARLEY_{name.upper()}"):
        read(**{name: value})


def test_how_long_a_drain_takes() -> None:
    """As set; else ten seconds, and one in development, where somebody waits for it."""
    assert read(drain_seconds="25").drain_window == 25
    assert read().drain_window == 1
    keys = {"PARLEY_SIGNAL_KEYS": "k1:" + "A" * 43 + "="}
    assert GatewaySettings.read(keys).drain_window == 10


@pytest.mark.parametrize("name", ["tls_certificate", "tls_key"])
def test_tls_is_whole_or_not_there(name: str) -> None:
    """A certificate without its key, or a key without its certificate, stops the start; together they make it https."""
    with pytest.raises(SettingsError, match="PARLEY_TLS_CERTIFICATE and PARLEY_TLS_KEY belong together"):
        read(**{name: "/nowhere/file.pem"})
    assert read(tls_certificate="/nowhere/c.pem", tls_key="/nowhere/k.pem").scheme == "https"
    assert read().scheme == "http"


def test_where_there_is_a_page() -> None:
    """In development mode, and where guests are let in; by default nowhere else."""
    production = {"PARLEY_SIGNAL_KEYS": "k1:" + "A" * 43 + "="}
    assert not GatewaySettings.read(production).guests
    assert not GatewaySettings.read(production).serves_page
    assert GatewaySettings.read(production | {"PARLEY_GUEST_ACCESS": "true"}).serves_page
    assert read().guests
    assert read(guest_access="false").serves_page
    assert not read(guest_access="false").guests
