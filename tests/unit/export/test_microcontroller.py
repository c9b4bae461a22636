"""The format for microcontrollers: integers throughout, C++ that compiles, an arena that is just large enough."""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import zipfile
from typing import Any

import numpy as np
import pytest

from automl.export import _arena, _flatbuffer, _micro_source, candidate, companions, inference, microcontroller, verify
from tests.unit.export import planted
from tests.unit.export.test_formats import write

needs_micro = pytest.mark.skipif(not microcontroller.measurable(), reason="tflite-micro isn't installed (extra micro)")
SOURCES = os.environ.get("AUTOML_TFLM_SOURCES", "")
"""Folders for -I, with colons between: TensorFlow Lite Micro's sources, and the headers of flatbuffers, gemmlowp and ruy
that they include."""
LIBRARY = os.environ.get("AUTOML_TFLM_LIBRARY", "")
"""Its library, to link the example with. Read here: no test sees the variables of the person who runs it."""


@pytest.fixture(scope="module", params=["table", "pictures"])
def packed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[planted.Planted, pathlib.Path, Any]:
    """A model, its artifact, and what the exporter said."""
    model = request.getfixturevalue(request.param)
    artifact, said = write(model, tmp_path_factory.mktemp("micro"), "microcontroller", "int8")
    return model, artifact, said


def members(artifact: pathlib.Path) -> dict[str, bytes]:
    with zipfile.ZipFile(artifact) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_every_tensor_is_an_integer_and_every_operation_known(packed: Any) -> None:
    from ai_edge_litert.interpreter import Interpreter

    _, artifact, said = packed
    content = members(artifact)["model.tflite"]
    interpreter = Interpreter(model_content=content)
    types = {detail["dtype"] for detail in interpreter.get_tensor_details()}
    assert types <= {np.int8, np.int32, np.bool_}
    assert all(detail["shape_signature"][0] == 1 for detail in interpreter.get_input_details())
    assert set(_flatbuffer.operator_names(content)) <= set(_micro_source.OPERATIONS)
    assert said["limited_bytes"] == len(content)
    assert set(members(artifact)) == {"model.h", "model.cc", "main.cc", "model.tflite", *companions.NAMES}


