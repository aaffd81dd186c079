"""The objects of `deploy/k8s` and `deploy/nats`: held against schemas, each other, and the settings."""

from pathlib import Path

import kubernetes_validate  # type: ignore[import-untyped]  # ships no types
import pytest

from services.gateway.settings import GatewaySettings
from services.launcher.plan import TIMER_BYTES
from services.registry import REGISTRY
from services.rooms.settings import RoomsSettings
from tests.support.manifests import (
    K8S,
    KUBERNETES,
    PROBES,
    ROOT,
    SETTINGS,
    WORKLOADS,
    cluster,
    container,
    documents,
    example_secrets,
    mounted_files,
    of_kind,
    pod_settings,
    ports,
    selected,
)


@pytest.mark.parametrize("version", KUBERNETES)
def test_manifests_fit_kubernetes(version: str) -> None:
    """Every object, the examples too, is valid under that version's schemas, without any unknown field."""
    examples = [document for path in K8S.glob("*.example.yaml") for document in documents(path)]
    assert len(examples) == 6
    for document in (*cluster(), *examples):
        kubernetes_validate.validate(document, version, strict=True)


def test_no_manifest_is_forgotten() -> None:
    """Every file beside a kustomization is used by it, except the examples."""
    for base in (K8S, ROOT / "deploy/nats"):
        (kustomization,) = documents(base / "kustomization.yaml")
        used = {Path(name).name for name in kustomization["resources"]}
        for generator in kustomization["configMapGenerator"]:
            used |= {*generator.get("files", []), *generator.get("envs", [])}
        there = {path.name for path in base.iterdir() if not path.name.endswith(".example.yaml")}
        assert there - {"kustomization.yaml"} <= used


def test_names_are_unique() -> None:
    """No two objects of a kind have one name, and none is bound to a namespace."""
    names = [(o["kind"], o["metadata"]["name"]) for o in cluster()]
    assert len(names) == len(set(names))
    assert not [o for o in cluster() if "namespace" in o["metadata"]]


def test_every_service_is_deployed() -> None:
    """Each service of the registry is a Deployment with an object of every kind that a service has; NATS keeps the rest."""
    assert of_kind("Deployment").keys() == set(REGISTRY.names)
    for kind in ("HorizontalPodAutoscaler", "PodDisruptionBudget", "ConfigMap"):
        assert of_kind(kind).keys() - {"nats"} == set(REGISTRY.names), kind
    assert of_kind("StatefulSet").keys() == {"nats"}
    public = {service.name for service in REGISTRY if service.public}
    assert {name for name in REGISTRY.names if name in of_kind("Service")} == public


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
            asked = container(name)[probe]
            if "exec" in asked:  # of NATS: a script that is beside its configuration, and asks the port for monitoring
                assert asked["exec"]["command"] == ["sh", "/etc/nats/alive.sh"]
                script = of_kind("ConfigMap")["nats"]["data"]["alive.sh"]
                assert f"PORT:-{ports(name)['monitor']}}}" in script
            else:
                assert asked["httpGet"]["port"] in ports(name)
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
    """Both streams may have the full size within what NATS may store, and timers too; half of the volume is left for blocks
    that are written anew.
    """
    settings = pod_settings("rooms", tmp_path)
    assert isinstance(settings, RoomsSettings)
    stateful = of_kind("StatefulSet")["nats"]["spec"]
    (claim,) = stateful["volumeClaimTemplates"]
    size = claim["spec"]["resources"]["requests"]["storage"]
    given = {variable["name"]: variable.get("value") for variable in container("nats")["env"]}
    store = int(given["PARLEY_NATS_STORE"].removesuffix("GB")) << 30
    assert (int(size.removesuffix("Gi")) << 30) / 2 >= store >= 2 * settings.log_max_bytes + TIMER_BYTES
    assert settings.log_replicas <= stateful["replicas"]
