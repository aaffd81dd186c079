"""Whatever a candidate says: only refusals come out, no address of a refused class passes."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from shared.values.errors import Code, Refused
from shared.wire.candidate import check_candidate
from tests.unit.test_candidate import host

PIECES = [
    *[
        "0",
        "1",
        "udp",
        "tcp",
        "typ",
        "host",
        "raddr",
        "rport",
        "127.0.0.1",
        "0.0.0.0",
        "::",
        "::1",
        "tcptype",
        "active",
        "generation",
        "ufrag",
    ],
    "candidate:1",
]


@given(st.one_of(st.text(), st.lists(st.sampled_from([*PIECES, " ", "\r\n", ":"])).map(" ".join)))
def test_only_refusals_come_out(text: str) -> None:
    """Whatever the text, the answer is acceptance or `Refused`; never another exception."""
    for candidate in (text, "candidate:" + text, host("192.0.2.1") + text):
        try:
            check_candidate(candidate)
        except Refused as refused:
            assert refused.code in (Code.INVALID_CANDIDATE, Code.TOO_LARGE)  # noqa: PT017 - either outcome is right


@given(st.ip_addresses())
def test_no_address_of_a_refused_class_passes(address: Any) -> None:
    """For every IP address there is, the answer agrees with the standard library's idea of its class."""
    never = address.is_loopback or address.is_multicast or address.is_unspecified
    try:
        check_candidate(host(str(address)))
    except Refused:
        return
    assert not never
