"""Writes the pages of docs/reference/ from the code; with `--check` compares instead, and names what is stale.

    python docs/generate.py [--check]

The catalogue's entries give techniques.md, the command line's own declarations give command-line.md: nothing that the code
says already is written a second time by hand. Run by `make docs` and `make check`.
"""

from __future__ import annotations

import argparse
import inspect
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import click

from automl.catalog import entries, slots
from automl_client.cli import app

FOLDER = Path(__file__).parent / "reference"
NOTICE = "<!-- Written by docs/generate.py (`make docs`) from the code. Change the code, not this page. -->\n"


def techniques() -> str:
    """Task types, architectures, techniques by stage, and formats, each with its essay."""
    out = [
        NOTICE,
        "# The catalogue\n",
        "What a search may be made of. `automl techniques`, `automl tasks` and `automl formats` print the same lists; "
        "`--allow`, `--forbid` and `--force` take the ids.\n",
        "## Task types\n",
        *_table(
            ("id", "takes", "returns", "metrics"),
            ((f"`{t.id}`", t.takes, t.returns, ", ".join(f"`{m}`" for m in t.metrics)) for t in entries.tasks),
        ),
        "## Formats\n",
        *_table(
            ("id", "precisions", "file", "runs in", "input"),
            (
                (
                    f"`{f.id}`",
                    ", ".join(f.precisions),
                    f"`{f.suffix}`",
                    f.runtime,
                    "raw columns" if f.raw_input else "encoded",
                )
                for f in entries.formats
            ),
        ),
        "## Slots\n",
        "A slot holds exactly one technique (or, where it is optional, none); every other technique is a switch.\n",
        *_table(
            ("slot", "meaning", "optional", "choices"),
            (
                (
                    s.name,
                    s.meaning,
                    "yes" if s.optional else "no",
                    ", ".join(f"`{t.id}`" for t in entries.techniques if t.slot == s.name),
                )
                for s in slots.SLOTS.values()
            ),
        ),
        "## Architectures\n",
    ]
    for architecture in entries.architectures:
        out += _entry(architecture, [", ".join(sorted(architecture.modalities)), *_not_for_qat(architecture)])
    for stage in slots.STAGES:
        members = [t for t in entries.techniques if t.stage == stage]
        if members:
            out.append(f"## Stage: {stage}\n")
        for t in members:
            what = f"slot {t.slot}" if t.slot else "a switch" if t.searched else f"not searched: {t.decided_by}"
            facts = [what, f"for {', '.join(sorted(t.modalities))}"]
            if len(t.kinds) == 1:
                facts.append(f"{next(iter(t.kinds))} only")
            if t.default:
                facts.append("on by default")
            if t.cost != 1:
                facts.append(f"an epoch takes about {t.cost:g} times as long")
            facts += [f"excludes `{other}` ({why})" for other, why in sorted(t.conflicts.items())]
            facts += [f"needs `{other}` ({why})" for other, why in sorted(t.requires.items())]
            facts += [f"only when forced or allowed by name ({t.on_request})"] if t.on_request else []
            facts += [f"not as {name} ({why})" for name, why in sorted(t.unsupported_formats.items())]
            facts += _not_for_qat(t)
            out += _entry(t, facts)
    return "\n".join(out)


def _not_for_qat(entry: entries.Technique | entries.Architecture) -> list[str]:
    return [f"not for `{entries.QAT}` ({entry.not_for_qat})"] if entry.not_for_qat else []


def _entry(entry: entries.Technique | entries.Architecture, facts: list[str]) -> list[str]:
    out = [f"### `{entry.id}`\n", f"{'; '.join(facts)}.\n", f"{entry.doc}\n"]
    if entry.params:
        out += _table(
            ("parameter", "domain", "default"),
            (
                (f"`{name}`", d.describe(), f"{d.default:g}" if isinstance(d.default, float) else str(d.default))
                for name, d in entry.params.items()
            ),
        )
    if entry.reference:
        out.append(f"Source: {entry.reference}\n")
    return out


def command_line() -> str:
    """Every command with its help and options."""
    out = [
        NOTICE,
        "# The command line\n",
        "`automl COMMAND --help` says the same. Exit codes: 0 done, 2 a mistake in what was asked for, 1 a failure of ours, "
        "130 interrupted. Commands that tell something take `--json`.\n",
    ]
    out += _commands(app.automl, None)
    return "\n".join(out)


def _commands(command: click.Command, parent: click.Context | None) -> list[str]:
    name = command.name or ""
    context = click.Context(command, info_name=name, parent=parent, **command.context_settings)
    out = []
    if parent is not None:
        out.append(f"{'#' * (2 if parent.parent is None else 3)} {context.command_path}\n")
        out.append(f"```text\n{command.get_usage(context)}\n```\n")
    if command.help:
        text = inspect.cleandoc(command.help)
        out.append("\n".join(line for line in text.splitlines() if line.strip() != "\b") + "\n")
    if command.context_settings.get("ignore_unknown_options"):
        return [*out, f"```text\n{_server_help()}```\n"]
    records = [p.get_help_record(context) for p in command.get_params(context) if "--help" not in p.opts]
    rows = [record for record in records if record and record[1]]
    if rows and parent is not None:
        out += _table(("option", "meaning"), ((f"`{option}`", meaning) for option, meaning in rows))
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                out += _commands(found, context)
    return out


def _server_help() -> str:
    """What the server says of its options, to which `automl serve` hands its own."""
    environment = {**os.environ, "COLUMNS": "100"}
    asked = [sys.executable, "-m", "automl_server", "--help"]
    return subprocess.run(asked, capture_output=True, text=True, check=True, env=environment).stdout


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"

    names = tuple(head)
    return [line(names), line("---" for _ in names), *(line(row) for row in rows), ""]


PAGES: dict[str, Callable[[], str]] = {"techniques.md": techniques, "command-line.md": command_line}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with what is checked in; exit 1 when it is stale")
    check = parser.parse_args().check
    FOLDER.mkdir(exist_ok=True)
    stale = []
    for name, write in PAGES.items():
        path, text = FOLDER / name, write().rstrip() + "\n"
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
    if stale:
        print(f"stale in docs/reference: {', '.join(stale)}\nRun `make docs`.", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
