"""Quantisation-aware training of a candidate through tfmot: `train`, the function of a child process.

The model is rebuilt in tf_keras, tfmot puts fake quantisation around every layer that it knows, the whole is trained on, and
converted with the ranges that it learned: the int8 files of the candidate (`candidate.trained_for`). The Keras 3 model, from
which all other formats are made, stays as it was: weights that were trained to be rounded and clipped are no better without.

Things to know of tfmot 0.8.1, all seen here: one layer that it doesn't know fails the whole model, so only known ones are
annotated, and the head stays float (256 steps of a probability make no gradient, and many ties); a layer that it puts
behind an input fails on codes and swaps what is concatenated with the input, so that is done here; it clones by config,
so a `twins.Foreign` has to be found again by its name; ranges of activations begin at ±6 and hardly move (`_calibrate`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from automl.catalog import compose, entries
from automl.compression import bridge as bridges
from automl.compression import finetuning, pointwise, single_row, twin_training
from automl.compression.kept import Kept
from automl.export import candidate as candidates
from automl.export import inference
from automl.spec import AutoMLError

TECHNIQUE = entries.QAT
WORTH = 0.5
"""With a smaller share of the weights in layers that are trained under quantisation it isn't worth its time."""
FOLDING = frozenset({"Conv2D", "DepthwiseConv2D"})
"""Layers into which a normalisation behind them is folded, by tfmot's patterns and as integers by the converter."""
FLOAT_WEIGHTS = 0.02
"""Share of the file's weights that may be float beyond what was said to stay so."""
CHECK_ROWS = 64
CALIBRATION_ROWS = 512
MOVE = 1e-3
"""Of the way to a batch's range, by which a range of tfmot's moves at a step."""
PASSES = 16
ENTRANCE = "_entrance"
BATCHES = (None, 1)
"""Of the files that are written: the format `tflite` has any, `mobile` one row at a time."""
RATE = 3e-4


class NotForQat(AutoMLError):
    """tfmot can't train this model under quantisation; the message says why."""

    reason = "NOT_FOR_QAT"


def train(request: dict[str, Any]) -> dict[str, Any]:
    """Trains a candidate under 8-bit quantisation and writes the candidate with its int8 file.

    `request`: candidate, prepared, out, metric, time_s, seed, settings ("rate"). Returns "settings" and "notes". Raises
    `bridge.Unconvertible`, `NotForQat` or `twin_training.TooSlow`.
    """
    time_s = float(request["time_s"])
    end = time.monotonic() + time_s * (1 - twin_training.TAIL)
    tf_keras = bridges.load()

    from automl.data.prepared import PreparedDataset

    source, prepared = candidates.Candidate(Path(request["candidate"])), PreparedDataset.open(Path(request["prepared"]))
    rate = float(request["settings"]["rate"])
    if against := compose.reason_against_qat(source.recipe):
        raise NotForQat(against)
    tf_keras.utils.set_random_seed(int(request["seed"]) % 2**32)
    x, y = source.encode(prepared.inputs("train")), np.asarray(prepared.target("train"))
    fake = faked(source.model, x)
    kept = Kept(fake.twin)
    twin_training.fit(fake.twin, fake.inputs, x, y, prepared.meta, end=end, rate=rate)
    kept.settle()
    # A free batch can't be fixed in the file: what computes shapes stays in it.
    contents = {batch: converted(fake, batch) for batch in BATCHES}

    params = {"rate": rate}
    out = Path(request["out"])
    finetuning.rewritten(
        out, source.model, finetuning.with_technique(source.recipe, TECHNIQUE, params), source, prepared
    )
    for batch, content in contents.items():
        (out / candidates.trained_file("int8", batch)).write_bytes(content)
    preserved = "".join(
        f"; {what} are kept in {count}" for what, count in (("zeros", kept.zeros), ("shared values", kept.shared)) if count
    )
    return {"settings": params, "notes": [
        f"Quantisation-aware training: {fake.layers} layers with {fake.share:.0%} of the weights{preserved}."
    ]}


