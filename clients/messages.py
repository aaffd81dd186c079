"""Writes clients/js/src/messages.js, the types of the wire, from the models; with `--check` only says whether it is up to date."""

import re
import sys
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.gateway.features import FEATURES
from shared.values.errors import CloseCode, Code
from shared.wire.pushes import Push

FILE = Path(__file__).parent / "js" / "src" / "messages.js"

HEAD = """\
/** The wire's messages, and the codes of errors and closes. Written by `python -m clients.messages` from the models. */
"""

_TYPES = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}
_NAMES = {"Track": "TrackState", "Error": "ErrorMessage"}  # what JavaScript has already
Schema = dict[str, Any]


def client_messages() -> list[type[BaseModel]]:
    """What a client may send."""
    return [handled.message for feature in FEATURES for handled in feature.handled]


def server_messages() -> list[type[BaseModel]]:
    """What a client is sent."""
    return list(Push.kinds())


def document() -> str:
    """The whole file."""
    sent, heard = client_messages(), server_messages()
    parts = [HEAD, _constants("ErrorCodes", Code), _constants("CloseCodes", CloseCode)]
    # What both directions have is as the server sends it.
    types = {**_types(sent, lenient=True), **_types(heard, lenient=False)}
    parts += [types[name] for name in sorted(types) if name != "Code"]
    parts += [_union("ClientMessage", sent), _union("ServerMessage", heard)]
    return "\n".join(parts)


def _constants(name: str, codes: type[Enum]) -> str:
    """An object with the codes by name, and the type of its values."""
    sentence = _sentence(codes.__doc__ or "")
    lines = [f"/** {sentence} */", f"export const {name} = Object.freeze(", "  /** @type {const} */ ({"]
    lines += [f"    {one.name}: {_literal(one.value)}," for one in codes]
    lines += ["  }),", ");", f"/** @typedef {{(typeof {name})[keyof typeof {name}]}} {name.removesuffix('s')} */"]
    return "\n".join(lines) + "\n"


def _types(models: list[type[BaseModel]], *, lenient: bool) -> dict[str, str]:
    _, schema = models_json_schema([(model, "validation") for model in models], by_alias=True)
    return {name: _type(name, one, lenient=lenient) for name, one in schema["$defs"].items()}


def _sentence(text: str) -> str:
    """The first one, on one line."""
    return re.split(r"(?<=\.)\s", text)[0].replace("\n", " ").replace("`", "")


def _type(name: str, schema: Schema, *, lenient: bool) -> str:
    """One typedef. What a client sends may leave out whatever has a default (`lenient`); a server sends all but nulls."""
    lines = ["/**", f" * {_sentence(schema.get('description', ''))}", f" * @typedef {{object}} {_js(name)}"]
    required = schema.get("required", [])
    for key, field in schema.get("properties", {}).items():
        always = key in required or key == "type" or (not lenient and field.get("default") is not None)
        lines.append(f" * @property {{{_ts(field)}}} {key if always else f'[{key}]'}")
    return "\n".join([*lines, " */", ""])


def _ts(schema: Schema) -> str:
    """A JSON Schema as TypeScript writes it."""
    if "$ref" in schema:
        return _js(schema["$ref"].rpartition("/")[2])
    if "const" in schema:
        return _literal(schema["const"])
    if "enum" in schema:
        return " | ".join(map(_literal, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(_ts(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        item = _ts(schema["items"])
        return f"({item})[]" if "|" in item else f"{item}[]"
    if schema.get("type") == "object":
        values = schema.get("additionalProperties")
        # A pattern for the keys, as those of rooms have one.
        (values,) = schema["patternProperties"].values() if "patternProperties" in schema else (values,)
        return f"Record<string, {_ts(values) if isinstance(values, dict) and values else 'any'}>"
    return _TYPES[schema["type"]] if "type" in schema else "any"


def _literal(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(int(str(value)))


def _js(name: str) -> str:
    return _NAMES.get(name, name if name != "Code" else "ErrorCode")


def _union(name: str, models: list[type[BaseModel]]) -> str:
    members = " | ".join(_js(model.__name__) for model in models)
    return f"/** @typedef {{{members}}} {name} */\n"


def write_or_check(arguments: list[str]) -> int:
    """Exit status 1 when `--check` finds the file out of date."""
    if "--check" not in arguments:
        FILE.write_text(document())
        return 0
    if FILE.exists() and FILE.read_text() == document():
        return 0
    sys.stderr.write("clients/js/src/messages.js is not up to date: run `python -m clients.messages`\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(write_or_check(sys.argv[1:]))
