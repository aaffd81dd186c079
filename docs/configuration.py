"""Writes docs/configuration.md from the settings classes; with `--check` only says whether it is up to date."""

import sys
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from services.launcher.options import parameters
from services.registry import REGISTRY
from shared.runtime.settings import PREFIX, ServiceSettings

DOCUMENT = Path(__file__).with_name("configuration.md")

HEAD = """\
# Configuration

<!-- Written by `make docs` from the settings classes. Change those, not this file. -->

Settings come from the environment, each under the name below. An unknown `PARLEY_…` name, or a value that does not fit,
is an error at start that names the variable. Each service takes its own settings and those of all services, and refuses
the others'. Only `PARLEY_URL`, `PARLEY_TOKEN` and `PARLEY_TOKEN_FILE` are let pass and ignored: they are for
[the command line](command-line.md), which may be used in the same shell.

A **secret** may also be read from a file: set `<NAME>_FILE` to its path, and not `<NAME>`; so may `PARLEY_LOG_LEVEL`. On
`SIGHUP` a service reads these files, the certificate and the key file of tokens again, and nothing else. Outside development mode the
gateway needs `PARLEY_SIGNAL_KEYS`, and auth needs `PARLEY_GRANT_SECRET` and the key of agent-link's tokens. In
development mode known defaults stand in for them, so it is for one machine only.

Lists are written with commas. “—” means not set.
"""

RUN = """\
## `make run`

Starts all services and a NATS server, in development mode and with logs for people. Every `PARLEY_…` setting below may
be given as well; it goes to the services that have it. Only addresses are its own
business: `HOST` and `PORT` above, and those of NATS and of the internal ports.
"""

_BOUNDS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
_NAMES = {int: "integer", float: "number", str: "text", bool: "`true` or `false`", SecretStr: "secret"}


def document() -> str:
    """The whole file."""
    parts = [HEAD, RUN, _table(_run_rows()), "## All services\n", _table(_rows(ServiceSettings, {}))]
    for service in REGISTRY:
        parts += [f"## {service.name}\n", _table(_rows(service.settings, ServiceSettings.model_fields))]
    return "\n".join(parts)


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    lines = ["| setting | value | default | what |", "|---|---|---|---|"]
    lines += [f"| `{name}` | {value} | {default} | {what} |" for name, value, default, what in rows]
    return "\n".join(lines) + "\n"


def _rows(settings: type[ServiceSettings], known: dict[str, FieldInfo]) -> list[tuple[str, str, str, str]]:
    return [
        (PREFIX + name.upper(), _value(field), _default(field.default), _cell(field.description or ""))
        for name, field in settings.model_fields.items()
        if name not in known
    ]


def _run_rows() -> list[tuple[str, str, str, str]]:
    """The launcher's own options."""
    rows = []
    for parameter in parameters(REGISTRY):
        option = parameter.default
        bounds = f", {option.min}…{option.max}" if option.min is not None else ""
        kind = (
            f"integer{bounds}"
            if parameter.annotation in (int, int | None)
            else _NAMES.get(parameter.annotation, "text")
        )
        names = [option.envvar] if isinstance(option.envvar, str) else option.envvar
        rows.append(("`, `".join(names), kind, _default(option.default), _cell(option.help)))
    return rows


def _value(field: FieldInfo) -> str:
    """Type, choices and range, as people write them."""
    annotation: Any = field.annotation
    options = [option for option in get_args(annotation) if option is not type(None)]
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in options)
    if list in (get_origin(annotation), *map(get_origin, options)):
        return "list"
    name = _NAMES[options[0] if options else annotation]
    bounds = [
        f"{sign} {getattr(item, key):g}" if isinstance(getattr(item, key), float) else f"{sign} {getattr(item, key)}"
        for item in field.metadata
        for key, sign in _BOUNDS.items()
        if hasattr(item, key)
    ]
    return ", ".join([name, *bounds])


def _default(default: object) -> str:
    """Never a secret's: those have none, and would not be shown."""
    if default is None or default == []:
        return "—"
    if isinstance(default, SecretStr):
        return "a secret"
    if isinstance(default, list):
        return f"`{','.join(default)}`"
    if isinstance(default, bool):
        return f"`{default}`".lower()
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def write_or_check(arguments: list[str]) -> int:
    """Exit status 1 when `--check` finds the file out of date."""
    if "--check" not in arguments:
        DOCUMENT.write_text(document())
        return 0
    if DOCUMENT.exists() and DOCUMENT.read_text() == document():
        return 0
    sys.stderr.write("docs/configuration.md is not up to date: run `make docs`\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(write_or_check(sys.argv[1:]))
