"""`python -m automl_server`: starts the server. Exit codes: 0 stopped or idle, 2 wrong options or store, 3 the data
folder is in use."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence

import pydantic
import structlog

import automl
from automl_server import app, errors, logs
from automl_server.config import Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or idleness; the exit code."""
    given = {name: value for name, value in vars(_parser().parse_args(arguments)).items() if value is not None}
    os.umask(0o077)  # sockets and files are the owner's alone, from the moment they exist
    try:
        settings = Settings(**given)
        logs.configure(settings.log_level)
        asyncio.run(app.serve(settings))
    except pydantic.ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False):
            print(f"automl_server: {'.'.join(map(str, fault['loc']))}: {fault['msg']}", file=sys.stderr)
        return 2
    except errors.CannotStart as error:
        structlog.get_logger("automl_server").error("cannot start", why=str(error))
        print(f"automl_server: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="automl_server", description="The automl server. Every option is also a variable AUTOML_… of the environment."
    )
    parser.add_argument("--version", action="version", version=automl.__version__)
    parser.add_argument("--listen", metavar="ADDRESS", help="unix:PATH or HOST:PORT (default 127.0.0.1:50051; port 0: any)")
    parser.add_argument(
        "--data", metavar="DIR", help="folder of the store and of all files (default: the user's data folder)"
    )
    parser.add_argument("--executor", choices=["local"], help="where trials run (default local)")
    parser.add_argument("--slots", metavar="N", help="trials at once, all jobs together (default: the number of CPU cores)")
    parser.add_argument(
        "--idle-exit", dest="idle_exit_s", metavar="SECONDS", help="exit after so long without calls and jobs"
    )
    parser.add_argument(
        "--ready-file", metavar="FILE", help="written when calls are answered: address, pid, version as JSON"
    )
    parser.add_argument(
        "--token-file", metavar="FILE", help='JSON list of {"sha256", "projects", "expires"} (one token: AUTOML_TOKEN)'
    )
    parser.add_argument("--tls-certificate", metavar="FILE", help="PEM chain")
    parser.add_argument("--tls-key", metavar="FILE", help="PEM key")
    parser.add_argument("--insecure", action="store_true", default=None, help="allow other addresses without TLS and token")
    parser.add_argument("--metrics-port", metavar="PORT", help="Prometheus metrics over HTTP on 127.0.0.1")
    parser.add_argument("--log-level", choices=["debug", "info", "warning", "error"])
    return parser


if __name__ == "__main__":
    sys.exit(main())
