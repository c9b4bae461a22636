"""Texts in class folders: `<class>/anything.txt`, under any number of enclosing folders, optionally with `train/`, `val/`
and `test/` above the classes.

They become a table with the columns `text` and `label`, and `part` where folders name one, so that everything that holds
for tables of texts holds for them.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from automl.data import encoder
from automl.data.limits import LIMITS, Limits
from automl.data.picture_files import class_of
from automl.data.source import Container, Entry
from automl.data.table import Table, TextColumn
from automl.spec.dataset import Finding, Severity
from automl.spec.errors import InvalidData
from automl.spec.sizes import PARTS

FORMAT = "text-folder"
TEXT, LABEL, PART = "text", "label", "part"
SUFFIXES = (".txt", ".text")
_READ_ME = ("readme", "license", "licence", "copying", "changes", "about")


def are_texts(entries: tuple[Entry, ...]) -> bool:
    """Whether most files are texts by their names, and some lie in folders."""
    texts = [e for e in entries if is_text(e)]
    return len(texts) * 2 > len(entries) and sum("/" in e.name for e in texts) >= 2


def is_text(entry: Entry) -> bool:
    stem = entry.name.rsplit("/", 1)[-1].lower().partition(".")[0]
    return entry.suffix in SUFFIXES and stem not in _READ_ME


def read(container: Container, limits: Limits = LIMITS) -> Table:
    """The table. Raises `InvalidData` when no or one class folder is there, and naming files that are too large."""
    files = [e for e in container.entries if is_text(e)]
    placed, loose = class_of(files)
    if not placed:
        raise InvalidData.at(
            container.filename, f"{len(files):,} texts, but none in a folder that names its class.",
            "Put each text into a folder named like its class, or give a CSV with a column of texts and one of labels.",
            "NO_LABELS",
        )
    labels = [label for _, label, _ in placed]
    if len(set(labels)) < 2:
        raise InvalidData.at(
            container.filename, f"all texts are in the one class folder {labels[0]!r}: there is nothing to learn.",
            "Give one folder a class, or a CSV with a column of texts and one of labels.", "ONE_CLASS",
        )
    texts, foreign = decoded(container, [entry for entry, _, _ in placed], limits)
    columns = {
        TEXT: TextColumn.of(TEXT, pa.array(texts, pa.large_string()).cast(pa.string())),
        LABEL: TextColumn.of(LABEL, pa.array(labels, pa.string())),
    }
    parts = [part for _, _, part in placed]
    if any(parts):
        columns[PART] = TextColumn.of(PART, pa.array(parts, pa.string()))
    findings = []
    others = len(container.entries) - len(files) + container.ignored
    if others:
        names = ", ".join(e.name for e in container.entries if not is_text(e))[:200]
        findings.append(Finding(
            check="ignored-files", severity=Severity.INFO,
            message=f"{others:,} files are no texts and were left out{': ' + names if names else ''}.",
        ))
    if loose:
        findings.append(Finding(
            check="texts-without-class", severity=Severity.WARNING,
            message=f"{len(loose):,} texts lie in no class folder and were left out: {', '.join(loose[:5])}.",
        ))
    if foreign:
        findings.append(Finding(
            check="text-encoding", severity=Severity.WARNING,
            message=f"{len(foreign):,} of {len(texts):,} texts are not UTF-8 and were read as Latin-1: "
                    f"{', '.join(foreign[:5])}.",
        ))
    return Table(container.filename, FORMAT, columns, len(texts), True, tuple(findings))


def decoded(container: Container, files: list[Entry], limits: Limits = LIMITS) -> tuple[list[str], list[str]]:
    """The texts of some files, and the names of those that are not UTF-8 and were read as Latin-1."""
    texts, foreign = [], []
    for entry in files:
        content = container.read(entry, limits.field_bytes)
        try:
            texts.append(content.decode("utf-8-sig"))
        except UnicodeDecodeError:
            foreign.append(entry.name)
            texts.append(content.decode("latin-1"))
    return texts, foreign


def parts_of(table: Table) -> tuple[tuple[str, int], ...]:
    """The parts that folders of texts name, with their rows; empty for other tables."""
    if table.format != FORMAT or PART not in table.columns:
        return ()
    column = table.columns[PART]
    rows = {encoder.text_of(text): int(n) for text, n in zip(column.texts, np.asarray(column.counts)) if text}
    return tuple((part, rows[part]) for part in dict.fromkeys(PARTS.values()) if part in rows)
