"""The commands' names and homes, and what becomes of their errors."""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from automl_client import errors

INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""

_HOMES = {
    "submit": "submit",
    "predict": "predict",
    "verify": "verify",
    "jobs": "jobs",
    "datasets": "datasets",
    "models": "models",
    "techniques": "catalogue",
    "tasks": "catalogue",
    "formats": "catalogue",
    "devices": "catalogue",
    "report": "report",
    "reproduce": "reproduce",
    "serve": "serve",
    "doctor": "doctor",
}
"""Command → the module in this package that has a function of that name; in the order of the help."""


class LazyGroup(click.Group):
    """Imports the module of a command when the command is named."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(_HOMES)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in _HOMES:
            return None
        command = getattr(importlib.import_module(f"automl_client.cli.{_HOMES[name]}"), name)
        assert isinstance(command, click.Command)
        return command


def _version(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        click.echo(f"automl {metadata.version('automl')}")
        context.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version and exit."
)
def automl() -> None:
    """Data in, a proven model out.

    \b
    automl submit train.csv --target income --budget 10m
    automl predict automl-JOB new.csv --out predictions.csv

    Without --server (or AUTOML_SERVER) a server of your own is used on this machine, and started if need be.
    """


def run(arguments: list[str] | None) -> int:
    """Runs a command and returns its exit code; no error leaves this function, except with AUTOML_DEBUG=1."""
    given = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in given
    from automl_client import errors

    try:
        result = automl.main(args=given, prog_name="automl", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        return _refused(error, as_json)
    except (click.Abort, KeyboardInterrupt):
        click.echo("Interrupted.", err=True)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (`automl jobs list | head`).
        _drop_output()
        return 1
    except errors.AutoMLError as error:
        _raise_when_debugging(error)
        return _failed(error, as_json)
    except OSError as error:
        _raise_when_debugging(error)
        place = f"{error.filename}: " if error.filename else ""
        return _failed(errors.Unavailable(f"{place}{error.strerror or error}."), as_json)
    except Exception as error:  # noqa: BLE001  # the last line of defence: people get a sentence, not a traceback
        _raise_when_debugging(error)
        return _failed(
            errors.Internal(
                f"A defect in automl: {type(error).__name__}: {error}. AUTOML_DEBUG=1 shows where; please report it."
            ),
            as_json,
        )


def _raise_when_debugging(error: Exception) -> None:
    if os.environ.get("AUTOML_DEBUG") == "1":
        raise error


def _refused(error: click.ClickException, as_json: bool) -> int:
    """A mistake on the command line, found by click."""
    error.show()
    if as_json:
        _emit({"error": {"reason": "USAGE", "message": error.format_message(), "violations": []}})
    return error.exit_code


def _failed(error: errors.AutoMLError, as_json: bool) -> int:
    from automl_client.cli import output

    output.show_error(error)
    if as_json:
        _emit({"error": output.error_as_dict(error)})
    return error.exit_code


def _emit(line: dict[str, Any]) -> None:
    """The error as JSON on standard output, where that can still be written: the disk may be full, the reader gone. People
    were told on standard error."""
    from automl_client.cli import output

    try:
        output.emit(line)
    except OSError:
        _drop_output()


def _drop_output() -> None:
    """What is buffered for standard output can't be written; the interpreter would try, and complain, once more at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
