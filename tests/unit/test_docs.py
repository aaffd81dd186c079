"""The documents agree with each other and with the code."""

import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

import services
import shared
from docs import configuration
from services.registry import REGISTRY as SERVICES
from shared.runtime.settings import OF_CLIENTS, SettingsError
from shared.version import __version__

ROOT = Path(__file__).parent.parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("clients/*/*.md")])
FOLDERS = "services|shared|clients|web|bench|tests|deploy|docs|requirements"
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> set[str]:
    """The anchors GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", document.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(document: Path) -> Iterator[str]:
    """Where a document points, except to other sites."""
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCED.sub("", document.read_text())):
        if not target.startswith(("https://", "http://", "mailto:")):
            yield target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """Every link to a file or heading of this repository leads to one."""
    for target in links(document):
        path, _, anchor = target.partition("#")
        there = (document.parent / path).resolve() if path else document
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_files_exist(document: Path) -> None:
    """Every path into the code that a document names in backticks is there."""
    named = re.findall(rf"`((?:{FOLDERS})/[\w./-]+)`", document.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_named_settings_exist(document: Path) -> None:
    """Every PARLEY_ variable that a document names is a setting, or one of compose's, NATS's or the tests'."""
    known = SERVICES.settings_names()
    known |= (
        {"PARLEY_TEST_NATS", "PARLEY_TEST_REQUIRE", "PARLEY_TEST_SEED"}
        | OF_CLIENTS
        | set(re.findall(r"PARLEY_[A-Z_]+", (ROOT / "deploy/compose.env.example").read_text()))
    )
    assert set(re.findall(r"PARLEY_[A-Z]+(?:_[A-Z]+)*", document.read_text())) <= known


def test_named_functions_exist() -> None:
    """Every `file.py: name` that the architecture names is there."""
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = re.findall(r"`((?:services|shared|clients)/[\w/]+\.(?:py|js)): ([\w., ]+)`", text)
    assert named
    for path, names in named:
        source = (ROOT / path).read_text()
        for name in re.split(r"[., ]+", names):
            declared = rf"\b(?:def|class|function) {name}\b|^{name}\b|^  (?:async |get )?{name}\("
            assert re.search(declared, source, re.MULTILINE), (path, name)


def test_configuration_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """docs/configuration.md is what `make docs` would write."""
    assert configuration.write_or_check(["--check"]) == 0, capsys.readouterr().err


def test_configuration_has_every_setting() -> None:
    """Every setting of every service has a row; secrets show no default."""
    text = configuration.document()
    for service in SERVICES:
        for name in service.settings.model_fields:
            assert f"| `PARLEY_{name.upper()}` |" in text
        for name in service.settings.secret_names():
            assert f"| `PARLEY_{name.upper()}` | secret | — |" in text


@pytest.mark.parametrize("name", ["PARLEY_SIGNAL_KEYS", "PARLEY_GRANT_SECRET", "PARLEY_TOKEN_SECRET"])
def test_what_production_needs(name: str) -> None:
    """The secrets that configuration.md calls necessary outside development mode are."""
    (settings,) = (s.settings for s in SERVICES if name.removeprefix("PARLEY_").lower() in s.settings.secret_names())
    others = {f"PARLEY_{n.upper()}": n.ljust(40, "x") for n in settings.secret_names()}
    del others[name]
    with pytest.raises(SettingsError, match=name):
        settings.read(others)


def metrics() -> set[str]:
    """The names of everything that is registered, as Prometheus sees them."""
    for package in (services, shared):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    return {
        family.name + ("_total" if family.type == "counter" else "")
        for family in REGISTRY.collect()
        if family.name.startswith("parley_")
    }


def test_metrics_are_documented() -> None:
    """Every metric has its row in operations.md, and every row its metric; what alerts name exists."""
    text = (ROOT / "docs/operations.md").read_text()
    assert set(re.findall(r"^\| `(parley_\w+)` \|", text, re.MULTILINE)) == metrics()
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in re.findall(r"parley_\w+", text)} == metrics()


def test_one_version() -> None:
    """The version is the same wherever it is written, and the change log knows it."""
    assert f'version = "{__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert f'__version__ = "{__version__}"' in (ROOT / "clients/python/src/parley/version.py").read_text()
    assert json.loads((ROOT / "clients/js/package.json").read_text())["version"] == __version__
    assert re.search(rf"^## \[{re.escape(__version__)}\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_readme_shows_what_is_run() -> None:
    """The programs in the README are those of the pages for developers, where tests run them."""
    readme = (ROOT / "README.md").read_text()
    pages = "".join((ROOT / "docs" / name).read_text() for name in ("web-developers.md", "agents.md"))
    programs = re.findall(r"^```(?:html|python)\n.*?^```$", readme, re.MULTILINE | re.DOTALL)
    assert len(programs) == 2
    assert [program for program in programs if program not in pages] == []


def test_licence_is_whole() -> None:
    """LICENSE is the text of the licence that pyproject.toml names, with nobody else's name filled in."""
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License\n                           Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
    assert "Copyright [yyyy] [name of copyright owner]" in text
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()
