"""Convertibility with untrained weights: a converter that refuses, crashes or hangs costs one format, not the others."""

from __future__ import annotations

import json
import pathlib
import time
from typing import Any

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


def test_the_page_is_the_table_of_the_stored_answers() -> None:
    """`python docs/conversions.py --check` also names what has never been tried."""
    import importlib.util

    path = pathlib.Path(__file__).parents[3] / "docs" / "conversions.py"
    spec = importlib.util.spec_from_file_location("conversions", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stored = json.loads(convertible.KNOWN.read_text())
    assert module.PAGE.read_text() == module.page(stored)
    asked = {f"{one.format}:{one.precision}" for one in module.wanted()}
    assert all(set(answers) <= asked for answers in stored["answers"].values())
