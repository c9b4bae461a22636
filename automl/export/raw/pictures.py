"""Raw rows of pictures: uint8 [h, w, channels], resized when read, otherwise as the model takes them. See the package for
the functions."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.export import raw

if TYPE_CHECKING:
    import numpy as np

SAMPLE_BYTES = 500
"""A sample picture that takes more compressed is made coarser: it travels in artifacts that count their kilobytes…"""
BLOCKS = 8
"""… and shows so many blocks of one colour in a row and in a column then."""


def read(data: Path, preprocess: Mapping[str, Any]) -> raw.Rows:
    from automl.export import picture_rows

    names, found = picture_rows.read(data, (preprocess["height"], preprocess["width"], preprocess["channels"]))
    return raw.Rows(len(names), {"image": found}, names, "file")


def prepared(preprocess: Mapping[str, Any], inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    import numpy as np

    return {name: np.asarray(value) for name, value in inputs.items()}


def encode(preprocess: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    return dict(columns)


def typed(preprocess: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    return dict(columns)


def has_raw(preprocess: Mapping[str, Any]) -> bool:
    return False


def samples(prepared: Any, count: int) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
    """`{"image": {"shape": [h, w, ch], "dtype": "uint8", "data": base64 of the bytes}}`; one that does not compress well
    is there as blocks of one colour."""
    import numpy as np

    images = np.stack([_small(np.asarray(one)) for one in prepared.inputs("validation")["image"][:count]])
    shape = [int(n) for n in images.shape[1:]]
    data = [base64.b64encode(one.tobytes()).decode() for one in images]
    return [{"image": {"shape": shape, "dtype": "uint8", "data": one}} for one in data], {"image": images}


def _small(picture: np.ndarray) -> np.ndarray:
    """uint8 [h, w, channels], coarser where it takes more than `SAMPLE_BYTES`."""
    import numpy as np

    if len(zlib.compress(base64.b64encode(picture.tobytes()), 9)) <= SAMPLE_BYTES:
        return picture
    down, right = (np.minimum(BLOCKS, size) * np.arange(size) // size for size in picture.shape[:2])
    coarse = np.zeros((down[-1] + 1, right[-1] + 1, picture.shape[2]))
    np.add.at(coarse, (down[:, None], right[None, :]), picture)
    coarse /= np.outer(np.bincount(down), np.bincount(right))[:, :, None]
    return np.round(coarse).astype(np.uint8)[down[:, None], right[None, :]]


def graph(preprocess: Mapping[str, Any], model: Any) -> Any:
    import tensorflow as tf

    class Pictures(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.signature = [tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.uint8, name="image")]

        def encode(self, columns: Any) -> dict[str, Any]:
            return {"image": columns[0]}

    return Pictures()


def columns_of(preprocess: Mapping[str, Any]) -> dict[str, str]:
    return {"image": "image"}


def card_inputs(preprocess: Mapping[str, Any], format: str) -> list[str]:
    h, w, ch = preprocess["height"], preprocess["width"], preprocess["channels"]
    return [f"Input `image`: uint8 [batch, {h}, {w}, {ch}], values 0 to 255."]


def card_names(preprocess: Mapping[str, Any]) -> list[str]:
    return ["image"]


def card_preprocessing(preprocess: Mapping[str, Any], format: str) -> list[str]:
    size = f"{preprocess['height']} × {preprocess['width']} ({preprocess.get('resize', 'bilinear')})"
    return [f"Pictures are resized to {size} before they come in; scaling happens inside the model."]
