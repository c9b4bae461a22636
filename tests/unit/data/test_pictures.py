"""Pictures in folders, zips, manifests and arrays: labels, parts, sizes, modes, and what can't be read."""

from __future__ import annotations

import gzip
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from automl.data import inspection, pictures, readers
from automl.data.source import Source
from automl.spec import ColumnKind, InvalidData, Modality
from tests.unit.data import planting

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (30, 8, 6, 3), np.uint8)
Y = np.arange(30) % 3


def inspect(tmp_path, name, content):
    return inspection.inspect(planting.source(tmp_path, name, content))


def violations(tmp_path, name, content):
    with pytest.raises(InvalidData) as caught:
        inspect(tmp_path, name, content)
    return caught.value.violations


def checks(info):
    return {finding.check for finding in info.findings}


@pytest.mark.parametrize("root", ["", "pets/", "a/b/c/"])
def test_class_folders_under_any_root(tmp_path, root):
    info = inspect(tmp_path, "p.zip", planting.archive(planting.class_folders(root=root)))
    assert (info.modality, info.format, info.rows, info.image_shape) == (Modality.IMAGE, "image-folder", 24, (10, 12, 3))
    label = info.column("label")
    assert label is not None
    assert (label.kind, label.top, info.parts) == (ColumnKind.CATEGORICAL, (("cat", 12), ("dog", 12)), ())


def test_parts_above_the_classes(tmp_path):
    files = [f for root in ("r/train/", "r/valid/", "r/Test/") for f in planting.class_folders(5, root=root)]
    info = inspect(tmp_path, "p.zip", planting.archive(files))
    assert info.parts == (("train", 10), ("validation", 10), ("test", 10))


def test_a_part_that_is_the_only_folder_is_no_class(tmp_path):
    info = inspect(tmp_path, "p.zip", planting.archive(planting.class_folders(5, root="pets/train/")))
    assert info.parts == (("train", 10),)
    assert info.columns[0].distinct == 2


def test_classes_named_like_parts_are_classes_without_a_train_folder(tmp_path):
    info = inspect(tmp_path, "p.zip", planting.archive(planting.class_folders(5, classes=("test", "control"))))
    assert (info.parts, info.columns[0].distinct) == ((), 2)


def test_a_folder_on_disk_is_read_as_a_zip_is(tmp_path):
    for name, content in planting.class_folders(4):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).write_bytes(content)
    assert inspection.inspect(Source(tmp_path / "pets")).rows == 8


def test_other_files_and_loose_pictures_are_left_out_and_said(tmp_path):
    extra = [("readme.txt", b"x"), ("loose.png", planting.picture())]
    info = inspect(tmp_path, "p.zip", planting.archive(planting.class_folders() + extra))
    assert info.rows == 24
    assert checks(info) == {"ignored-files", "pictures-without-class"}


