"""Pictures in class folders, or named by a manifest (a CSV of paths and labels) beside them.

Class folders: `<class>/picture.jpg`, under any number of enclosing folders, optionally with `train/`, `val/` and `test/`
above the classes. A manifest wins when most of its rows name pictures that are there.
"""

from __future__ import annotations

import collections
import posixpath

import numpy as np

from automl.data import delimited, encoder
from automl.data.limits import LIMITS, Limits
from automl.data.pictures import SUFFIXES, FilePictures
from automl.data.source import Container, Entry
from automl.data.table import Table, TextColumn
from automl.spec.dataset import Finding, Severity
from automl.spec.errors import InvalidData, Violation
from automl.spec.sizes import PARTS

LABEL_NAMES = ("label", "labels", "class", "target", "category", "y")
TABLE_SUFFIXES = (".csv", ".tsv", ".txt")


def is_picture(entry: Entry) -> bool:
    """Whether a file is one by its name."""
    return entry.suffix in SUFFIXES


def read(container: Container, target: str | None = None, limits: Limits = LIMITS) -> FilePictures:
    """The pictures with their labels. Raises `InvalidData` when there are too many, or no labels can be found."""
    files = [e for e in container.entries if is_picture(e)]
    others = [e for e in container.entries if not is_picture(e)]
    if len(files) > limits.pictures:
        raise InvalidData.at(
            container.filename, f"{len(files):,} pictures; at most {limits.pictures:,} are taken", reason="TOO_LARGE"
        )
    broken: InvalidData | None = None
    for entry in others:
        if entry.suffix not in (".csv", ".tsv"):
            continue
        try:
            manifest = _manifest(container, entry, files, limits)
        except InvalidData as fault:
            # It matters only where the folders give no labels: pictures may come with other tables.
            broken = broken or fault
            continue
        if manifest is not None:
            return _by_manifest(container, *manifest, files, others, target, limits)
    try:
        return _by_folders(container, files, others, limits)
    except InvalidData as fault:
        raise (broken or fault) from fault


def _by_folders(container: Container, files: list[Entry], others: list[Entry], limits: Limits) -> FilePictures:
    placed, loose = class_of(files)
    kept = [entry for entry, _, _ in placed]
    labels = [label for _, label, _ in placed]
    parts = [part for _, _, part in placed]
    if not kept:
        raise InvalidData.at(
            container.filename, f"{len(files):,} pictures, but none in a folder that names its class.",
            "Put each picture into a folder named like its class, or add a CSV with columns path and label.", "NO_LABELS",
        )
    if len(set(labels)) < 2:
        raise InvalidData.at(
            container.filename, f"all pictures are in the one class folder {labels[0]!r}: there is nothing to learn.",
            "Give one folder a class, or a CSV with columns path and label.", "ONE_CLASS",
        )
    return FilePictures(
        container.filename, "image-folder", container, kept, labels, parts, {}, tuple(_ignored(container, others, loose)),
        limits,
    )


def class_of(files: list[Entry]) -> tuple[list[tuple[Entry, str, str]], list[str]]:
    """(file, class, part or "") for each file in a class folder, and the names of the others."""
    paths = [entry.name.split("/") for entry in files]
    depth = _enclosing(paths)
    placed: list[tuple[Entry, str, str]] = []
    loose: list[str] = []
    tops = {p[depth].lower() for p in paths if len(p) > depth + 1}
    has_parts = bool(tops) and tops <= PARTS.keys() and "train" in {PARTS[t] for t in tops}
    for entry, path in zip(files, paths):
        rest = path[depth:]
        part = PARTS[rest[0].lower()] if has_parts and len(rest) > 1 else ""
        rest = rest[1:] if part else rest
        if len(rest) < 2:
            loose.append(entry.name)
        else:
            placed.append((entry, rest[0].strip(encoder.BLANKS), part))
    return placed, loose


def _enclosing(paths: list[list[str]]) -> int:
    """How many leading folders all files share; a shared one that names a part is not counted."""
    depth = 0
    while len({p[depth] if len(p) > depth + 1 else None for p in paths}) == 1 and all(len(p) > depth + 2 for p in paths):
        if paths[0][depth].lower() in PARTS:
            break
        depth += 1
    return depth


