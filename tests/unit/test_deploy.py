"""`deploy/`, `docker-compose.yml`, the Dockerfile: held against schemas, each other, and the settings."""

import re
import subprocess
import sys
from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]  # ships no types
import pytest

from services.gateway.server import FAREWELL_SECONDS
from services.gateway.settings import GatewaySettings
from services.rooms.settings import RoomsSettings
from shared.runtime.settings import ServiceSettings
from tests.support.manifests import (
    K8S,
    KUBERNETES,
    PROBES,
    ROOT,
    SETTINGS,
    WORKLOADS,
    cluster,
    compose,
    container,
    dockerfile,
    documents,
    example_secrets,
    fresh_secrets,
    interpolated,
    mounted_files,
    of_kind,
    pod_environment,
    pod_settings,
    ports,
    seconds,
    selected,
)

# --- schemas


def test_compose_file_fits_the_compose_specification() -> None:
    """docker-compose.yml is valid under the schema of the Compose specification."""
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run([*check, "docker-compose.yml"], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - fixed
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("version", KUBERNETES)
def test_manifests_fit_kubernetes(version: str) -> None:
    """Every object, the example Secrets too, is valid under that version's schemas, without any unknown field."""
    for document in (*cluster(), *documents(K8S / "secrets.example.yaml")):
        kubernetes_validate.validate(document, version, strict=True)


# --- Kubernetes: the objects fit together


def test_no_manifest_is_forgotten() -> None:
    """Every file beside a kustomization is used by it, except the example of the Secrets."""
    for base in (K8S, ROOT / "deploy/nats"):
        (kustomization,) = documents(base / "kustomization.yaml")
        used = {Path(name).name for name in kustomization["resources"]}
        for generator in kustomization["configMapGenerator"]:
            used |= {*generator.get("files", []), *generator.get("envs", [])}
        assert {path.name for path in base.iterdir()} - {"kustomization.yaml", "secrets.example.yaml"} <= used


def test_names_are_unique() -> None:
    """No two objects of a kind have one name, and none is bound to a namespace."""
    names = [(o["kind"], o["metadata"]["name"]) for o in cluster()]
    assert len(names) == len(set(names))
    assert not [o for o in cluster() if "namespace" in o["metadata"]]


def test_selectors_find_their_pods() -> None:
    """Workloads, Services, budgets and spreading rules select exactly the pods of the workload they are named after."""
    for name, workload in of_kind("Deployment", "StatefulSet").items():
        assert selected(workload["spec"]["selector"]) == {name}
        for rule in WORKLOADS[name]["spec"].get("topologySpreadConstraints", []):
            assert selected(rule["labelSelector"]) == {name}
    for name, service in of_kind("Service").items():
        assert selected({"matchLabels": service["spec"]["selector"]}) == {name.split("-")[0]}
    for name, budget in of_kind("PodDisruptionBudget").items():
        assert selected(budget["spec"]["selector"]) == {name}
    assert of_kind("StatefulSet")["nats"]["spec"]["serviceName"] in of_kind("Service")


def test_ports_exist() -> None:
    """Every port that a Service, a probe, the Ingress or a policy names is a port of the container."""
    for service in of_kind("Service").values():
        (name,) = selected({"matchLabels": service["spec"]["selector"]})
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports(name).keys()
        assert all(port["port"] in (80, ports(name)[port["targetPort"]]) for port in service["spec"]["ports"])
    for name in WORKLOADS:
        for probe in PROBES:
            assert container(name)[probe]["httpGet"]["port"] in ports(name)
    for policy in of_kind("NetworkPolicy").values():
        for name in selected(policy["spec"]["podSelector"]):
            for rule in policy["spec"].get("ingress", []):
                assert {port["port"] for port in rule["ports"]} <= ports(name).keys()


def test_references_resolve() -> None:
    """Every ConfigMap and every key of a Secret that a pod uses exists; no key of the examples is unused."""
    wanted = {secret for name in WORKLOADS for secret in mounted_files(name).values()}
    maps = of_kind("ConfigMap")
    for name in WORKLOADS:
        for variable in container(name).get("env", []):
            if reference := variable.get("valueFrom", {}).get("secretKeyRef"):
                wanted.add((reference["name"], reference["key"]))
        for source in container(name).get("envFrom", []):
            assert source["configMapRef"]["name"] in maps
        for volume in WORKLOADS[name]["spec"]["volumes"]:
            assert "configMap" not in volume or volume["configMap"]["name"] in maps
    assert wanted == {(name, key) for name, keys in example_secrets().items() for key in keys}


@pytest.mark.parametrize("service", SETTINGS)
def test_pod_settings_are_complete(service: str, tmp_path: Path) -> None:
    """A service started with its pod's environment and secret files accepts them, in production mode."""
    settings = pod_settings(service, tmp_path)
    assert settings.mode == "production"
    assert settings.nats_user == service
    assert settings.nats_password is not None
    assert settings.nats_password.get_secret_value() == fresh_secrets()[f"PARLEY_NATS_{service.upper()}_PASSWORD"]
    host, port = settings.nats_url.removeprefix("nats://").split(":")
    assert int(port) in {p["port"] for p in of_kind("Service")[host]["spec"]["ports"]}


@pytest.mark.parametrize("service", SETTINGS)
def test_pods_get_only_their_own_secrets(service: str) -> None:
    """Secrets reach a service as files it has settings for: its own NATS password, and only auth has keys of tokens."""
    given = set(mounted_files(service).values())
    named = {v for k, v in pod_environment(service).items() if k.endswith("_FILE")}
    assert named == mounted_files(service).keys()
    own = {("parley-nats-passwords", service)}
    if service == "gateway":
        own |= {("parley-signal-keys", "keys")}
    if service == "auth":
        own |= {("parley-auth-keys", f"{name}-secret") for name in ("token", "grant", "turn")}
    assert given == own


@pytest.mark.parametrize("service", SETTINGS)
def test_probes_ask_the_internal_port(service: str, tmp_path: Path) -> None:
    """Liveness asks /healthz, readiness /readyz, on the port where the settings put them."""
    settings = pod_settings(service, tmp_path)
    assert (settings.ops_host, settings.ops_port) == ("0.0.0.0", ports(service)["ops"])
    gets = [container(service)[probe]["httpGet"] for probe in PROBES]
    assert {get["port"] for get in gets} == {"ops"}
    assert [get["path"] for get in gets] == ["/healthz", "/healthz", "/readyz"]
    if isinstance(settings, GatewaySettings):
        assert (settings.host, settings.port) == ("0.0.0.0", ports(service)["http"])


def drain_of(settings: ServiceSettings) -> float:
    """Seconds a service takes to stop: a gateway sends its clients elsewhere, the others answer what they were asked."""
    return (
        settings.drain_window + FAREWELL_SECONDS if isinstance(settings, GatewaySettings) else settings.request_timeout
    )


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


@pytest.mark.parametrize("service", SETTINGS)
def test_each_service_scales_by_itself(service: str) -> None:
    """An autoscaler alone owns the number of pods, at least two, of which one may be away at a time."""
    scaler = of_kind("HorizontalPodAutoscaler")[service]["spec"]
    deployment = of_kind("Deployment")[service]["spec"]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": service}
    assert "replicas" not in deployment
    assert 2 <= scaler["minReplicas"] < scaler["maxReplicas"]
    assert [metric["resource"]["name"] for metric in scaler["metrics"]] == ["cpu"]
    assert of_kind("PodDisruptionBudget")[service]["spec"]["maxUnavailable"] == 1
    assert deployment["strategy"]["rollingUpdate"]["maxUnavailable"] == 0


def test_ingress_reaches_the_gateway_only(tmp_path: Path) -> None:
    """The Ingress serves the gateway's public port under its public URL, by TLS, and outwaits the gateway's pings."""
    (ingress,) = of_kind("Ingress").values()
    settings = pod_settings("gateway", tmp_path)
    assert isinstance(settings, GatewaySettings)
    (rule,) = ingress["spec"]["rules"]
    assert settings.public_url == f"https://{rule['host']}"
    assert [rule["host"]] == ingress["spec"]["tls"][0]["hosts"]
    (path,) = rule["http"]["paths"]
    backend = path["backend"]["service"]
    (port,) = [p for p in of_kind("Service")[backend["name"]]["spec"]["ports"] if p["name"] == backend["port"]["name"]]
    assert (backend["name"], port["targetPort"]) == ("gateway", "http")
    annotations = ingress["metadata"]["annotations"]
    for side in ("read", "send"):
        assert int(annotations[f"nginx.ingress.kubernetes.io/proxy-{side}-timeout"]) > 2 * settings.ping_seconds
    limit = annotations["nginx.ingress.kubernetes.io/proxy-body-size"]
    assert int(limit.removesuffix("k")) * 1024 >= settings.rest_body_bytes
    assert settings.trusted_proxies, "without one, all clients would share the ingress controller's limits"


def test_network_policies_cover_every_pod() -> None:
    """Policies bound what every pod takes and calls; the broker lets exactly the services in."""
    covered: dict[str, set[str]] = {"Ingress": set(), "Egress": set()}
    for policy in of_kind("NetworkPolicy").values():
        for direction in policy["spec"]["policyTypes"]:
            covered[direction] |= selected(policy["spec"]["podSelector"])
        assert all(rule["from"] for rule in policy["spec"].get("ingress", [])), "no `from` lets everybody in"
    assert covered == {"Ingress": set(WORKLOADS), "Egress": set(WORKLOADS)}
    clients = of_kind("NetworkPolicy")["nats"]["spec"]["ingress"][0]
    assert selected(clients["from"][0]["podSelector"]) == set(SETTINGS)
    to_nats = [
        rule
        for rule in of_kind("NetworkPolicy")["services"]["spec"]["egress"]
        if selected(rule["to"][0].get("podSelector", {"matchLabels": {"": ""}})) == {"nats"}
    ]
    assert [port["port"] for rule in to_nats for port in rule["ports"]] == [ports("nats")["client"]]


def test_the_log_fits_on_the_disk(tmp_path: Path) -> None:
    """Both streams may have the full size on three quarters of the volume, which is what NATS plans with."""
    settings = pod_settings("rooms", tmp_path)
    assert isinstance(settings, RoomsSettings)
    stateful = of_kind("StatefulSet")["nats"]["spec"]
    (claim,) = stateful["volumeClaimTemplates"]
    size = claim["spec"]["resources"]["requests"]["storage"]
    assert 0.75 * (int(size.removesuffix("Gi")) << 30) >= 2 * settings.log_max_bytes
    assert settings.log_replicas <= stateful["replicas"]


def test_entries_are_on_the_disk_before_they_are_acknowledged() -> None:
    """Unless it is told otherwise, NATS syncs before every acknowledgement, wherever it is deployed."""
    assert "sync_interval: $PARLEY_NATS_SYNC" in of_kind("ConfigMap")["nats"]["data"]["nats.conf"]
    given = {variable["name"]: variable.get("value") for variable in container("nats")["env"]}
    assert given["PARLEY_NATS_SYNC"] == "always"
    assert interpolated(compose()["services"]["nats"]["environment"]["PARLEY_NATS_SYNC"], {}) == "always"


# --- compose


@pytest.mark.parametrize("service", SETTINGS)
def test_compose_settings_are_complete(service: str) -> None:
    """A service started with what compose gives it from a fresh .env accepts it, in production mode."""
    one = compose()["services"][service]
    settings = SETTINGS[service].read({k: interpolated(v, fresh_secrets()) for k, v in one["environment"].items()})
    assert (settings.mode, settings.nats_user, settings.nats_url) == ("production", service, "nats://nats:4222")
    assert (settings.ops_host, settings.ops_port) == ("0.0.0.0", 9090)
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


def test_only_the_turn_server_is_in_the_hosts_network() -> None:
    """It takes too many ports to publish them, runs as nobody, and only when asked for by its profile."""
    others = {name: one for name, one in compose()["services"].items() if name != "turn"}
    assert not [name for name, one in others.items() if {"network_mode", "cap_add", "profiles"} & one.keys()]
    turn = compose()["services"]["turn"]
    assert (turn["network_mode"], turn["profiles"], turn["user"]) == ("host", ["turn"], "65534:65534")
    assert turn["cap_add"] == ["NET_BIND_SERVICE"]


def test_compose_publishes_the_gateway_only() -> None:
    """One port is published, the gateway's public one, on the loopback address unless told otherwise."""
    published = {name: one["ports"] for name, one in compose()["services"].items() if "ports" in one}
    assert {name: [interpolated(p, {}) for p in value] for name, value in published.items()} == {
        "gateway": ["127.0.0.1:8080:8080"]
    }


def test_compose_starts_in_order() -> None:
    """Whoever is waited for is waited for until healthy: NATS by all, the two answering services by the gateway."""
    waits = {name: set(one.get("depends_on", {})) for name, one in compose()["services"].items()}
    assert waits == {
        "nats": set(),
        "rooms": {"nats"},
        "auth": {"nats"},
        "gateway": {"nats", "rooms", "auth"},
        "turn": set(),
    }
    for one in compose()["services"].values():
        assert {c["condition"] for c in one.get("depends_on", {}).values()} <= {"service_healthy"}


def test_example_environment_names_every_variable() -> None:
    """The example has exactly the variables compose asks for; new-secrets.sh makes all that are required."""
    text = (ROOT / "docker-compose.yml").read_text()
    example = (ROOT / "deploy/compose.env.example").read_text()
    required = set(re.findall(r"\$\{(\w+):\?", text))
    optional = set(re.findall(r"\$\{(\w+):-", text))
    assert set(re.findall(r"^(\w+)=$", example, re.MULTILINE)) == required == fresh_secrets().keys()
    assert set(re.findall(r"^# (\w+)=", example, re.MULTILINE)) == optional


def test_compose_and_kubernetes_run_the_same_images() -> None:
    """Both name the same images, the services' at the project's version."""
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    images = {name: one["image"] for name, one in compose()["services"].items() if name != "turn"}
    assert images == {name: container(name)["image"] for name in WORKLOADS}
    assert {images[name] for name in SETTINGS} == {f"parley-{name}:{version}" for name in SETTINGS}
    assert f"ARG VERSION={version}\n" in dockerfile()


# --- the image


def test_image_is_plain() -> None:
    """Installed by hash only, run as a numbered user without a shell, checked on the port its environment names."""
    text = dockerfile()
    assert "--require-hashes" in text
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)
    assert re.search(r"^STOPSIGNAL SIGTERM$", text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK [^\n]*\\\n  CMD \[.*PARLEY_OPS_PORT.*/healthz.*\]$", text, re.MULTILINE)
    image = dict(re.findall(r"(PARLEY_\w+)=(\S+)", text))
    assert image == {"PARLEY_OPS_HOST": "0.0.0.0", "PARLEY_OPS_PORT": "9090"}
    for settings in SETTINGS.values():
        assert image.keys() <= settings.environment_names()


@pytest.mark.parametrize("service", SETTINGS)
def test_image_has_every_service(service: str) -> None:
    """SERVICE chooses a last stage whose entry point is that service itself, in exec form."""
    stage = f'FROM runtime AS run-{service}\n(?:(?:#|COPY|EXPOSE) [^\n]+\n)*ENTRYPOINT \\["python", "-m", "services.{service}"\\]\n'
    assert re.search(stage, dockerfile())
    assert dockerfile().rstrip().endswith("FROM run-${SERVICE}")


def test_image_has_the_page() -> None:
    """What the gateway serves from the folders beside its code is in its image, at the same place, and in no other."""
    (copies,) = re.findall(r"^FROM runtime AS run-gateway\n(.*?)^EXPOSE", dockerfile(), re.MULTILINE | re.DOTALL)
    copied = dict(re.findall(r"^COPY (\S+) (\S+)$", copies, re.MULTILINE))
    assert copied == {"web/": "/app/web/", "clients/js/src/": "/app/clients/js/src/"}
    assert dockerfile().count("COPY web/") == 1
    sent = (ROOT / ".dockerignore").read_text().split("\n")
    for folder in copied:
        assert f"!{folder}" in sent
        assert (ROOT / folder).is_dir()


def test_gateway_and_auth_agree_on_guests(tmp_path: Path) -> None:
    """Guest access is one decision: both services are given the same, and it is off unless somebody turns it on."""
    for guests in ("", "true"):
        environment = fresh_secrets() | ({"PARLEY_GUEST_ACCESS": guests} if guests else {})
        given = [
            interpolated(compose()["services"][service]["environment"]["PARLEY_GUEST_ACCESS"], environment)
            for service in ("gateway", "auth")
        ]
        assert given == [guests or "false"] * 2
    for service in ("gateway", "auth"):
        assert pod_environment(service)["PARLEY_GUEST_ACCESS"] == "false"
