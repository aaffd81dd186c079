"""Does the gateway answer, is it one of ours, of which version, with the same time, and can it serve?"""

import time
from email.utils import parsedate_to_datetime

import httpx

from parley.cli.doctor.report import Report
from parley.cli.exits import Exit, Stop
from parley.cli.options import Server
from parley.cli.rest import Rest
from parley.version import __version__

CLOCK = 30.0  # seconds that clocks may differ: the leeway tokens have by default


def look(server: Server, report: Report) -> bool | None:
    """Whether it reaches the broker; None if there is no gateway."""
    with server.public() as rest:
        answer = _answers(server, rest, report)
        if answer is None:
            return None
        _version(str(answer.json()["version"]), report)
        _clock(answer.headers.get("date"), report)
        return _broker(rest, report)


def _answers(server: Server, rest: Rest, report: Report) -> httpx.Response | None:
    started = time.monotonic()
    try:
        answer = rest.send("GET", "/healthz")
    except Stop as stop:
        report.wrong("url", stop.sentence, _advice(stop.sentence))
        return None
    took = (time.monotonic() - started) * 1000
    try:
        ours = answer.is_success and "version" in answer.json()
    except (ValueError, TypeError):
        ours = False
    if not ours:
        sentence = f"{server.base} answers (HTTP {answer.status_code}), but it is no Parley gateway"
        report.wrong("url", sentence, "check host and port of the URL (PARLEY_URL), and what stands before the gateway")
        return None
    report.ok("url", f"{server.base} answers ({took:.0f} ms)")
    if server.insecure and server.base.startswith("https:"):
        report.note("tls", "the certificate was not checked (--insecure)", "name the certificate with --ca instead")
    return answer


def _advice(sentence: str) -> str:
    if "not trusted" in sentence:
        return "name the certificate with --ca; that of `TLS=1 make run` is in its data folder"
    if "TLS" in sentence or "speak HTTP" in sentence:
        return "try the URL with the other one of http:// and https://"
    if "nothing listens" in sentence:
        return "start the gateway, or say where it is with PARLEY_URL"
    if "no answer" in sentence:
        return "is a firewall or a proxy between you and the gateway?"
    return "check the host of the URL (PARLEY_URL)"


def _version(version: str, report: Report) -> None:
    if version.split(".")[:2] == __version__.split(".")[:2]:
        report.ok("version", f"server {version}, this program {__version__}")
        return
    sentence = f"the server is {version}, this program {__version__}"
    report.note("version", sentence, "they understand each other; what is newer in one may be missing in the other")


def _clock(date: str | None, report: Report) -> None:
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except (ValueError, TypeError):
        return
    apart = time.time() - theirs
    if abs(apart) > CLOCK:
        side = "ahead of" if apart > 0 else "behind"
        sentence = f"this machine's clock is {abs(apart):.0f} s {side} the server's"
        report.wrong("clock", sentence, "set both by NTP: tokens and TURN credentials are good by the clock")


def _broker(rest: Rest, report: Report) -> bool:
    try:
        answer = rest.ask("GET", "/readyz")
    except Stop as stop:
        sentence = f"the gateway cannot serve: {stop.sentence}"
        advice = "see that NATS runs and that the gateway reaches it; its log says more"
        if stop.code is None and stop.status is Exit.UNREACHABLE:
            advice = "/readyz must be passed on to the gateway"
        if "lease" in stop.sentence:
            report.wrong("lease", sentence, advice)
            report.unknown("broker", "the gateway says that it has lost its lease, and no more")
        else:
            report.wrong("broker", sentence, advice)
        return False
    report.ok("broker", "the gateway reaches NATS, which takes entries, and holds its lease")
    notice = answer.get("notice") if isinstance(answer, dict) else None
    if isinstance(notice, str):
        report.note("storage", notice, "make space on the disk of NATS, or give the log more (PARLEY_LOG_MAX_BYTES)")
    return True