def test_a_few_unreadable_pictures_are_left_out_and_named(tmp_path):
    broken = planting.picture((1, 2, 3), (300, 300), format="JPEG")
    info = inspect(
        tmp_path, "p.zip", planting.archive([*planting.class_folders(25), ("cat/cut.jpg", broken[: len(broken) // 2])])
    )
    finding = next(f for f in info.findings if f.check == "unreadable-pictures")
    assert "1 of 51" in finding.message
    assert "cat/cut.jpg" in finding.message


@pytest.mark.parametrize("content", [b"", b"no picture", b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_too_many_unreadable_pictures_end_with_the_list(tmp_path, content):
    found = violations(
        tmp_path, "p.zip", planting.archive(planting.class_folders(10) + [(f"cat/bad{i}.png", content) for i in range(3)])
    )
    assert found[0].reason == "PICTURES_UNREADABLE"
    assert [v.field for v in found[1:]] == [f"p.zip, cat/bad{i}.png" for i in range(3)]


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(tmp_path):
    bomb = bytearray(planting.picture(1, mode="1"))
    bomb[16:24] = struct.pack(">II", 50_000, 50_000)
    # The header's checksum is mended, so that nothing but the size is wrong.
    bomb[29:33] = struct.pack(">I", zlib.crc32(bytes(bomb[12:29])))
    info = inspect(tmp_path, "p.zip", planting.archive([*planting.class_folders(20), ("cat/bomb.png", bytes(bomb))]))
    assert "pixels" in next(f for f in info.findings if f.check == "unreadable-pictures").message


def test_one_class_and_no_class_are_refused(tmp_path):
    assert violations(tmp_path, "p.zip", planting.archive(planting.class_folders(classes=("cat",))))[0].reason == "ONE_CLASS"
    flat = [(f"{i}.png", planting.picture()) for i in range(5)]
    assert violations(tmp_path, "p.zip", planting.archive(flat))[0].reason == "NO_LABELS"


MODES = [
    ("1", 1, "PNG"),
    ("L", 200, "PNG"),
    ("LA", (200, 128), "PNG"),
    ("P", 3, "GIF"),
    ("RGB", (1, 2, 3), "BMP"),
    ("RGBA", (9, 9, 9, 0), "PNG"),
    ("CMYK", (0, 255, 255, 0), "JPEG"),
    ("I;16", 40_000, "PNG"),
    ("F", 0.5, "TIFF"),
    ("RGB", (7, 7, 7), "WEBP"),
    ("L", 7, "PPM"),
]


@pytest.mark.parametrize(("mode", "color", "form"), MODES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_mode_becomes_bytes(mode, color, form, channels):
    with pictures.open_picture(planting.picture(color, mode=mode, format=form)) as picture:
        array = pictures.to_array(picture, (4, 5, channels))
    assert (array.shape, array.dtype) == ((4, 5, channels), np.uint8)


@pytest.mark.parametrize(
    ("mode", "color", "form", "value"),
    [
        ("1", 1, "PNG", 255),
        ("RGBA", (9, 9, 9, 0), "PNG", 255),
        ("I;16", 65_535, "PNG", 255),
        ("I;16", 25_700, "PNG", 100),
        ("F", 0.5, "TIFF", 127),
    ],
)
def test_modes_keep_their_brightness(mode, color, form, value):
    with pictures.open_picture(planting.picture(color, mode=mode, format=form)) as picture:
        assert pictures.to_array(picture, (2, 2, 1))[0, 0, 0] == value


def test_pictures_are_turned_upright():
    array = np.zeros((8, 16, 3), np.uint8)
    array[:, :4] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG", exif=exif)
    with pictures.open_picture(file.getvalue()) as picture:
        assert pictures.size_of(picture) == (16, 8, 3)
        upright = pictures.to_array(picture, (16, 8, 3))
    assert upright[:4].min() == 255
    assert upright[4:].max() == 0


def test_the_first_frame_of_a_moving_picture_is_taken():
    file = io.BytesIO()
    frames = [Image.new("RGB", (4, 4), color) for color in ("white", "black")]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    with pictures.open_picture(file.getvalue()) as picture:
        assert pictures.to_array(picture, (4, 4, 1)).min() == 255


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28, 1)] * 5, (28, 28, 1)),
        ([(28, 28, 1)] * 4 + [(30, 30, 3)], (28, 28, 3)),
        ([(200, 100, 3)] * 3, (96, 48, 3)),
        ([(10, 20, 3), (20, 40, 3), (30, 60, 3)], (20, 40, 3)),
        ([(4000, 1, 3)], (96, 1, 3)),
    ],
)
def test_the_size_to_train_on(sizes, expected):
    assert pictures.common_size(np.array(sizes)) == expected


def test_mixed_sizes_and_modes_are_said(tmp_path):
    files = [*planting.class_folders(6), ("cat/grey.png", planting.picture(9, (30, 40), "L"))]
    assert {"picture-sizes", "picture-modes"} <= checks(inspect(tmp_path, "p.zip", planting.archive(files)))


# --- manifests ---------------------------------------------------------------------------------


def shots(n=10):
    return [(f"img/{i}.png", planting.picture((i, 0, 0))) for i in range(n)]


@pytest.mark.parametrize(
    ("manifest", "path"),
    [
        ("path,label\n" + "".join(f"img/{i}.png,{'ab'[i % 2]}\n" for i in range(10)), "labels.csv"),
        ("label,file\n" + "".join(f"{'ab'[i % 2]},{i}.png\n" for i in range(10)), "img/labels.csv"),
        ("id,breed\n" + "".join(f"{i},{'ab'[i % 2]}\n" for i in range(10)), "labels.csv"),
        ("path\tclass\tother\n" + "".join(f".\\img\\{i}.png\t{'ab'[i % 2]}\tz\n" for i in range(10)), "labels.tsv"),
    ],
)
def test_manifests_name_pictures_by_path_name_or_stem(tmp_path, manifest, path):
    info = inspect(tmp_path, "p.zip", planting.archive([*shots(), (path, manifest.encode())]))
    assert (info.format, info.rows) == ("image-manifest", 10)
    assert info.columns[0].name == "label"
    assert info.columns[0].top == (("a", 5), ("b", 5))


def test_a_manifest_that_names_what_is_not_there(tmp_path):
    rows = "".join(f"img/{i}.png,{'ab'[i % 2]}\n" for i in range(14))
    found = violations(tmp_path, "p.zip", planting.archive([*shots(), ("l.csv", b"path,label\n" + rows.encode())]))
    assert found[0].reason == "PICTURES_MISSING"
    assert found[1].field == "p.zip, l.csv, row 11, column 'path'"


def test_a_manifest_whose_label_is_not_clear(tmp_path):
    rows = "".join(f"img/{i}.png,a,b\n" for i in range(10))
    assert (
        violations(tmp_path, "p.zip", planting.archive([*shots(), ("l.csv", b"path,one,two\n" + rows.encode())]))[0].reason
        == "NO_LABELS"
    )


# --- arrays ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arrays",
    [
        {"x": X, "y": Y},
        {"images": X, "labels": np.array(["a", "b", "c"])[Y]},
        {"x": X / 255.0, "y": np.eye(3)[Y]},
        {"x": X.transpose(0, 3, 1, 2), "y": Y[:, None]},
        {"x": X[..., 0].astype(np.int64), "y": Y.astype(float)},
    ],
)
def test_npz_forms(tmp_path, arrays):
    info = inspect(tmp_path, "a.npz", planting.npz(**arrays))
    assert (info.format, info.rows, info.columns[0].distinct) == ("npz", 30, 3)
    assert info.image_shape is not None
    assert info.image_shape[:2] == (8, 6)


def test_npz_with_parts(tmp_path):
    info = inspect(tmp_path, "a.npz", planting.npz(x_train=X, y_train=Y, x_test=X[:9], y_test=Y[:9]))
    assert info.parts == (("train", 30), ("test", 9))


def test_npz_values_are_read_exactly(tmp_path):
    data = readers.read(planting.source(tmp_path, "a.npz", planting.npz(x=np.asfortranarray(X / 255.0), y=Y)))
    assert isinstance(data, pictures.ArrayPictures)
    np.testing.assert_array_equal(data.images, X)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x": X, "y": np.array(["a", 1] * 15, object)}, "PICKLED"),
        ({"x": X}, "ARRAYS_MISSING"),
        ({"other": X}, "ARRAYS_MISSING"),
        ({"x": X, "y": Y, "x_test": X, "y_test": Y}, "ARRAYS_MISSING"),
        ({"x": X, "y": Y[:-1]}, "UNREADABLE"),
        ({"x": X.reshape(30, -1), "y": Y}, "UNREADABLE"),
        ({"x": X, "y": Y + 0.5}, "UNREADABLE"),
        ({"x": X - 1000.0, "y": Y}, "UNREADABLE"),
        ({"x": X * np.nan, "y": Y}, "UNREADABLE"),
        ({"x_train": X, "y_train": Y, "x_test": X[:, :4], "y_test": Y}, "UNREADABLE"),
    ],
)
def test_npz_faults(tmp_path, arrays, reason):
    found = violations(tmp_path, "a.npz", planting.npz(**arrays))
    assert found[0].reason == reason
    assert found[0].field.startswith("a.npz")


