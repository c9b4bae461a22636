"""`automl models …`: what jobs returned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl_client.cli import connection, quantities

if TYPE_CHECKING:
    from automl_client import types


@click.group(short_help="List, show, download and export models.")
def models() -> None:
    """List, show, download and export models. MODEL is "MODEL" (its latest version) or "MODEL/VERSION"."""


@models.command("list", short_help="Models, newest first.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array.")
@connection.options
def list_models(connection: connection.Connection, as_json: bool) -> None:
    """Models, newest first."""
    from automl_client import names
    from automl_client.cli import output

    with connection.open() as client:
        found = list(client.list_models())
    if as_json:
        output.emit([{"id": names.short(one.name), **output.jsonable(one)} for one in found])
        return
    if not found:
        click.echo("No models yet. A job that succeeds makes one: automl submit DATA --target COLUMN")
        return
    output.table(
        ("model", "name", "task", "versions", "latest", "made"),
        (
            (
                names.short(one.name), one.display_name, one.task, str(one.versions),
                names.short_version(one.latest_version), output.when(one.create_time),
            )
            for one in found
        ),
        right=("versions",),
    )


@models.command("show", short_help="One version and its artifacts.")
@click.argument("model")
@click.option("--json", "as_json", is_flag=True, help="A JSON object.")
@connection.options
def show(connection: connection.Connection, model: str, as_json: bool) -> None:
    """One model version: where it is from, its metrics, and its artifacts with their proofs."""
    from automl_client import names
    from automl_client.cli import output

    with connection.open() as client:
        version = client.get_model_version(model)
    if as_json:
        output.emit({"id": names.short_version(version.name), **output.jsonable(version)})
        return
    for name, value in (
        ("Model", names.short_version(version.name)),
        ("Job", names.short(version.job)),
        ("Data", names.short(version.dataset)),
        ("Task", version.task),
        ("Metric", version.metric),
        ("Validation", quantities.number_text(version.validation_metric)),
        ("Test", quantities.number_text(version.test_metric)),
        ("Made", output.when(version.create_time)),
    ):
        if value:
            click.echo(f"{name + ':':<12}{output.clean(value)}")
    click.echo()
    rows = []
    for artifact in version.artifacts:
        proof = artifact.verification
        rows.append(
            (
                artifact.filename, f"{artifact.format} {artifact.precision}", quantities.size_text(artifact.size_bytes),
                f"{artifact.parameters:,}",
                "–" if proof is None or proof.latency_median_ms is None else f"{proof.latency_median_ms:.3g} ms",
                quantities.number_text(proof.artifact_value if proof else None),
                "–" if proof is None else f"{proof.agreement:.2%}", proof.runtime if proof else "",
            )
        )
    output.table(
        ("file", "format", "size", "weights", "one example", version.metric, "agrees", "run by"), rows,
        right=("size", "weights", "one example", version.metric, "agrees"),
    )


@models.command("download", short_help="Bring artifacts here.")
@click.argument("model")
@click.option("--out", type=click.Path(path_type=Path), default=Path("."), show_default=True, help="Folder for the files.")
@click.option(
    "--format", "formats", multiple=True, metavar="FORMAT[:PRECISION]",
    help="Only these: tflite:int8, saved-model… May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="A JSON array with paths, sizes and hashes.")
@connection.options
def download(
    connection: connection.Connection, model: str, out: Path, formats: tuple[str, ...], as_json: bool
) -> None:
    """Bring a version's artifacts here; a broken download goes on where it was, and hashes are checked."""
    from automl_client import errors, types
    from automl_client.cli import delivery, output

    place = delivery.Place.checked(out).of("")
    with connection.open() as client:
        version = client.get_model_version(model)
        there = {types.Format(artifact.format, artifact.precision): artifact for artifact in version.artifacts}
        wanted = [types.Format.parse(text) for text in formats] or list(there)
        lacking = [one for one in wanted if one not in there]
        if lacking:
            raise errors.InvalidInput.at(
                "--format", f"this version has no {', '.join(map(str, lacking))}; it has {', '.join(map(str, there))}."
            )
        made = [(there[one], client.download(there[one], place)) for one in wanted]
    if as_json:
        output.emit([{**output.jsonable(artifact), "path": str(path)} for artifact, path in made])
        return
    for artifact, path in made:
        click.echo(f"{path}  {quantities.size_text(artifact.size_bytes)}  sha256 {artifact.sha256}")


