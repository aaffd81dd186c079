"""Where a gateway is: the URL somebody gave, made into the ones that are asked (pure)."""

from urllib.parse import urlsplit, urlunsplit

from parley.cli.exits import wrong

DEFAULT = "http://127.0.0.1:8080"
_HTTP = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def base_of(url: str) -> str:
    """`http://host:port` or `https://…`, without `/` at the end. `ws:` and `/ws` are understood. Raises Stop."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise wrong("the URL cannot be read: give one like https://calls.example") from None
    if parts.scheme not in _HTTP or not parts.hostname:
        raise wrong("the URL must begin with http://, https://, ws:// or wss:// and name a host")
    if parts.username is not None or parts.query or parts.fragment:
        raise wrong("the URL must hold no password, no query and no fragment: a token goes into PARLEY_TOKEN")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    path = parts.path.rstrip("/").removesuffix("/ws").rstrip("/")
    return urlunsplit((_HTTP[parts.scheme], host if port is None else f"{host}:{port}", path, "", ""))


def socket_of(base: str) -> str:
    """The WebSocket of a gateway."""
    return base.replace("http", "ws", 1) + "/ws"


def is_loopback(base: str) -> bool:
    """Whether it is on this machine."""
    host = urlsplit(base).hostname or ""
    return host == "localhost" or host == "::1" or host.startswith("127.")


def without_password(url: str) -> str:
    """A URL that may be shown."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        place = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{place}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return "(a URL that cannot be read)"
