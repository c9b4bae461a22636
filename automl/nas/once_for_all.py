"""Once for all: the largest network learns first, then ever smaller ones inside it, taught by it; then they are scored, and
the best under a limit are found without training anything again.

Progressive shrinking (Cai et al., arXiv:1908.09791): one dimension after the other becomes elastic, kernels first, then
depth, expansion, width and resolution. A step trains one network, mostly a random one; what it gives is compared with the
labels and, by half, with what the largest network gave when its own training ended. The last part of the time goes into
scores: random networks on validation rows, normalised by the rows' own statistics, from which the predictor learns.

Files beside the checkpoint, for whoever cuts networks out later: weights.npz ("layer/place" → array), space.json.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog.footprint import footprint
from automl.nas import elastic, expected
from automl.nas.method import Ground, cosine, endless
from automl.nas.subnetworks import DIMENSIONS, Predictor, Space, Sub, evolved
from automl.spec import Found
from automl.spec.model import Json
from automl.tasks import metrics
from automl.training.batches import Batch

BATCH = 64
RATE, MOMENTUM, DECAY, CLIP = 0.1, 0.9, 1e-4, 5.0
RISE = 0.03
"""Share of the search in which the rate rises from 0."""
GROWN = 0.35
"""Share of the search for the largest network alone."""
OPENED = {"kernel": 0.35, "depth": 0.42, "expansion": 0.49, "width": 0.58, "resolution": 0.65}
"""When each dimension becomes elastic."""
TRAINED = 0.88
"""From here on networks are scored."""
LARGEST_CHANCE, SMALLEST_CHANCE = 0.15, 0.05
"""Of a step to train the largest or the smallest of what is open."""
TEACHER = 0.5
"""Share of the teacher's outputs in the targets."""
SCORED_ROWS, SCORED_BATCH = 1024, 256
LEAST_SCORED = 12
"""Scores from which the predictor is believed."""
SHARES = (1.0, 0.5, 0.25)
"""Multiplications of the networks that are returned, as shares of the largest's."""
WEIGHTS_FILE, SPACE_FILE = "weights.npz", "space.json"


