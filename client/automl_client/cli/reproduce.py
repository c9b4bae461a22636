"""`automl reproduce`: one recipe again, and whether it gives the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from automl_client import cli
from automl_client.cli import connection, quantities


@click.command(short_help="Run a recipe again and compare.")
@click.argument("recipe", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--target", metavar="COLUMN", help="Column to predict. Default: as recorded in the recipe file.")
@click.option("--test-data", type=click.Path(path_type=Path), help="File with the test rows, if there was one.")
@click.option("--budget", type=quantities.Duration(), help="Default: as recorded, else 10m.")
@click.option(
    "--within", type=click.FloatRange(min=0), default=0.01, show_default=True,
    help="Accepted difference of the test metric; for metrics beyond 1 a share of the recorded value.",
)
@click.option("--header/--no-header", default=None, help="Whether the first line names the columns. Default: found out.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the files. Default: automl-JOB.")
@click.option("--json", "as_json", is_flag=True, help="End with one line of JSON on standard output.")
@connection.options
def reproduce(
    connection: connection.Connection,
    recipe: Path,
    data: Path,
    target: str | None,
    test_data: Path | None,
    budget: float | None,
    within: float,
    header: bool | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Train the RECIPE (recipe.json of a result) on DATA again, and compare the metric with the one recorded in it.

    The exit code is 1 when the difference is larger than --within.
    """
    from automl_client import errors, types
    from automl_client.cli import delivery, output, watching

    document, origin = read(recipe)
    recorded = origin.get("data", {})
    if origin.get("test_dataset") and test_data is None:
        raise errors.InvalidInput.at(
            "--test-data", f"the result was tested on separate data ({origin['test_dataset']}): name them too."
        )
    settings: types.SubmitSettings = {
        "task": str(document["task"]),
        "strategy": "fixed",
        "recipes_json": (json.dumps(document),),
        "seed": int(origin.get("seed", 0)),
        "budget_s": budget or float(origin.get("budget_s", 600.0)),
        "target": target or str(recorded.get("target", "")),
        "split_column": str(recorded.get("split_column", "")),
        "group_column": str(recorded.get("group_column", "")),
        "time_column": str(recorded.get("time_column", "")),
        "kinds": {column: types.ColumnKind(kind) for column, kind in recorded.get("kinds", {}).items()},
        "ignore": tuple(recorded.get("ignore", ())),
        "display_name": f"reproduction of {origin.get('job', document['task'])}",
    }
    if recorded.get("test_fraction") is not None:
        settings["test_fraction"] = float(recorded["test_fraction"])
    if origin.get("metric", {}).get("name"):
        settings["metric"] = str(origin["metric"]["name"])
    place = delivery.Place.checked(out)
    with connection.open() as client:
        with watching.uploading(as_json) as shown:
            job = client.submit(
                data, test_data=test_data, has_header=header, started=cli.STARTED, on_progress=shown, **settings
            )
        try:
            watching.follow(job, ends=cli.STARTED + settings["budget_s"])
        except watching.Detached:
            output.say(delivery.how_to_return(job.id))
            return 130
        ended = job.get()
        failure = watching.check_ended(ended)
        if failure is not None:
            raise failure
        got = delivery.fetch(client, ended, place.of(job.id), started=cli.STARTED, budget_s=settings["budget_s"])
    return _compared(got.result, origin.get("metric", {}), within, as_json)


def read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The recipe, and what `submit` recorded beside it (empty for a bare recipe). Raises `InvalidInput`."""
    from automl_client import errors
    from automl_client.cli import delivery

    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise errors.InvalidInput.at(str(path), f"can't be read: {error.strerror}.") from error
    except ValueError as error:
        raise errors.InvalidInput.at(str(path), f"is no recipe: {error}.") from error
    if not isinstance(document, dict) or not {"task", "architecture"} <= set(document):
        raise errors.InvalidInput.at(str(path), "is no recipe: expected a JSON object with task and architecture.")
    origin = document.pop(delivery.ORIGIN, {})
    return document, origin


def _compared(line: dict[str, Any], recorded: dict[str, Any], within: float, as_json: bool) -> int:
    from automl_client.cli import output

    name, now, before = line["metric"]["name"], line["metric"]["test"], recorded.get("test")
    same: bool | None = None
    if before is not None and now is not None:
        same = abs(now - before) <= within * max(1.0, abs(before))
    if as_json:
        output.emit({**line, "recorded": recorded, "reproduced": same})
    elif same is None:
        click.echo(f"{name} on the test rows: {quantities.number_text(now)}. The recipe file records none to compare with.")
    else:
        click.echo(
            f"{name} on the test rows: {quantities.number_text(now)}, recorded {quantities.number_text(before)}: "
            f"{'the same' if same else 'not the same'} within {within:g}."
        )
    return 1 if same is False else 0
