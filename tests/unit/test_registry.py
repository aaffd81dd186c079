"""The table of services, and everything that names them one by one and is not made from it."""

import importlib
import re
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from services.backup.__main__ import main
from services.backup.folder import Backup
from services.registry import ACCOUNT, REGISTRY, ServiceRecord, Store
from services.rooms.service import streams
from services.rooms.settings import RoomsSettings
from shared.broker import subjects
from tests.support.accounts import allowed, users
from tests.support.manifests import ROOT, example_secrets, fresh_secrets

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OPERATIONS = (ROOT / "docs/operations.md").read_text()
DEPLOYMENT = (ROOT / "docs/deployment.md").read_text()
ENDPOINTS = [value for value in vars(subjects).values() if isinstance(value, subjects.Endpoint)]


def records() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("service", REGISTRY.services, ids=REGISTRY.names)


# -- the code ----------------------------------------------------------------------------------------------------------


def test_every_service_is_in_the_table() -> None:
    """A folder with a `service.py` is a service, and the other way round; no two share a name, user, option or colour."""
    assert {path.parent.name for path in (ROOT / "services").glob("*/service.py")} == set(REGISTRY.names)
    for field in ("name", "user", "replicas", "colour", "settings"):
        assert len({getattr(service, field) for service in REGISTRY}) == len(REGISTRY), field


@records()
def test_each_has_the_same_shape(service: ServiceRecord) -> None:
    """`build` in `service.py`, the settings in `settings.py`, and a `__main__.py` that only runs them under its name, and
    heeds SIGTERM before it imports anything else.
    """
    assert callable(importlib.import_module(f"services.{service.name}.service").build)
    assert service.settings.__module__ == f"services.{service.name}.settings"
    program = (ROOT / service.module.replace(".", "/") / "__main__.py").read_text()
    (run,) = re.findall(
        r'^if __name__ == "__main__":\n    TOLD\.heed\(\).*\n(?:    from .*\n)+\n    process\.run\("(\w+)", (\w+), build\b.*\)\n\Z',
        program,
        re.MULTILINE,
    )
    assert run == (service.name, service.settings.__name__)


