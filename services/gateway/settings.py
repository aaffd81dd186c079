"""Settings of the gateway, with the limits of the protocol. docs/configuration.md is made from them."""

import base64
import binascii
import re
from typing import Self

from pydantic import Field, SecretStr, model_validator

from shared.runtime.settings import GRACE_SECONDS, ServiceSettings

_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.-]*://(?:[^/\sA-Z\[\]*?#@]+|\[[0-9a-f:]+\](?::[0-9]+)?)")
_DEFAULT_PORT = re.compile(r"http://.*:80|https://.*:443")  # browsers leave it out
DEVELOPMENT_SIGNAL_KEYS = "dev:" + base64.b64encode(b"parley development signal key !!").decode()


class GatewaySettings(ServiceSettings):
    """The gateway: where it listens, which clients it admits, and how much each may do."""

    host: str = Field("127.0.0.1", description="Address of the public port (WebSocket and REST).")
    port: int = Field(8080, ge=0, le=65535, description="The public port; 0 takes a free one and logs it.")
    public_url: str | None = Field(
        None,
        description="URL under which clients reach this gateway, such as `https://calls.example`. Unset: the listening address.",
    )
    tls_certificate: str | None = Field(
        None,
        description="File with the certificate of the public port and its chain, in PEM form; with it, the port speaks https and wss.",
    )
    tls_key: str | None = Field(None, description="File with the certificate's key, in PEM form, not encrypted.")
    allowed_origins: list[str] = Field(
        [],
        description="Origins of pages that may connect, separated by commas; the gateway's own host always may. `*` lets every page.",
    )
    trusted_proxies: list[str] = Field(
        [], description="Addresses or networks of proxies whose `X-Forwarded-For` is believed, separated by commas."
    )
    signal_keys: SecretStr | None = Field(
        None,
        description="Keys that seal signals, the same for all gateways: `id:base64 of 32 bytes`, with commas; the first seals, all open.",
    )

    frame_bytes: int = Field(
        655360, ge=4096, le=1 << 20, description="Largest WebSocket message of a session, in bytes."
    )
    login_bytes: int = Field(32768, ge=4096, description="Largest WebSocket message before `auth_ok`, in bytes.")
    sdp_bytes: int = Field(524288, ge=1024, description="Largest SDP, in bytes.")
    sdp_lines: int = Field(16384, ge=64, description="Most lines of an SDP.")
    candidate_bytes: int = Field(1024, ge=128, description="Largest ICE candidate, in bytes.")
    candidate_loopback: bool | None = Field(
        None, description="Whether candidates with loopback addresses pass. Unset: in development mode only."
    )
    outbox_messages: int = Field(512, ge=16, description="Messages waiting for a client before it is cut off.")
    outbox_bytes: int = Field(8 << 20, ge=65536, description="Bytes waiting for a client before it is cut off.")
    outboxes_bytes: int = Field(
        256 << 20,
        ge=1 << 20,
        description="Bytes waiting for all clients, above which an eighth of `PARLEY_OUTBOX_BYTES` is each one's limit.",
    )
    stall_seconds: float = Field(
        8.0, gt=0, le=60, description="Seconds a client may take nothing from a full socket before it is cut off."
    )
    message_rate: float = Field(50.0, gt=0, description="Messages a second per connection.")
    message_burst: int = Field(200, ge=1, description="Messages at once per connection.")
    message_burst_per_participant: int = Field(
        20, ge=0, description="What each participant of the room adds to the burst."
    )
    throttle_seconds: float = Field(
        2.0, ge=0, description="Seconds a connection over its rate is slowed down before it is refused."
    )
    rate_limited_errors: int = Field(
        100, ge=1, description="`rate_limited` answers in a row before the connection is closed."
    )
    signal_byte_rate: int = Field(
        262144, ge=1024, description="Bytes of signals a second per connection, counted per receiver."
    )
    signal_byte_burst: int = Field(8 << 20, ge=65536, description="Bytes of signals at once per connection.")
    agent_signal_byte_rate: int = Field(
        524288,
        ge=1024,
        description="Bytes of signals a second from one gateway per agent; guests count together with all of the network that "
        "got their tokens. Counted per receiver and as they are stored, also the next three.",
    )
    agent_signal_byte_burst: int = Field(
        16 << 20, ge=65536, description="Bytes of signals at once per agent, and per network of guests."
    )
    guest_signal_byte_rate: int = Field(
        1 << 20, ge=1024, description="Bytes of signals a second from one gateway for all guests together."
    )
    guest_signal_byte_burst: int = Field(
        32 << 20, ge=65536, description="Bytes of signals at once for all guests together."
    )
    room_signal_byte_rate: int = Field(
        1 << 20,
        ge=1024,
        description="Bytes of signals a second per room, divided by the gateways it has participants at.",
    )
    room_signal_byte_burst: int = Field(
        32 << 20, ge=65536, description="Bytes of signals at once per room, divided likewise."
    )
    broadcast_receivers: int = Field(16, ge=1, le=250, description="Receivers of a signal without `to`.")
    bad_messages: int = Field(20, ge=1, description="Bad messages in a row before the connection is closed.")
    authenticate_seconds: float = Field(5.0, gt=0, le=60, description="Seconds until `authenticate` must have arrived.")
    ping_seconds: float = Field(
        10.0, gt=0, le=300, description="Seconds between WebSocket pings; a client is dead after as many more."
    )
    rooms_per_session: int = Field(10, ge=1, le=100, description="Rooms a session may be in at once.")
    connections_per_address: int = Field(
        1000,
        ge=1,
        description="Connections from one source address (IPv6: /64 network) to one gateway, WebSockets and HTTP together.",
    )
    requests_per_address: float = Field(
        100.0, gt=0, description="HTTP requests a second from one source address, in bursts of ten times as many."
    )
    requests_at_once: int = Field(
        1000, ge=4, description="HTTP requests that are being answered at once; from one address a fourth of it."
    )
    strangers: int = Field(
        2000, ge=16, description="Connections that have not authenticated, from all addresses together."
    )
    stranger_share: float = Field(
        0.5,
        gt=0,
        le=0.9,
        description="Part of a gateway's time that goes to all who have not authenticated together, at most.",
    )
    unparsed_bytes: int = Field(
        8 << 20, ge=65536, description="Bytes of unfinished HTTP requests in all connections together."
    )
    reserved_descriptors: int = Field(
        100, ge=16, description="File descriptors that are kept for other things than connections of clients."
    )
    failed_logins: int = Field(
        30, ge=1, description="Refused tokens from one source address in a minute before `throttled`."
    )
    guest_access: bool | None = Field(
        None,
        description="Whether anybody may get a guest token (the same for gateway and auth). "
        "Unset: in development mode, and there under addresses and local names only.",
    )
    guest_tokens: int = Field(
        30, ge=1, description="Guest tokens for one source address (IPv6: /64 network) in a minute, from one gateway."
    )
    rest_body_bytes: int = Field(65536, ge=1024, description="Largest body of a REST request, in bytes.")
    rest_rate: float = Field(
        50.0, gt=0, description="REST requests a second per agent, in bursts of four times as many."
    )
    signal_seconds: int = Field(60, ge=1, le=3600, description="Seconds a signal is kept for its receiver.")
    grace_seconds: float = Field(
        GRACE_SECONDS,
        gt=0,
        le=3600,
        description="Seconds the seat of a participant without a connection is held (the same for gateway and rooms).",
    )
    lease_seconds: float = Field(
        8.0,
        ge=1,
        le=300,
        description="Seconds after which the participants of a gateway that died count as without a connection.",
    )
    drain_seconds: float | None = Field(
        None,
        gt=0,
        le=3600,
        description="Seconds over which clients are sent elsewhere when the gateway is told to stop. Unset: 10; in development mode 1.",
    )

    @model_validator(mode="after")
    def _development_only_defaults(self) -> Self:
        if self.signal_keys is None and not self.development:
            raise ValueError("PARLEY_SIGNAL_KEYS is required outside development mode")
        self.sealing_keys()
        return self

    @model_validator(mode="after")
    def _signals_outlast_an_absence(self) -> Self:
        if self.replay_seconds < self.grace_seconds:
            raise ValueError(
                "PARLEY_SIGNAL_SECONDS must be at least PARLEY_GRACE_SECONDS + 2 × PARLEY_PING_SECONDS + "
                "PARLEY_LEASE_SECONDS: who comes back within the grace time would miss signals"
            )
        return self

    @model_validator(mode="after")
    def _origins_can_match(self) -> Self:
        named = [origin for origin in self.allowed_origins if origin != "*"]
        if not all(_ORIGIN.fullmatch(origin) and not _DEFAULT_PORT.fullmatch(origin) for origin in named):
            raise ValueError(
                "PARLEY_ALLOWED_ORIGINS: an origin is what browsers send, such as https://app.example or "
                "http://localhost:5173: a scheme and a host in lower case, no path, no slash at the end, no pattern"
            )
        return self

    @model_validator(mode="after")
    def _tls_is_whole(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("PARLEY_TLS_CERTIFICATE and PARLEY_TLS_KEY belong together; set both or none")
        return self

    @property
    def scheme(self) -> str:
        """What the public port speaks."""
        return "http" if self.tls_certificate is None else "https"

    @property
    def guests(self) -> bool:
        """Whether guests are let in."""
        return self.development if self.guest_access is None else self.guest_access

    @property
    def serves_page(self) -> bool:
        """Whether there is a page at `/`: only where its visitors can get a token."""
        return self.development or self.guests

    @property
    def drain_window(self) -> float:
        """Seconds for sending clients elsewhere."""
        return self.drain_seconds or (1.0 if self.development else 10.0)

    @property
    def replay_seconds(self) -> float:
        """Seconds for which no signal is lost after a connection was found gone.

        Shorter than `signal_seconds`, since the connection may have died up to two pings and a lease before it was found.
        """
        return self.signal_seconds - 2 * self.ping_seconds - self.lease_seconds

    def sealing_keys(self) -> dict[str, bytes]:
        """The keys by id; the first seals. Raises ValueError when the setting is malformed."""
        text = self.signal_keys.get_secret_value() if self.signal_keys else DEVELOPMENT_SIGNAL_KEYS
        if text == DEVELOPMENT_SIGNAL_KEYS and not self.development:
            raise ValueError("the development signal key works in development mode only")
        keys: dict[str, bytes] = {}
        for part in text.split(","):
            key_id, _, encoded = part.strip().partition(":")
            try:
                key = base64.b64decode(encoded, validate=True)
            except binascii.Error:
                key = b""
            if not key_id.isalnum() or len(key_id) > 16 or len(key) != 32:
                raise ValueError("PARLEY_SIGNAL_KEYS must be `id:base64 of 32 bytes`, separated by commas")
            keys[key_id] = key
        return keys

    @property
    def loopback_candidates(self) -> bool:
        """Whether loopback candidates pass."""
        return self.development if self.candidate_loopback is None else self.candidate_loopback
