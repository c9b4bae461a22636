"""`automl techniques`, `tasks` and `formats`: what the server offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import click

from automl_client.cli import connection

if TYPE_CHECKING:
    from automl_client import types

T = TypeVar("T")


@click.command(short_help="Techniques and architectures; one with ID.")
@click.argument("technique", required=False, metavar="[ID]")
@click.option("--task", default="", metavar="TASK", help="Only what applies to this task type.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array (with ID: an object).")
@connection.options
def techniques(connection: connection.Connection, technique: str | None, task: str, as_json: bool) -> None:
    """List techniques and architectures; with ID print all that is said about that one."""
    from automl_client.cli import output

    with connection.open() as client:
        found = list(client.list_techniques(task))
    if technique is not None:
        one = _chosen("technique", technique, {each.id: each for each in found})
        if as_json:
            output.emit(one)
        else:
            _essay(one)
        return
    if as_json:
        output.emit(found)
        return
    output.table(
        ("id", "stage", "slot", "for", "kinds", "time", "default", "what it is"),
        (
            (
                one.id, one.stage, one.slot, ", ".join(one.modalities), ", ".join(one.kinds), f"x{one.cost:.2g}",
                "yes" if one.is_default else "", one.summary,
            )
            for one in sorted(found, key=lambda one: (one.stage, one.id))
        ),
        right=("time",),
    )
    click.echo(f"\n{len(found)} in all. One whole: automl techniques ID")


@click.command(short_help="Task types; one with ID.")
@click.argument("task", required=False, metavar="[ID]")
@click.option("--json", "as_json", is_flag=True, help="A JSON array (with ID: an object).")
@connection.options
def tasks(connection: connection.Connection, task: str | None, as_json: bool) -> None:
    """List the kinds of question that can be learned; with ID print all that is said about that one."""
    from automl_client.cli import output

    with connection.open() as client:
        found = list(client.list_task_types())
    if task is not None:
        one = _chosen("task type", task, {each.id: each for each in found})
        if as_json:
            output.emit(one)
        else:
            click.echo(output.clean(one.description))
            click.echo(f"\nMetrics: {', '.join(one.metrics)}")
        return
    if as_json:
        output.emit(found)
        return
    output.table(
        ("id", "takes", "returns", "metrics", "what it is"),
        ((one.id, one.takes, one.returns, ", ".join(one.metrics), one.summary) for one in found),
    )


@click.command(short_help="Artifact formats; one with ID.")
@click.argument("format_id", required=False, metavar="[ID]")
@click.option("--json", "as_json", is_flag=True, help="A JSON array (with ID: an object).")
@connection.options
def formats(connection: connection.Connection, format_id: str | None, as_json: bool) -> None:
    """List the formats in which models are given; with ID print all that is said about that one."""
    from automl_client.cli import output

    with connection.open() as client:
        found = list(client.list_formats())
    if format_id is not None:
        one = _chosen("format", format_id, {each.id: each for each in found})
        if as_json:
            output.emit(one)
        else:
            click.echo(output.clean(one.description))
        return
    if as_json:
        output.emit(found)
        return
    output.table(
        ("id", "precisions", "file", "run by", "takes", "what it is"),
        (
            (
                one.id, ", ".join(one.precisions), one.suffix, one.runtime,
                "raw columns" if one.raw_input else "encoded rows", one.summary,
            )
            for one in found
        ),
    )


def _chosen(what: str, wanted: str, there: dict[str, T]) -> T:
    """The one of that id. Raises `NotFound` with ids that look alike."""
    if wanted in there:
        return there[wanted]
    import difflib

    from automl_client import errors

    near = difflib.get_close_matches(wanted, there, 3, 0.5)
    remedy = f"Did you mean {' or '.join(near)}?" if near else "The same command without it lists what there is."
    raise errors.NotFound(f"There is no {what} {wanted!r}. {remedy}")


def _essay(one: types.Technique) -> None:
    from automl_client.cli import output

    click.echo(output.clean(f"{one.id}  ({one.stage}{', slot ' + one.slot if one.slot else ''})\n\n{one.description}\n"))
    if one.parameters:
        output.table(
            ("parameter", "domain", "default"),
            ((each.name, each.domain, each.default) for each in one.parameters),
        )
        click.echo()
    facts = [
        ("Applies to", f"{', '.join(one.modalities)}; {', '.join(one.kinds)}"),
        ("Time of an epoch", f"x{one.cost:.2g}"),
        ("Reference", one.reference),
    ]
    for name, value in facts:
        if value:
            click.echo(output.clean(f"{name}: {value}"))
    for other, reason in sorted(one.conflicts.items()):
        click.echo(output.clean(f"Excludes {other}: {reason}"))
    for name, reason in sorted(one.unsupported_formats.items()):
        click.echo(output.clean(f"Not in {name}: {reason}"))
