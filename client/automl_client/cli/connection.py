"""The options that name a server, for every command that speaks to one.

In this order: options, environment (AUTOML_SERVER, AUTOML_TOKEN, AUTOML_PROJECT), the config file (`config.toml` in the
user's folder for configuration, with the keys server, token, project, tls, ca_file). Where none names a server, the user's
own is used.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from automl_client.client import Client

F = TypeVar("F", bound=Callable[..., Any])

KEYS = ("server", "token", "project", "tls", "ca_file")


@dataclass(frozen=True)
class Connection:
    """Where to connect; an empty server is the user's own."""

    server: str
    token: str
    project: str
    tls: bool
    ca_file: Path | None

    def open(self) -> Client:
        """A client. Raises `Unavailable` when the user's own server can't be started."""
        from automl_client import client

        if not self.server:
            return client.Client.embedded(project=self.project)
        from automl_client import endpoint

        return client.Client(
            self.server,
            token=self.token or None,
            tls=endpoint.Tls(self.ca_file) if self.ca_file else self.tls,
            project=self.project,
        )


def options(command: F) -> F:
    """Adds the options; the command gets them as `connection`."""

    def wrapped(
        *args: Any, server: str, token: str, project: str, tls: bool, tls_ca: Path | None, **others: Any
    ) -> Any:
        return command(*args, connection=_resolve(server, token, project, tls, tls_ca), **others)

    wrapped.__name__, wrapped.__doc__ = command.__name__, command.__doc__
    # click collects the options of the function it decorates here.
    wrapped.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    for option in (
        click.option("--tls-ca", type=click.Path(path_type=Path), help="Authority to trust, PEM; implies --tls."),
        click.option("--tls", is_flag=True, help="Encrypt, trusting the system's authorities."),
        click.option("--project", default="", help="Project on the server. Default: default."),
        click.option("--token", default="", help="Token for the server; better in AUTOML_TOKEN."),
        click.option("--server", default="", metavar="ADDRESS", help="HOST:PORT or unix:PATH. Default: your own."),
    ):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]  # the signature gains what click passes


def config_path() -> Path:
    """Where the config file is looked for."""
    import platformdirs

    return Path(platformdirs.user_config_dir("automl", appauthor=False)) / "config.toml"


def _resolve(server: str, token: str, project: str, tls: bool, ca_file: Path | None) -> Connection:
    from automl_client import names

    stored = _stored()
    # A token and TLS settings in the file belong to the server that the file names.
    chosen = server or os.environ.get("AUTOML_SERVER") or stored.get("server", "")
    belongs = chosen == stored.get("server")
    stored_ca = Path(str(stored["ca_file"])) if belongs and stored.get("ca_file") else None
    return Connection(
        server=chosen,
        token=token or os.environ.get("AUTOML_TOKEN") or (str(stored.get("token", "")) if belongs else ""),
        project=project or os.environ.get("AUTOML_PROJECT") or str(stored.get("project", "")) or names.DEFAULT_PROJECT,
        tls=tls or (belongs and bool(stored.get("tls"))),
        ca_file=ca_file or stored_ca,
    )


def _stored() -> dict[str, Any]:
    """The config file's content. Raises `InvalidInput` for a file that is no TOML or has unknown keys."""
    path = config_path()
    if not path.is_file():
        return {}
    import tomllib

    from automl_client import errors

    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise errors.InvalidInput.at(str(path), f"is no valid TOML: {error}.") from error
    unknown = sorted(set(content) - set(KEYS))
    if unknown:
        raise errors.InvalidInput.at(str(path), f"unknown keys {', '.join(unknown)}; there are {', '.join(KEYS)}.")
    return content
