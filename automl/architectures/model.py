"""From a recipe to the Keras model that is trained: inputs, the family's body, the head.

This module imports no Keras until a model is built, like every module of this package that the catalogue walks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from automl.catalog import TrainPlan, architectures, compose
from automl.spec import Modality, Profile, Recipe
from automl.tasks import head


def build_core(
    recipe: Recipe, plan: TrainPlan, profile: Profile, preprocess: Mapping[str, Any], sample: Mapping[str, NDArray[Any]]
) -> Any:
    """The functional model that is trained: a dict of inputs → logits or standardised numbers.

    `preprocess` says the inputs' sizes: of tables `{"inputs": {"numeric": d, "categorical": c}, "cardinalities":
    […]}`, of pictures `{"height", "width", "channels"}` at the resolution of this training, of texts `{"inputs":
    {"tokens": length, "vocabulary": size, "ngrams": k, "ngram_vocabulary": size}}` (the last two may be absent), of
    series `{"inputs": {"steps": length, "channels": c}, "ragged": whether the last channel is the mask}`. `sample`
    are encoded training inputs (dict of arrays, some thousand rows), from which bins and pixel statistics are taken.
    The output is [b, outputs], or [b, members, outputs] of a packed ensemble; `plan.spread` adds numbers behind
    them. Weights are seeded by the recipe's seed.
    """
    import keras

    from automl.architectures import builder as builders

    family = architectures[recipe.architecture.id]
    builder = builders.Builder(plan, profile, seed=recipe.seed, preprocess=preprocess, sample=sample)
    inputs = input_tensors(profile, preprocess)
    features = family.build(dict(inputs), builder, **compose.complete(recipe.architecture, family.params))
    if family.fitted_by:
        return keras.Model(inputs, features, name="core")
    features = builder.represent(features)
    # Glorot keeps the first outputs of the order of 1 whatever hidden layers' initialisation is made for.
    last = keras.initializers.GlorotUniform(seed=builder.seed())
    outputs = head.logits(features, profile.outputs, initializer=last, regularizer=builder.regularizer())
    if plan.spread:
        beside = head.logits(
            features, profile.outputs * plan.spread, initializer=keras.initializers.GlorotUniform(seed=builder.seed()),
            regularizer=builder.regularizer(), name=head.SPREAD,
        )
        outputs = keras.layers.Concatenate(name="outputs")([outputs, beside])
    if plan.precision != "float32":
        outputs = keras.layers.Activation("linear", dtype="float32", name="logits_float32")(outputs)
    return keras.Model(inputs, outputs, name="core")


def input_tensors(profile: Profile, preprocess: Mapping[str, Any]) -> dict[str, Any]:
    """The model's inputs by name."""
    import keras

    if profile.modality == Modality.IMAGE:
        shape = tuple(int(preprocess[side]) for side in ("height", "width", "channels"))
        return {"image": keras.Input(shape, dtype="uint8", name="image")}
    sizes = preprocess["inputs"]
    if profile.modality == Modality.TEXT:
        return {
            name: keras.Input((int(sizes[name]),), dtype="int32", name=name)
            for name in ("tokens", "ngrams") if name in sizes
        }
    if profile.modality == Modality.SERIES:
        return {"series": keras.Input((int(sizes["steps"]), int(sizes["channels"])), dtype="float32", name="series")}
    inputs = {}
    if sizes.get("numeric"):
        inputs["numeric"] = keras.Input((int(sizes["numeric"]),), dtype="float32", name="numeric")
    if sizes.get("categorical"):
        inputs["categorical"] = keras.Input((int(sizes["categorical"]),), dtype="int32", name="categorical")
    return inputs
