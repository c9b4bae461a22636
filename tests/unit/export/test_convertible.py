"""Convertibility with untrained weights: a converter that refuses, crashes or hangs costs one format, not the others."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import time
import types
from typing import Any

import numpy as np
import pytest

from automl.catalog import space as spaces
from automl.execution.children import ChildFailed
from automl.export import convertible
from automl.spec import Choice, FormatRequest, Recipe, SearchSettings
from tests.unit.export import planted

FORMATS = [FormatRequest.parse(text) for text in ("tflite", "tflite:int8", "onnx", "saved-model")]
RECIPE = Recipe(task="text-classification", architecture=Choice(id="text-bag", params={"width": 16, "pairs": 8192}))


class Children:
    """`run_in_child` by a script: what each format of a request does."""

    def __init__(self, **fate: str):
        self.fate = fate
        self.asked: list[list[str]] = []

    def __call__(self, *, target: str, request: dict[str, Any], **more: Any) -> dict[str, Any]:
        assert target == "automl.export.convertible:try_all"
        names = [str(FormatRequest.from_dict(one)) for one in request["formats"]]
        self.asked.append(names)
        progress = pathlib.Path(request["progress"])
        for name in names:
            with progress.open("a") as file:
                file.write(json.dumps({"format": name}) + "\n")
            fate = self.fate.get(name.replace(":", "_").replace("-", "_"), "works")
            if fate in ("signal", "timeout"):
                crashed = "the process was ended by SIGSEGV (native code crashed)"
                reason = crashed if fate == "signal" else "not done after 90 s"
                raise ChildFailed(fate, reason, -11)  # type: ignore[arg-type]
            with progress.open("a") as file:
                said = {"reason": ""} if fate == "works" else {"reason": fate}
                file.write(json.dumps({"format": name, **said}) + "\n")
        return {}


def reasons(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: said["reason"] for name, said in found.items()}


@pytest.mark.parametrize(
    ("fate", "reason"),
    [("signal", "SIGSEGV (native code crashed)"), ("timeout", "not done after"), ("no kernel", "no kernel")],
)
def test_one_bad_format_costs_itself_alone(texts: planted.Planted, fate: str, reason: str) -> None:
    children = Children(tflite_int8=fate)
    found = reasons(convertible.tried(RECIPE, texts.data, FORMATS, run_in_child=children))
    assert reason in found.pop("tflite:int8")
    assert found == {"tflite:float32": "", "onnx": "", "saved-model": ""}
    assert len(children.asked) == (1 if fate == "no kernel" else 2)
    assert children.asked[-1][0] in ("tflite:float32", "onnx")  # what was done is not done again


def test_every_format_may_crash(texts: planted.Planted) -> None:
    children = Children(**{str(one).replace(":", "_").replace("-", "_"): "signal" for one in FORMATS})
    found = reasons(convertible.tried(RECIPE, texts.data, FORMATS, run_in_child=children))
    assert all("SIGSEGV" in why for why in found.values())
    assert len(found) == len(FORMATS) == len(children.asked)


def test_a_network_that_cannot_be_built_blames_no_format(texts: planted.Planted) -> None:
    def broken(**request: Any) -> dict[str, Any]:
        raise ChildFailed("exception", "ValueError: no such layer", 1)

    assert convertible.tried(RECIPE, texts.data, FORMATS, run_in_child=broken) == {}


def test_nothing_is_tried_after_the_deadline(texts: planted.Planted) -> None:
    children = Children()
    assert convertible.tried(RECIPE, texts.data, FORMATS, run_in_child=children, deadline=time.monotonic() - 1) == {}
    assert children.asked == []


def test_a_child_that_is_ended_by_the_deadline_blames_no_format(texts: planted.Planted) -> None:
    children = Children(tflite_int8="timeout")
    found = convertible.tried(RECIPE, texts.data, FORMATS, run_in_child=children, deadline=time.monotonic() + 30)
    assert reasons(found) == {"tflite:float32": ""}
    assert len(children.asked) == 1


def test_an_untrained_network_is_written_and_run(texts: planted.Planted) -> None:
    wanted = [FormatRequest.parse(text) for text in ("tflite", "tflite:int16x8", "onnx:int8")]
    space = spaces.derive("text-classification", texts.data.meta.profile, SearchSettings(force=("text-bag",)))
    recipe = space.recipe(space.complete({"architecture": "text-bag"}), 0)
    found = convertible.tried(recipe, texts.data, wanted, run_in_child=planted.run_here)
    assert found["tflite:float32"]["reason"] == ""
    assert found["tflite:float32"]["difference"] < 1e-4
    assert found["onnx:int8"]["reason"] == ""
    assert found["onnx:int8"]["size_bytes"] < found["tflite:float32"]["size_bytes"]
    assert 0 < found["onnx:int8"]["difference"] < 0.1
    assert found["tflite:float32"]["vacuous"] == found["onnx:int8"]["vacuous"] == ""
    assert "takes no integer inputs" in found["tflite:int16x8"]["reason"]


def test_what_is_known_is_looked_up(texts: planted.Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    space = spaces.derive("text-classification", texts.data.meta.profile, SearchSettings(allow=("text-bag", "text-cnn")))
    answers = {
        "text/text-bag": {"tflite:float32": {"reason": ""}, "onnx:float32": {"reason": "so it was found"}},
    }
    stored = {"versions": convertible.versions(), "answers": answers}
    monkeypatch.setattr(convertible, "_stored", lambda: stored)
    children = Children(onnx="tried now")
    wanted = [FormatRequest.parse("tflite"), FormatRequest.parse("onnx")]

    def of_space() -> dict[str, dict[str, str]]:
        return convertible.of_space(space, texts.data, wanted, run_in_child=children, deadline=time.monotonic() + 60)

    found = of_space()
    assert found["text-bag"] == {"tflite:float32": "", "onnx": "so it was found"}
    assert found["text-cnn"] == {"tflite:float32": "", "onnx": "tried now"}
    assert children.asked == [["tflite:float32", "onnx"]] * (len(found) - 1)
    stored["versions"] = {**convertible.versions(), "tensorflow": "0.0"}
    assert of_space()["text-bag"]["onnx"] == "tried now"


def test_an_untrained_core_gets_the_scales_of_a_trained_one() -> None:
    import keras

    x = np.random.default_rng(0).normal([3, -20], [5, 0.1], (64, 2)).astype(np.float32)
    inputs = keras.Input((2,), name="numeric")
    normalization = keras.layers.BatchNormalization(epsilon=0.0)
    features = keras.layers.Dense(8, kernel_initializer=keras.initializers.RandomNormal(stddev=40, seed=1))
    for outputs in (
        keras.layers.Dense(3, name="logits", bias_initializer=keras.initializers.Constant(500.0)),
        keras.layers.EinsumDense("bmf,mfo->bmo", output_shape=(4, 3), bias_axes="o", name="logits"),
    ):
        hidden = features(normalization(inputs))
        if isinstance(outputs, keras.layers.EinsumDense):
            hidden = keras.layers.Reshape((4, 2))(hidden)
        core = keras.Model({"numeric": inputs}, outputs(hidden), name="core")
        before = np.asarray(core({"numeric": x}, training=False))
        convertible._settle(core, {"numeric": x})
        np.testing.assert_allclose(normalization.moving_mean, x.mean(axis=0), rtol=1e-4)
        np.testing.assert_allclose(normalization.moving_variance, x.var(axis=0), rtol=1e-3)
        assert normalization.momentum == 0.99
        after = np.asarray(core({"numeric": x}, training=False), np.float64).reshape(len(x), -1, 3)
        assert np.abs(after.mean(axis=(0, 1))).max() < 1e-3
        np.testing.assert_allclose(after.std(axis=0).mean(axis=0), 1.0, rtol=1e-3)
        assert not np.allclose(before.reshape(after.shape), after, atol=1)


def test_a_logit_that_hardly_varies_is_not_scaled_up() -> None:
    """Scaled to deviation 1, the rounding of the large part that all rows have in common would be a difference."""
    import keras

    inputs = keras.Input((2,), name="numeric")
    last = keras.layers.Dense(2, name="logits")
    core = keras.Model({"numeric": inputs}, last(inputs), name="core")
    last.set_weights([np.array([[1.0, 1e-3], [0.0, 0.0]], np.float32), np.array([0.0, 700.0], np.float32)])
    x = np.random.default_rng(0).normal(size=(64, 2)).astype(np.float32)
    convertible._settle(core, {"numeric": x})
    kernel, bias = last.get_weights()
    np.testing.assert_allclose(kernel[0], [1.0, 1e-3])
    assert abs(float(x.mean(axis=0)[0] * 1e-3 + bias[1])) < 1e-3


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ([[0.2, 0.3, 0.5], [0.5, 0.3, 0.2], [0.1, 0.8, 0.1]], ""),
        ([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]], "deviate by 0 over rows, expected at least 0.017"),
        ([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.5, 0.5]], "have the median 1.0000, expected at most 0.99"),
        ([[3.0], [3.5]], ""),
        ([[3.0], [3.0]], "gives every row the same number"),
    ],
)
def test_outputs_of_which_a_difference_says_nothing(outputs: list[list[float]], said: str) -> None:
    found = convertible.vacuous_reason(np.asarray(outputs, np.float32))
    assert said in found
    assert bool(said) == bool(found)


def test_what_a_library_fits_is_fitted(texts: planted.Planted, tmp_path: pathlib.Path) -> None:
    """A forest or a table of words begins with nothing in it: any file would agree."""
    space = spaces.derive("text-classification", texts.data.meta.profile, SearchSettings(force=("text-linear",)))
    recipe = space.recipe(space.complete({"architecture": "text-linear"}), 0)
    source, inputs = convertible._untrained(recipe, texts.data, tmp_path)
    rows = {name: np.asarray(value) for name, value in inputs.items()}
    assert convertible.vacuous_reason(np.asarray(source.model(source.encode(rows), training=False))) == ""


def test_rows_that_lack_a_class_are_no_fault_of_the_network(
    texts: planted.Planted, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be fitted on them, and what converts is asked all the same."""
    monkeypatch.setattr(type(texts.data), "target", lambda self, part: np.zeros(self.count(part), np.int32))
    space = spaces.derive("text-classification", texts.data.meta.profile, SearchSettings(force=("text-linear",)))
    recipe = space.recipe(space.complete({"architecture": "text-linear"}), 0)
    source, inputs = convertible._untrained(recipe, texts.data, tmp_path)
    outputs = np.asarray(source.model(source.encode({name: np.asarray(value) for name, value in inputs.items()})))
    assert np.ptp(outputs) == 0


