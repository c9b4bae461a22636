"""Recognises the form of a data set by its bytes (names lie) and reads it."""

from __future__ import annotations

import pathlib

from automl.data import delimited, examples, idx, npz, parquet, picture_files, source, text_files, tfrecords, ts_files
from automl.data.limits import LIMITS, Limits
from automl.data.pictures import ArrayPictures, FilePictures
from automl.data.series import Series
from automl.data.source import Container, Entry, Source
from automl.data.table import Table
from automl.spec.errors import InvalidData, Unavailable

FORMS = (
    "CSV, TSV or Parquet (also .gz); TFRecord of tf.train.Example; series as .ts; a zip, tar or folder with one folder of "
    "pictures or of .txt files a class, or with pictures and a CSV of paths and labels; .npz with x and y; IDX files as "
    "MNIST has them"
)
_FOREIGN = (
    (b"\xd0\xcf\x11\xe0", "an old Office file", "Save the sheet as CSV."),
    (b"\x89HDF", "an HDF5 file", "Export it to CSV, Parquet or .npz."),
    (b"%PDF", "a PDF", ""),
    (b"\x93NUMPY", "a single NumPy array", "Save pictures and labels together: numpy.savez_compressed(file, x=…, y=…)."),
    (b"\x80\x04", "a Python pickle, which is a program and never opened", "Save it as CSV, Parquet or .npz."),
    (b"7z\xbc\xaf", "a 7z archive", "Pack it as zip."),
    (b"Rar!", "a RAR archive", "Pack it as zip."),
    (b"BZh", "a bzip2 file", "Pack it as gzip or zip."),
    (b"\xfd7zXZ", "an xz file", "Pack it as gzip or zip."),
    (b"\xff\xd8\xff", "a single picture", "Give a zip with one folder of pictures a class."),
    (b"\x89PNG", "a single picture", "Give a zip with one folder of pictures a class."),
)

Data = Table | Series | ArrayPictures | FilePictures


def read(data: Source, target: str | None = None, limits: Limits = LIMITS) -> Data:
    """Reads tables, series and arrays of pictures whole, and of picture files the names (their bytes are read when decoded).

    Raises `InvalidData` naming the place of every fault, and what forms are taken when the form is none of them.
    """
    if not data.path.is_dir() and not data.head(1):
        raise InvalidData.at(data.filename, "is empty (0 bytes).", "Give a table, pictures or texts.", "EMPTY")
    if (container := source.container(data, limits)) is not None:
        return _container(container, data, target, limits)
    content = source.read_file(data, limits)
    return _file(content, data.filename, data.has_header, target, limits)


def _file(
    content: bytes, filename: str, has_header: bool | None, target: str | None, limits: Limits
) -> Table | Series | FilePictures:
    if tfrecords.is_tfrecord(content, filename):
        return examples.read([(filename, content)], filename, target, limits)
    for magic, what, remedy in _FOREIGN:
        if content.startswith(magic):
            raise InvalidData.at(filename, f"is {what}; expected {FORMS}.", remedy, "UNKNOWN_FORM")
    if content.startswith(b"\0\0\x08") and len(content) > 3 and content[3] in (1, 3, 4):
        raise InvalidData.at(filename, "is a single IDX file.", "Give images and labels together, in a zip.", "UNKNOWN_FORM")
    if content.startswith(parquet.MAGIC):
        return parquet.read(content, filename, limits)
    if ts_files.is_ts(content, filename):
        return ts_files.read(content, filename, limits)
    return delimited.read(content, filename, has_header, limits)


def _container(container: Container, data: Source, target: str | None, limits: Limits) -> Data:
    try:
        return _content(container, data, target, limits)
    except BaseException:
        container.close()
        raise


def _content(container: Container, data: Source, target: str | None, limits: Limits) -> Data:
    entries = container.entries
    names = ", ".join(e.name for e in entries[:5]) + (" …" if len(entries) > 5 else "")
    if not entries:
        raise InvalidData.at(data.filename, "holds no files.", f"Give {FORMS}.", "EMPTY")
    if any(e.name in ("[Content_Types].xml", "mimetype") for e in entries):
        raise InvalidData.at(data.filename, "is an Office document.", "Save the sheet as CSV.", "UNKNOWN_FORM")
    if isinstance(container, source.Zip) and npz.is_npz(container):
        return npz.read(container, limits)
    if any(idx.is_idx(e) for e in entries):
        return idx.read(container, limits)
    if any(picture_files.is_picture(e) for e in entries):
        return picture_files.read(container, target, limits)
    if text_files.are_texts(entries):
        return text_files.read(container, limits)
    if shards := [e for e in entries if tfrecords.is_name(e.name)]:
        return _shards(container, shards, target, limits)
    suffixes = (".csv", ".tsv", ".tab", ".parquet", ".ts")
    tables = [e for e in entries if pathlib.PurePosixPath(e.name.lower().removesuffix(".gz")).suffix in suffixes]
    if not tables and len(entries) == 1:
        tables = list(entries)
    if len(tables) == 1:
        content = container.read(tables[0], limits.table_bytes)
        if content.startswith(source.GZIP):
            content = source.unpack_gzip(content, limits.table_bytes, data.filename)
        return _file(content, f"{data.filename}, {tables[0].name}", data.has_header, target, limits)
    if tables:
        raise InvalidData.at(
            data.filename, f"holds several tables ({names}).",
            "Give one as the data, and another as the separate test data.", "SEVERAL_TABLES",
        )
    raise InvalidData.at(
        data.filename, f"holds nothing that can be learnt from ({names}); expected {FORMS}", "", "UNKNOWN_FORM"
    )


def _shards(container: Container, shards: list[Entry], target: str | None, limits: Limits) -> Table | FilePictures:
    """TFRecord files side by side, in the order of their names, as one data set."""
    files, left = [], limits.table_bytes
    for entry in shards:
        content = container.read(entry, left)
        if content.startswith(source.GZIP):
            content = source.unpack_gzip(content, left, f"{container.filename}, {entry.name}")
        left -= len(content)
        files.append((f"{container.filename}, {entry.name}", content))
    container.close()
    return examples.read(files, container.filename, target, limits)


def disk_full(fault: OSError, what: str) -> Unavailable:
    """The error for a disk that has no room left."""
    return Unavailable(f"{what}: {fault.strerror or fault}. Make room, or point the work folder to another disk.")
