"""Commands from the server to a running controller, as flags that the story looks at."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from typing import Any


class Cancelled(Exception):
    """The user gave the job up."""


class Control:
    """What was commanded so far. Any thread may set, any may look."""

    def __init__(self, slots: int):
        self.slots = slots
        """How many trials may run at once from now on."""
        self.cancel = False
        self.finish = False
        """End the search and deliver the best so far."""
        self.gone = False
        """The server has closed the pipe."""
        self.changed = threading.Event()
        """Set at each command."""

    def take(self, command: dict[str, Any]) -> None:
        """Takes in one command. Raises `ValueError` for one that isn't known."""
        match command.get("command"):
            case "cancel":
                self.cancel = True
            case "finish":
                self.finish = True
            case "slots":
                slots = command.get("slots")
                if not isinstance(slots, int) or isinstance(slots, bool) or slots < 0:
                    raise ValueError(f"expected a number of slots, got {slots!r}")
                self.slots = slots
            case other:
                raise ValueError(f"unknown command {other!r}")
        self.changed.set()

    def end_of_input(self) -> None:
        self.gone = True
        self.changed.set()

    def check(self) -> None:
        """Raises `Cancelled` once the job was given up."""
        if self.cancel:
            raise Cancelled


def listen(lines: Iterable[str], control: Control, log: Any) -> None:
    """Reads commands until the input ends; bad lines are logged and ignored."""
    for line in lines:
        if not line.strip():
            continue
        try:
            command = json.loads(line)
            if not isinstance(command, dict):
                raise ValueError("expected an object")
            control.take(command)
        except ValueError as error:
            log.warning("ignored a command: %s", error)
    control.end_of_input()
