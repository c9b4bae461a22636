"""Small profiles and inputs from which families are built."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest

from automl.architectures import model
from automl.catalog import architectures, compose, slots
from automl.catalog import techniques as catalogue
from automl.spec import Choice, Profile, Recipe


def profile(modality: str = "table", classes: int = 3, **fields: Any) -> Profile:
    common = {"rows": 4000, "classes": classes, "class_min": 100 if classes else 0, "outputs": classes or 1}
    if modality == "table":
        task = "tabular-classification" if classes else "tabular-regression"
        own = {"numeric": 4, "categorical": 3, "cardinality_max": 30}
    elif modality == "text":
        sizes = TEXT["inputs"]
        task, own = "text-classification", {
            "length": sizes["tokens"], "vocabulary": sizes["vocabulary"], "ngrams": sizes["ngram_vocabulary"],
        }
    elif modality == "series":
        task, own = "timeseries-classification", {"length": 20, "channels": 3}
    else:
        task, own = "image-classification", {"image_shape": (16, 16, 3)}
    return Profile(**{"modality": modality, "task": task, **common, **own, **fields})


TABLE = {"inputs": {"numeric": 4, "categorical": 3}, "cardinalities": [4, 12, 30]}
TEXT = {"inputs": {"tokens": 12, "vocabulary": 40, "ngrams": 20, "ngram_vocabulary": 30}}
SERIES = {"inputs": {"steps": 20, "channels": 4}, "ragged": True}
EQUAL_SERIES = {"inputs": {"steps": 20, "channels": 3}, "ragged": False}


def picture(height: int = 16, width: int = 16, channels: int = 3) -> dict[str, int]:
    return {"height": height, "width": width, "channels": channels}


def inputs(preprocess: dict[str, Any], rows: int = 64, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    if "height" in preprocess:
        shape = (rows, preprocess["height"], preprocess["width"], preprocess["channels"])
        return {"image": rng.integers(0, 256, shape, np.uint8)}
    if "tokens" in preprocess["inputs"]:
        return codes(preprocess["inputs"], rows, rng)
    if "steps" in preprocess["inputs"]:
        return steps(preprocess, rows, rng)
    made: dict[str, np.ndarray] = {}
    if preprocess["inputs"].get("numeric"):
        made["numeric"] = rng.normal(size=(rows, preprocess["inputs"]["numeric"])).astype(np.float32)
    if preprocess["inputs"].get("categorical"):
        made["categorical"] = np.stack([rng.integers(0, n, rows) for n in preprocess["cardinalities"]], 1).astype(np.int32)
    return made


def codes(sizes: dict[str, int], rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Texts of different lengths, filled up with 0; the first is empty."""
    made = {}
    for name, count in (("tokens", "vocabulary"), ("ngrams", "ngram_vocabulary")):
        if name in sizes:
            lengths = rng.integers(1, sizes[name] + 1, rows)
            lengths[0] = 0
            drawn = rng.integers(1, sizes[count], (rows, sizes[name]))
            made[name] = np.where(np.arange(sizes[name]) < lengths[:, None], drawn, 0).astype(np.int32)
    return made


def steps(preprocess: dict[str, Any], rows: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Series; where they are ragged of different lengths, with the mask as last channel and zeros behind the ends."""
    length, channels = preprocess["inputs"]["steps"], preprocess["inputs"]["channels"]
    values = rng.normal(size=(rows, length, channels)).astype(np.float32)
    if preprocess.get("ragged"):
        there = np.arange(length)[None, :] < rng.integers(2, length + 1, rows)[:, None]
        values[..., -1] = 1.0
        values *= there[..., None]
    return {"series": values}


def recipe(profile: Profile, family: str, params: dict[str, Any] | None = None, **techniques: dict[str, Any]) -> Recipe:
    """A recipe with the default of each slot that has to be filled, warmup and cosine; `techniques` by id with
    underscores."""
    chosen: dict[str, dict[str, Any]] = {} if architectures[family].fitted_by else {"warmup-cosine": {}}
    chosen |= {id.replace("_", "-"): given for id, given in techniques.items()}
    for slot in slots.SLOTS.values():
        needed = not slot.optional and (slot.part is None or slot.part in architectures[family].uses)
        if needed and not any(catalogue[id].slot == slot.name for id in chosen):
            chosen |= {t.id: {} for t in compose.slot_members(slot.name, profile) if t.is_default(profile)}
    return Recipe(
        task=profile.task, architecture=Choice(id=family, params=params or {}),
        techniques=tuple(Choice(id=id, params=given) for id, given in chosen.items()), seed=3,
    )


class Built(types.SimpleNamespace):
    """`core`, `plan`, `recipe`, `profile`, `inputs`, and `size` in closed form."""


@pytest.fixture
def build():
    def build(family: str, params: dict[str, Any] | None = None, *, preprocess: dict[str, Any] | None = None,
              classes: int = 3, modality: str | None = None, **techniques: dict[str, Any]) -> Built:
        modality = modality or min(architectures[family].modalities, key=str)
        preprocess = preprocess or {"image": picture(), "table": TABLE, "text": TEXT, "series": SERIES}[modality]
        if modality == "image":
            own = {"image_shape": (preprocess["height"], preprocess["width"], preprocess["channels"])}
        elif modality == "text":
            sizes = preprocess["inputs"]
            own = {"length": sizes["tokens"], "vocabulary": sizes["vocabulary"], "ngrams": sizes.get("ngram_vocabulary", 0)}
        elif modality == "series":
            steps, channels = preprocess["inputs"]["steps"], preprocess["inputs"]["channels"]
            ragged = bool(preprocess.get("ragged"))
            own = {"length": steps, "channels": channels - ragged, "ragged": ragged}
        else:
            own = {kind: preprocess["inputs"].get(kind, 0) for kind in ("numeric", "categorical")}
            own["cardinalities"] = tuple(preprocess["cardinalities"]) if own["categorical"] else ()
        data = profile(modality, classes, **own)
        made = recipe(data, family, params, **techniques)
        plan = compose.plan_of(made, data)
        sample = inputs(preprocess)
        core = model.build_core(made, plan, data, preprocess, sample)
        whole = compose.complete(made.architecture, architectures[family].params)
        size = architectures[family].size
        return Built(
            core=core, plan=plan, recipe=made, profile=data, inputs=sample, size=size(data, **whole) if size else None,
        )

    return build
