"""The model card that travels in an artifact: what the model is for, how good it is, how to run it, and where its limits
are.

Follows the headings of "Model Cards for Model Reporting" (Mitchell et al., 2019) as far as the service knows their
content; what it can't know (who is affected, what is fair) it asks of the person who publishes the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from automl import catalog, layers
from automl.export import candidate as candidates
from automl.export import raw
from automl.report import quantities
from automl.spec import FormatRequest


def model_card(
    source: candidates.Candidate, *, format: str, precision: str, filename: str, data_key: str, content: str,
    parts: Mapping[str, int], metric: str, validation: Mapping[str, float], test: Mapping[str, float], tolerance: float,
) -> str:
    """Markdown. `validation` and `test` are the float model's metrics by id; `parts` counts rows; `data_key` names the
    prepared data, `content` is the SHA-256 of the bytes that they were made of."""
    preprocess, recipe = source.preprocess, source.recipe
    name = str(FormatRequest.parse(f"{format}:{precision}"))
    target = preprocess.get("target")
    lines = [
        f"# Model card: {raw.cell(str(target))}" if target else f"# Model card: {recipe.task}",
        "",
        "Made by automl; the recipe that trains it again is in `recipe.json`.",
        "",
        "## The model",
        "",
        f"- Task: {recipe.task}" + (f", target `{raw.cell(str(target))}`" if target else ""),
        f"- Architecture: {recipe.architecture.id} {_settings(recipe.architecture.params)}".rstrip(),
        f"- Techniques: {', '.join(choice.id for choice in recipe.techniques) or 'none beyond the defaults'}",
        f"- Recipe: `{recipe.identity}`",
        f"- Data: version `{content[:16]}` (the SHA-256 of the bytes is `{content}`)",
        f"- Prepared data: `{data_key}`, {', '.join(f'{count:,} rows {part}' for part, count in parts.items())}",
        f"- This file: `{filename}`, {name}",
        "",
        "## How good it is",
        "",
        "The float model, before conversion. The test rows were used neither for training nor for any choice; they were",
        "read once, at the end.",
        "",
        "| metric | validation | test |",
        "|---|---|---|",
    ]
    for id in dict.fromkeys([metric, *test, *validation]):
        mark = " (optimised)" if id == metric else ""
        lines.append(f"| {id}{mark} | {quantities.figure(validation.get(id))} | {quantities.figure(test.get(id))} |")
    lines += [
        "",
        "This file was returned because its own outputs on the test rows, computed in its own runtime, lose at most",
        f"{tolerance:g} of {metric} against the float model. The validation figure chose the model among others, so it",
        "flatters; the test figure doesn't.",
        "",
        "## Input and output",
        "",
        *raw.of(preprocess).card_inputs(preprocess, format),
        "",
        *_outputs(source),
        "",
        "## How to run it",
        "",
        "```",
        f"automl predict {filename} DATA --out predictions.csv",
        "```",
        "",
        *_how_to_run(format, filename, preprocess),
        "",
        "`samples.json` has raw inputs with the float model's outputs, to check an integration against.",
        "",
        "## Preprocessing",
        "",
        *raw.of(preprocess).card_preprocessing(preprocess, format),
        "",
        "## Limits",
        "",
        "- It knows what its training rows showed: rows from elsewhere or a later time may be predicted badly.",
        "- Its probabilities weren't calibrated separately."
        if source.classes
        else "- Predictions stay within the range of the training target.",
        "- Differences between groups of people were not examined: do that before it decides about anyone.",
        "",
    ]
    return "\n".join(lines)


def _outputs(source: candidates.Candidate) -> list[str]:
    if not source.classes:
        return ["Output `prediction`: float32 [batch, 1], in the target's unit."]
    shown = ", ".join(f"`{raw.cell(name)}`" for name in source.classes[:20])
    more = f", … ({len(source.classes)} in all)" if len(source.classes) > 20 else ""
    return [f"Output `probabilities`: float32 [batch, {len(source.classes)}], in the order of `labels.txt`: {shown}{more}."]


def _how_to_run(format: str, filename: str, preprocess: Mapping[str, Any]) -> list[str]:
    if format == "microcontroller":
        return [
            "or in a firmware: build `model.cc` and `main.cc` with TensorFlow Lite Micro's library; `model.h` says what",
            "goes in and comes out, and how large the arena has to be. `main.cc` runs one row and compares.",
        ]
    if format == "browser":
        return [
            "or in a browser, after unpacking the archive:",
            "",
            "```",
            "python3 -m http.server --directory FOLDER      # then open http://localhost:8000",
            "```",
        ]
    if catalog.formats[format].model == "tflite":
        return [
            "or in Python, with encoded inputs by name:",
            "",
            "```python",
            "from ai_edge_litert.interpreter import Interpreter",
            f'runner = Interpreter(model_path="{filename}").get_signature_runner("serving_default")',
            f"outputs = runner({', '.join(f'{n}={n}' for n in raw.of(preprocess).card_names(preprocess))})",
            "```",
        ]
    if format == "onnx":
        names = raw.of(preprocess).card_names(preprocess)
        return [
            "or in Python, with encoded inputs by name:",
            "",
            "```python",
            "import onnxruntime",
            f'session = onnxruntime.InferenceSession("{filename}", providers=["CPUExecutionProvider"])',
            f"outputs = session.run(None, {{{', '.join(f'{n!r}: {n}' for n in names)}}})",
            "```",
        ]
    if format == "saved-model":
        return [
            "or in Python, after unpacking the archive, with one tensor for each raw column:",
            "",
            "```python",
            "import tensorflow as tf",
            'predict = tf.saved_model.load("saved_model").signatures["serving_default"]',
            "```",
        ]
    return [
        "or in Python, with encoded inputs by name:",
        "",
        "```python",
        "import keras",
        f"import {', '.join(sorted({name.partition(':')[0] for name in layers.LAYERS}))}  # layers that Keras doesn't have",
        f'model = keras.saving.load_model("{filename}", compile=False)',
        "```",
    ]


def _settings(params: Mapping[str, Any]) -> str:
    return "(" + ", ".join(f"{name} {value}" for name, value in sorted(params.items())) + ")" if params else ""
