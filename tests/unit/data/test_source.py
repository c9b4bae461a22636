"""Archives and folders: nothing is written, hostile entries and bombs are refused, caps are counted while reading."""

from __future__ import annotations

import gzip
import os
import zipfile

import pytest

from automl.data import source
from automl.data.limits import Limits
from automl.data.source import Folder, Source, Zip
from automl.spec import DatasetInfo, InvalidData, Modality
from tests.unit.data import planting


def reasons(tmp_path, content, limits=None):
    with pytest.raises(InvalidData) as caught:
        Zip(planting.source(tmp_path, "a.zip", content), *([limits] if limits else []))
    return [v.reason for v in caught.value.violations]


def entry(name, mode=0o100644):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "C:\\x", "C:/x", "..\\x", "a\0.csv"])
def test_names_that_lead_elsewhere_are_refused(tmp_path, name):
    content = planting.archive([("placeholder-name", b"x")])
    if "\0" in name:
        content = content.replace(b"placeholder-name", b"a\0aceholder-name")
    else:
        content = planting.archive([(name, b"x")])
    before = sorted(tmp_path.rglob("*"))
    assert reasons(tmp_path, content) == ["ARCHIVE_ENTRY"]
    assert len(sorted(tmp_path.rglob("*"))) == len(before) + 1


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o010644, 0o060660])
def test_links_and_devices_are_refused(tmp_path, mode):
    assert reasons(tmp_path, planting.archive([(entry("x", mode), b"/etc/passwd")])) == ["ARCHIVE_ENTRY"]


def test_every_hostile_entry_is_named(tmp_path):
    assert len(reasons(tmp_path, planting.archive([("../a", b""), ("/b", b""), ("fine", b"")]))) == 2


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_entries_of_one_name_are_refused(tmp_path):
    assert reasons(tmp_path, planting.archive([("a", b"1"), ("a", b"2")])) == ["ARCHIVE_ENTRY"]


def test_names_that_differ_in_case_only_are_two_files(tmp_path):
    packed = Zip(planting.source(tmp_path, "a.zip", planting.archive([("a.csv", b"1"), ("A.csv", b"2")])))
    assert {e.name: packed.read(e, 10) for e in packed.entries} == {"a.csv": b"1", "A.csv": b"2"}


def test_bombs_are_refused_by_what_they_declare(tmp_path):
    content = planting.archive([("zeros", bytes(2**20))])
    assert reasons(tmp_path, content, Limits(archive_ratio_from=2**19)) == ["ARCHIVE_BOMB"]
    assert reasons(tmp_path, content, Limits(archive_bytes=2**19)) == ["TOO_LARGE"]
    assert reasons(tmp_path, planting.archive([(str(i), b"") for i in range(9)]), Limits(archive_entries=8)) == [
        "TOO_MANY_FILES"
    ]


def test_overlapping_entries_are_refused(tmp_path):
    content = planting.archive([("a", os.urandom(64)), ("b", os.urandom(64))])
    directory = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", directory + 4)
    # The second entry's directory record is pointed at the first one's data.
    content = content[: second + 42] + b"\0\0\0\0" + content[second + 46 :]
    assert "ARCHIVE_BOMB" in reasons(tmp_path, content)


def test_caps_hold_while_reading_whatever_was_declared(tmp_path):
    packed = Zip(
        planting.source(tmp_path, "a.zip", planting.archive([("a", b"x" * 100), ("b", b"x" * 100)])),
        Limits(archive_bytes=250),
    )
    with pytest.raises(InvalidData, match="larger than the 50 bytes"):
        packed.read(packed.entries[0], 50)
    packed._limits = Limits(archive_bytes=150)
    packed.read(packed.entries[0], 100)
    with pytest.raises(InvalidData, match="larger than the 150 bytes"):
        packed.read(packed.entries[1], 100)


def test_damage_is_named(tmp_path):
    content = bytearray(planting.archive([("a.csv", os.urandom(200))]))
    content[80] ^= 0xFF
    packed = Zip(planting.source(tmp_path, "a.zip", bytes(content)))
    with pytest.raises(InvalidData, match=r"a.zip, a.csv: is damaged"):
        packed.read(packed.entries[0], 1000)
    with pytest.raises(InvalidData, match="no readable zip"):
        Zip(planting.source(tmp_path, "b.zip", b"PK\x03\x04 and nothing more"))


def test_what_systems_leave_behind_is_ignored(tmp_path):
    files = [("a/x.png", b"1"), ("__MACOSX/a/x.png", b""), ("a/.DS_Store", b""), ("a/Thumbs.db", b"")]
    packed = Zip(planting.source(tmp_path, "a.zip", planting.archive(files)))
    assert ([e.name for e in packed.entries], packed.ignored) == (["a/x.png"], 3)


def test_folders_do_not_follow_links(tmp_path):
    (tmp_path / "secret").write_text("s")
    (tmp_path / "data" / "in").mkdir(parents=True)
    (tmp_path / "data" / "in" / "x.csv").write_text("x")
    (tmp_path / "data" / "link").symlink_to(tmp_path / "secret")
    folder = Folder(Source(tmp_path / "data"))
    assert ([e.name for e in folder.entries], folder.ignored) == (["in/x.csv"], 1)


def test_gzip_is_unpacked_under_the_cap(tmp_path):
    packed = planting.source(tmp_path, "a.csv.gz", gzip.compress(b"x" * 1000))
    assert source.read_file(packed) == b"x" * 1000
    with pytest.raises(InvalidData, match="larger than the 999 bytes"):
        source.read_file(packed, Limits(table_bytes=999))
    with pytest.raises(InvalidData, match="cut short"):
        source.read_file(planting.source(tmp_path, "a.gz", gzip.compress(os.urandom(1000))[:-20]))


def test_a_source_knows_its_header_from_its_inspection(tmp_path):
    info = DatasetInfo(modality=Modality.TABLE, format="csv", rows=1, has_header=False)
    given = {"path": str(tmp_path / "x"), "filename": "d.csv", "info": info.to_dict()}
    assert Source.from_dict(given).has_header is False
    assert Source(tmp_path / "x.csv").filename == "x.csv"
    with pytest.raises(InvalidData, match=r"gone.csv: there is no such file"):
        Source(tmp_path / "none", "gone.csv").head(2)


def test_digests_are_those_of_the_content(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text("x")
    assert Source(tmp_path / "one").digest() == Source(tmp_path / "two").digest()
    (tmp_path / "two" / "a").write_text("y")
    assert Source(tmp_path / "one").digest() != Source(tmp_path / "two").digest()
