"""The REST API of a gateway (docs/protocol.md, section 7): one request, one JSON answer or one Stop."""

import ssl
from types import TracebackType
from typing import Any, Self

import httpx

from parley.cli.address import is_loopback
from parley.cli.exits import Stop, refused, unreachable
from parley.cli.terminal import clean
from parley.version import __version__

SECONDS = 15.0  # the server's own limits are below that
AGENT = f"parley-cli/{__version__}"


class Rest:
    """A gateway's REST API, with a token or without."""

    def __init__(self, base: str, tls: ssl.SSLContext, token: str | None = None) -> None:
        self.base = base
        headers = {"User-Agent": AGENT} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._http = httpx.Client(
            base_url=base,
            headers=headers,
            verify=tls,
            timeout=SECONDS,
            trust_env=not is_loopback(base),  # HTTP_PROXY is no way to this machine
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._http.close()

    def send(
        self, method: str, path: str, *, body: Any = None, query: dict[str, Any] | None = None, **headers: str
    ) -> httpx.Response:
        """The answer, whatever it is. Raises Stop when there is none."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            return self._http.request(method, path, json=body, params=query, headers=sent)
        except (httpx.HTTPError, UnicodeError) as error:
            raise unreachable(f"{self.base}: {why(error)}") from None

    def ask(self, method: str, path: str, **request: Any) -> Any:
        """The JSON of a good answer; None if it has no body. Raises Stop with the server's code and sentence."""
        answer = self.send(method, path, **request)
        if answer.is_success:
            return _json(answer) if answer.content else None
        raise self.refusal(answer)

    def refusal(self, answer: httpx.Response) -> Stop:
        """What an answer that is not good says: a problem document (RFC 9457), or else the server is none of ours."""
        try:
            problem = answer.json()
            return refused(str(problem["code"]), _sentence(problem))
        except (ValueError, KeyError, TypeError):
            return unreachable(f"{self.base} is no Parley gateway: it answered HTTP {answer.status_code}")


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise unreachable("the server is no Parley gateway: its answer is no JSON") from None


def _sentence(problem: dict[str, Any]) -> str:
    sentence = clean(problem.get("detail", problem["code"]))
    wait = problem.get("retryAfterMs")
    return f"{sentence} (wait {wait / 1000:.0f} s)" if isinstance(wait, int) and wait >= 1000 else sentence


def why(error: BaseException) -> str:
    """The reason why there was no answer, in a few words."""
    if isinstance(error, httpx.TimeoutException | TimeoutError):
        return "no answer in time"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({cause.verify_message}); --ca names one to trust"
        if isinstance(cause, ssl.SSLError):
            return "it does not speak TLS as we do; is it https:// or http://?"
        if isinstance(cause, OSError) and cause.strerror:
            return _words(cause)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.RemoteProtocolError):
        return "what answers there does not speak HTTP; is it https:// or http://?"
    return clean(error) or type(error).__name__


def _words(error: OSError) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there"
    text = clean(error.strerror)
    # asyncio tries several addresses and joins what went wrong; its sentence repeats the address.
    return "nothing listens there" if "Connect call failed" in text or "refused" in text else text.lower()
