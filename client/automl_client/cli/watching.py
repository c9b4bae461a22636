"""Following a job: a live picture on a terminal, lines elsewhere, and what Ctrl-C may do."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from automl_client import errors, progress, types
from automl_client.cli import output, quantities

if TYPE_CHECKING:
    from rich.console import RenderableType

    from automl_client.client import JobHandle

_LEADERS = 5


class Detached(Exception):
    """The user left; the job goes on. `interrupted` when it was by Ctrl-C without a question asked."""

    def __init__(self, interrupted: bool):
        self.interrupted = interrupted


def follow(
    job: JobHandle, *, ends: float | None, resume_after: int = 0, quiet: bool = False
) -> progress.JobProgress:
    """Watches a job to its end, and shows it on standard error unless `quiet`.

    `ends` is the end of the budget (a `time.monotonic()`), None when unknown. Ctrl-C asks whether to detach, to finish with
    the best or to cancel; where nobody can be asked it detaches. Raises `Detached`.
    """
    seen = progress.JobProgress(last=resume_after)
    while True:
        try:
            with _shown(seen, ends, quiet) as tell:
                for event in job.watch(resume_after=seen.last):
                    line = seen.apply(event)
                    if line:
                        tell(line, lasting=event.kind == "data-prepared" or line.startswith("Warning"))
            return seen
        except KeyboardInterrupt:
            _interrupted(job)


def _interrupted(job: JobHandle) -> None:
    """Asks what to do; returns when the watching goes on. Raises `Detached`."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Detached(interrupted=True)
    try:
        answer = click.prompt(
            "\nLeave the job running (d), finish with the best so far (f), cancel it (c), or go on watching (w)?",
            type=click.Choice(["d", "f", "c", "w"]), default="d", err=True,
        )
    except (click.Abort, KeyboardInterrupt):
        raise Detached(interrupted=True) from None
    if answer == "d":
        raise Detached(interrupted=False)
    if answer in ("f", "c"):
        job.cancel(finish=answer == "f")


class _Tell:
    """Takes the lines about events. `show` prints a line for good; None: nothing is printed."""

    def __init__(self, show: Callable[[str], object] | None, *, picture: bool):
        self._show = show
        self._picture = picture
        self.last = ""
        """For the picture."""

    def __call__(self, line: str, *, lasting: bool) -> None:
        self.last = output.clean(line.partition("\n")[0])
        if self._show is not None and (lasting or not self._picture):
            self._show(output.clean(line))


@contextmanager
def _shown(seen: progress.JobProgress, ends: float | None, quiet: bool) -> Iterator[_Tell]:
    if quiet:
        yield _Tell(None, picture=False)
        return
    if not sys.stderr.isatty():
        yield _Tell(lambda line: output.say(f"{time.strftime('%H:%M:%S')} {line}"), picture=False)
        return
    from rich.live import Live

    console = output.err()
    # The console prints above the picture.
    tell = _Tell(console.print, picture=True)
    with Live(get_renderable=lambda: picture(seen, ends, tell.last), console=console, refresh_per_second=4, transient=True):
        yield tell


def picture(seen: progress.JobProgress, ends: float | None, last: str) -> RenderableType:
    """The live picture: time left and phase, trials by outcome, the leaderboard, the current best, the last event."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    phase = progress.phase_text(seen.phase) if seen.state is types.JobState.RUNNING else seen.state.capitalize()
    head = Text(phase, style="bold")
    if ends is not None:
        head.append(f"   {quantities.duration_text(ends - time.monotonic())} left", style="not bold")
    if seen.state is types.JobState.QUEUED and seen.message:
        head.append(f"   {output.clean(seen.message)}", style="not bold")
    parts: list[RenderableType] = [head]
    if seen.trials:
        counts = "  ".join(f"{name.lower()} {count}" for name, count in sorted(seen.outcomes.items()))
        parts.append(Text(f"Trials: {counts}"))
    if seen.best_value is not None:
        size = "" if seen.best_size_bytes is None else f", {quantities.size_text(seen.best_size_bytes)} of weights"
        parts.append(Text(f"Best: {seen.metric} {quantities.number_text(seen.best_value)} on validation{size}"))
    leaders = seen.leaders(_LEADERS)
    if leaders:
        board = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("trial", "architecture", "from", "epoch", seen.metric or "score", "state"):
            board.add_column(Text(heading), justify="right" if heading in ("epoch", seen.metric, "score") else "left")
        for trial in leaders:
            value = trial.value if trial.value is not None else trial.score
            board.add_row(
                Text(trial.id), Text(trial.architecture), Text(trial.origin), f"{trial.epoch}/{trial.epochs_planned}",
                quantities.number_text(value), trial.outcome.lower(),
            )
        parts.append(board)
    if last:
        parts.append(Text(last, style="dim", overflow="ellipsis", no_wrap=True))
    return Group(*parts)


@contextmanager
def uploading(quiet: bool) -> Iterator[Uploading]:
    """Shows how much of an upload is done, on a terminal."""
    shown = Uploading(not quiet and sys.stderr.isatty())
    try:
        yield shown
    finally:
        shown.close()


class Uploading:
    """A line that says how far an upload is; written at most ten times a second."""

    def __init__(self, showing: bool):
        self._showing = showing
        self._written_at = 0.0
        self._written = False

    def __call__(self, done_bytes: int, size_bytes: int) -> None:
        now = time.monotonic()
        if not self._showing or (now - self._written_at < 0.1 and done_bytes < size_bytes):
            return
        self._written_at, self._written = now, True
        click.echo(
            f"\rSending {quantities.size_text(done_bytes)} of {quantities.size_text(size_bytes)}\x1b[K", nl=False, err=True
        )

    def close(self) -> None:
        if self._written:
            click.echo("\r\x1b[K", nl=False, err=True)


def remaining(job: types.Job, now: float) -> float | None:
    """Where a job's budget ends on the scale of `time.monotonic()`, given its value `now`; None when not known."""
    if job.deadline is None:
        return None
    return now + job.deadline.timestamp() - time.time()


def check_ended(job: types.Job) -> errors.AutoMLError | None:
    """The error of a job without a result."""
    from automl_client import client

    try:
        client.outcome(job)
    except errors.AutoMLError as error:
        return error
    return None
