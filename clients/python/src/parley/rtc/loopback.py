"""Calls on a machine that has no network but loopback, such as a sandbox."""

import aioice.ice


def use_loopback_when_alone() -> None:
    """Let ICE use 127.0.0.1 when there is no other address: aioice leaves it out, and nothing would be left.

    For this whole process. Gateways outside development mode refuse such candidates.
    """
    gathered = aioice.ice.get_host_addresses
    if getattr(gathered, "with_loopback", False):
        return

    def addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return gathered(use_ipv4, use_ipv6) or ["127.0.0.1"]

    addresses.with_loopback = True  # type: ignore[attr-defined]  # a mark for the next call
    aioice.ice.get_host_addresses = addresses
