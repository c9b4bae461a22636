"""The command line: `automl COMMAND …`.

`main` is the door: it runs a command and turns every error into a message with its place and remedy, and an exit code:
0 done, 2 the user's mistake, 1 ours, 130 interrupted. Commands are loaded when they are named; `--help` loads neither gRPC
nor rich nor NumPy.
"""

from __future__ import annotations

import time

STARTED = time.monotonic()
"""When this process began: a budget runs from here, so that hashing, upload and starting a server are inside."""


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    from automl_client.cli import app

    return app.run(arguments)
