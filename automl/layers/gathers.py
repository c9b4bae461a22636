"""Entries of tables by whole numbers that are known to lie inside.

`keras.ops.take` counts negative numbers from the end, and `take_along_axis` spreads out what it is given: under TensorFlow
that is five and eleven operations for one, each of which stands in every exported file. Under other backends they are taken
as they are.
"""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


def rows(table: Any, index: Any) -> Any:
    """`table` [n, …] at `index` int32 [a, …] → [a, …, …]."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.gather(table, index)
    return ops.take(table, index, axis=0)


def columns(table: Any, index: Any) -> Any:
    """The columns `index` int32 [k] of `table` [b, n] → [b, k]."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.gather(table, index, axis=1)
    return ops.take(table, index, axis=1)


def own(table: Any, index: Any) -> Any:
    """Of each row of `table` [b, n] the entries `index` int32 [b, k] → [b, k]."""
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.gather(table, index, axis=1, batch_dims=1)
    return ops.take_along_axis(table, index, axis=1)
