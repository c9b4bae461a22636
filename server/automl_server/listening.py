"""Where the server listens: checked before anything is bound, so that nothing is open to strangers by mistake."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

import grpc

from automl_server import errors
from automl_server.config import Settings

_SOCKET_PATH_MAX = 107


@dataclass(frozen=True)
class Address:
    """A Unix socket's path, or a host with a port."""

    socket: Path | None = None
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> Address:
        """Reads "unix:PATH" or "HOST:PORT" ("[::1]:50051"). Raises `CannotStart`."""
        if text.startswith("unix:"):
            path = Path(text.removeprefix("unix:").removeprefix("//")).expanduser().absolute()
            if len(os.fsencode(path)) > _SOCKET_PATH_MAX:
                raise errors.CannotStart(
                    f"The socket's path {path} has {len(os.fsencode(path))} bytes; the system allows {_SOCKET_PATH_MAX}. "
                    "Use a shorter one."
                )
            return cls(socket=path)
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdecimal() or int(port) > 65535:
            raise errors.CannotStart(f"--listen: expected unix:PATH or HOST:PORT, got {text!r}.")
        return cls(host=host.strip("[]"), port=int(port))

    @property
    def is_private(self) -> bool:
        """Reachable from this machine alone."""
        if self.socket is not None or self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def target(self, port: int) -> str:
        """What a client dials; `port` is the bound one."""
        if self.socket is not None:
            return f"unix:{self.socket}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{port}"


def check_exposure(address: Address, settings: Settings, has_tokens: bool) -> None:
    """Raises `CannotStart` for an address that others can reach, unless TLS and tokens protect it or the user insists."""
    if bool(settings.tls_certificate) != bool(settings.tls_key):
        raise errors.CannotStart("TLS needs both a certificate (--tls-certificate) and its key (--tls-key).")
    if address.is_private or settings.insecure:
        return
    lacking = [
        what
        for what, there in (
            ("TLS (--tls-certificate, --tls-key)", settings.tls_certificate),
            ("a token (--token-file)", has_tokens),
        )
        if not there
    ]
    if lacking:
        raise errors.CannotStart(
            f"{address.host} can be reached from other machines, and {' and '.join(lacking)} is missing: anybody there "
            "could read the data and run jobs. Add it, listen on 127.0.0.1 or a Unix socket, or say --insecure where the "
            "network is your own."
        )


def bind(server: grpc.aio.Server, address: Address, settings: Settings) -> str:
    """Binds the server; the address that clients dial. Raises `CannotStart` when it is taken or TLS files can't be read."""
    if address.socket is not None:
        _prepare_socket(address.socket)
        _bound(server.add_insecure_port, f"unix:{address.socket}")
        os.chmod(address.socket, 0o600)
        return address.target(0)
    place = address.target(address.port)
    if settings.tls_certificate is None or settings.tls_key is None:
        return address.target(_bound(server.add_insecure_port, place))
    try:
        pair = (settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())
    except OSError as error:
        raise errors.CannotStart(f"{error.filename} can't be read: {error.strerror}.") from error
    credentials = grpc.ssl_server_credentials([pair])
    return address.target(_bound(lambda where: server.add_secure_port(where, credentials), place))


def _bound(add: object, place: str) -> int:
    try:
        port = add(place)  # type: ignore[operator]
    except RuntimeError as error:
        raise errors.CannotStart(f"Can't listen on {place}: {error}") from error
    if not port:
        raise errors.CannotStart(f"Can't listen on {place}: it is taken, or not this machine's.")
    return int(port)


def _prepare_socket(path: Path) -> None:
    """Makes the folder, and sure that nobody listens there: grpc would take the place of a living server without a word."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not path.exists():
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise errors.CannotStart(f"{path} is there and is no socket. Remove it or name another path.")
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()  # a killed server left it
            return
        except FileNotFoundError:
            return
    raise errors.CannotStart(f"Another server listens on {path}.")
