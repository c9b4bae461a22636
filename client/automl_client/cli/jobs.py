"""`automl jobs …`: look at jobs, follow them, stop them."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl_client.cli import connection

if TYPE_CHECKING:
    from automl_client import types


@click.group(short_help="List, show, watch and cancel jobs.")
def jobs() -> None:
    """List, show, watch and cancel jobs. JOB is an id as `jobs list` prints it."""


@jobs.command("list", short_help="Jobs, newest first.")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@connection.options
def list_jobs(connection: connection.Connection, limit: int, as_json: bool) -> None:
    """Jobs, newest first."""
    from automl_client import names
    from automl_client.cli import output, quantities

    with connection.open() as client:
        found = list(itertools.islice(client.list_jobs(), limit))
    if as_json:
        output.emit(found)
        return
    if not found:
        click.echo("No jobs yet. Start one: automl submit DATA --target COLUMN")
        return
    output.table(
        ("job", "state", "task", "data", "metric", "validation", "test", "trials", "made"),
        (
            (
                job.id, job.state.lower(), job.spec.task, names.short(job.spec.dataset), job.metric,
                quantities.number_text(job.validation_metric), quantities.number_text(job.test_metric),
                str(sum(job.trials.values())), output.when(job.create_time),
            )
            for job in found
        ),
        right=("validation", "test", "trials"),
    )


@jobs.command("show", short_help="One job and its trials.")
@click.argument("job")
@click.option("--json", "as_json", is_flag=True, help="A JSON object, with all trials.")
@connection.options
def show(connection: connection.Connection, job: str, as_json: bool) -> None:
    """One job: its state, its result or why there is none, and its trials."""
    from automl_client.cli import output

    with connection.open() as client:
        found = client.get_job(job)
        trials = list(client.list_trials(job))
        version = client.get_model_version(found.model_version) if found.model_version else None
    if as_json:
        output.emit({**output.jsonable(found), "trial_list": trials, "artifacts": version.artifacts if version else []})
        return
    _show(found, trials, version)


def _show(job: types.Job, trials: list[types.Trial], version: types.ModelVersion | None) -> None:
    from automl_client import names
    from automl_client.cli import output, quantities

    phase = f", {job.phase.lower().replace('_', ' ')}" if job.phase and not job.state.ended else ""
    facts = [
        ("Job", job.id),
        ("State", job.state.lower() + phase),
        ("Message", job.message),
        ("Task", job.spec.task),
        ("Data", names.short(job.spec.dataset)),
        ("Target", job.spec.data.target),
        ("Metric", job.metric),
        ("Validation", quantities.number_text(job.validation_metric)),
        ("Test", quantities.number_text(job.test_metric)),
        ("Budget", quantities.duration_text(job.spec.budget.wall_s)),
        ("Made", output.when(job.create_time)),
        ("Ended", output.when(job.end_time)),
        ("Model", names.short_version(job.model_version)),
        ("Goodput", "" if job.goodput is None else f"{job.goodput:.0%} of slot time in training and evaluation steps"),
    ]
    for name, value in facts:
        if value:
            click.echo(f"{name + ':':<12}{output.clean(value)}")
    if version:
        click.echo()
        output.table(
            ("artifact", "size", job.metric),
            (
                (
                    artifact.filename, quantities.size_text(artifact.size_bytes),
                    quantities.number_text(artifact.verification.artifact_value if artifact.verification else None),
                )
                for artifact in version.artifacts
            ),
            right=("size", job.metric),
        )
    for one in job.refused:
        click.echo(output.clean(f"Not returned: {one.format} {one.precision}: {one.reason}"))
    if trials:
        click.echo()
        output.table(
            ("trial", "from", "outcome", "epochs", job.metric or "metric", "weights", "time", "message"),
            (
                (
                    trial.id, trial.origin, trial.outcome.lower(), f"{trial.epochs}/{trial.epochs_planned}",
                    quantities.number_text(trial.metric), "" if trial.parameters is None else f"{trial.parameters:,}",
                    quantities.duration_text(trial.wall_s), trial.message,
                )
                for trial in trials
            ),
            right=("epochs", job.metric or "metric", "weights", "time"),
        )


@jobs.command("watch", short_help="Follow a job to its end; fetch the files with --out.")
@click.argument("job")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to bring the files into when it has ended.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on standard output, as submit does.")
@connection.options
def watch(connection: connection.Connection, job: str, out: Path | None, as_json: bool) -> int:
    """Follow a job to its end. It may have ended long ago."""
    from automl_client.cli import delivery, output, watching

    begun = time.monotonic()
    place = delivery.Place.checked(out)
    with connection.open() as client:
        handle = client.job(job)
        now = handle.get()
        ends = watching.remaining(now, begun)
        age = time.time() - now.create_time.timestamp() if now.create_time else 0.0
        if out is not None:
            return delivery.complete(
                client, handle, place, ends=ends, started=begun - age, budget_s=now.spec.budget.wall_s, as_json=as_json
            )
        try:
            watching.follow(handle, ends=ends)
        except watching.Detached as left:
            output.say(delivery.how_to_return(handle.id))
            return 130 if left.interrupted else 0
        ended = handle.get()
        version = client.get_model_version(ended.model_version) if ended.model_version else None
        failure = watching.check_ended(ended)
        if as_json:
            spent = (ended.end_time - ended.create_time).total_seconds() if ended.end_time and ended.create_time else 0.0
            line = delivery.summary(ended, version, {}, wall_s=spent, budget_s=ended.spec.budget.wall_s)
            output.emit({**line, "error": output.error_as_dict(failure)} if failure else line)
        else:
            _show(ended, [], version)
        if failure is not None:
            output.show_error(failure)
            return failure.exit_code
        output.say(f"Fetch the files: automl models download {ended.model_version.split('/')[3]} --out FOLDER")
        return 0


@jobs.command("cancel", short_help="Stop a job.")
@click.argument("job")
@click.option("--finish", is_flag=True, help="Stop searching, and deliver the best so far.")
@click.option("--json", "as_json", is_flag=True, help="The job as a JSON object.")
@connection.options
def cancel(connection: connection.Connection, job: str, finish: bool, as_json: bool) -> None:
    """Stop a job: at once and without a result, or with --finish with the best so far."""
    from automl_client.cli import output

    with connection.open() as client:
        now = client.cancel_job(job, finish=finish)
    if as_json:
        output.emit(now)
    elif now.state.ended:
        click.echo(f"Job {now.id} has ended: {now.state.lower()}.")
    else:
        click.echo(f"Job {now.id} was told to {'finish with the best so far' if finish else 'stop'}.")
