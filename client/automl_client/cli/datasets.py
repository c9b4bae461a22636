"""`automl datasets …`: bring data in, and look at what the checks say."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl_client.cli import connection

if TYPE_CHECKING:
    from automl_client import types


@click.group(short_help="Upload, check, list, show and delete data sets.")
def datasets() -> None:
    """Upload, check, list, show and delete data sets. DATASET is an id as `datasets list` prints it."""


def _bring(
    connection: connection.Connection, data: Path, dataset_id: str, display_name: str, header: bool | None
) -> types.Dataset:
    from automl_client.cli import watching

    with connection.open() as client, watching.uploading(quiet=False) as shown:
        return client.upload(
            data, dataset_id=dataset_id, display_name=display_name, has_header=header, on_progress=shown
        )


@datasets.command("upload", short_help="Send DATA and have it inspected.")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--id", "dataset_id", default="", help="Id of the data set. Default: made from the file's name.")
@click.option("--display-name", default="", help="Name for people. Default: the file's.")
@click.option("--header/--no-header", default=None, help="Whether the first line names the columns. Default: found out.")
@click.option("--json", "as_json", is_flag=True, help="The data set as a JSON object.")
@connection.options
def upload(
    connection: connection.Connection, data: Path, dataset_id: str, display_name: str, header: bool | None, as_json: bool
) -> None:
    """Send a file or folder. The same bytes again give the same version; a broken upload goes on where it was."""
    from automl_client.cli import output

    made = _bring(connection, data, dataset_id, display_name, header)
    if as_json:
        output.emit(_with_id(made))
    else:
        _show(made, columns=False)


@datasets.command("check", short_help="Send DATA and print what the checks find.")
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--header/--no-header", default=None, help="Whether the first line names the columns. Default: found out.")
@click.option("--json", "as_json", is_flag=True, help="The data set with its findings as a JSON object.")
@connection.options
def check(connection: connection.Connection, data: Path, header: bool | None, as_json: bool) -> None:
    """Inspect DATA and print its columns and what the checks noticed. The exit code is 2 when it can't be used."""
    from automl_client.cli import output

    made = _bring(connection, data, "", "", header)
    if as_json:
        output.emit(_with_id(made))
    else:
        _show(made, columns=True)


@datasets.command("list", short_help="Data sets, newest first.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@connection.options
def list_datasets(connection: connection.Connection, as_json: bool) -> None:
    """Data set versions, newest first."""
    from automl_client import names
    from automl_client.cli import output, quantities

    with connection.open() as client:
        found = list(client.list_datasets())
    if as_json:
        output.emit([_with_id(one) for one in found])
        return
    if not found:
        click.echo("No data sets yet. Send one: automl datasets upload DATA")
        return
    output.table(
        ("data set", "name", "form", "rows", "size", "made"),
        (
            (
                names.short(one.name), one.display_name, one.format, f"{one.rows:,}", quantities.size_text(one.size_bytes),
                output.when(one.create_time),
            )
            for one in found
        ),
        right=("rows", "size"),
    )


@datasets.command("show", short_help="One data set: columns and findings.")
@click.argument("dataset")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@connection.options
def show(connection: connection.Connection, dataset: str, as_json: bool) -> None:
    """One data set; without @VERSION the newest version."""
    from automl_client.cli import output

    with connection.open() as client:
        found = client.get_dataset(dataset)
    if as_json:
        output.emit(_with_id(found))
    else:
        _show(found, columns=True)


@datasets.command("delete", short_help="Delete a version and its bytes.")
@click.argument("dataset")
@connection.options
def delete(connection: connection.Connection, dataset: str) -> None:
    """Delete a version (with @VERSION) and its bytes. Refused while a job uses it."""
    with connection.open() as client:
        client.delete_dataset(dataset)
    click.echo(f"Deleted {dataset}.")


_EXAMPLES = {"table": "rows", "image": "pictures", "series": "series"}
"""What the examples of a data set are called."""


def _with_id(dataset: types.Dataset) -> dict[str, object]:
    from automl_client import names
    from automl_client.cli import output

    return {"id": names.short(dataset.name), **output.jsonable(dataset)}


def _show(dataset: types.Dataset, *, columns: bool) -> None:
    from automl_client import names
    from automl_client.cli import output, quantities

    shape = " x ".join(str(side) for side in dataset.image_shape)
    what = "texts" if dataset.format == "text-folder" else _EXAMPLES.get(dataset.modality, "rows")
    form = f"{dataset.format}, {dataset.rows:,} {what}"
    click.echo(
        f"{names.short(dataset.name)}: {output.clean(dataset.display_name)} ({form}{', ' + shape if shape else ''}, "
        f"{quantities.size_text(dataset.size_bytes)})"
    )
    if columns and dataset.columns:
        click.echo()
        output.table(
            ("column", "kind", "missing", "different", "for example"),
            (
                (
                    one.name, one.kind.value if one.kind else "?", f"{one.rows_missing:,}", f"{one.distinct:,}",
                    ", ".join(one.examples),
                )
                for one in dataset.columns
            ),
            right=("missing", "different"),
        )
    click.echo()
    if not dataset.findings:
        click.echo("The checks found nothing to remark on.")
    for one in sorted(dataset.findings, key=lambda finding: not finding.warning):
        click.echo(output.clean(f"{'Warning' if one.warning else 'Note'} ({one.check}): {one.message}"))
