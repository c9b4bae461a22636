"""Where the server is and how to reach it: the address, the token, TLS, and the channel's options."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path

import grpc

from automl_client import errors

MAX_MESSAGE_BYTES = 64 << 20
"""Reports come as one message; everything else is far smaller."""


@dataclass(frozen=True)
class Tls:
    """Files in PEM form; None: the system's authorities, no certificate of our own."""

    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """Raises `InvalidInput` naming the file that can't be read."""
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.ca_file, "tls.ca_file"),
            private_key=_read(self.key_file, "tls.key_file"),
            certificate_chain=_read(self.certificate_file, "tls.certificate_file"),
        )


@dataclass(frozen=True)
class Endpoint:
    """A server's address ("host:port" or "unix:/path") and how to speak to it.

    Raises `InvalidInput` for an address without a port, and for a token that would travel unencrypted to another machine.
    """

    target: str
    token: str | None = None
    tls: Tls | None = None

    def __post_init__(self) -> None:
        if self.is_unix:
            return
        host, colon, port = self.target.rpartition(":")
        if not colon or not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise errors.InvalidInput.at(
                "server", f"expected HOST:PORT or unix:PATH, got {self.target!r}, for example localhost:8470."
            )
        if self.token and self.tls is None and not self.is_local:
            raise errors.InvalidInput.at(
                "server", f"the token would travel unencrypted to {host}. Use TLS (--tls, or tls=True)."
            )

    @property
    def is_unix(self) -> bool:
        return self.target.startswith("unix:")

    @property
    def is_local(self) -> bool:
        """Whether the bytes stay on this machine."""
        if self.is_unix:
            return True
        host = self.target.rpartition(":")[0].strip("[]")
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Sent with each call."""
        return (("authorization", f"Bearer {self.token}"),) if self.token else ()

    @property
    def options(self) -> list[tuple[str, int]]:
        """Channel options of both clients."""
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            # Reconnect soon: the pauses between tries are `retry.RetryPolicy`'s.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.min_reconnect_backoff_ms", 1000),
            ("grpc.max_reconnect_backoff_ms", 2000),
            # A server that was restarted must not be reached through a subchannel that still waits to reconnect.
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if self.is_local:
            options.append(("grpc.enable_http_proxy", 0))
        else:
            # Finds out that a connection is dead although nothing is being sent, as while a watcher waits.
            options += [("grpc.keepalive_time_ms", 60_000), ("grpc.keepalive_timeout_ms", 10_000)]
        return options

    def unreachable(self, error: errors.AutoMLError) -> errors.Unavailable:
        """The error for people when this server was never reached."""
        remedy = (
            "Is it running? Start one with `automl serve`, or leave --server out to use one on this machine."
            if self.is_local
            else "Is the address right, and the server running and reachable from here?"
        )
        # Of gRPC's chain of causes the last says what the matter is: "Connection refused".
        cause = str(error).rpartition(": ")[2].rstrip(".")
        return errors.Unavailable(f"No automl server answers at {self.target} ({cause}). {remedy}")


def _read(path: Path | None, field: str) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise errors.InvalidInput.at(field, f"{path} can't be read: {error.strerror}.") from error