@pytest.mark.parametrize(("floats", "asked", "refused"), [
    ([[], []], 1, ""),
    ([["SPLIT", "QUANTIZE"], [], []], 2, ""),
    ([["CAST"], ["CAST"]], 1, "CAST would stay float"),
    ([["SPLIT"]] * 9, microcontroller.ATTEMPTS, "SPLIT would stay float"),
])
def test_a_converter_that_wavers_is_asked_again(
    floats: list[list[str]], asked: int, refused: str, table: planted.Planted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it leaves float in one run and not in another; what it always does is refused at once."""
    file = microcontroller.contents(candidate.Candidate(table.candidate), table.data.path, 0)
    given, converted = iter(floats), []

    def convert(*args: Any, **kwargs: Any) -> bytes:
        converted.append(kwargs["integer_only"])
        return file

    monkeypatch.setattr(microcontroller.tflite, "convert", convert)
    monkeypatch.setattr(microcontroller, "_float_operations", lambda content: next(given))
    if refused:
        with pytest.raises(inference.Unconvertible, match=refused):
            microcontroller.contents(candidate.Candidate(table.candidate), table.data.path, 0)
    else:
        assert microcontroller.contents(candidate.Candidate(table.candidate), table.data.path, 0) == file
    assert converted == [True] * asked


def test_weights_lie_at_multiples_of_16(packed: Any) -> None:
    content = members(packed[1])["model.tflite"]
    model = _flatbuffer.model_of(content)
    for place in range(model.BuffersLength()):
        data = model.Buffers(place)
        if data.DataLength():
            address = data.DataAsNumpy().__array_interface__["data"][0]
            start = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
            assert (address - start) % 16 == 0


@needs_micro
def test_the_arena_is_the_smallest_that_does_and_below_the_bound(packed: Any) -> None:
    """Found anew with steps of 16 bytes, from TensorFlow Lite Micro itself."""
    from tflite_micro import runtime

    _, artifact, said = packed
    held = members(artifact)
    content, size = held["model.tflite"], _micro_source.arena_in(held["model.h"].decode())
    assert "measured" in said["notes"][0]
    runtime.Interpreter.from_bytes(content, arena_size=size)
    with pytest.raises(RuntimeError, match="allocate"):
        runtime.Interpreter.from_bytes(content, arena_size=size - 16)
    assert size <= microcontroller.arena_bound(content)


def test_an_arena_at_which_the_library_crashes_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search by hand: 4,000 bytes do; the child crashes at the first size below, and is started again behind it."""
    crashes: list[int] = []

    def tried(model: pathlib.Path, low: int, high: int) -> dict[int, bool | str]:
        found: dict[int, bool | str] = {}
        if low == high:
            return {high: True}
        while high - low > 16:
            size = (low + high) // 2 // 16 * 16
            found[size] = size >= 4000 or ""
            if size < 4000:
                crashes.append(size)
                return found
            high = size
        return found

    monkeypatch.setattr(_arena, "_tried", tried)
    assert _arena.smallest(b"", 100_000) == 4000
    assert crashes


@needs_micro
def test_a_model_that_the_library_cannot_prepare_is_refused_in_its_words(packed: Any) -> None:
    content = members(packed[1])["model.tflite"]
    with pytest.raises(_arena.Unprepared, match="allocate"):
        _arena.smallest(content, 1600)


def test_without_the_package_a_bound_is_said_to_be_one(packed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, artifact, _ = packed
    monkeypatch.setattr(microcontroller, "measurable", lambda: False)
    content = members(artifact)["model.tflite"]
    size, origin = microcontroller.arena(content)
    assert size == microcontroller.arena_bound(content)
    assert "not measured" in origin
    assert "automl[micro]" in origin
    predictor = microcontroller.load(artifact, 1)
    assert predictor.runtime.startswith("ai-edge-litert")
    rows = verify.Part(model.data, "test", predictor, artifact)
    outputs = predictor.predict(rows.take(np.arange(100)))
    expected = verify.model_outputs(candidate.Candidate(model.candidate), model.data.inputs("test"))[:100]
    assert verify.agreement(expected, outputs) > 0.95


def test_the_array_is_the_model_and_the_header_tells_of_it(packed: Any) -> None:
    model, artifact, _ = packed
    held = members(artifact)
    assert _micro_source.array_in(held["model.cc"].decode()) == held["model.tflite"]
    header = held["model.h"].decode()
    assert f"kModelBytes = {len(held['model.tflite'])};" in header
    assert "constexpr std::size_t kOutputSize = 3;" in header
    if "image" in model.data.inputs("test"):
        assert re.search(r"kImageScale = 1\.0+e\+00f;\nconstexpr int kImageZeroPoint = -128;", header)


def test_an_array_that_was_changed_is_found(packed: Any, tmp_path: pathlib.Path) -> None:
    held = members(packed[1])
    held["model.cc"] = held["model.cc"].replace(b"0x54,", b"0x55,", 1)
    damaged = tmp_path / "damaged.zip"
    with zipfile.ZipFile(damaged, "w") as archive:
        for name, content in held.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match=r"isn't model\.tflite"):
        microcontroller.load(damaged, 1)


@pytest.mark.skipif(shutil.which("g++") is None, reason="there is no g++")
def test_the_array_compiles_and_holds_the_model(packed: Any, tmp_path: pathlib.Path) -> None:
    """Compiled and run: header and array. `main.cc` isn't, which needs TensorFlow Lite Micro's headers: next test."""
    held = members(packed[1])
    for name in ("model.h", "model.cc"):
        (tmp_path / name).write_bytes(held[name])
    (tmp_path / "dump.cc").write_text(
        '#include <cstdio>\n#include "model.h"\nint main() {\n'
        "  if (reinterpret_cast<std::uintptr_t>(automl::kModel) % 16 != 0) return 1;\n"
        "  std::fwrite(automl::kModel, 1, automl::kModelBytes, stdout);\n"
        "  for (const char* label : automl::kLabels) std::fprintf(stderr, \"%s\\n\", label);\n}\n"
    )
    sources = [str(tmp_path / name) for name in ("dump.cc", "model.cc")]
    subprocess.run(["g++", "-std=c++17", "-Wall", "-Wextra", "-Werror", *sources, "-o", str(tmp_path / "dump")], check=True)
    done = subprocess.run([str(tmp_path / "dump")], capture_output=True, check=True)
    assert done.stdout == held["model.tflite"]
    assert done.stderr.decode().splitlines() == held["labels.txt"].decode().splitlines()


@pytest.mark.skipif(
    not SOURCES or shutil.which("g++") is None,
    reason="AUTOML_TFLM_SOURCES doesn't name TensorFlow Lite Micro's sources: main.cc is not compiled",
)
def test_the_example_compiles_against_tensorflow_lite_micro(packed: Any, tmp_path: pathlib.Path) -> None:
    held = members(packed[1])
    for name in ("model.h", "model.cc", "main.cc"):
        (tmp_path / name).write_bytes(held[name])
    folders = [f"-I{folder}" for folder in SOURCES.split(":")]
    flags = ["-std=c++17", "-Wall", "-DTF_LITE_STATIC_MEMORY", "-DTF_LITE_DISABLE_X86_NEON"]
    subprocess.run(["g++", *flags, "-fsyntax-only", *folders, str(tmp_path / "main.cc")], check=True)
    if LIBRARY:
        sources = [str(tmp_path / name) for name in ("main.cc", "model.cc")]
        subprocess.run(["g++", *flags, *folders, *sources, LIBRARY, "-o", str(tmp_path / "example")], check=True)
        done = subprocess.run([str(tmp_path / "example")], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout
        assert done.stdout.splitlines()[-1] == "as expected"


def test_what_has_no_integer_form_there_is_named(texts: planted.Planted, tmp_path: pathlib.Path) -> None:
    with pytest.raises(inference.Unconvertible, match="no int8 form of FLOOR_MOD"):
        write(texts, tmp_path, "microcontroller", "int8")


def test_class_names_of_any_kind_are_strings_of_c() -> None:
    assert _micro_source._literal('a"b\\c?d') == r'"a\"b\\c\?d"'
    assert _micro_source._literal("Köln 1") == r'"K\xc3" "\xb6" "ln 1"'


def test_what_counts_negative_codes_is_taken_out_and_nothing_else() -> None:
    """By hand: x < 0 ? x + 5 : x becomes x; a selection on something else stays."""
    import tensorflow as tf

    table = tf.constant(np.arange(10, dtype=np.float32).reshape(5, 2))

    def looked_up(x: Any) -> Any:
        return tf.gather(table, tf.where(x < 0, x + 5, x)) + tf.cast(tf.where(x < 3, x + 7, x), tf.float32)[:, None]

    function = tf.function(looked_up).get_concrete_function(tf.TensorSpec((4,), tf.int32))
    content = tf.lite.TFLiteConverter.from_concrete_functions([function]).convert()
    shorter = _flatbuffer.rewritten(content, _flatbuffer.without_wraparound)
    from ai_edge_litert.interpreter import Interpreter

    def run(model: bytes) -> Any:
        interpreter = Interpreter(model_content=model)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.array([0, 4, 2, 3], np.int32))
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    np.testing.assert_array_equal(run(shorter), run(content))
    count = {name: len([1 for o in range(_flatbuffer.model_of(m).Subgraphs(0).OperatorsLength())])
             for name, m in (("before", content), ("after", shorter))}
    assert count["before"] - count["after"] == 3


def test_masks_and_negations_become_integers_that_compute_the_same() -> None:
    """A mask of codes and a layer normalisation, which the converter leaves float between integers."""
    import keras
    from ai_edge_litert.interpreter import Interpreter

    from automl.export import tflite
    from automl.layers import sequences

    rng = np.random.default_rng(0)
    tokens = keras.Input((6,), dtype="int32", name="tokens")
    mask = sequences.PaddingMask()(tokens)
    hidden = keras.layers.LayerNormalization()(keras.layers.Embedding(9, 8)(tokens))
    hidden = keras.layers.Flatten()(keras.layers.Multiply()([hidden, mask]))
    model = keras.Model({"tokens": tokens}, keras.layers.Dense(3)(hidden))
    x = rng.integers(0, 9, (60, 6)).astype(np.int32)
    x[:, 4:] = 0
    content = tflite.convert(model, "int8", {"tokens": x}, batch=1, integer_only=True)
    assert {"CAST", "NEG", "QUANTIZE"} <= set(_flatbuffer.operator_names(content))
    with pytest.raises(inference.Unconvertible, match="NEG"):
        microcontroller.check(content)
    changed = _flatbuffer.rewritten(content, microcontroller._integers_throughout)
    microcontroller.check(changed)

    def run(content: bytes, row: np.ndarray) -> np.ndarray:
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    for row in x[:20]:
        np.testing.assert_array_equal(run(changed, row[None]), run(content, row[None]))
