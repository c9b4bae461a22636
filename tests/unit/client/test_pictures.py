"""Pictures for prediction are decoded as training decodes them, from every place where they may lie."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from automl.data import pictures as engine
from automl_client import errors, pictures

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def encoded(picture: Image.Image, form: str = "PNG", **options) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def palette_with_transparency() -> bytes:
    made = Image.fromarray(COLOUR).convert("P")
    return encoded(made, transparency=made.getpixel((0, 0)))


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(Image.fromarray(COLOUR), "JPEG", exif=exif)


FILES = {
    "rgb": encoded(Image.fromarray(COLOUR)),
    "grey": encoded(Image.fromarray(COLOUR[..., 0])),
    "jpeg": encoded(Image.fromarray(np.kron(COLOUR, np.ones((8, 8, 1), np.uint8))), "JPEG"),
    "rgba": encoded(Image.fromarray(np.dstack([COLOUR, COLOUR[..., 0]]))),
    "16-bit": encoded(Image.fromarray(COLOUR[..., 0].astype(np.uint16) * 257)),
    "1-bit": encoded(Image.fromarray(COLOUR[..., 0] > 128)),
    "palette": palette_with_transparency(),
    "cmyk": encoded(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"),
    "float": encoded(Image.fromarray(COLOUR[..., 0].astype(np.float32) / 255), "TIFF"),
    "turned": turned(),
    "gif": encoded(Image.fromarray(COLOUR), "GIF", save_all=True, append_images=[Image.fromarray(255 - COLOUR)]),
}


@pytest.mark.parametrize("size", [(20, 30, 3), (8, 8, 1), (32, 16, 3)], ids=str)
@pytest.mark.parametrize("name", FILES)
def test_a_picture_is_decoded_as_training_decodes_it(name, size):
    with engine.open_picture(FILES[name]) as opened:
        expected = engine.to_array(opened, size)
    np.testing.assert_array_equal(pictures.decode(FILES[name], size), expected)


SIZE = (20, 30, 3)


def all_of(path, size=SIZE):
    names, images = [], []
    for block_names, block in pictures.blocks(path, size):
        names += block_names
        images.append(block)
    return names, np.concatenate(images)


@pytest.fixture
def folder(tmp_path):
    for name in ("b/2.png", "a/1.png", "a/.hidden.png", "a/notes.txt"):
        (tmp_path / "pets" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pets" / name).write_bytes(FILES["rgb"])
    return tmp_path / "pets"


def test_a_folder_in_the_order_of_names(folder):
    names, images = all_of(folder)
    assert names == ["a/1.png", "b/2.png"]
    assert images.shape == (2, *SIZE)
    np.testing.assert_array_equal(images[0], COLOUR)


def test_a_zip(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as archive:
        for name in ("b/2.png", "a/1.png", "__MACOSX/a/1.png"):
            archive.writestr(name, FILES["rgb"])
    assert all_of(tmp_path / "pets.zip")[0] == ["a/1.png", "b/2.png"]


def test_a_single_picture(folder):
    assert all_of(folder / "a/1.png")[0] == ["1.png"]


@pytest.mark.parametrize("header", ["", "file,label\n"])
def test_a_csv_of_paths_has_one_prediction_a_row(folder, header):
    (folder / "list.csv").write_text(header + "b/2.png,x\na/1.png,y\nb/2.png,x\n")
    assert all_of(folder / "list.csv")[0] == ["b/2.png", "a/1.png", "b/2.png"]


def test_arrays(tmp_path):
    stack = np.stack([COLOUR, 255 - COLOUR])
    np.savez(tmp_path / "x.npz", x_test=stack, y_test=np.array([0, 1]))
    names, images = all_of(tmp_path / "x.npz")
    assert names == ["x.npz[0]", "x.npz[1]"]
    np.testing.assert_array_equal(images, stack)
    np.savez(tmp_path / "f.npz", images=(stack / 255).transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(all_of(tmp_path / "f.npz")[1], stack)


def test_idx(tmp_path):
    grey = COLOUR[None, ..., 0]
    data = b"\0\0\x08\x03" + struct.pack(">3I", *grey.shape) + grey.tobytes()
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(gzip.compress(data))
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(data)
    for name in ("t10k-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte"):
        np.testing.assert_array_equal(all_of(tmp_path / name, (20, 30, 1))[1][0, ..., 0], grey[0])
    (tmp_path / "t10k-images-idx3-ubyte").write_bytes(data[:-1])
    with pytest.raises(errors.InvalidData, match="declares"):
        all_of(tmp_path / "t10k-images-idx3-ubyte")


@pytest.mark.parametrize("shape", [(2, 20, 30), (2, 20, 30, 1), (2, 20, 30, 3), (2, 7, 9), (2, 7, 9, 3)], ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_are_fitted_as_training_fits_them(shape, channels):
    array = RNG.integers(0, 256, shape, dtype=np.uint8)
    size = (20, 30, channels)
    expected = np.zeros((2, *size), np.uint8)
    engine.ArrayPictures("x", "npz", array, None, ["", ""]).decode(np.arange(2), size, expected)
    np.testing.assert_array_equal(pictures.fit_array(array, size), expected)


def test_every_broken_picture_is_named(folder):
    (folder / "a/broken.png").write_bytes(FILES["rgb"][:60])
    (folder / "a/text.png").write_bytes(b"hello")
    (folder / "a/void.png").write_bytes(b"")
    with pytest.raises(errors.InvalidData) as caught:
        all_of(folder)
    said = str(caught.value)
    assert len(caught.value.violations) == 3
    assert all(f"a/{name}.png" in said for name in ("broken", "text", "void"))


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.npz", b"no zip", "no readable .npz"),
        ("x.docx", b"hello", "none of what"),
        ("x.csv", b"a,b\n1,2\n", "no column names pictures"),
        ("train-images-idx3-ubyte", b"\0\0\x09\x03", "no IDX file"),
    ],
)
def test_what_holds_no_pictures(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(errors.InvalidData, match=words):
        all_of(tmp_path / name)


def test_pickled_arrays_and_empty_places_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.array([{}], object))
    (tmp_path / "empty").mkdir()
    for path, words in (
        (tmp_path / "x.npz", "allow_pickle"),
        (tmp_path / "empty", "no pictures"),
        (tmp_path / "no", "no such"),
    ):
        with pytest.raises(errors.InvalidData, match=words):
            all_of(path)


def test_a_picture_of_too_many_pixels_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "MAX_PIXELS", 100)
    (tmp_path / "x.png").write_bytes(FILES["rgb"])
    with pytest.raises(errors.InvalidData, match="at most 100"):
        all_of(tmp_path / "x.png")