@dataclasses.dataclass(frozen=True)
class Fake:
    """A candidate's network under fake quantisation."""

    model: Any
    """In Keras 3, written in layers that tfmot knows."""
    twin: Any
    """In tf_keras, with the ranges of some rows."""
    layers: int
    """That are quantised…"""
    share: float
    """… with so much of the weights…"""
    kernels: int
    """… and so many numbers in their kernels."""

    @property
    def inputs(self) -> list[str]:
        return [tensor.name for tensor in self.model.inputs]


def faked(source: Any, x: Mapping[str, np.ndarray]) -> Fake:
    """Puts fake quantisation into an inference model, by encoded rows. Raises `bridge.Unconvertible` or `NotForQat`."""
    bridges.load()
    import tensorflow_model_optimization as tfmot

    from automl.export import tflite

    if loops := [layer.name for layer in source._flatten_layers() if hasattr(layer, "unroll")]:
        raise NotForQat(f"not for QAT: {loops[0]} takes its steps in a loop, at which the converter fails in integers")
    plain = tflite.with_float_pictures(source)
    model = single_row.rewritten(pointwise.rewritten(plain))
    rows = _floats(model, x, CHECK_ROWS)
    _check_same(plain, model, rows)
    output = _output_config(tfmot)
    annotation = _Annotation(tfmot, finetuning.core_of(model), output)
    bridge = bridges.build(model, rows, wrap=annotation.wrap, enter=annotation.enter)
    if (share := annotation.share(bridge)) < WORTH:
        raise NotForQat(
            f"not for QAT: only {share:.0%} of the weights are in layers that tfmot trains under quantisation"
        )
    quantised = _applied(tfmot, bridge.twin, output)
    _calibrate(quantised, list(_floats(model, x, CALIBRATION_ROWS).values()))
    return Fake(model, quantised, annotation.layers, share, annotation.kernels(bridge))


class _Annotation:
    """Marks the layers of a twin that are to be trained under quantisation, and counts them."""

    def __init__(self, tfmot: Any, core: Any, output: type):
        default = tfmot.quantization.keras.default_8bit.Default8BitQuantizeScheme()
        self._registry = default.get_quantize_registry()
        self._annotate = tfmot.quantization.keras.quantize_annotate_layer
        self._output = output
        # What stands behind the logits stays float.
        self._body = {f"twin_{layer.name}" for layer in core.layers}
        self._folded = {f"twin_{layer.name}" for layer in core.layers if _folds(layer)}
        self._annotated: set[str] = set()
        self.layers = 0

    def wrap(self, layer: Any) -> Any:
        kind = type(layer).__name__
        if layer.name not in self._body or kind == "InputLayer":
            return layer
        if self._registry.supports(layer) or layer.name in self._folded:
            self.layers += 1
            self._annotated.add(layer.name)
            return self._annotate(layer)
        # What tfmot doesn't know computes with floats, and hands on integers: else the layer behind it would get floats.
        return self._annotate(layer, quantize_config=self._output())

    def enter(self, tensor: Any) -> Any:
        """Numbers and pixels are quantised where they enter; codes stay what they are."""
        import tf_keras

        if not tensor.dtype.is_floating:
            return tensor
        entrance = tf_keras.layers.Activation("linear", name=f"{tensor.name}{ENTRANCE}")
        return self._annotate(entrance, quantize_config=self._output())(tensor)

    def share(self, bridge: bridges.Bridge) -> float:
        """Of the weights, in annotated layers."""
        sizes = {twin.name: sum(int(np.prod(w.shape)) for w in layer.weights) for layer, twin in bridge.pairs}
        return sum(n for name, n in sizes.items() if name in self._annotated) / max(1, sum(sizes.values()))

    def kernels(self, bridge: bridges.Bridge) -> int:
        """Numbers in the kernels of annotated layers."""
        layers = [layer for layer, twin in bridge.pairs if twin.name in self._annotated]
        return sum(int(np.prod(w.shape)) for layer in layers for w in layer.weights if len(w.shape) > 1)


