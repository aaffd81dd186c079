"""Renders the OpenAPI document as one HTML page for people. The page has no script and loads nothing."""

import base64
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from services.gateway.rest.docs_style import STYLE

Json = dict[str, Any]

_STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
}


def page(app: FastAPI) -> Callable[[Request], Awaitable[Response]]:
    """The handler of `/api/docs`."""
    rendered: list[str] = []

    async def answer(_request: Request) -> Response:
        if not rendered:
            rendered.append(render(app.openapi()))
        return HTMLResponse(rendered[0], headers=HEADERS)

    return answer


def render(document: Json) -> str:
    """HTML for an OpenAPI 3.1 document."""
    return _Page(document).html()


class _Page:
    def __init__(self, document: Json) -> None:
        self._document = document
        self._schemas: Json = document["components"]["schemas"]

    def html(self) -> str:
        info = self._document["info"]
        title = f"{escape(info['title'])} {escape(info['version'])}"
        operations = [
            (path, method, operation)
            for path, methods in self._document["paths"].items()
            for method, operation in methods.items()
        ]
        contents = "".join(_link(*operation) for operation in operations)
        groups = "".join(self._group(tag, operations) for tag in self._document.get("tags", []))
        schemas = "".join(self._schema(name, schema) for name, schema in self._schemas.items())
        return (
            "<!doctype html>"
            f'<html lang="en"><head><meta charset="utf-8"><title>{title} – REST API</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<style>{STYLE}</style></head><body>"
            f"<header><h1>{title}</h1>{_text(info.get('description', ''))}"
            '<p><a href="/api/openapi.json">OpenAPI document</a> · <b>*</b> marks what must be there</p></header>'
            f"<nav><ul>{contents}</ul></nav><main>{groups}"
            f'<section><h2 id="schemas">Schemas</h2>{schemas}</section></main></body></html>'
        )

    def _group(self, tag: Json, operations: Iterable[tuple[str, str, Json]]) -> str:
        mine = (self._operation(*found) for found in operations if tag["name"] in found[2].get("tags", []))
        return (
            f"<section><h2>{escape(tag['name'].capitalize())}</h2>{_text(tag['description'])}{''.join(mine)}</section>"
        )

    def _operation(self, path: str, method: str, operation: Json) -> str:
        lock = '<span class="lock">agent-link token</span>' if {} not in operation.get("security", [{}]) else ""
        body = operation.get("requestBody")
        parts = [
            f'<article id="{escape(operation["operationId"])}">',
            f"<h3>{_method(method)} <code>{escape(path)}</code>{lock}</h3>",
            f"<p><strong>{escape(operation['summary'])}</strong></p>{_text(operation.get('description', ''))}",
            self._parameters(operation.get("parameters", [])),
        ]
        if body is not None:
            parts.append(f"<h4>Body{'' if body.get('required') else ' (may be left out)'}</h4>{self._content(body)}")
        parts.extend(self._answers(operation["responses"]))
        return "".join(parts) + "</article>"

    def _parameters(self, parameters: list[Json]) -> str:
        rows = (
            (
                f"{p['name']} ({p['in']})",
                p.get("required", False),
                {**p["schema"], "description": p.get("description", "")},
            )
            for p in parameters
        )
        return f"<h4>Parameters</h4>{self._table(rows)}" if parameters else ""

    def _answers(self, responses: Json) -> Iterator[str]:
        good = {status: answer for status, answer in responses.items() if status < "400"}
        for status, answer in good.items():
            yield f"<h4>{escape(status)} {escape(answer['description'])}</h4>"
            if "content" in answer:
                yield self._content(answer)
        refusals = [(status, answer) for status, answer in sorted(responses.items()) if status >= "400"]
        if refusals:
            rows = "".join(
                f"<tr><td>{escape(status)}</td><td>{_codes(answer)}</td></tr>" for status, answer in refusals
            )
            head = '<tr><th scope="col">Status</th><th scope="col">Code</th></tr>'
            yield f'<h4>Refusals (<a href="#schema-Problem">Problem</a>)</h4><table><thead>{head}</thead>{rows}</table>'

    def _content(self, holder: Json) -> str:
        content = next(iter(holder["content"].values()))
        name = _reference(content["schema"])
        schema = self._schemas.get(name, content["schema"])
        example = content.get("example") or next(iter(schema.get("examples", [])), None)
        shown = f"<pre>{escape(json.dumps(example, indent=2))}</pre>" if example else ""
        return (self._fields(schema) or f"<p>{self._type(content['schema'])}</p>") + shown

    def _schema(self, name: str, schema: Json) -> str:
        fields = self._fields(schema) or f"<p>{self._type(schema)}</p>"
        heading = f'<article id="schema-{escape(name)}"><h3>{escape(name)}</h3>'
        return f"{heading}{_text(schema.get('description', ''))}{fields}</article>"

    def _fields(self, schema: Json) -> str:
        required = schema.get("required", ())
        rows = ((name, name in required, field) for name, field in schema.get("properties", {}).items())
        return self._table(rows) if schema.get("properties") else ""

    def _table(self, rows: Iterable[tuple[str, bool, Json]]) -> str:
        body = "".join(
            f"<tr><td><code>{escape(name)}</code>{'<b>*</b>' if required else ''}</td><td>{self._type(field)}</td>"
            f"<td>{_inline(field.get('description', ''))}</td></tr>"
            for name, required, field in rows
        )
        return f"<table>{_FIELD_HEAD}{body}</table>"

    def _type(self, schema: Json) -> str:
        """A type in words, such as `integer, 1 to 250`."""
        name = _reference(schema)
        if name in self._schemas:
            return f'<a href="#schema-{escape(name)}">{escape(name)}</a>{_default(schema)}'
        for choice in ("anyOf", "oneOf", "allOf"):
            if choice in schema:
                return " or ".join(self._type(one) for one in schema[choice]) + _default(schema)
        if "enum" in schema or "const" in schema:
            values = schema.get("enum", [schema.get("const")])
            return " or ".join(f"<code>{escape(json.dumps(value))}</code>" for value in values) + _default(schema)
        if schema.get("type") == "array":
            return f"list of {self._type(schema['items'])}" + _default(schema)
        return escape(schema.get("type", "anything")) + _limits(schema) + _default(schema)


