"""Serves small static files of a folder, with ETags."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".jpg": "image/jpeg",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
}
FILE_BYTES = 4 << 20
# Each part begins with a letter or digit, so none is hidden, empty, `.` or `..`. The name is not decoded after this.
_NAME = re.compile(r"(?:[A-Za-z0-9][A-Za-z0-9_-]*/){0,4}[A-Za-z0-9][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*(\.[a-z0-9]+)")


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is now."""

    body: bytes
    media_type: str

    @property
    def etag(self) -> str:
        """The entity tag of these bytes (RFC 9110, section 8.8.3)."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'


class Folder:
    """The files of a folder that have one of these suffixes. Each is read again when it has changed."""

    def __init__(self, path: Path, suffixes: frozenset[str]) -> None:
        self._path = path.resolve()  # the folder itself may be a symbolic link; files in it may not
        self._suffixes = suffixes
        self._known: dict[str, tuple[tuple[int, int], File]] = {}

    def find(self, name: str) -> File | None:
        """The file of this name: a regular file below the folder, without any symbolic link. None for everything else."""
        match = _NAME.fullmatch(name)
        if match is None or match[1] not in self._suffixes:
            return None
        path = self._path / name
        try:
            stat = path.lstat()
            if path.resolve(strict=True) != path or not path.is_file() or stat.st_size > FILE_BYTES:
                return None
            state = stat.st_mtime_ns, stat.st_size
            if name not in self._known or self._known[name][0] != state:
                self._known[name] = state, File(path.read_bytes(), TYPES[match[1]])
        except OSError:
            return None
        return self._known[name][1]


def answer(request: Request, file: File, headers: Mapping[str, str]) -> Response:
    """The file, or 304 when the client has it already (RFC 9110, section 13.1.2)."""
    sent = {**headers, "ETag": file.etag, "Cache-Control": "no-cache"}
    asked = ",".join(request.headers.getlist("if-none-match"))
    if asked.strip() == "*" or file.etag in (tag.strip().removeprefix("W/") for tag in asked.split(",")):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=sent)
    return Response(file.body, headers={**sent, "Content-Type": file.media_type})