def test_an_array_that_declares_more_than_it_holds_is_refused_before_allocation(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (2**35,)})
    lie = [("x.npy", header.getvalue() + b"abc"), ("y.npy", header.getvalue())]
    assert "declares" in violations(tmp_path, "a.npz", planting.archive(lie))[0].message


def mnist(parts, zipped=True):
    pack = gzip.compress if zipped else bytes
    return [
        (f"m/{prefix}-{what}-ubyte" + (".gz" if zipped else ""), pack(planting.idx(array)))
        for prefix, images, labels in parts
        for what, array in (("images-idx3", images), ("labels-idx1", labels))
    ]


@pytest.mark.parametrize("zipped", [True, False])
def test_idx_files(tmp_path, zipped):
    info = inspect(
        tmp_path, "m.zip", planting.archive(mnist([("train", X[..., 0], Y), ("t10k", X[:9, ..., 0], Y[:9])], zipped))
    )
    assert (info.format, info.rows, info.image_shape) == ("idx", 39, (8, 6, 1))
    assert info.parts == (("train", 30), ("test", 9))


@pytest.mark.parametrize(
    "files",
    [
        mnist([("train", X[..., 0], Y)])[:1],
        mnist([("train", X[..., 0], Y[:-1])]),
        mnist([("train", X[:, 0, 0, 0], Y)]),
        mnist([("train", X[..., 0], Y), ("t10k", X[:, :4, :, 0], Y)]),
        [(name, content[:-7]) for name, content in mnist([("train", X[..., 0], Y)], False)],
        [(name, b"\0\0\x0d\x03" + content[4:]) for name, content in mnist([("train", X[..., 0], Y)], False)],
    ],
)
def test_idx_faults(tmp_path, files):
    found = violations(tmp_path, "m.zip", planting.archive(files))
    assert found[0].reason == "UNREADABLE"
    assert found[0].field.startswith("m.zip, m/")