_FIELD_HEAD = '<thead><tr><th scope="col">Field</th><th scope="col">Type</th><th scope="col">Meaning</th></tr></thead>'


def _link(path: str, method: str, operation: Json) -> str:
    return f'<li><a href="#{escape(operation["operationId"])}">{_method(method)} <code>{escape(path)}</code></a></li>'


def _method(method: str) -> str:
    return f'<span class="method {escape(method)}">{escape(method.upper())}</span>'


def _codes(answer: Json) -> str:
    contents: Iterable[Json] = answer.get("content", {}).values()
    examples = [code for content in contents for code in content.get("examples", ())]
    return ", ".join(f"<code>{escape(code)}</code>" for code in examples) or escape(answer["description"])


def _reference(schema: Json) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _limits(schema: Json) -> str:
    found = []
    for low, high, unit in (("minimum", "maximum", ""), ("minLength", "maxLength", " characters")):
        if low in schema and high in schema:
            found.append(f", {schema[low]:g} to {schema[high]:g}{unit}")
        elif low in schema or high in schema:
            found.append(f", at {'least' if low in schema else 'most'} {schema.get(low, schema.get(high)):g}{unit}")
    if "pattern" in schema:
        found.append(f", <code>{escape(schema['pattern'])}</code>")
    return "".join(found)


def _default(schema: Json) -> str:
    default = schema.get("default")
    return "" if default is None else f", default <code>{escape(json.dumps(default))}</code>"


def _text(text: str) -> str:
    """Paragraphs."""
    return "".join(f"<p>{_inline(paragraph)}</p>" for paragraph in text.split("\n\n") if paragraph)


def _inline(text: str) -> str:
    """Plain text with `code` in backticks."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if i % 2 else part for i, part in enumerate(parts))
