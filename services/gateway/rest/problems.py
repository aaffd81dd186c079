"""Every refusal of the REST API as a problem document (RFC 9457): status, sentence, and the protocol's stable code."""

import math
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import Field
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from shared.values import field_faults
from shared.values.errors import HTTP_STATUS, Code, Refused, internal_error
from shared.values.model import Tolerant

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1  # when the refusal names no time
FIELDS_NAMED = 10

# The same body for rooms that do not exist, that the caller may not know of, and that cannot exist.
_NO_SUCH_ROOM = "there is no such room, or you may not know of it"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")


class FieldProblem(Tolerant):
    """What is wrong with one field of a request."""

    place: str = Field(alias="in", description="`body`, `query`, `path` or `header`.")
    field: str = Field(description="The field, with dots between levels; empty for the whole.")
    detail: str


class Problem(Tolerant):
    """Why a request was refused (RFC 9457). `code` is for machines and stable, `detail` is one sentence for people."""

    type: str = "about:blank"
    title: str = Field(description="The name of the HTTP status.")
    status: int
    detail: str
    code: Code
    retryable: bool = Field(False, description="Whether the same request may succeed when it is sent again later.")
    retry_after_ms: int | None = Field(None, description="With `rate_limited` and `throttled`.")
    details: dict[str, Any] | None = Field(None, description="For machines; depends on `code`.")
    errors: list[FieldProblem] | None = Field(None, description="With 422: the fields that do not fit.")


class BadRequest(Refused):
    """`bad_message` with another HTTP status than 422, where HTTP has its own status for the fault."""

    def __init__(self, message: str, status: int = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(Code.BAD_MESSAGE, message)
        self._status = int(status)

    @property
    def http_status(self) -> int:
        """Status for REST (RFC 9110)."""
        return self._status


def problem(refused: Refused, errors: Sequence[FieldProblem] = ()) -> Problem:
    """The document for a refusal."""
    if refused.code is Code.ROOM_NOT_FOUND:
        refused = Refused(Code.ROOM_NOT_FOUND, _NO_SUCH_ROOM)
    if refused.code is Code.INTERNAL:
        refused = internal_error()
    status = refused.http_status
    return Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=refused.message,
        code=refused.code,
        retryable=refused.retryable,
        retry_after_ms=refused.retry_after_ms,
        details=refused.details or None,
        errors=list(errors) or None,
    )


def answer(refused: Refused, errors: Sequence[FieldProblem] = (), headers: Mapping[str, str] | None = None) -> Response:
    """The HTTP answer to a refusal."""
    document = problem(refused, errors)
    sent = dict(headers or {})
    if document.status == HTTPStatus.UNAUTHORIZED:
        sent["WWW-Authenticate"] = "Bearer"
    if document.retryable:
        seconds = RETRY_SECONDS if document.retry_after_ms is None else document.retry_after_ms / 1000
        sent["Retry-After"] = str(max(1, math.ceil(seconds)))
    body = document.model_dump(mode="json", by_alias=True, exclude_none=True)
    return JSONResponse(body, document.status, sent, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Add handlers for every exception that a route may raise. Any other exception is a bug (see frame.py)."""
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(RequestValidationError, _does_not_fit)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(ClientDisconnect, _gone)


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101 - starlette looks handlers up by type; this tells mypy
    return answer(error)


async def _gone(_request: Request, _error: Exception) -> Response:
    return answer(BadRequest("the request broke off"))


async def _http(request: Request, error: Exception) -> Response:
    """The answer to what the router refuses: unknown paths and methods."""
    assert isinstance(error, HTTPException)  # noqa: S101 - as above
    if error.status_code == HTTPStatus.NOT_FOUND:
        return answer(BadRequest("there is nothing at this path", HTTPStatus.NOT_FOUND))
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        refused = BadRequest("this path does not have this method", HTTPStatus.METHOD_NOT_ALLOWED)
        return answer(refused, headers={"Allow": _methods(request)})
    if error.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return answer(internal_error())
    return answer(BadRequest(HTTPStatus(error.status_code).phrase, error.status_code))


def _methods(request: Request) -> str:
    """All methods of the path. The router's own answer would name those of the first route only."""
    route = request.scope.get("route")
    described = request.app.openapi()["paths"].get(getattr(route, "path", None), {})
    return ", ".join(sorted(method.upper() for method in described)) or "GET"


async def _does_not_fit(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    errors = [_field_problem(found) for found in error.errors()[:FIELDS_NAMED]]
    first = errors[0]
    name = first.field or first.place
    return answer(Refused(Code.BAD_MESSAGE, f"{name}: {first.detail}"), errors)


def _field_problem(found: Mapping[str, Any]) -> FieldProblem:
    """The problem of one field. It repeats no value, and an unknown key only if it looks like a name."""
    place, *path = (str(part) for part in found["loc"])
    unknown = found["type"] == "extra_forbidden"
    if unknown and not _NAME.fullmatch(path[-1]):
        path[-1] = "(unknown)"
    return FieldProblem(place=place, field=".".join(path), detail=field_faults.sentence(found))


def documented(*codes: Code, bad_request: bool = False) -> dict[int | str, dict[str, Any]]:
    """The problem answers of an operation for OpenAPI, one example per code."""
    by_status: dict[int, list[Refused]] = {}
    for code in codes:
        refused = Refused(code, _EXPLAINED.get(code, "one sentence"))
        by_status.setdefault(HTTP_STATUS[code], []).append(refused)
    if bad_request:
        by_status.setdefault(HTTPStatus.BAD_REQUEST, []).append(BadRequest(_EXPLAINED[Code.BAD_MESSAGE]))
    return {status: _documented_status(status, refusals) for status, refusals in sorted(by_status.items())}


def _documented_status(status: int, refusals: list[Refused]) -> dict[str, Any]:
    examples = {
        str(refused.code): {"value": problem(refused).model_dump(mode="json", by_alias=True, exclude_none=True)}
        for refused in refusals
    }
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": examples}}
    return {"description": HTTPStatus(status).phrase, "content": content}


_EXPLAINED = {
    Code.BAD_MESSAGE: "the text is not JSON",
    Code.NOT_AUTHENTICATED: "send an agent-link token as `Authorization: Bearer`",
    Code.INVALID_TOKEN: "the token's signature does not match",
    Code.EXPIRED_TOKEN: "the token has expired",
    Code.NOT_YET_VALID: "the token is not valid yet",
    Code.WRONG_AUDIENCE: "the token is meant for another audience",
    Code.WRONG_ISSUER: "the token is from another issuer",
    Code.FORBIDDEN: "your token does not allow this",
    Code.ROOM_NOT_FOUND: _NO_SUCH_ROOM,
    Code.ROOM_CLOSED: "the room has been closed",
    Code.ROOM_EXISTS: "this roomId is taken",
    Code.TOO_LARGE: "the body is too large",
    Code.RATE_LIMITED: "too many requests; try again later",
    Code.THROTTLED: "too many refused tokens from this address; try again later",
    Code.UNAVAILABLE: "rooms cannot answer now; try again",
    Code.INTERNAL: internal_error().message,
}
