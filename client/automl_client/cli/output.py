"""What goes to the terminal: results to standard output, progress and errors to standard error, JSON where asked for.

Text from data (column names, labels, messages with values in them) is never read as markup, and its control characters are
written out, so that a file can't paint on the terminal of who looks at it.
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_client import errors

if TYPE_CHECKING:
    from rich.console import Console

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

_FLAGS = {
    "task": "--task",
    "metric": "--metric",
    "formats": "--format",
    "tolerance": "--tolerance",
    "test_dataset": "--test-data",
    "dataset": "DATA",
    "display_name": "--display-name",
    "data.target": "--target",
    "data.split_column": "--split-column",
    "data.group_column": "--group-column",
    "data.time_column": "--time-column",
    "data.kinds": "--kind",
    "data.ignore": "--ignore",
    "data.test_fraction": "--test-fraction",
    "constraints.max_size_bytes": "--max-size",
    "constraints.max_latency_ms": "--max-latency",
    "constraints.max_parameters": "--max-parameters",
    "constraints.max_memory_bytes": "--max-memory",
    "constraints.device": "--device",
    "budget": "--budget",
    "budget.wall": "--budget",
    "budget.wall_s": "--budget",
    "budget.max_trials": "--max-trials",
    "search.strategy": "--strategy",
    "search.rank_by": "--rank-by",
    "search.allow": "--allow",
    "search.forbid": "--forbid",
    "search.force": "--force",
    "search.parameters": "--set",
    "search.seed": "--seed",
    "server": "--server",
}
"""A field of the specification → the option that set it."""


def clean(text: str) -> str:
    """The text with control characters (but tabs and line ends) written as escapes."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


def out() -> Console:
    """For results. Wide where there is no terminal, so that nothing is cut in a file or pipe."""
    return _console(sys.stdout.isatty(), stderr=False)


def err() -> Console:
    """For progress."""
    return _console(sys.stderr.isatty(), stderr=True)


def _console(terminal: bool, *, stderr: bool) -> Console:
    from rich.console import Console

    width = None if terminal else max(200, shutil.get_terminal_size().columns)
    return Console(stderr=stderr, width=width, markup=False, highlight=False, emoji=False, soft_wrap=not terminal)


def say(text: str) -> None:
    """A line of progress, on standard error."""
    click.echo(clean(text), err=True)


def emit(value: Any) -> None:
    """One line of JSON on standard output."""
    click.echo(json.dumps(jsonable(value), ensure_ascii=False, allow_nan=False))


def jsonable(value: Any) -> Any:
    """Dataclasses, dates, paths and tuples as JSON's own types; numbers that JSON lacks become null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {one.name: jsonable(getattr(value, one.name)) for one in dataclasses.fields(value)}
        return {"id": value.id, **fields} if hasattr(value, "id") else fields
    if isinstance(value, Mapping):
        return {str(key): jsonable(one) for key, one in value.items()}
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [jsonable(one) for one in value]
    return value


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Prints rows under headings on standard output; the columns named in `right` are set flush right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(clean(cell)) for cell in row))
    out().print(made)


def when(moment: datetime | None) -> str:
    """A moment in the reader's own time zone, to the minute."""
    return "" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M")


def show_error(error: errors.AutoMLError) -> None:
    """An error as people need it: one line a fault, with the option or the place it is about."""
    violations = error.violations
    if not violations:
        say(f"Error: {error}")
        return
    for violation in violations:
        say(f"Error: {_place(violation.field)}{violation.message}")


def error_as_dict(error: errors.AutoMLError) -> dict[str, Any]:
    """For programs."""
    return {
        "reason": error.reason,
        "message": str(error),
        "violations": [dataclasses.asdict(violation) for violation in error.violations],
    }


def _place(field: str) -> str:
    if not field:
        return ""
    bare = re.sub(r"\[[^]]*\]|\.(format|precision)$", "", field.removeprefix("job.").removeprefix("spec."))
    return f"{_FLAGS.get(bare, field)}: "
