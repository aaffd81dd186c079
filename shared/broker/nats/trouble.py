"""Says in words why NATS cannot be reached: one sentence for whoever has to mend it, without user or password. Pure."""

import socket
import ssl


def words(error: BaseException) -> str:
    """Why a connection could not be made."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS with it failed ({error.reason or 'it speaks something else'})"
    if isinstance(error, socket.gaierror):
        return f"its host name does not resolve ({error.strerror})"
    if isinstance(error, ConnectionRefusedError):
        return "it refuses the connection (is it running, and is the port right?)"
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return f"it cannot be reached ({error.strerror})"
    return str(error).removeprefix("nats: ") or type(error).__name__


def where(url: str) -> str:
    """The addresses in the URL, without user and password."""
    return ", ".join(part.rpartition("@")[2] for part in url.split(","))


def is_late_answer(error: Exception, user: str | None) -> bool:
    """Whether what a user was not allowed to publish is an answer: NATS allows one for a time only (`allow_responses`).

    What is not allowed below the user's own inbox is none: a process asks itself there.
    """
    said = str(error).lower()
    own = f'publish to "_inbox.{user}.'.lower()
    return own not in said and any(f'publish to "{start}' in said for start in ("_r_.", "_inbox."))