@models.command("export", short_help="Make another artifact of a model.")
@click.argument("model")
@click.option("--format", "format", required=True, metavar="FORMAT[:PRECISION]",
              help="Format; without a precision the most exact one that meets --max-size.")
@click.option("--max-size", type=quantities.Size(), help="Largest size of the file, like 200KB.")
@click.option("--tolerance", type=click.FloatRange(0, 1), help="Largest loss of the metric. Default: that of the job.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("."), show_default=True, help="Folder for the file.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object with path, size, hash and proof.")
@connection.options
def export(
    connection: connection.Connection, model: str, format: str, max_size: int | None, tolerance: float | None, out: Path,
    as_json: bool,
) -> None:
    """Make another artifact of MODEL, which the server kept, verify it on held-out rows and bring it here.

    No training takes place. What a server keeps of a model is the network and a sample of its data; `automl models forget`
    deletes both.
    """
    from automl_client.cli import delivery

    place = delivery.Place.checked(out).of("")
    with connection.open() as client:
        artifact = client.export(model, format, max_size_bytes=max_size, tolerance=tolerance)
        path = client.download(artifact, place)
    _told(artifact, path, as_json)


@models.command("retarget", short_help="Cut another network out of a model's supernet.")
@click.argument("model")
@click.option("--max-latency", type=quantities.Duration(), help="Median of one example on one thread: 2ms.")
@click.option("--max-size", type=quantities.Size(), help="Largest size of the file, like 200KB.")
@click.option("--format", "format", default="tflite:int8", show_default=True, metavar="FORMAT[:PRECISION]")
@click.option("--tolerance", type=click.FloatRange(0, 1), help="Largest loss of the metric. Default: that of the job.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("."), show_default=True, help="Folder for the file.")
@click.option("--json", "as_json", is_flag=True, help="A JSON object with path, size, hash and proof.")
@connection.options
def retarget(
    connection: connection.Connection, model: str, max_latency: float | None, max_size: int | None, format: str,
    tolerance: float | None, out: Path, as_json: bool,
) -> None:
    """Cut another network out of the supernet that was kept with MODEL (--strategy once-for-all), for other limits.

    The best network that meets the limits is chosen by what the supernet's search learned and by the latency of its
    operations on the server's machine. No training takes place; the artifact is verified on held-out rows.
    """
    from automl_client.cli import delivery

    place = delivery.Place.checked(out).of("")
    with connection.open() as client:
        artifact = client.retarget(
            model, format, max_latency_ms=None if max_latency is None else 1e3 * max_latency, max_size_bytes=max_size,
            tolerance=tolerance,
        )
        path = client.download(artifact, place)
    _told(artifact, path, as_json)


def _told(artifact: types.Artifact, path: Path, as_json: bool) -> None:
    """Says what was made and how it was proven."""
    from automl_client.cli import output

    if as_json:
        output.emit({**output.jsonable(artifact), "path": str(path)})
        return
    proof = artifact.verification
    click.echo(f"{path}  {quantities.size_text(artifact.size_bytes)}  sha256 {artifact.sha256}")
    if proof is not None:
        of = f" of {proof.held_out_rows:,}" if proof.held_out_rows > proof.rows else ""
        within = "" if (found := proof.interval) is None else (
            f" (95 %: {quantities.number_text(found.low)} to {quantities.number_text(found.high)})"
        )
        click.echo(
            f"{proof.metric} {quantities.number_text(proof.artifact_value)}{within} on {proof.rows:,}{of} held-out rows, "
            f"{quantities.number_text(proof.float_value)} for the float model; agrees on {proof.agreement:.2%}."
        )


@models.command("forget", short_help="Delete what is kept of a model for export.")
@click.argument("model")
@connection.options
def forget(connection: connection.Connection, model: str) -> None:
    """Delete the network and the sample of data that the server kept of MODEL for `automl models export`.

    Its artifacts stay.
    """
    with connection.open() as client:
        client.delete_kit(model)
    click.echo(f"Of {model} the artifacts are left.")
