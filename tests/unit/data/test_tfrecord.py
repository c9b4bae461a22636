"""TFRecord files as data sets: TensorFlow's own writer is what is read, its reader reads what is written."""

from __future__ import annotations

import gzip
import io
import json
import struct

import numpy as np
import pytest

from automl.data import __main__ as command
from automl.data import inspection, prepare, readers, tfrecords
from automl.data.pictures import FilePictures
from automl.data.source import Source
from automl.data.table import Table
from automl.data.tfrecords import Feature
from automl.spec import InvalidData
from tests.unit.data import planting


def packed(*examples, damage=None):
    """The bytes of a file of examples; `damage` changes the records' bytes, a list of them."""
    records = []
    for one in examples:
        file = io.BytesIO()
        tfrecords.write(file, [one])
        records.append(bytearray(file.getvalue()))
    if damage is not None:
        damage(records)
    return b"".join(records)


def row(**values):
    kinds = {bytes: "bytes", str: "bytes", int: "int64", float: "float"}
    listed = {name: value if isinstance(value, list) else [value] for name, value in values.items()}
    return {
        name: Feature(kinds[type(v[0])], [x.encode() if isinstance(x, str) else x for x in v]) for name, v in listed.items()
    }


def read(tmp_path, content, name="d.tfrecord", target=None):
    return readers.read(planting.source(tmp_path, name, content), target)


def problems(caught):
    return {v.field: v.message for v in caught.value.violations}


def test_a_known_checksum():
    # RFC 3720, B.4: 32 bytes of zeros have the CRC-32C 8A9136AA; masked by the formula of the TFRecord form.
    crc = 0x8A9136AA
    assert tfrecords.masked(bytes(32)) == ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def test_what_tensorflow_writes_is_read_and_the_other_way_round(tmp_path):
    import tensorflow as tf

    def made(i):
        features = {
            "x": tf.train.Feature(float_list=tf.train.FloatList(value=[i / 10])),
            "n": tf.train.Feature(int64_list=tf.train.Int64List(value=[-i, 2**40])),
            "word": tf.train.Feature(bytes_list=tf.train.BytesList(value=["größe".encode()])),
        }
        return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()

    path = tmp_path / "t.tfrecord.gz"
    with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
        for i in range(30):
            writer.write(made(i))
    table = readers.read(Source(path))
    assert isinstance(table, Table)
    assert table.format == "tfrecord"
    assert list(table.columns) == ["n_0", "n_1", "word", "x"]
    cells = {name: [column.texts[c] for c in column.codes[:3]] for name, column in table.columns.items()}
    assert cells == {"n_0": ["0", "-1", "-2"], "n_1": [str(2**40)] * 3, "word": ["größe"] * 3, "x": ["0", "0.1", "0.2"]}
    out = tmp_path / "back.tfrecord"
    assert command.main(["convert", str(path), str(out)]) == 0
    parsed = [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(out))]
    assert len(parsed) == 30
    first = parsed[7].features.feature
    assert first["n_0"].int64_list.value[:] == [-7]
    assert first["x"].float_list.value[:] == [pytest.approx(0.7)]
    assert first["word"].bytes_list.value[:] == ["größe".encode()]


def test_damaged_records_are_all_named(tmp_path):
    def damage(records):
        records[1][-6] ^= 1  # data
        records[3][-1] ^= 1  # the data's checksum
        records[5] = records[5][:-7]

    content = packed(*(row(x=float(i)) for i in range(6)), damage=damage)
    with pytest.raises(InvalidData) as caught:
        read(tmp_path, content)
    told = problems(caught)
    assert list(told) == [f"d.tfrecord, record {n}" for n in (2, 4, 6)]
    assert "checksum" in told["d.tfrecord, record 2"]
    assert "cut short" in told["d.tfrecord, record 6"]


def test_a_wrong_length_ends_the_reading(tmp_path):
    def damage(records):
        records[2][0] ^= 1

    with pytest.raises(InvalidData) as caught:
        read(tmp_path, packed(*(row(x=float(i)) for i in range(5)), damage=damage))
    assert list(problems(caught)) == ["d.tfrecord, record 3"]
    assert "what follows can't be read" in str(caught.value)


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"not a message", b"\x12\x04\x0a\x02\x0a\x00"])
def test_records_that_are_no_examples_are_refused(tmp_path, data):
    head = struct.pack("<Q", len(data))
    content = head + struct.pack("<I", tfrecords.masked(head)) + data + struct.pack("<I", tfrecords.masked(data))
    with pytest.raises(InvalidData, match=r"record 1: is no .*tf\.train\.Example"):
        read(tmp_path, content)


def test_features_that_differ_are_all_named(tmp_path):
    rows = [row(x=1.0, w="a"), row(x=2, w="b"), row(w="c"), row(x=[1.0, 2.0], w=b"\xff\xfe")]
    with pytest.raises(InvalidData) as caught:
        read(tmp_path, packed(*rows))
    told = problems(caught)
    assert told["d.tfrecord, record 2, feature 'x'"].endswith("got 1 value of int64")
    assert told["d.tfrecord, record 4, feature 'x'"].endswith("got 2 values of float")
    assert "UTF-8" in told["d.tfrecord, record 4, feature 'w'"]
    assert len(told) == 3


