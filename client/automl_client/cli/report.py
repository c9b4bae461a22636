"""`automl report`: the page that tells how a result was found."""

from __future__ import annotations

from pathlib import Path

import click

from automl_client.cli import connection


@click.command(short_help="Store a job's report as one HTML page.")
@click.argument("job")
@click.option("--out", type=click.Path(path_type=Path), default=Path("report.html"), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="A JSON object with the path and size.")
@connection.options
def report(connection: connection.Connection, job: str, out: Path, as_json: bool) -> None:
    """Store a job's report as one self-contained HTML page; of a running job, as far as it is."""
    from automl_client import errors
    from automl_client.cli import output

    if out.is_dir():
        out = out / "report.html"
    if not out.parent.is_dir():
        raise errors.InvalidInput.at("--out", f"there is no folder {out.parent}.")
    with connection.open() as client:
        content = client.get_report(job).encode()
    out.write_bytes(content)
    if as_json:
        output.emit({"job": job, "path": str(out), "size_bytes": len(content)})
    else:
        click.echo(f"{out}")
