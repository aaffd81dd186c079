"""The NATS headers of our messages. Only this file writes and reads them. Pure.

The names are an interface: releases that run side by side read each other's headers.
"""

from collections.abc import Mapping

from shared.broker.signals import Signal
from shared.rooms.events import Stamp
from shared.values.ids import GatewayId, ParticipantId, SessionKey
from shared.values.position import Position

_UNKNOWN = "?"  # a guest's network that nobody knows
EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"
KEY = "Nats-Msg-Id"
_PREVIOUS = "Nats-Last-Sequence"  # in the copies a stream republishes: the position of the subject's message before
_OPERATION = "Parley-Operation"
_ALSO = "Parley-Also"  # fingerprints, with spaces between: 0.4.0 reads only the operation, and needs no more to fold
_GUEST = "Parley-Guest"
_PARTICIPANT = "Parley-Participant"
_EPOCH = "Parley-Epoch"
_SESSION = "Parley-Session"
_GATEWAY = "Parley-Gateway"
_SINCE = "Parley-Since"
_ASKED_AT = "Parley-Asked"
_UNHEARD_FROM = "Parley-Unheard-From"
_GRANT = "Parley-Grant"
_SENDER = "Parley-From"
_OURS = "Parley-"
_KNOWN = frozenset(value for value in list(globals().values()) if isinstance(value, str) and value.startswith(_OURS))


def of_stamp(stamp: Stamp) -> dict[str, str]:
    """The headers of an entry of events."""
    headers = {_OPERATION: stamp.operation}
    if stamp.participant is not None:
        headers[_PARTICIPANT] = stamp.participant
        headers[_EPOCH] = str(stamp.epoch)
    if stamp.session is not None:
        headers[_SESSION] = stamp.session
    if stamp.gateway is not None:
        headers[_GATEWAY] = stamp.gateway
    if stamp.since:
        headers[_SINCE] = f"{stamp.since:.3f}"
    if stamp.asked_at:
        headers[_ASKED_AT] = f"{stamp.asked_at:.3f}"
    if stamp.unheard_from:
        headers[_UNHEARD_FROM] = str(stamp.unheard_from)
    if stamp.grant is not None:
        headers[_GRANT] = f"{stamp.grant} {stamp.grant_until}"
    if stamp.guest_network is not None:
        headers[_GUEST] = stamp.guest_network or _UNKNOWN
    if stamp.also:
        headers[_ALSO] = " ".join(stamp.also)
    return headers


def stamp(headers: Mapping[str, str]) -> Stamp:
    """The stamp in the headers of an entry. Entries of older versions have fewer headers. Raises ValueError."""
    grant, _, until = headers.get(_GRANT, "").partition(" ")
    participant = headers.get(_PARTICIPANT)
    session = headers.get(_SESSION)
    gateway = headers.get(_GATEWAY)
    guest = headers.get(_GUEST)
    return Stamp(
        operation=headers.get(_OPERATION, ""),
        participant=ParticipantId(participant) if participant else None,
        session=SessionKey(session) if session else None,
        gateway=GatewayId(gateway) if gateway else None,
        epoch=int(headers.get(_EPOCH, "0")),
        grant=grant or None,
        grant_until=int(until or "0"),
        since=float(headers.get(_SINCE, "0")),
        asked_at=float(headers.get(_ASKED_AT, "0")),
        unheard_from=Position(int(headers.get(_UNHEARD_FROM, "0"))),
        guest_network=guest if guest != _UNKNOWN else "",
        also=tuple(headers.get(_ALSO, "").split()),
    )


def is_known(headers: Mapping[str, str]) -> bool:
    """Whether this version knows all of our headers among these."""
    return all(name in _KNOWN for name in headers if name.startswith(_OURS))


def of_signal(signal: Signal) -> dict[str, str]:
    """The headers of a signal: what the receiving gateway must know before it opens the body."""
    headers = {_SENDER: signal.sender, _EPOCH: str(signal.epoch), "Nats-TTL": f"{signal.seconds}s"}
    if signal.key is not None:
        headers[KEY] = signal.key
    return headers


def signal_head(headers: Mapping[str, str]) -> tuple[ParticipantId, int, Position]:
    """A signal's sender, the sender's epoch, and the position of the signal before it to the same participant.

    That position is NOWHERE when the headers do not say it. Raises ValueError.
    """
    return (
        ParticipantId(headers.get(_SENDER, "")),
        int(headers.get(_EPOCH, "0")),
        Position(int(headers.get(_PREVIOUS, "0"))),
    )