class OnceForAll:
    """See the module's docstring, and `automl.nas.method.Method`."""

    def __init__(self, ground: Ground):
        import keras

        from automl.architectures import _pictures, model

        self.ground = ground
        settings, params = ground.settings, ground.recipe.architecture.params
        inputs = model.input_tensors(ground.meta.profile, ground.samples.preprocess)
        self.space = space_of(_pictures.input_shape(inputs), settings, int(params["width"]))
        seed = ground.recipe.seed
        keras.utils.set_random_seed(seed % 2**32)
        plan = ground.plan.replace(dropout=(), stochastic_depth=0.0, regularizer=None)
        recipe = ground.recipe.model_copy(update={"architecture": self.space.largest().choice})
        self.core = model.build_core(recipe, plan, ground.meta.profile, ground.samples.preprocess, ground.samples.shown)
        self.elastic = elastic.Elastic(self.core, self.space.network(self.space.largest()), self.space.strides())
        self.loss = ground.plan.loss.make()
        self.optimizer = keras.optimizers.SGD(
            RATE, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY, global_clipnorm=CLIP
        )
        self.optimizer.build(self.core.trainable_variables)
        self.teacher = [keras.Variable(v, trainable=False, name="teacher") for v in self.core.trainable_variables]
        self.variables = [*self.core.variables, *self.optimizer.variables, *self.teacher]
        self.size = min(BATCH, ground.samples.rows)
        self.steps, self.taught = 0, False
        self.scored: list[dict[str, Any]] = []
        self.losses: list[float] = []
        self.stream: Iterator[Batch] | None = None
        self.largest = self.space.table(self.space.largest())
        """Cuts are small matrices; that of each network is made when it is met."""
        self._graphs()

    # --- graphs ------------------------------------------------------------------------------------------

    def _graphs(self) -> None:
        import tensorflow as tf

        weights = self.core.trainable_variables
        raw = [v.value for v in weights]
        places = {id(v): n for n, v in enumerate(weights)}

        def forward(image: Any, rows: Any, given: list[Any]) -> Any:
            def read(layer: str) -> list[Any]:
                return [given[places[id(v)]] for v in self.elastic.layers[layer].trainable_variables]

            return self.elastic.outputs(image, rows, read)

        # A function of its own, of the weights too: the student's, the teacher's and the scores' are then built once.
        passed = self.forward = tf.function(forward, autograph=False, jit_compile=False, reduce_retracing=True)

        def teach(image: Any, y: Any, rows: Any, whole: Any, share: Any) -> Any:
            def asked() -> Any:
                return tf.nn.softmax(passed(image, whole, [tf.convert_to_tensor(v.value) for v in self.teacher]))

            soft = tf.stop_gradient(tf.cond(share > 0, asked, lambda: y))
            with tf.GradientTape() as tape:
                outputs = passed(image, rows, [tf.convert_to_tensor(v) for v in raw])
                loss = self.loss((1 - share) * y + share * soft, outputs)
            self.optimizer.apply(tape.gradient(loss, raw), weights)
            return loss

        def look(image: Any, rows: Any) -> Any:
            return passed(image, rows, [tf.convert_to_tensor(v) for v in raw])

        self.teach, self.look = (tf.function(f, autograph=False, jit_compile=False) for f in (teach, look))

    @property
    def traces(self) -> int:
        """Graphs that were built so far."""
        return sum(f.experimental_get_tracing_count() for f in (self.forward, self.teach, self.look))

    def trace(self) -> None:
        import tensorflow as tf

        example = next(endless(self.ground.samples, self.ground.plan, self.size, self.ground.recipe.seed))
        image, y = (tf.TensorSpec(a.shape, a.dtype) for a in (example.inputs["image"], example.target))
        rows = tf.TensorSpec(self.largest.shape, tf.int32)
        any_image = tf.TensorSpec((None, *image.shape[1:]), image.dtype)
        given = [tf.TensorSpec(v.shape, tf.float32) for v in self.core.trainable_variables]
        self.forward.get_concrete_function(any_image, rows, given)
        self.teach.get_concrete_function(image, y, rows, rows, tf.TensorSpec((), tf.float32))
        self.look.get_concrete_function(any_image, rows)

    # --- steps -------------------------------------------------------------------------------------------

    def step(self, progress: float) -> float:
        self.steps += 1
        if progress >= TRAINED:
            self._score_one()
            return self.losses[-1] if self.losses else 0.0
        rng = random.Random(f"{self.ground.recipe.seed}:{self.steps}")
        sub = self._drawn(progress, rng)
        share = TEACHER if self.taught and sub != self.space.largest() else 0.0
        rate = RATE * min(1.0, progress / RISE + 1e-3) * cosine(progress / TRAINED)
        self.optimizer.learning_rate.assign(rate)
        batch = self._next()
        loss = float(self.train(batch, sub, share))
        self.losses.append(loss)
        return loss

    def train(self, batch: Batch, sub: Sub, share: float) -> Any:
        """One step of a network inside the largest, `share` of its target the teacher's."""
        import tensorflow as tf

        rows = tf.constant(self.space.table(sub))
        image, y = tf.constant(batch.inputs["image"]), tf.constant(batch.target)
        return self.teach(image, y, rows, tf.constant(self.largest), tf.constant(share, tf.float32))

    def _drawn(self, progress: float, rng: random.Random) -> Sub:
        """What the next step trains."""
        free = [name for name in DIMENSIONS if progress >= OPENED[name]]
        if free and not self.taught:
            for kept, v in zip(self.teacher, self.core.trainable_variables, strict=True):
                kept.assign(v.value)
            self.taught = True
        chance = rng.random()
        if not free or chance < LARGEST_CHANCE:
            return self.space.largest()
        smallest = self.space.smallest()
        if chance < LARGEST_CHANCE + SMALLEST_CHANCE and len(free) == len(DIMENSIONS) and self.space.fits(smallest):
            return smallest
        while not self.space.fits(sub := self.space.sample(rng, free)):
            continue
        return sub

    def _next(self) -> Batch:
        if self.stream is None:
            self.stream = endless(self.ground.samples, self.ground.plan, self.size, self.ground.recipe.seed, self.steps - 1)
        return next(self.stream)

    # --- scores ------------------------------------------------------------------------------------------

    def score(self, sub: Sub, most: int = SCORED_ROWS) -> float:
        """The job's metric on `most` validation rows, larger is better; normalised by the rows' own statistics."""
        import tensorflow as tf

        from automl.tasks import head

        samples, rows = self.ground.samples, tf.constant(self.space.table(sub))
        count = min(most, len(samples.validation_target))
        found = []
        # Rows in equal parts, so that none is judged by the statistics of a few.
        for part in np.array_split(np.arange(count), max(1, round(count / SCORED_BATCH))):
            image = tf.constant(np.asarray(samples.validation_inputs["image"][part[0] : part[-1] + 1]))
            found.append(self.look(image, rows).numpy())
        metric = metrics.get(self.ground.metric)
        predictions = head.predictions(np.concatenate(found), self.ground.meta)
        values = metrics.evaluate(self.ground.meta.task, samples.validation_target[:count], predictions)
        return float(metric.signed(values[metric.id]))

    def _score_one(self) -> None:
        rng = random.Random(f"{self.ground.recipe.seed}:scored:{len(self.scored)}")
        first = (self.space.largest(), self.space.smallest())
        sub = first[len(self.scored)] if len(self.scored) < len(first) else self.space.sample(rng)
        while not self.space.fits(sub):
            sub = self.space.sample(rng)
        self.scored.append({"architecture": sub.choice.to_dict(), "score": self.score(sub)})

    def _subs(self) -> tuple[list[Sub], list[float]]:
        return pairs(self.space, self.scored)

    # --- rounds ------------------------------------------------------------------------------------------

    def measured(self) -> tuple[dict[str, float], float]:
        score = self.score(self.space.largest(), SCORED_BATCH)
        smallest = self.space.smallest()
        values = {"largest": score, "scored": float(len(self.scored))}
        if self.space.fits(smallest):
            values["smallest"] = self.score(smallest, SCORED_BATCH)
        return values, score

    def over(self) -> str:
        return ""

    def remark(self) -> str:
        if len(self.scored) < LEAST_SCORED:
            return (
                f"{len(self.scored)} networks inside it were scored, fewer than {LEAST_SCORED}: the largest alone is known "
                "to be good"
            )
        from scipy import stats

        subs, scores = self._subs()
        if not self.found():
            return "no network inside it meets the limits"
        agreement = float(stats.kendalltau(Predictor(self.space, subs, scores).left_out(), scores).statistic)
        return f"{len(subs)} networks inside it were scored; the predictor's order agrees by Kendall's τ = {agreement:.2f}"

    def found(self) -> list[Found]:
        """Of the networks within the job's limits the best, with a half of the multiplications that one may have, and with a
        quarter."""
        if not self.taught:
            return []
        whole, meets = self.space.largest(), expected.within(self.ground.settings, self.ground.outputs)
        if len(self.scored) < LEAST_SCORED:
            within = meets(self.space.network(whole))
            return [Found(architecture=whole.choice, note="the largest network")] if within else []
        subs, scores = self._subs()
        predictor, most = Predictor(self.space, subs, scores), self.space.network(whole).macs
        limited, found = not meets(self.space.network(whole)), list[Found]()
        for share in SHARES:
            def allowed(sub: Sub, limit: float = share * most) -> bool:
                net = self.space.network(sub)
                return net.macs <= limit and meets(net)

            ranked = evolved(self.space, predictor, allowed, random.Random(self.ground.recipe.seed), subs)
            if not ranked:
                break
            macs = footprint(self.space.network(ranked[0]), self.ground.outputs).macs
            whose = "its" if limited else "the largest's"
            note = f"the best with {share:.0%} of {whose} multiplications"
            if limited and not found:
                most, note = macs, "the best within the limits"
            if all(f.architecture != ranked[0].choice for f in found):
                note = f"{note} ({macs / 1e6:.2f} million)"
                found.append(Found(architecture=ranked[0].choice, expected=predictor(ranked[0]), note=note))
        return found

    # --- going on ----------------------------------------------------------------------------------------

    def state(self) -> Json:
        return {"steps": self.steps, "taught": self.taught, "scored": self.scored}

    def restore(self, state: Json) -> None:
        self.steps, self.taught, self.scored = int(state["steps"]), bool(state["taught"]), list(state["scored"])
        self.stream = None

    def leave(self, folder: Path) -> None:
        """Writes the weights and the space for those who cut networks out."""
        arrays = {
            f"{layer.name}/{n}": np.asarray(w)
            for layer in self.core.layers for n, w in enumerate(layer.get_weights())
        }
        temporary = folder / f".partial-{WEIGHTS_FILE}"  # of that suffix, or NumPy would add it
        np.savez(temporary, **arrays)  # type: ignore[arg-type]
        temporary.replace(folder / WEIGHTS_FILE)
        said = {
            "space": self.space.to_dict(), "scored": self.scored, "recipe": self.ground.recipe.to_dict(),
            "preprocess": self.ground.samples.preprocess,
        }
        part = folder / f"{SPACE_FILE}.partial"
        part.write_text(json.dumps(said), encoding="utf-8")
        part.replace(folder / SPACE_FILE)


def space_of(shape: tuple[int, int, int], settings: Any, width: int) -> Space:
    """The space below the largest network that the settings name."""
    kernels = tuple(k for k in (3, 5, 7) if k <= int(settings["kernel"]))
    expansions = tuple(e for e in (2, 4, 6) if e <= int(settings["expansion"]))
    depths = tuple(range(1, int(settings["depth"]) + 1))
    widths = tuple(w for w in (8, 12, 16, 24, 32) if width / 2 <= w <= width)
    return Space(shape, int(settings["stages"]), kernels, depths, expansions, widths, (0.5, 0.75, 1.0))


def pairs(space: Space, scored: list[dict[str, Any]]) -> tuple[list[Sub], list[float]]:
    """Networks with their scores, as they stand in a file."""
    from automl.spec import Choice

    subs = [Sub.of(Choice.from_dict(one["architecture"]), space.stages) for one in scored]
    return subs, [float(one["score"]) for one in scored]


def read(folder: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Weights by "layer/place", and what is known of the space. Raises `FileNotFoundError` where there is no supernet."""
    with np.load(folder / WEIGHTS_FILE, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return arrays, json.loads((folder / SPACE_FILE).read_text(encoding="utf-8"))
