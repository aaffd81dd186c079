"""The pods of `deploy/k8s` and `deploy/nats`: what they are given, how they are watched, and what they may do."""

from pathlib import Path

import pytest

from services.gateway.settings import GatewaySettings
from services.registry import REGISTRY
from tests.support.manifests import (
    PROBES,
    SETTINGS,
    WORKLOADS,
    container,
    drain_of,
    fresh_secrets,
    mounted_files,
    of_kind,
    pod_environment,
    pod_settings,
    ports,
)


@pytest.mark.parametrize("service", SETTINGS)
def test_pod_settings_are_complete(service: str, tmp_path: Path) -> None:
    """A service started with its pod's environment and secret files accepts them, in production mode."""
    settings = pod_settings(service, tmp_path)
    assert settings.mode == "production"
    assert settings.nats_user == REGISTRY[service].user
    assert settings.nats_password is not None
    assert (
        settings.nats_password.get_secret_value()
        == fresh_secrets()[f"PARLEY_NATS_{REGISTRY[service].user.upper()}_PASSWORD"]
    )
    host, port = settings.nats_url.removeprefix("nats://").split(":")
    assert int(port) in {p["port"] for p in of_kind("Service")[host]["spec"]["ports"]}


@pytest.mark.parametrize("service", SETTINGS)
def test_pods_get_only_their_own_secrets(service: str) -> None:
    """Secrets reach a service as files it has settings for: its own NATS password, and only auth has keys of tokens."""
    given = set(mounted_files(service).values())
    named = {v for k, v in pod_environment(service).items() if k.endswith("_FILE")}
    assert named == mounted_files(service).keys()
    own = {("parley-nats-passwords", REGISTRY[service].user)}
    if service == "gateway":
        own |= {("parley-signal-keys", "keys")}
    if service == "auth":
        own |= {("parley-auth-keys", f"{name}-secret") for name in ("token", "grant", "turn")}
    assert given == own


@pytest.mark.parametrize("service", SETTINGS)
def test_probes_ask_the_internal_port(service: str, tmp_path: Path) -> None:
    """Liveness asks /healthz, readiness /readyz, on the port where the settings put them."""
    settings = pod_settings(service, tmp_path)
    assert ports(service) == REGISTRY[service].ports
    assert (settings.ops_host, settings.ops_port) == ("0.0.0.0", ports(service)["ops"])
    gets = [container(service)[probe]["httpGet"] for probe in PROBES]
    assert {get["port"] for get in gets} == {"ops"}
    assert [get["path"] for get in gets] == ["/healthz", "/healthz", "/readyz"]
    if isinstance(settings, GatewaySettings):
        assert (settings.host, settings.port) == ("0.0.0.0", ports(service)["http"])


@pytest.mark.parametrize("service", SETTINGS)
def test_pods_have_time_to_stop(service: str, tmp_path: Path) -> None:
    """The grace period covers the wait before SIGTERM and the service's own shutdown, with seconds to spare."""
    before = container(service).get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
    grace = WORKLOADS[service]["spec"]["terminationGracePeriodSeconds"]
    assert grace >= before + drain_of(pod_settings(service, tmp_path)) + 5


@pytest.mark.parametrize("name", WORKLOADS)
def test_pods_are_restricted(name: str) -> None:
    """Every pod meets the restricted Pod Security Standard, writes nowhere but to volumes, and has bounded memory."""
    spec, one = WORKLOADS[name]["spec"], container(name)
    assert spec["securityContext"]["runAsNonRoot"]
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec["automountServiceAccountToken"]
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & spec.keys()
    assert one["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"cpu", "memory"} <= one["resources"]["requests"].keys()
    assert "memory" in one["resources"]["limits"]
    assert all(volume.keys() - {"name"} <= {"projected", "configMap"} for volume in spec["volumes"])


@pytest.mark.parametrize("name", WORKLOADS)
def test_no_service_variables_reach_the_settings(name: str) -> None:
    """Kubernetes' own variables are off: those of a Service called parley-… would be unknown settings."""
    assert WORKLOADS[name]["spec"]["enableServiceLinks"] is False