# --- what is none of it ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.zip", planting.archive([]), "EMPTY"),
        ("x.zip", planting.archive([("a.md", b""), ("b.md", b"")]), "UNKNOWN_FORM"),
        ("x.zip", planting.archive([("a.csv", b"a,b\n1,2\n"), ("b.csv", b"a,b\n1,2\n")]), "SEVERAL_TABLES"),
        ("x.xlsx", planting.archive([("[Content_Types].xml", b""), ("xl/a.xml", b"")]), "UNKNOWN_FORM"),
        ("x.png", planting.picture(), "UNKNOWN_FORM"),
        ("x.pkl", b"\x80\x04\x95abc", "UNKNOWN_FORM"),
        ("x.pdf", b"%PDF-1.4\n", "UNKNOWN_FORM"),
        ("x", b"", "EMPTY"),
        ("train-labels-idx1-ubyte", planting.idx(Y), "UNKNOWN_FORM"),
        ("x.npy", b"\x93NUMPY\x01\0", "UNKNOWN_FORM"),
        ("x.tar", b"\0" * 257 + b"ustar" + b"\0" * 250, "ARCHIVE_DAMAGED"),
    ],
)
def test_other_forms_are_named_with_what_is_taken(tmp_path, name, content, reason):
    assert violations(tmp_path, name, content)[0].reason == reason


def test_a_zip_with_one_table_is_that_table(tmp_path):
    info = inspect(tmp_path, "x.zip", planting.archive([("d/t.csv.gz", gzip.compress(b"a,b\n1,x\n2,y\n"))]))
    assert (info.format, info.rows) == ("csv", 2)


def test_a_broken_table_beside_class_folders_does_no_harm_but_a_broken_manifest_is_named(tmp_path):
    broken = ("notes.csv", b"a,b\n1\n2,3,4\n")
    assert inspect(tmp_path, "p.zip", planting.archive([*planting.class_folders(), broken])).rows == 24
    flat = [(f"{i}.png", planting.picture((i, 0, 0))) for i in range(5)]
    assert violations(tmp_path, "p.zip", planting.archive([*flat, broken]))[0].field == "p.zip, notes.csv, row 1"