def _check_same(plain: Any, model: Any, rows: dict[str, np.ndarray]) -> None:
    """Raises `NotForQat` where the model written for tfmot doesn't compute what the candidate's does."""
    expected, found = (np.asarray(m(inference.arranged(m, rows), training=False)) for m in (plain, model))
    difference = float(np.abs(expected - found).max() / max(1.0, float(np.abs(expected).max())))
    if not difference <= bridges.TOLERANCE:
        raise NotForQat(f"not for QAT: written in layers that tfmot knows, the network differs by {difference:.2g}")


def _folds(layer: Any) -> bool:
    """Whether a normalisation stands right behind a layer that it is folded into, by tfmot's own patterns."""
    if type(layer).__name__ != "BatchNormalization" or len(layer._inbound_nodes) != 1:
        return False
    before = layer._inbound_nodes[0].arguments.keras_tensors[0]._keras_history.operation
    return type(before).__name__ in FOLDING and len(before._outbound_nodes) == 1


def _output_config(tfmot: Any) -> type:
    """A configuration for layers that tfmot doesn't know: what they give is quantised, nothing inside them."""

    class Output(tfmot.quantization.keras.QuantizeConfig):
        def get_weights_and_quantizers(self, layer: Any) -> list[Any]:
            return []

        def get_activations_and_quantizers(self, layer: Any) -> list[Any]:
            return []

        def set_quantize_weights(self, layer: Any, quantize_weights: Any) -> None:
            """There are none."""

        def set_quantize_activations(self, layer: Any, quantize_activations: Any) -> None:
            """There are none."""

        def get_output_quantizers(self, layer: Any) -> list[Any]:
            ranges = tfmot.quantization.keras.quantizers.MovingAverageQuantizer
            return [ranges(num_bits=8, per_axis=False, symmetric=False, narrow_range=False)]

        def get_config(self) -> dict[str, Any]:
            return {}

    return Output


def _applied(tfmot: Any, twin: Any, output: type) -> Any:
    """The twin with fake quantisation. Raises `NotForQat` with tfmot's reason."""
    from automl.compression import twins

    known = {"Foreign": twins.Foreign, output.__name__: output}
    with tfmot.quantization.keras.quantize_scope(known), _inputs_left_out():
        try:
            made = tfmot.quantization.keras.quantize_apply(twin)
        except (ValueError, RuntimeError, TypeError, AttributeError) as error:
            raise NotForQat(f"not for QAT: {' '.join(str(error).split())[:300]}") from error
    for layer in made.layers:
        if hasattr(inner := getattr(layer, "layer", layer), "adopt"):
            inner.adopt()  # tfmot copies weights by names that it knows.
    return made


def _check_integers(content: bytes, fake: Fake) -> None:
    """Raises `NotForQat` where the converter has left more weights float than those that weren't trained for integers."""
    from automl.export import tflite

    weights = tflite.weight_arrays(content)
    integers = sum(w.size for w in weights if w.dtype == np.int8)
    floats = 1 - integers / max(1, sum(w.size for w in weights))
    # A float table may be larger in the file than the weights that it is made of: those of windows' relative places are.
    missing = integers < (1 - FLOAT_WEIGHTS) * fake.kernels
    if missing and floats > 1 - fake.share + FLOAT_WEIGHTS:
        raise NotForQat(f"not for QAT: the converter leaves {floats:.0%} of the weights float")


@contextlib.contextmanager
def _inputs_left_out() -> Iterator[None]:
    """Keeps tfmot from quantising the inputs: it fails on codes, and turns round what is concatenated with an input."""
    from tensorflow_model_optimization.python.core.quantization.keras.default_8bit import default_8bit_transforms

    whole = default_8bit_transforms.InputLayerQuantize

    class Nothing(whole):  # type: ignore[misc,valid-type]
        def replacement(self, match_layer: Any) -> Any:
            return match_layer

    default_8bit_transforms.InputLayerQuantize = Nothing
    try:
        yield
    finally:
        default_8bit_transforms.InputLayerQuantize = whole


