"""The Dockerfile, and what compose and Kubernetes have in common with it and with each other."""

import re
from pathlib import Path

import pytest

from services.registry import OPS_PORT, REGISTRY
from tests.support.manifests import (
    ROOT,
    SETTINGS,
    WORKLOADS,
    backup_container,
    compose,
    container,
    dockerfile,
    fresh_secrets,
    interpolated,
    of_kind,
    pod_environment,
)


def test_image_is_plain() -> None:
    """Installed by hash only, run as a numbered user without a shell, checked on the port its environment names."""
    text = dockerfile()
    assert "--require-hashes" in text
    assert re.search(r"^USER [1-9]\d*:[1-9]\d*$", text, re.MULTILINE)
    assert re.search(r"^STOPSIGNAL SIGTERM$", text, re.MULTILINE)
    assert re.search(r"^HEALTHCHECK [^\n]*\\\n  CMD \[.*PARLEY_OPS_PORT.*/healthz.*\]$", text, re.MULTILINE)
    image = dict(re.findall(r"(PARLEY_\w+)=(\S+)", text))
    assert image == {"PARLEY_OPS_HOST": "0.0.0.0", "PARLEY_OPS_PORT": str(OPS_PORT)}
    for settings in SETTINGS.values():
        assert image.keys() <= settings.environment_names()


@pytest.mark.parametrize("service", SETTINGS)
def test_image_has_every_service(service: str) -> None:
    """SERVICE chooses a last stage whose entry point is that service itself, in exec form."""
    stage = f'FROM runtime AS run-{service}\n(?:(?:#|COPY|EXPOSE) [^\n]+\n)*ENTRYPOINT \\["python", "-m", "services.{service}"\\]\n'
    assert re.search(stage, dockerfile())
    assert dockerfile().rstrip().endswith("FROM run-${SERVICE}")
    assert set(re.findall(r"^FROM runtime AS run-(.+)$", dockerfile(), re.MULTILINE)) == {*REGISTRY.names, "backup"}
    assert f"# SERVICE is {', '.join(REGISTRY.names[:-1])} or {REGISTRY.names[-1]}." in dockerfile()
    exposed = re.findall(rf"AS run-{service}\n(?:(?:#|COPY) [^\n]+\n)*EXPOSE (\d+)$", dockerfile(), re.MULTILINE)
    port = REGISTRY[service].public_port
    assert exposed == ([] if port is None else [str(port)])


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


def test_image_for_backups_has_the_table() -> None:
    """The program for backups runs with the table of services: with the code of all of them, and what that needs."""
    stage = re.search(r"^FROM runtime AS run-backup\n(.*?)\n\n", dockerfile(), re.MULTILINE | re.DOTALL)
    assert stage is not None
    assert "COPY services/ /app/services/\n" in stage[1]
    assert stage[1].endswith('ENTRYPOINT ["python", "-m", "services.backup"]')
    locked = {name: (ROOT / f"requirements/{name}.txt").read_text() for name in ("backup", *REGISTRY.names)}
    packages = {name: set(re.findall(r"^([\w.-]+==\S+)", text, re.MULTILINE)) for name, text in locked.items()}
    assert packages["backup"] == set().union(*(packages[name] for name in REGISTRY.names))


def test_compose_and_kubernetes_run_the_same_images() -> None:
    """Both name the same images, the services' at the project's version."""
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    images = {name: one["image"] for name, one in compose()["services"].items() if name != "turn"}
    deployed = {name: container(name)["image"] for name in WORKLOADS} | {"backup": backup_container()["image"]}
    assert images == deployed
    ours = {*SETTINGS, "backup"}
    assert {images[name] for name in ours} == {f"parley-{name}:{version}" for name in ours}
    assert f"ARG VERSION={version}\n" in dockerfile()


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


def test_entries_are_on_the_disk_before_they_are_acknowledged() -> None:
    """Unless it is told otherwise, NATS syncs before every acknowledgement, wherever it is deployed."""
    assert "sync_interval: $PARLEY_NATS_SYNC" in of_kind("ConfigMap")["nats"]["data"]["nats.conf"]
    given = {variable["name"]: variable.get("value") for variable in container("nats")["env"]}
    assert given["PARLEY_NATS_SYNC"] == "always"
    assert interpolated(compose()["services"]["nats"]["environment"]["PARLEY_NATS_SYNC"], {}) == "always"
