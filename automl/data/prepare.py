"""Checks, splits and encodes a data set for a job, once, into the folder that `automl.data.prepared` opens.

The folder appears whole or not at all: it is written under a temporary name beside its place, synced, and renamed. It is
known by its `key`; a complete one with the same key is opened and not made again.
"""

from __future__ import annotations

import errno
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping

from automl.catalog import entries
from automl.data import picture_preparation, readers, series_preparation, table_preparation, text_preparation
from automl.data.pictures import FilePictures
from automl.data.prepared import PreparedDataset, PreparedMeta, Writer
from automl.data.series import Series
from automl.data.source import Source
from automl.data.table import Table
from automl.spec import model
from automl.spec.dataset import Modality
from automl.spec.errors import Internal, InvalidData, InvalidInput, Violation
from automl.spec.job import JobSpec

LAYOUT = 1
"""Changes when the same data would be prepared differently."""

_PREPARE: Mapping[Modality, Callable[..., PreparedMeta]] = {
    Modality.TABLE: table_preparation.prepare, Modality.TEXT: text_preparation.prepare,
    Modality.IMAGE: picture_preparation.prepare, Modality.SERIES: series_preparation.prepare,
}
"""Modality of a task's examples → what prepares them from data of one of the task's forms."""


def prepare(
    spec: JobSpec,
    task: str | entries.Task,
    source: Source,
    test_source: Source | None,
    out: str | pathlib.Path,
) -> PreparedDataset:
    """Prepares the data of a job under `out`, or opens them when that was done before.

    Raises `InvalidData` (and `InvalidInput` for settings that don't fit the data) with every violation that was found, and
    `Unavailable` when the disk is full; then nothing is left behind.
    """
    out = pathlib.Path(out)
    if isinstance(task, str):
        if task not in entries.tasks:
            raise InvalidInput.at("task", entries.tasks.unknown(task), reason="UNKNOWN_ID")
        task = entries.tasks[task]
    for given in filter(None, (source, test_source)):
        given.head(1) if not given.path.is_dir() else None
    content = source.digest()
    key = _key(spec, task, source, content, test_source)
    if (opened := _opened(out)) is not None and opened.meta.key == key:
        return opened
    temporary = out.with_name(f".{out.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        (temporary / "test").mkdir(parents=True)
        writer = Writer(temporary)
        meta = _write(spec, task, source, test_source, writer, key)
        temporal = meta.profile.changed(temporal=spec.data.time_column is not None)
        writer.meta(meta.changed(profile=temporal, content=content))
        _replace(temporary, out)
    except OSError as fault:
        if fault.errno in (errno.ENOSPC, errno.EDQUOT):
            raise readers.disk_full(fault, "The prepared data can't be written") from fault
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return PreparedDataset.open(out)


def _opened(out: pathlib.Path) -> PreparedDataset | None:
    """What lies at the place already; None when nothing does, or what an older release left there."""
    if not (out / "meta.json").exists():
        return None
    try:
        return PreparedDataset.open(out)
    except Internal:
        return None


def _write(
    spec: JobSpec, task: entries.Task, source: Source, test_source: Source | None, writer: Writer, key: str
) -> PreparedMeta:
    """Writes everything but `meta.json` and returns its content."""
    data = readers.read(source, spec.data.target)
    test = None
    try:
        test = None if test_source is None else readers.read(_like(test_source, data), spec.data.target)
        if any(_form(read) not in task.forms for read in (data, test) if read is not None):
            raise _wrong_form(task, source, test_source, data, test)
        meta = _PREPARE[task.modality](spec, task, data, test, writer, key)
    finally:
        for opened in (data, test):
            if isinstance(opened, FilePictures):
                opened.container.close()
    return meta


def _like(test_source: Source, data: readers.Data) -> Source:
    """The test source, which has no header when the data have none."""
    if isinstance(data, Table) and not data.has_header and test_source.has_header is None:
        return Source(test_source.path, test_source.filename, test_source.info, False)
    return test_source


def _form(data: readers.Data) -> Modality:
    """The form of a data set that was read."""
    if isinstance(data, Table):
        return Modality.TABLE
    return Modality.SERIES if isinstance(data, Series) else Modality.IMAGE


def _wrong_form(
    task: entries.Task, source: Source, test_source: Source | None, data: readers.Data, test: readers.Data | None
) -> InvalidData:
    found = [
        Violation(field=given.filename, message=f"{task.id} takes {task.takes}, but this is of the form {read.format}",
                  reason="WRONG_MODALITY")
        for given, read in ((source, data), (test_source, test))
        if given is not None and read is not None and _form(read) not in task.forms
    ]
    return InvalidData(found)


def _key(spec: JobSpec, task: entries.Task, source: Source, content: str, test_source: Source | None) -> str:
    return model.digest({
        "layout": LAYOUT, "task": task.id, "data": spec.data.to_dict(), "metric": spec.metric, "seed": spec.search.seed,
        "source": content, "has_header": source.has_header,
        "test": None if test_source is None else test_source.digest(),
        "test_has_header": None if test_source is None else test_source.has_header,
    })


def _replace(temporary: pathlib.Path, out: pathlib.Path) -> None:
    """Moves a finished folder to its place; an older one there is taken away first."""
    for folder in (temporary / "test", temporary):
        _sync(folder)
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        aside = out.with_name(f".{out.name}.{os.getpid()}.old")
        shutil.rmtree(aside, ignore_errors=True)
        out.rename(aside)
        temporary.rename(out)
        shutil.rmtree(aside, ignore_errors=True)
    else:
        temporary.rename(out)
    _sync(out.parent)


def _sync(folder: pathlib.Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
