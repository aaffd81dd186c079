"""Where a gateway listens. Pure."""

from urllib.parse import urlsplit, urlunsplit

SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


def endpoint(url: str) -> str:
    """The WebSocket's URL of a gateway, which is given as http(s) or ws(s) URL, with or without `/ws`.

    Raises ValueError for anything else, and for a URL with a secret's usual places in it: URLs end up in logs.
    """
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not parts.hostname:
        raise ValueError("a gateway's URL begins with http://, https://, ws:// or wss:// and names a host")
    if parts.query or parts.fragment or parts.username is not None or parts.password is not None:
        raise ValueError("a gateway's URL has no user, query or fragment: tokens are no part of it")
    path = parts.path.rstrip("/")
    path = path if path.endswith("/ws") else f"{path}/ws"
    return urlunsplit((SCHEMES[parts.scheme], parts.netloc, path, "", ""))
