"""Raw rows of pictures: uint8 [h, w, channels], resized when read, otherwise as the model takes them. See the package for
the functions."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from automl.export import raw

if TYPE_CHECKING:
    import numpy as np

SAMPLE_BYTES = 16_384
"""Of all sample pictures together: they travel in artifacts whose size is counted in kilobytes."""


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


def samples(prepared: Any, count: int) -> list[dict[str, Any]]:
    """`{"image": {"shape": [h, w, ch], "dtype": "uint8", "data": base64 of the bytes}}`, as many as `SAMPLE_BYTES` hold."""
    images = prepared.inputs("validation")["image"]
    shape = [int(n) for n in images.shape[1:]]
    count = max(1, min(count, SAMPLE_BYTES // math.prod(shape)))
    return [
        {"image": {"shape": shape, "dtype": "uint8", "data": base64.b64encode(picture.tobytes()).decode()}}
        for picture in images[:count]
    ]


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
