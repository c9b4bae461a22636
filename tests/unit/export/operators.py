"""What operations a TFLite file asks a runtime for, by TensorFlow's own schema: the engine reads with another package's."""

from __future__ import annotations

import pathlib
import zipfile
from typing import Any


def beyond_builtin(content: bytes) -> list[str]:
    """The operations that TFLite itself lacks: custom ones and TensorFlow's ("FlexMatrixDeterminant"). They need a delegate
    or code of one's own. A file without operations would pass, so it fails."""
    from tensorflow.lite.python import schema_py_generated as schema

    model: Any = schema.Model.GetRootAs(content, 0)
    codes = [model.OperatorCodes(place) for place in range(model.OperatorCodesLength())]
    assert codes, "the file names no operations"
    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    found = []
    for code in codes:
        # Numbers up to 126 stand in the old field, of one byte, in files of either kind; 127 there says: see the new one.
        number = code.BuiltinCode() if code.DeprecatedBuiltinCode() == 127 else code.DeprecatedBuiltinCode()
        custom = code.CustomCode()
        if custom or number == schema.BuiltinOperator.CUSTOM or number not in names:
            found.append(custom.decode() if custom else names.get(number, f"number {number}"))
    return sorted(found)


def of_artifact(path: pathlib.Path) -> bytes | None:
    """The flatbuffer in a delivered file; None where its format has none."""
    if path.suffix == ".tflite":
        return path.read_bytes()
    if path.name.endswith(".microcontroller.zip"):
        with zipfile.ZipFile(path) as archive:
            return archive.read("model.tflite")
    return None