def test_an_untrained_transformer_of_pictures_is_not_saturated(tmp_path: pathlib.Path) -> None:
    """Without statistics its batch normalisations do nothing, and the residual branches add up to logits of hundreds."""
    module = conversions()
    data = module.data_set("image", tmp_path)
    space = spaces.derive("image-classification", data.meta.profile, SearchSettings(force=("vit",)))
    recipe = space.recipe(space.complete({"architecture": "vit"}), 0)
    source, inputs = convertible._untrained(recipe, data, tmp_path / "work")
    rows = {name: np.asarray(value) for name, value in inputs.items()}
    assert convertible.vacuous_reason(np.asarray(source.model(source.encode(rows), training=False))) == ""


def conversions() -> types.ModuleType:
    """The script that tries them all."""
    path = pathlib.Path(__file__).parents[3] / "docs" / "conversions.py"
    spec = importlib.util.spec_from_file_location("conversions", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_everything_declared_has_been_tried_and_the_page_is_its_table() -> None:
    module = conversions()
    stored = json.loads(convertible.KNOWN.read_text())
    asked = {f"{one.format}:{one.precision}" for one in module.wanted()}
    assert stored["answers"].keys() == {f"{modality}/{family}" for modality, family in module.pairs()}
    assert {key: answers.keys() for key, answers in stored["answers"].items()} == dict.fromkeys(stored["answers"], asked)
    assert module.PAGE.read_text() == module.page(stored)
    assert module.faults() == []


def test_the_page_shows_differences_and_marks_the_large_ones() -> None:
    module = conversions()
    names = [f"{one.format}:{one.precision}" for one in module.wanted()]
    answers = {name: {"reason": "", "size_bytes": 2000, "difference": 2e-7} for name in names}
    answers["tflite:int8"] = {"reason": "", "size_bytes": 3000, "difference": 0.5}
    answers["onnx:int8"] = {"reason": "no kernel"}
    answers["browser:int8"] = {"reason": "", "size_bytes": 4000}
    page = module.page({"versions": {}, "answers": {"image/vit": answers}})
    cells = dict(zip(names, page.split("| image | vit | ")[1].split("\n")[0].removesuffix(" |").split(" | ")))
    assert cells.pop("tflite:int8") == "3 KB, **0.5**"
    assert cells.pop("onnx:int8") == "[1]"
    assert cells.pop("browser:int8") == "4 KB"
    assert set(cells.values()) == {"2 KB, 2e-7"}
    assert "\n1. no kernel\n" in page


def test_what_cannot_be_tried_here_keeps_its_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    """It used to become "the server lacks", in a table that jobs elsewhere look up."""
    module = conversions()
    monkeypatch.setenv("AUTOML_ONNXRUNTIME_WEB", str(tmp_path))  # no runtime for browsers there
    before = {
        "browser:float32": {"reason": "", "size_bytes": 4, "difference": 0.25}, "browser:int8": {"reason": "no kernel"},
        "onnx:int8": {"reason": "", "size_bytes": 3, "difference": 0.5},
    }
    kept = module._untriable(before)
    assert kept == {"browser:float32": {"reason": "", "size_bytes": 4}, "browser:int8": {"reason": "no kernel"}}
    asked: list[str] = []

    def tried(recipe: Recipe, prepared: Any, formats: list[FormatRequest], **more: Any) -> dict[str, dict[str, Any]]:
        asked.extend(map(str, formats))
        return {str(one): {"reason": "no kernel"} for one in formats}

    monkeypatch.setattr(convertible, "tried", tried)
    monkeypatch.setattr(convertible, "KNOWN", tmp_path / "known.json")
    monkeypatch.setattr(module, "PAGE", tmp_path / "page.md")
    found = module.answers("linear", {"table/linear": kept})
    assert asked == [str(one) for one in module.wanted() if one.format != "browser"]
    assert {name: answer for name, answer in found["table/linear"].items() if name in kept} == kept


def test_a_network_whose_differences_say_nothing_is_not_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    module = conversions()
    monkeypatch.setattr(convertible, "KNOWN", tmp_path / "known.json")
    monkeypatch.setattr(module, "PAGE", tmp_path / "page.md")

    def tried(recipe: Recipe, prepared: Any, formats: list[FormatRequest], **more: Any) -> dict[str, dict[str, Any]]:
        return {str(one): {"reason": "", "size_bytes": 1, "difference": 0.0, "vacuous": "flat"} for one in formats}

    monkeypatch.setattr(convertible, "tried", tried)
    assert module.answers("linear", {}) == {}
    assert list(tmp_path.iterdir()) == []
