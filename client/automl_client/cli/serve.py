"""`automl serve`: a server in this terminal."""

from __future__ import annotations

import os
import sys

import click


@click.command(
    short_help="Run a server here.",
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def serve(options: tuple[str, ...]) -> None:
    """Run a server in this terminal: `python -m automl_server` with the same options (`automl serve --help`)."""
    from automl_client import embedded, errors

    missing = embedded.missing_parts()
    if missing:
        raise errors.Unavailable(
            f"This machine can't run a server: {', '.join(missing)} is not installed. pip install 'automl[server]'"
        )
    # The server takes this process's place, so that signals and the exit code are its own.
    os.execv(sys.executable, [sys.executable, "-m", "automl_server", *options])
