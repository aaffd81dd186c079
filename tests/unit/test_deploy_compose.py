"""`docker-compose.yml` and its environment: held against the schema, the settings, and the registry of services."""

import re
import subprocess
import sys

import pytest

from services.registry import REGISTRY
from tests.support.manifests import ROOT, SETTINGS, compose, drain_of, fresh_secrets, interpolated, seconds


def test_compose_file_fits_the_compose_specification() -> None:
    """docker-compose.yml is valid under the schema of the Compose specification."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - fixed
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("service", SETTINGS)
def test_compose_settings_are_complete(service: str) -> None:
    """A service started with what compose gives it from a fresh .env accepts it, in production mode."""
    one = compose()["services"][service]
    settings = SETTINGS[service].read({k: interpolated(v, fresh_secrets()) for k, v in one["environment"].items()})
    assert (settings.mode, settings.nats_url) == ("production", "nats://nats:4222")
    assert settings.nats_user == REGISTRY[service].user
    assert (settings.ops_host, settings.ops_port) == ("0.0.0.0", REGISTRY[service].ports["ops"])
    assert f"'127.0.0.1', {settings.ops_port}" in one["healthcheck"]["test"][-1]
    assert "/readyz" in one["healthcheck"]["test"][-1]
    assert seconds(one["stop_grace_period"]) > drain_of(settings)
    assert one["build"]["args"] == {"SERVICE": service}


@pytest.mark.parametrize("service", SETTINGS)
def test_compose_refuses_to_start_without_secrets(service: str) -> None:
    """Each secret setting is a required variable, so that nothing starts with an empty one."""
    secrets = {f"PARLEY_{name.upper()}" for name in SETTINGS[service].secret_names()}
    for name, value in compose()["services"][service]["environment"].items():
        if name in secrets:
            with pytest.raises(KeyError):
                interpolated(value, {})


def test_compose_containers_are_confined() -> None:
    """No container writes to its image, has capabilities, or a fixed name (which would forbid a second one)."""
    for one in compose()["services"].values():
        assert one["read_only"] is True
        assert one["cap_drop"] == ["ALL"]
        assert one["security_opt"] == ["no-new-privileges:true"]
        assert not {"container_name", "privileged", "hostname"} & one.keys()


def test_compose_publishes_the_gateway_only() -> None:
    """One port is published, the gateway's public one, on the loopback address unless told otherwise."""
    published = {name: one["ports"] for name, one in compose()["services"].items() if "ports" in one}
    assert {name: [interpolated(p, {}) for p in value] for name, value in published.items()} == {
        service.name: [f"127.0.0.1:8080:{service.public_port}"] for service in REGISTRY if service.public
    }
    assert [service.name for service in REGISTRY if service.public] == ["gateway"]


def test_compose_starts_in_order() -> None:
    """Whoever is waited for is waited for until healthy: NATS by all, each service by those that ask it."""
    waits = {name: set(one.get("depends_on", {})) for name, one in compose()["services"].items()}
    assert waits == {
        "nats": set(),
        "turn": set(),
        "backup": set(),  # what runs is not its business
        **{service.name: {"nats", *service.asks} for service in REGISTRY},
    }
    for one in compose()["services"].values():
        assert {c["condition"] for c in one.get("depends_on", {}).values()} <= {"service_healthy"}


def test_only_the_turn_server_is_in_the_hosts_network() -> None:
    """It takes too many ports to publish them, runs as nobody, and only when asked for by its profile."""
    others = {name: one for name, one in compose()["services"].items() if name not in ("turn", "backup")}
    assert not [name for name, one in others.items() if {"network_mode", "cap_add", "profiles"} & one.keys()]
    turn = compose()["services"]["turn"]
    assert (turn["network_mode"], turn["profiles"], turn["user"]) == ("host", ["turn"], "65534:65534")
    assert turn["cap_add"] == ["NET_BIND_SERVICE"]


def test_example_environment_names_every_variable() -> None:
    """The example has exactly the variables compose asks for; new-secrets.sh makes all that are required."""
    text = (ROOT / "docker-compose.yml").read_text()
    example = (ROOT / "deploy/compose.env.example").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    optional = set(re.findall(r"\$\{(\w+):-", text))
    assert set(re.findall(r"^(\w+)=$", example, re.MULTILINE)) == required == fresh_secrets().keys()
    assert set(re.findall(r"^# (\w+)=", example, re.MULTILINE)) == optional