@records()
def test_dependencies_are_locked(service: ServiceRecord) -> None:
    """Its group is in pyproject.toml, among those that `make lock` writes and `make run` installs, and is locked."""
    groups = PROJECT["dependency-groups"]
    assert {"include-group": service.group} in groups["run"]
    assert {"include-group": "shared"} in groups[service.group]
    (locks,) = re.findall(r"^LOCKS := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert service.group in locks.split()
    assert (ROOT / f"requirements/{service.group}.txt").is_file()


@records()
def test_import_contracts_name_it(service: ServiceRecord) -> None:
    """`make check` keeps it away from the other services and from NATS, and free of circles."""
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    package = f"services.{service.name}"
    lists = {contract["name"]: contract for contract in contracts}
    assert package in lists["services never import each other"]["modules"]
    assert package in lists["nothing goes round"]["ancestors"]
    assert package in lists["only adapters know NATS"]["source_modules"]
    assert package in lists["services know ports, and not what is behind them"]["source_modules"]
    assert service.name in " ".join(lists["the launcher knows the registry, and the registry the services"]["layers"])


def test_only_adapters_know_nats_of_shared() -> None:
    """Every folder of `shared` but the one with the adapters, and the one that composes a process, is kept from NATS."""
    lists = {contract["name"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
    kept = {
        name.split(".")[1] for name in lists["only adapters know NATS"]["source_modules"] if name.startswith("shared.")
    }
    folders = {path.name for path in (ROOT / "shared").iterdir() if (path / "__init__.py").exists()}
    assert folders - kept == {"runtime"}


# -- NATS --------------------------------------------------------------------------------------------------------------


def test_everybody_has_a_nats_user() -> None:
    """accounts.conf has one user for each service, in its account, and the observers in another."""
    found = {name: account for account, name, _ in users()}
    assert found.keys() == set(REGISTRY.users)
    assert {service.user: service.account for service in REGISTRY}.items() <= found.items()
    assert not {found[name] for name in REGISTRY.observers} & {service.account for service in REGISTRY}
    assert {found[name] for name in REGISTRY.operators} == {ACCOUNT}  # the streams are there


@records()
def test_whom_it_asks(service: ServiceRecord) -> None:
    """NATS lets it ask the services that its record names, and answer as itself; those have endpoints."""
    answering = {endpoint.name.partition(".")[0] for endpoint in ENDPOINTS}
    assert answering <= set(REGISTRY.names)
    asked = {name for name in answering if f"{subjects.ROOT}.{name}.*" in allowed(service.user, "publish")}
    assert asked == set(service.asks) <= answering
    answers = {name for name in REGISTRY.names if f"{subjects.ROOT}.{name}.*" in allowed(service.user, "subscribe")}
    assert answers == answering & {service.name}


@records()
def test_whose_streams_they_are(service: ServiceRecord) -> None:
    """NATS lets a service make and change the streams that its record names, and no others."""
    own = {store.name for store in service.stores if store.kind == "stream"}
    for verb in ("CREATE", "UPDATE"):
        prefix = f"$JS.API.STREAM.{verb}."
        assert {s.removeprefix(prefix) for s in allowed(service.user, "publish") if s.startswith(prefix)} == own


@pytest.mark.parametrize("operator", REGISTRY.operators)
def test_what_operators_may(operator: str) -> None:
    """NATS lets them look at, take, delete and restore the streams that are backed up, and do nothing else."""
    verbs = ("INFO", "SNAPSHOT", "DELETE", "RESTORE", "UPDATE")
    assert allowed(operator, "publish") == {
        subject
        for stream in REGISTRY.backed_up
        for subject in (
            *(f"$JS.API.STREAM.{verb}.{stream}" for verb in verbs),
            f"$JS.SNAPSHOT.ACK.{stream}.>",
            f"$JS.SNAPSHOT.RESTORE.{stream}.>",
        )
    }
    assert allowed(operator, "subscribe") == {f"_INBOX.{operator}.>"}
    assert operator not in {service.user for service in REGISTRY}


def test_streams_are_those_that_are_made() -> None:
    """rooms makes exactly the streams of its record."""
    made = streams(RoomsSettings(mode="development")).configurations()
    assert {stream["name"] for stream in made} == {store.name for store in REGISTRY["rooms"].stores}


def test_every_user_has_a_password() -> None:
    """new-secrets.sh makes one for each, and so do the example of the Secrets and the commands of deployment.md."""
    variables = {f"PARLEY_NATS_{user.upper()}_PASSWORD" for user in REGISTRY.users}
    assert {name for name in fresh_secrets() if name.startswith("PARLEY_NATS_")} == variables
    assert example_secrets()["parley-nats-passwords"].keys() == set(REGISTRY.users)
    assert set(re.findall(r'--from-literal=(\w+)="\$PARLEY_NATS_\w+_PASSWORD"', DEPLOYMENT)) == set(REGISTRY.users)
    (compose,) = yaml.safe_load_all((ROOT / "docker-compose.yml").read_text())
    assert variables <= compose["services"]["nats"]["environment"].keys()


# -- documents ---------------------------------------------------------------------------------------------------------


def test_backup_names_what_is_kept() -> None:
    """operations.md backs up what the table says, and says of the rest that it need not be."""
    section = OPERATIONS.partition("## Backup\n")[2].partition("\n## ")[0]
    stores = [store for service in REGISTRY for store in service.stores]
    kept = {store.name for store in stores if store.backed_up}
    backed_up = re.search(r"It backs up (.+?):", section)
    assert backed_up is not None
    assert re.findall(r"`(\w+)`", backed_up[1]) == list(REGISTRY.backed_up)
    assert kept == set(REGISTRY.backed_up), "a database is backed up by something else, which the section has to say"
    left = re.findall(r"`(\w+)` need not be backed up", section)
    assert set(left) == {store.name for store in stores} - kept
    assert ("no service has a database" in section) == all(store.kind == "stream" for store in stores)


@pytest.mark.parametrize("verb", ["take", "restore"])
def test_a_database_is_not_left_out_in_silence(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who adds one that is to be backed up is told by name that nobody does that yet; nothing is written."""
    ledger = Store("LEDGER", backed_up=True, kind="database")
    services = (replace(REGISTRY["auth"], stores=(ledger,)), *(s for s in REGISTRY if s.name != "auth"))
    monkeypatch.setattr(sys, "argv", ["backup", "--data", str(tmp_path), verb, str(tmp_path / "backups")])
    monkeypatch.setattr(Backup, "open", lambda _folder: None)
    assert main(replace(REGISTRY, services=services)) == 1
    assert "LEDGER" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_images_are_named() -> None:
    """What is built for a release and a deployment is an image for each service, and the one for backups."""
    build = f"docker build --build-arg SERVICE={'|'.join((*REGISTRY.names, 'backup'))} ."
    assert build in (ROOT / "CONTRIBUTING.md").read_text()
    assert build in DEPLOYMENT


def test_ports_are_named() -> None:
    """The tables of ports have the public one of each service that has one, and the internal one of all."""
    exposed = {
        row for row in re.findall(r"^\| (\w+ \d+) \|", DEPLOYMENT, re.MULTILINE) if row.split()[0] in REGISTRY.names
    }
    assert exposed == {f"{service.name} {service.public_port}" for service in REGISTRY if service.public}
    assert "| every service 9090 |" in DEPLOYMENT
    assert {service.ports["ops"] for service in REGISTRY} == {9090}