def test_a_feature_that_lacks_is_a_missing_cell(tmp_path):
    table = read(tmp_path, packed(row(x=1.5, w="a"), row(w="b"), {"x": Feature("float", []), **row(w="c")}))
    assert table.columns["x"].rows_missing.tolist() == [False, True, True]


def test_a_table_is_prepared_as_its_csv_is(tmp_path):
    table = planting.table(300)
    csv, records = tmp_path / "d.csv", tmp_path / "d.tfrecord"
    csv.write_text(planting.csv(table))
    assert command.main(["convert", str(csv), str(records)]) == 0
    assert command.main(["convert", str(csv), str(tmp_path / "e.tfrecord")]) == 0
    assert records.read_bytes() == (tmp_path / "e.tfrecord").read_bytes()
    both = [
        prepare.prepare(planting.spec(target="label"), "tabular-classification", Source(path), None, tmp_path / path.suffix)
        for path in (csv, records)
    ]
    assert both[0].meta.parts == both[1].meta.parts
    by_name = [{c["name"]: c for c in data.meta.preprocess["columns"]} for data in both]
    assert by_name[0] == by_name[1]
    orders = [np.argsort(data.meta.preprocess["numeric"]) for data in both]
    left, right = (data.inputs("train")["numeric"][:, order] for data, order in zip(both, orders, strict=True))
    np.testing.assert_allclose(left, right, rtol=1e-6)


def pictures(count=24, **more):
    return [
        {**row(**{"image/encoded": planting.picture((10 * i, 0, 0)), "image/class/label": i % 2, "camera": f"c{i}"}), **more}
        for i in range(count)
    ]


def test_pictures(tmp_path):
    found = read(tmp_path, packed(*pictures()))
    assert isinstance(found, FilePictures)
    assert (found.format, found.labels[:3], set(found.columns)) == ("tfrecord", ["0", "1", "0"], {
        "image/class/label", "camera", "label",
    })
    data = prepare.prepare(
        planting.spec(), "image-classification", planting.source(tmp_path, "p.tfrecord", packed(*pictures())), None,
        tmp_path / "out",
    )
    assert data.meta.classes == ("0", "1")
    image, at = data.inputs("train")["image"], data.rows("train")
    np.testing.assert_array_equal(image[:, 0, 0, 0], 10 * at)
    assert read(tmp_path, packed(*pictures()), target="camera").labels[1] == "c1"


def test_a_picture_that_lacks_is_named(tmp_path):
    rows = pictures(40)
    del rows[4]["image/encoded"]
    info = inspection.inspect(planting.source(tmp_path, "p.tfrecord", packed(*rows)))
    told = next(f for f in info.findings if f.check == "unreadable-pictures")
    assert told.rows == (5,)
    assert "record 5: has no feature 'image/encoded'" in told.message
    for i in range(10):
        rows[i].pop("image/encoded", None)
    with pytest.raises(InvalidData, match="10 of 40 pictures can't be read"):
        inspection.inspect(planting.source(tmp_path, "p.tfrecord", packed(*rows)))


def test_shards_are_one_data_set_and_their_names_tell_the_part(tmp_path):
    rows = pictures(30)
    files = [
        ("train-00001-of-00002.tfrecord", packed(*rows[12:20])), ("train-00000-of-00002.tfrecord", packed(*rows[:12])),
        ("test.tfrecord.gz", gzip.compress(packed(*rows[20:]))), ("info.json", b"{}"),
    ]
    found = read(tmp_path, planting.archive(files), "p.zip")
    assert found.parts == ["test"] * 10 + ["train"] * 20
    assert found.name(10).endswith("train-00000-of-00002.tfrecord, record 1")
    tables = [(name, packed(row(x=1.0))) for name in ("train.tfrecord", "test.tfrecord")]
    with pytest.raises(InvalidData, match=r"shards of several parts \(test, train\)"):
        read(tmp_path, planting.archive(tables), "t.zip")


def test_pictures_are_written_and_read_again(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (24, 6, 5), np.uint8)
    (tmp_path / "p.npz").write_bytes(planting.npz(x_train=images[:16], y_train=np.arange(16) % 2,
                                                  x_test=images[16:], y_test=np.arange(8) % 2))
    out = tmp_path / "p.tfrecord"
    assert command.main(["convert", str(tmp_path / "p.npz"), str(out)]) == 0
    assert json.loads(capsys.readouterr().out) == {"examples": 24}
    found = readers.read(Source(out))
    decoded = np.zeros((24, 6, 5, 1), np.uint8)
    assert found.decode(np.arange(24), (6, 5, 1), decoded) == {}
    np.testing.assert_array_equal(decoded[..., 0], images)
    assert [found.columns["part"].texts[c] for c in found.columns["part"].codes[15:17]] == ["train", "test"]
    (tmp_path / "s.ts").write_text("@classLabel true a b\n@data\n1,2:a\n2,3:b\n")
    assert command.main(["convert", str(tmp_path / "s.ts"), str(tmp_path / "s.tfrecord")]) == 2
    assert not (tmp_path / "s.tfrecord").exists()


@pytest.mark.parametrize("content", [b"", b"x,y\n1,2\n"])
def test_other_bytes_under_that_name_are_told(tmp_path, content):
    with pytest.raises(InvalidData, match=r"is empty|record 1: "):
        read(tmp_path, content)
