"""`automl submit`: from data to verified files."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from automl_client import cli
from automl_client.cli import connection, quantities

if TYPE_CHECKING:
    from automl_client import types
    from automl_client.client import Client, JobHandle

DEFAULT_BUDGET_S = 600.0


@click.command(short_help="Search, train and verify models for DATA.")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--target", metavar="COLUMN", help="Column to predict. May be left out for class folders.")
@click.option("--task", metavar="TASK", help="Task type (see `automl tasks`). Default: inferred from data and target.")
@click.option(
    "--budget", type=quantities.Duration(), default="10m", show_default=True,
    help="Wall-clock time from this command's start to the files: 90s, 10m, 1h30m.",
)
@click.option("--metric", metavar="METRIC", help="Metric to optimise. Default: the task's.")
@click.option("--max-size", type=quantities.Size(), help="Of the smallest file: 200KB, 1.5MB (K = 1000), 64KiB.")
@click.option("--max-latency", type=quantities.Duration(), help="Median of one example on one thread: 5ms.")
@click.option("--max-memory", type=quantities.Size(), help="Of activations at once, in each .tflite file: 64KB.")
@click.option("--device", metavar="ID", help="Device that the model has to fit (see `automl devices`).")
@click.option("--max-parameters", type=click.IntRange(min=1), help="Weights of the model.")
@click.option(
    "--format", "formats", multiple=True, metavar="FORMAT[:PRECISION]",
    help="File wanted: tflite:int8, saved-model… (see `automl formats`). May be repeated. Default: all.",
)
@click.option("--tolerance", type=click.FloatRange(0, 1), help="Accepted loss of a file against the float model [0.01].")
@click.option("--test-data", type=click.Path(path_type=Path), help="File or folder with the test rows.")
@click.option(
    "--test-fraction", type=click.FloatRange(0, 1, True, True),
    help="Share held out for the last test [0.15; of many rows 0.1].",
)
@click.option("--split-column", metavar="COLUMN", help="Column that says train, validation or test.")
@click.option("--group-column", metavar="COLUMN", help="Rows of equal value here stay together, or are one series.")
@click.option("--time-column", metavar="COLUMN", help="Split by time: the newest rows here are tested on.")
@click.option("--kind", "kinds", type=quantities.ColumnKindOf(), multiple=True, help="Mend what inference got wrong.")
@click.option("--ignore", multiple=True, metavar="COLUMN", help="Column not to use. May be repeated.")
@click.option("--header/--no-header", default=None, help="Whether the first line names the columns. Default: found out.")
@click.option(
    "--strategy", metavar="STRATEGY",
    help="auto (default), random, grid, bayesian, hyperband, asha, tpe, evolution, darts, proxylessnas, once-for-all, "
    "rl-ppo, rl-rainbow or mcts-alphazero.",
)
@click.option(
    "--rank-by", type=click.Choice(["model", "artifact"]),
    help="Rank trials by the float model (default) or by score, size and latency of the file that it would become.",
)
@click.option("--allow", multiple=True, metavar="ID", help="Propose only these techniques (and defaults). May be repeated.")
@click.option("--forbid", multiple=True, metavar="ID", help="Never propose it. May be repeated.")
@click.option("--force", multiple=True, metavar="ID", help="Part of every model. May be repeated.")
@click.option(
    "--set", "parameters", type=quantities.ParameterValue(), multiple=True,
    help="Value of a technique's parameter that the search must not vary. May be repeated.",
)
@click.option("--max-trials", type=click.IntRange(min=1), help="Stop searching after so many.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Of everything random.")
@click.option("--display-name", metavar="NAME", help="Name of the model, for people.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the files. Default: automl-JOB.")
@click.option("--detach", is_flag=True, help="Return once the job is accepted.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on standard output.")
@connection.options
def submit(
    connection: connection.Connection, data: Path, budget: float, out: Path | None, detach: bool, as_json: bool, **given: Any
) -> int:
    """Search, train, compress and verify models for DATA, and bring the files here.

    DATA is a table (CSV, TSV, Parquet, also .gz), a .ts file of series, a folder, .zip or .tar(.gz) of pictures or .txt
    files in class folders, .npz, MNIST-like idx, or TFRecord of rows or pictures.
    """
    from automl_client.cli import delivery

    place = delivery.Place.checked(out)
    with connection.open() as client:
        job = _submitted(client, data, budget, as_json, given)
        if detach:
            _detached(job, as_json)
            return 0
        return delivery.complete(
            client, job, place, ends=cli.STARTED + budget, started=cli.STARTED, budget_s=budget, as_json=as_json
        )


def settings(given: dict[str, Any], budget_s: float) -> types.SubmitSettings:
    """The command's options as `Client.submit` takes them; those that weren't given are left out."""
    from automl_client import types

    wanted: types.SubmitSettings = {"budget_s": budget_s, "seed": given["seed"]}
    chosen: dict[str, Any] = {
        name: given[name]
        for name in (
            "target", "task", "metric", "max_parameters", "formats", "tolerance", "test_fraction", "split_column",
            "group_column", "time_column", "ignore", "strategy", "rank_by", "allow", "forbid", "force", "max_trials",
            "display_name",
            "target", "task", "metric", "device", "max_parameters", "formats", "tolerance", "test_fraction", "split_column",
            "group_column", "time_column", "ignore", "strategy", "allow", "forbid", "force", "max_trials", "display_name",
        )
        if given.get(name)
    }
    if given.get("tolerance") is not None:
        chosen["tolerance"] = given["tolerance"]
    if given.get("max_size"):
        chosen["max_size_bytes"] = given["max_size"]
    if given.get("max_memory"):
        chosen["max_memory_bytes"] = given["max_memory"]
    if given.get("max_latency"):
        chosen["max_latency_ms"] = given["max_latency"] * 1000
    if given.get("kinds"):
        chosen["kinds"] = {column: types.ColumnKind(kind) for column, kind in given["kinds"]}
    if given.get("parameters"):
        chosen["parameters"] = dict(given["parameters"])
    wanted.update(chosen)  # type: ignore[typeddict-item]  # the names are those of the options above
    return wanted


def _submitted(client: Client, data: Path, budget_s: float, quiet: bool, given: dict[str, Any]) -> JobHandle:
    from automl_client.cli import output, watching

    with watching.uploading(quiet) as shown:
        job = client.submit(
            data, test_data=given["test_data"], has_header=given["header"], started=cli.STARTED, on_progress=shown,
            **settings(given, budget_s),
        )
    output.say(f"Job {job.id} was accepted after {quantities.duration_text(time.monotonic() - cli.STARTED)}.")
    return job


def _detached(job: JobHandle, as_json: bool) -> None:
    from automl_client.cli import delivery, output

    if as_json:
        now = job.get()
        output.emit({"job": job.id, "state": now.state, "task": now.spec.task, "budget_s": now.spec.budget.wall_s})
    else:
        click.echo(delivery.how_to_return(job.id))