@contextlib.contextmanager
def _dilations_named() -> Iterator[None]:
    """Dilated convolutions are written as the one operation that they are in TFLite: as tf_keras computes them, on places
    that are sorted into the batch, the converter leaves their kernels float behind fake quantisation."""
    import tensorflow as tf
    import tf_keras

    plain = tf_keras.layers.Conv2D.convolution_op

    def named(layer: Any, inputs: Any, kernel: Any) -> Any:
        return tf.nn.conv2d(
            inputs, kernel, list(layer.strides), layer.padding.upper(), dilations=list(layer.dilation_rate)
        )

    tf_keras.layers.Conv2D.convolution_op = named
    try:
        yield
    finally:
        tf_keras.layers.Conv2D.convolution_op = plain


def _floats(model: Any, x: Mapping[str, np.ndarray], rows: int) -> dict[str, np.ndarray]:
    """The first rows in the types of the model's inputs."""
    return {tensor.name: np.asarray(x[tensor.name][:rows]).astype(tensor.dtype) for tensor in model.inputs}


def _calibrate(quantised: Any, inputs: list[np.ndarray]) -> None:
    """Sets the ranges of activations to those of some rows.

    tfmot begins with ±6 and moves by a thousandth of the way at each step: a network with other activations would be clipped
    for its whole fine-tuning. A forward pass in training mode moves each range by `MOVE` of the way to this batch's, so the
    rest of the way is made here; a range behind a clipped one is seen rightly in the next pass.
    """
    names = [v.name.split(":")[0] for v in quantised.variables]
    moving = [name.endswith(("_min", "_max")) and "kernel" not in name for name in names]
    ranges = [v for v, of_activations in zip(quantised.variables, moving, strict=True) if of_activations]
    statistics = [(v, v.numpy()) for v in quantised.non_trainable_variables if "moving_" in v.name]
    for _ in range(PASSES):
        before = [v.numpy() for v in ranges]
        quantised(inputs, training=True)
        change = 0.0
        for variable, old in zip(ranges, before, strict=True):
            moved = (variable.numpy() - old) / MOVE
            variable.assign(old + moved)
            change = max(change, abs(float(moved)) / (1e-6 + abs(float(old + moved))))
        if change < 0.01:
            break
    for variable, value in statistics:
        variable.assign(value)
    for variable in ranges:
        if f"_image{ENTRANCE}" in variable.name:
            # The bytes' own range, as in a plain conversion: the file's input are then the raw pixels.
            variable.assign(255.0 if "_max" in variable.name else 0.0)


def converted(fake: Fake, batch: int | None = None) -> bytes:
    """The int8 flatbuffer with the ranges that were learned; inputs and outputs as `automl.export.tflite` has them. `batch`
    fixes the number of rows; None leaves it free. Raises `NotForQat` where the converter fails, or leaves floats."""
    import tensorflow as tf
    from tensorflow.lite.python.convert_phase import ConverterError

    from automl.export import tflite

    quantised, model = fake.twin, fake.model

    class Inference(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = list(quantised.variables)

    names = [tensor.name for tensor in model.inputs]
    specs = {t.name: tf.TensorSpec((batch, *t.shape[1:]), t.dtype, name=t.name) for t in model.inputs}
    output = "prediction" if model.outputs[0].shape[-1] == 1 else "probabilities"

    def call(**inputs: Any) -> dict[str, Any]:
        return {output: quantised([inputs[name] for name in names], training=False)}

    module = Inference()
    with tempfile.TemporaryDirectory(prefix="automl-qat-") as folder:
        with _dilations_named():
            signature = tf.function(call, autograph=False).get_concrete_function(**specs)
        tf.saved_model.save(module, folder, signatures={tflite.SIGNATURE: signature})
        made = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[tflite.SIGNATURE])
        made.optimizations = [tf.lite.Optimize.DEFAULT]
        # The ranges are in the graph: with the integer set the converter would ask for rows to calibrate on.
        made.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if "image" in names:
            made.inference_input_type = tf.uint8
        try:
            content = tflite.finished(bytes(made.convert()), "int8")
        except ConverterError as error:
            raise NotForQat(f"not for QAT: the converter fails: {' '.join(str(error).split())[:300]}") from error
    _check_integers(content, fake)
    return content
