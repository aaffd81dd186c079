"""What kustomize, compose and the kubelet would make of `deploy/`, `docker-compose.yml` and the Dockerfile."""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from services.gateway.server import FAREWELL_SECONDS
from services.gateway.settings import GatewaySettings
from services.registry import REGISTRY
from shared.runtime.settings import ServiceSettings

ROOT = Path(__file__).parents[2]
K8S = ROOT / "deploy/k8s"
SETTINGS = {service.name: service.settings for service in REGISTRY}
KUBERNETES = ("1.30", "1.37")  # the oldest supported, and the newest whose schemas the check has
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")

Object = dict[str, Any]


def documents(path: Path) -> list[Object]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def env_file(path: Path) -> dict[str, str]:
    lines = [line.strip() for line in path.read_text().splitlines()]
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def kustomize(base: Path) -> Iterator[Object]:
    """The objects of a base, with generated ConfigMaps under their plain names. Raises when a file is missing."""
    for kustomization in documents(base / "kustomization.yaml"):
        for resource in kustomization["resources"]:
            path = (base / resource).resolve()
            yield from kustomize(path) if path.is_dir() else documents(path)
        for generator in kustomization.get("configMapGenerator", []):
            files = {Path(name).name: (base / name).read_text() for name in generator.get("files", [])}
            envs = {k: v for name in generator.get("envs", []) for k, v in env_file(base / name).items()}
            yield {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": generator["name"]},
                "data": files | envs,
            }


@cache
def cluster() -> tuple[Object, ...]:
    """Every object that `kubectl apply -k deploy/k8s` creates."""
    return tuple(kustomize(K8S))


def of_kind(*kinds: str) -> dict[str, Object]:
    return {o["metadata"]["name"]: o for o in cluster() if o["kind"] in kinds}


WORKLOADS = {name: o["spec"]["template"] for name, o in of_kind("Deployment", "StatefulSet").items()}


def container(name: str) -> Object:
    (only,) = WORKLOADS[name]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def backup_job() -> Object:
    """The CronJob of the example."""
    (job,) = (o for o in documents(K8S / "backup.example.yaml") if o["kind"] == "CronJob")
    return job


def backup_container() -> Object:
    """Its container."""
    (only,) = backup_job()["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def ports(name: str) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container(name)["ports"]}


def selected(selector: Object) -> set[str]:
    """The workloads whose pods a label selector matches."""

    def matches(labels: Mapping[str, str]) -> bool:
        expressions = selector.get("matchExpressions", [])
        assert all(expression["operator"] == "In" for expression in expressions), "only `In` is known here"
        return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items()) and all(
            labels.get(expression["key"]) in expression["values"] for expression in expressions
        )

    return {name for name, template in WORKLOADS.items() if matches(template["metadata"]["labels"])}


def example_secrets() -> dict[str, dict[str, str]]:
    return {o["metadata"]["name"]: o["stringData"] for o in documents(K8S / "secrets.example.yaml")}


@cache
def fresh_secrets() -> dict[str, str]:
    """What deploy/new-secrets.sh prints."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    printed = subprocess.run(["/bin/sh", ROOT / "deploy/new-secrets.sh"], capture_output=True, text=True, check=True)  # noqa: S603 - our own file
    return dict(line.split("=", 1) for line in printed.stdout.splitlines())


def fresh_secret(name: str, key: str) -> str:
    """The value that docs/deployment.md puts under this key of this Secret."""
    variable = {
        "parley-nats-passwords": f"PARLEY_NATS_{key.upper()}_PASSWORD",
        "parley-signal-keys": "PARLEY_SIGNAL_KEYS",
        "parley-auth-keys": f"PARLEY_{key.replace('-', '_').upper()}",
    }[name]
    return fresh_secrets()[variable]


def mounted_files(name: str) -> dict[str, tuple[str, str]]:
    """The files a pod gets from Secrets: path → Secret and key."""
    mounts = {mount["name"]: mount["mountPath"] for mount in container(name)["volumeMounts"]}
    return {
        f"{mounts[volume['name']]}/{item['path']}": (source["secret"]["name"], item["key"])
        for volume in WORKLOADS[name]["spec"]["volumes"]
        for source in volume.get("projected", {}).get("sources", [])
        for item in source["secret"]["items"]
    }


def pod_environment(name: str) -> dict[str, str]:
    """The environment of a service's container, from its ConfigMaps."""
    maps = of_kind("ConfigMap")
    assert "env" not in container(name), "settings are in the .env file, secrets are files"
    sources = [source["configMapRef"]["name"] for source in container(name)["envFrom"]]
    return {k: v for source in sources for k, v in maps[source]["data"].items()}


def pod_settings(name: str, directory: Path) -> ServiceSettings:
    """The settings a service would have in its pod, its secret files being made in `directory`."""
    environment = pod_environment(name)
    for number, (path, secret) in enumerate(mounted_files(name).items()):
        file = directory / str(number)
        file.write_text(fresh_secret(*secret) + "\n")
        environment = {k: str(file) if v == path else v for k, v in environment.items()}
    return SETTINGS[name].read(environment)


@cache
def compose() -> Object:
    (document,) = documents(ROOT / "docker-compose.yml")
    return document


def interpolated(value: str, environment: Mapping[str, str]) -> str:
    """`${NAME}`, `${NAME:-default}` and `${NAME:?message}`, as compose reads them."""

    def replacement(match: re.Match[str]) -> str:
        name, operator, word = match.groups()
        if operator == ":?" and not environment.get(name):
            raise KeyError(name)
        return environment.get(name) or (word if operator == ":-" else "")

    return re.sub(r"\$\{(\w+)(?:(:[-?])([^}]*))?\}", replacement, value)


def seconds(text: str) -> float:
    assert text.endswith("s")
    return float(text[:-1])


def drain_of(settings: ServiceSettings) -> float:
    """Seconds a service takes to stop: a gateway sends its clients elsewhere, the others answer what they were asked."""
    return (
        settings.drain_window + FAREWELL_SECONDS if isinstance(settings, GatewaySettings) else settings.request_timeout
    )


def dockerfile() -> str:
    return (ROOT / "Dockerfile").read_text()