def _ignored(container: Container, others: list[Entry], loose: list[str]) -> list[Finding]:
    found = []
    if others or container.ignored:
        names = ", ".join(e.name for e in others[:5])
        found.append(Finding(
            check="ignored-files", severity=Severity.INFO,
            message=f"{len(others) + container.ignored:,} files are no pictures and were left out"
                    f"{': ' + names if names else ''}.",
        ))
    if loose:
        found.append(Finding(
            check="pictures-without-class", severity=Severity.WARNING,
            message=f"{len(loose):,} pictures lie in no class folder and were left out: {', '.join(loose[:5])}.",
        ))
    return found


def _manifest(container: Container, entry: Entry, files: list[Entry], limits: Limits) -> tuple[Table, str, list[int]] | None:
    """(table, its column of paths, for each of its different paths the picture or -1) when most rows name pictures."""
    table = delimited.read(container.read(entry, limits.table_bytes), f"{container.filename}, {entry.name}", None, limits)
    folder = posixpath.dirname(entry.name)
    by_name = {e.name: i for i, e in enumerate(files)}
    bases = collections.Counter(posixpath.basename(e.name) for e in files)
    by_base = {posixpath.basename(e.name): i for i, e in enumerate(files) if bases[posixpath.basename(e.name)] == 1}
    stems = collections.Counter(_stem(e.name) for e in files)
    by_stem = {_stem(e.name): i for i, e in enumerate(files) if stems[_stem(e.name)] == 1}
    best: tuple[int, str, list[int]] | None = None
    for column in table.columns.values():
        if len(column.values) * 2 < min(table.rows, len(files)):
            continue
        places = []
        for text in column.texts:
            path = posixpath.normpath(text.replace("\\", "/")).lstrip("/") if text else ""
            options = (by_name.get(posixpath.join(folder, path)), by_name.get(path), by_base.get(posixpath.basename(path)),
                       by_stem.get(path))
            places.append(next((o for o in options if o is not None), -1))
        hits = int(column.counts[np.array(places, np.int64) >= 0].sum())
        if hits * 2 > table.rows and (best is None or hits > best[0]):
            best = (hits, column.name, places)
    return None if best is None else (table, best[1], best[2])


def _stem(name: str) -> str:
    return posixpath.splitext(posixpath.basename(name))[0]


def _by_manifest(
    container: Container, table: Table, path: str, places: list[int], files: list[Entry], others: list[Entry],
    target: str | None, limits: Limits,
) -> FilePictures:
    rest = [name for name in table.columns if name != path]
    named = [n for n in rest if n.lower() in LABEL_NAMES]
    label = target if target in rest else named[0] if named else rest[0] if len(rest) == 1 else None
    if label is None:
        raise InvalidData.at(
            table.filename, f"which column is the label? There are {', '.join(map(repr, rest[:20]))}.",
            "Name it `label`, or name the target.", "NO_LABELS",
        )
    found = np.array(places, np.int64)[table.columns[path].codes]
    lacking = np.flatnonzero(found < 0)
    findings = _ignored(container, [e for e in others if e.suffix not in TABLE_SUFFIXES], [])
    if len(lacking):
        texts, codes = table.columns[path].texts, table.columns[path].codes
        listed = [(int(r) + 1, texts[codes[r]]) for r in lacking[: limits.listed]]
        if len(lacking) > max(1.0, limits.bad_fraction * table.rows):
            raise InvalidData([
                Violation(field=table.filename, reason="PICTURES_MISSING",
                          message=f"{len(lacking):,} of {table.rows:,} rows name pictures that are not there"),
                *(Violation(
                    field=f"{table.filename}, row {row}, column {path!r}", reason="PICTURE_MISSING",
                    message=f"there is no picture {name[:100]!r}",
                ) for row, name in listed),
            ])
        findings.append(Finding(
            check="missing-pictures", severity=Severity.WARNING, rows=tuple(row for row, _ in listed),
            message=f"{len(lacking):,} rows name pictures that are not there and are left out: "
                    f"{', '.join(name[:100] for _, name in listed[:5])}.",
        ))
    rows = np.flatnonzero(found >= 0)
    if unused := len(files) - len(set(found[rows].tolist())):
        findings.append(Finding(
            check="ignored-files", severity=Severity.INFO,
            message=f"{unused:,} pictures are not named by the manifest and were left out.",
        ))
    column = table.columns[label]
    labels = ["" if column.absent[c] else column.texts[c] for c in column.codes[rows].tolist()]
    more = {name: table.columns[name].take(rows) for name in rest}
    if "label" not in more:
        more["label"] = TextColumn("label", column.values, column.codes[rows])
    return FilePictures(
        container.filename, "image-manifest", container, [files[i] for i in found[rows].tolist()], labels, [""] * len(rows),
        more, tuple(findings), limits,
    )
