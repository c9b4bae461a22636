"""`automl techniques`, `tasks` and `formats`: what the server offers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from automl_client.cli import connection, quantities

if TYPE_CHECKING:
    from automl_client import types

T = TypeVar("T")


@click.command(short_help="Techniques and architectures; one with ID.")
@click.argument("technique", required=False, metavar="[ID]")
@click.option("--task", default="", metavar="TASK", help="Only what applies to this task type. With --for: else inferred.")
@click.option("--for", "data", type=click.Path(path_type=Path), metavar="DATA", help="Say what applies to DATA, and why.")
@click.option("--target", metavar="COLUMN", help="With --for: column to predict. May be left out for class folders.")
@click.option(
    "--format", "formats", multiple=True, metavar="FORMAT[:PRECISION]",
    help="With --for: file that will be wanted. May be repeated. Default: all.",
)
@click.option("--allow", multiple=True, metavar="ID", help="With --for: as `submit` has it. May be repeated.")
@click.option("--forbid", multiple=True, metavar="ID", help="With --for: as `submit` has it. May be repeated.")
@click.option("--force", multiple=True, metavar="ID", help="With --for: as `submit` has it. May be repeated.")
@click.option(
    "--set", "parameters", type=quantities.ParameterValue(), multiple=True,
    help="With --for: as `submit` has it. May be repeated.",
)
@click.option("--split-column", metavar="COLUMN", help="With --for: column that says train, validation or test.")
@click.option("--group-column", metavar="COLUMN", help="With --for: rows of equal value here stay together.")
@click.option("--time-column", metavar="COLUMN", help="With --for: split by time, the newest rows are tested on.")
@click.option("--kind", "kinds", type=quantities.ColumnKindOf(), multiple=True, help="With --for: mend a kind.")
@click.option("--ignore", multiple=True, metavar="COLUMN", help="With --for: column not to use. May be repeated.")
@click.option("--header/--no-header", default=None, help="With --for: whether the first line names the columns.")
@click.option("--json", "as_json", is_flag=True, help="A JSON array (with ID, or with --for: an object).")
@connection.options
def techniques(
    connection: connection.Connection, technique: str | None, task: str, data: Path | None, header: bool | None,
    as_json: bool, **given: Any,
) -> None:
    """List techniques and architectures; with ID print all that is said about that one.

    With --for DATA say which of them a job on DATA may be made of, and why the others don't apply. DATA is sent unless the
    server has it, and looked at; nothing is trained. The figures are an estimate: a job counts them when it prepares
    the data.
    """
    from automl_client.cli import output

    if data is not None:
        _applying(connection, technique, data, header, as_json, {"task": task, **given})
        return
    if wanted := [name for name, value in given.items() if value] + (["header"] if header is not None else []):
        name = {"formats": "format", "kinds": "kind", "parameters": "set"}.get(wanted[0], wanted[0]).replace("_", "-")
        raise click.UsageError(f"--{name} goes with --for DATA.")
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
        ("id", "stage", "slot", "for", "kinds", "time", "proposed", "what it is"),
        (
            (
                one.id, one.stage, one.slot, ", ".join(one.modalities), ", ".join(one.kinds), f"x{one.cost:.2g}",
                "by default" if one.is_default else "on request" if one.on_request else "", one.summary,
            )
            for one in sorted(found, key=lambda one: (one.stage, one.id))
        ),
        right=("time",),
    )
    click.echo(f"\n{len(found)} in all. One whole: automl techniques ID")


def _applying(
    connection: connection.Connection, technique: str | None, data: Path, header: bool | None, as_json: bool,
    given: dict[str, Any],
) -> None:
    """`techniques --for DATA`."""
    from automl_client.cli import output, submit, watching

    wanted = submit.settings({"seed": 0, **given}, submit.DEFAULT_BUDGET_S)
    with connection.open() as client, watching.uploading(as_json) as shown:
        found = client.explain_techniques(data, has_header=header, on_progress=shown, **wanted)
    if technique is not None:
        one = _chosen("technique", technique, {each.id: each for each in found.verdicts})
        if as_json:
            output.emit(one)
        else:
            said = ("applies" if one.applies else "doesn't apply") + (f": {one.reason}" if one.reason else "")
            click.echo(output.clean(f"{one.id} {said}{'' if one.reason.endswith('.') else '.'}"))
        return
    if as_json:
        output.emit(found)
        return
    click.echo(output.clean(f"{found.task}: {_facts(found.profile)} (estimated).\n"))
    there = sorted(found.verdicts, key=lambda one: (one.stage, one.id))
    output.table(
        ("applies", "stage", "slot", "how", "what it is"),
        (
            (
                one.id, one.stage, one.slot,
                "forced" if one.forced else "default" if one.is_default else one.reason, one.summary,
            )
            for one in there if one.applies
        ),
    )
    click.echo()
    output.table(("doesn't apply", "stage", "why"), ((one.id, one.stage, one.reason) for one in there if not one.applies))
    count = sum(one.applies for one in there)
    click.echo(f"\n{count} apply, {len(there) - count} don't.")


def _facts(profile: types.ProfileEstimate) -> str:
    """The profile as a phrase."""
    said = [f"{profile.rows:,} training rows"]
    if profile.image_shape:
        said.append(f"pictures of {' x '.join(map(str, profile.image_shape))}")
    if profile.numeric or profile.categorical:
        said.append(f"{profile.numeric:,} numeric and {profile.categorical:,} categorical inputs")
    if profile.length:
        said.append(f"about {profile.length:,} steps or words each")
    if profile.classes:
        said.append(f"{profile.classes:,} classes, the rarest with {profile.class_min:,} rows")
    if profile.missing_fraction:
        said.append(f"{profile.missing_fraction:.1%} of the cells missing")
    return ", ".join(said)


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


@click.command(short_help="Devices that a model may have to fit; one with ID.")
@click.argument("device", required=False, metavar="[ID]")
@click.option("--json", "as_json", is_flag=True, help="A JSON array (with ID: an object).")
@connection.options
def devices(connection: connection.Connection, device: str | None, as_json: bool) -> None:
    """List the devices that `submit --device` takes: memory, operations, and whether latency is measured or estimated."""
    from automl_client.cli import output

    with connection.open() as client:
        found = list(client.list_devices())
    if device is not None:
        one = _chosen("device", device, {each.id: each for each in found})
        if as_json:
            output.emit(one)
            return
        rate = f" at {one.macs_per_second / 1e6:.0f} million multiplications a second" if one.macs_per_second else ""
        facts = [
            ("Runtime", one.runtime), ("RAM", _memory(one.ram_bytes)), ("Flash", _memory(one.flash_bytes)),
            ("Latency", f"{one.latency}{rate}"), ("Reference", one.reference),
            ("Operations", ", ".join(one.operations) or "all of TensorFlow Lite's own"),
        ]
        click.echo(output.clean(f"{one.id}  {one.title}\n"))
        for name, value in facts:
            if value:
                click.echo(output.clean(f"{name}: {value}"))
        return
    if as_json:
        output.emit(found)
        return
    output.table(
        ("id", "RAM", "flash", "operations", "latency is", "what it is"),
        (
            (
                one.id, _memory(one.ram_bytes), _memory(one.flash_bytes), str(len(one.operations) or "all"), one.latency,
                one.title,
            )
            for one in found
        ),
    )


def _memory(size_bytes: int) -> str:
    return f"{size_bytes / 1024:,.0f} KiB" if size_bytes else "what there is"


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
        ("Time of an epoch", "" if one.decided_by else f"x{one.cost:.2g}"),
        ("Proposed on request only (--force, --allow)", one.on_request),
        ("Not searched", one.decided_by),
        ("Reference", one.reference),
    ]
    for name, value in facts:
        if value:
            click.echo(output.clean(f"{name}: {value}"))
    for other, reason in sorted(one.conflicts.items()):
        click.echo(output.clean(f"Excludes {other}: {reason}"))
    for name, reason in sorted(one.unsupported_formats.items()):
        click.echo(output.clean(f"Not in {name}: {reason}"))
