"""Differentiable search: the operations of each edge are mixed, and the mixture's weights are learned with the network's.

The training rows are halved: one half teaches the network's weights, the other one the architecture (`automl.nas.bilevel`).
Then the edges are decided, by what the supernet would miss (`automl.nas.perturbation`) or by their preferences alone.
Normalisations have no scale of their own: it would undo the mixture's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from automl.catalog import Component, compose, entries
from automl.nas import bilevel, collapse, perturbation
from automl.nas.method import Ground, Halves, cosine, entropy, right
from automl.spec import Choice, Found
from automl.spec.genotype import PARAMETER
from automl.spec.model import Json
from automl.training.batches import Batch

BATCH = 64
RATE, MOMENTUM, DECAY, CLIP = 0.05, 0.9, 3e-4, 5.0
"""Of the weights: descent with momentum, as published, with a rate for few steps."""
WARM = 0.15
"""Share of the search in which only the weights learn: before that the operations with weights have nothing to show."""
ALPHA_TRAVEL = 6.0
"""How far a steady preference moves a logit over the whole search, by Adam's equal steps."""
ALPHA_RATES = (1e-3, 0.05)
ALPHA_BETAS, ALPHA_DECAY = (0.5, 0.999), 1e-3
MOST_FOUND = 4
UNDECIDED = 0.97
"""Entropy above which the edges' preferences are chance: nothing was found then."""
CURVATURE_STEP = 0.05
"""Length of the move of the logits for products with the Hessian."""
POWER_STEPS = 3
"""Of the iteration in each round, which goes on from the vector of the round before."""
SELECTION = 0.35
"""Share of the search in which the edges are decided one by one, while the weights learn on…"""
LAST_DECISION = 0.97
"""… up to here…"""
JUDGING = 0.15
"""… and most of the search's work that the losses for it may take; forward passes cost a sixth of a step of both halves."""
JUDGED = (2, 16)
"""Fewest and most batches that one loss is taken on."""


class Darts:
    """See the module's docstring, and `automl.nas.method.Method`."""

    def __init__(self, ground: Ground):
        import keras

        self.ground = ground
        self.family = entries.architectures[ground.recipe.architecture.id]
        assert self.family.relaxation is not None
        self.relaxation = self.family.relaxation
        self.second, self.partial = int(ground.settings["order"]) == 2, int(ground.settings["partial"])
        self.watch = cast(collapse.Watch, str(ground.settings["guard"]))
        self.perturbing = ground.settings["selection"] == "perturbation"
        self.params = compose.complete(ground.recipe.architecture, self.family.params)
        seed = ground.recipe.seed
        keras.utils.set_random_seed(seed % 2**32)
        self.core = self._core()
        self.loss = ground.plan.loss.make()
        rng = np.random.default_rng([seed, 11])
        width = len(self.relaxation.operations)
        self.alphas: dict[str, Any] = {}
        self.betas: dict[str, Any] = {}
        for group, nodes in self.relaxation.groups.items():
            start = 1e-3 * rng.normal(size=(len(nodes), width))
            self.alphas[group] = keras.Variable(start, dtype="float32", name=f"alpha_{group}")
            if self.partial > 1:
                self.betas[group] = keras.Variable(1e-3 * rng.normal(size=len(nodes)), dtype="float32", name=f"beta_{group}")
        self.architecture = [*self.alphas.values(), *self.betas.values()]
        shapes = {group: (len(nodes), width) for group, nodes in self.relaxation.groups.items()}
        self.free = {g: keras.Variable(np.ones(s), dtype="float32", trainable=False) for g, s in shapes.items()}
        """1 where an operation's weight is what is learned; 0 of edges that are decided…"""
        self.given = {g: keras.Variable(np.zeros(s), dtype="float32", trainable=False) for g, s in shapes.items()}
        """… whose operation has 1 here."""
        self.selection = perturbation.Selection.of(self.relaxation.groups, seed)
        self.selecting: tuple[float, int] | None = None
        """The progress at which the decisions began, and the batches for each loss."""
        self.optimizer = keras.optimizers.SGD(
            RATE, momentum=MOMENTUM, weight_decay=DECAY, global_clipnorm=CLIP, name="weights_optimizer"
        )
        self.optimizer.build(self.core.trainable_variables)
        self.architect = keras.optimizers.Adam(
            ALPHA_RATES[0], beta_1=ALPHA_BETAS[0], beta_2=ALPHA_BETAS[1], weight_decay=ALPHA_DECAY, name="architect"
        )
        self.architect.build(self.architecture)
        self.variables = [
            *self.core.variables, *self.architecture, *self.optimizer.variables, *self.architect.variables,
            *self.free.values(), *self.given.values(),
        ]
        self.halves, self.steps = Halves(ground, BATCH), 0
        self.judgements: list[tuple[float, float]] = []
        """(loss, accuracy) on rows for the architecture, this round."""
        self.last: Batch | None = None
        self.fixed: Batch | None = None
        self.history: list[dict[str, Any]] = []
        """One entry for each round in which the architecture moved: {"skips", "eigenvalue", "genotypes"}."""
        self.vector = np.random.default_rng([seed, 12]).normal(size=sum(int(np.prod(v.shape)) for v in self.architecture))
        self.collapsed: collapse.Collapse | None = None
        self._graphs()

    # --- the network -------------------------------------------------------------------------------------

    def _core(self) -> Any:
        import keras

        from automl.architectures import _assembly, _pictures, model
        from automl.architectures.builder import Builder
        from automl.layers import relaxed
        from automl.tasks import head

        ground, profile = self.ground, self.ground.meta.profile
        plan = ground.plan.replace(
            norm=Component(f"{__name__}:scaleless") if ground.plan.norm is not None else None, dropout=(),
            stochastic_depth=0.0, regularizer=None,
        )
        builder = Builder(
            plan, profile, seed=ground.recipe.seed, preprocess=ground.samples.preprocess, sample=ground.samples.shown
        )
        inputs = model.input_tensors(profile, ground.samples.preprocess)
        params = {name: value for name, value in self.params.items() if name != PARAMETER}
        net = self.relaxation.network(_pictures.input_shape(inputs), partial=self.partial, **params)
        columns = len(self.relaxation.operations) + 1
        weights = {
            group: keras.Input(batch_shape=(len(nodes), columns), name=f"weights-{group}")
            for group, nodes in self.relaxation.groups.items()
        }

        def mixture(part: Any, xs: list[Any], builder: Builder) -> Any:
            how = part.weighed
            layer = relaxed.Mixture(how.row, how.columns, how.bypass, name=f"{part.name}_mixture")
            return layer([weights[how.group], *xs])

        def front(part: Any, xs: list[Any], builder: Builder) -> Any:
            return relaxed.FrontChannels(xs[0].shape[-1] // part.channels, name=part.name)(xs[0])

        features = _assembly.assemble(net, inputs, builder, own={"mixture": mixture, "front": front})
        last = keras.initializers.GlorotUniform(seed=builder.seed())
        outputs = head.logits(features, ground.outputs, initializer=last, regularizer=None)
        return keras.Model({**inputs, **{f"weights-{g}": w for g, w in weights.items()}}, outputs, name="supernet")

    def _weights(self) -> dict[str, Any]:
        """What the network takes beside the pictures, as tensors: probabilities times strengths, [edges, operations + 1]."""
        import tensorflow as tf

        found = {}
        for group, nodes in self.relaxation.groups.items():
            shares = tf.nn.softmax(self.alphas[group].value, axis=-1) * self.free[group].value + self.given[group].value
            strengths = tf.ones((len(nodes), 1)) if group not in self.betas else _softmax_by(self.betas[group].value, nodes)
            found[f"weights-{group}"] = tf.concat([shares, tf.ones((len(nodes), 1))], axis=1) * strengths
        return found

    def _loss(self, x: Any, y: Any) -> tuple[Any, Any]:
        """(loss, share of rows whose class is right)"""

        outputs = self.core({**x, **self._weights()}, training=True)
        return self.loss(y, outputs), right(y, outputs)

    # --- steps -------------------------------------------------------------------------------------------

    def _graphs(self) -> None:
        import tensorflow as tf

        weights, alphas = self.core.trainable_variables, self.architecture
        # A function of its own: forward and back are then built once for all the graphs below. Thousands of operations take
        # a minute to build.
        passed = self.passed = tf.function(self._loss, autograph=False, jit_compile=False)
        raw_weights, raw_alphas = [v.value for v in weights], [v.value for v in alphas]

        def teach(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                loss, _ = passed(x, y)
            self.optimizer.apply(tape.gradient(loss, raw_weights), weights)
            return loss

        def judge(x: Any, y: Any, held_x: Any, held_y: Any) -> Any:
            accuracies = []

            def valid() -> Any:
                loss, accuracy = passed(held_x, held_y)
                accuracies.append(accuracy)
                return loss

            if self.second:
                rate = tf.convert_to_tensor(self.optimizer.learning_rate)
                loss, gradients = bilevel.second_order(
                    lambda: passed(x, y)[0], valid, raw_weights, raw_alphas, rate
                )
            else:
                loss, gradients = bilevel.first_order(valid, raw_alphas)
            self.architect.apply(gradients, alphas)
            return loss, accuracies[0]

        def slope(x: Any, y: Any) -> Any:
            loss, gradients = bilevel.first_order(lambda: passed(x, y)[0], raw_alphas)
            return loss, tf.concat([tf.reshape(g, [-1]) for g in gradients], 0)

        def look(x: Any, y: Any) -> Any:
            return passed(x, y)

        # Never compiled by XLA: on a CPU it takes many times as long.
        self.teach, self.judge, self.slope, self.look = (
            tf.function(f, autograph=False, jit_compile=False) for f in (teach, judge, slope, look)
        )

    def _next(self, half: int) -> Batch:
        return self.halves.next(half, self.steps)

    def trace(self) -> None:
        import tensorflow as tf

        example = self._next(0)
        x = {name: tf.constant(array) for name, array in example.inputs.items()}
        y = tf.constant(example.target)
        specs = tf.nest.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), (x, y))
        self.teach.get_concrete_function(*specs)
        self.judge.get_concrete_function(*specs, *specs)
        self.look.get_concrete_function(*specs)
        if self.watch in ("both", "eigenvalue"):
            self.slope.get_concrete_function(*specs)
        self.halves.restart()

    @property
    def traces(self) -> int:
        """Graphs that were built so far."""
        return sum(f.experimental_get_tracing_count() for f in (self.passed, self.teach, self.judge, self.slope, self.look))

    def step(self, progress: float) -> float:
        taught, held = self._next(0), self._next(1)
        self.optimizer.learning_rate.assign(RATE * cosine(progress))
        if self.perturbing and self.selecting is None and (progress >= LAST_DECISION - SELECTION or self.collapsed):
            self.selecting = progress, self._judged(progress)
        if self.selecting is not None:
            self._select(progress)
        elif progress >= WARM:
            self.architect.learning_rate.assign(self._alpha_rate(progress))
            loss, accuracy = self.judge(*_tensors(taught), *_tensors(held))
            self.judgements.append((float(loss), float(accuracy)))
        self.last = held
        self.steps += 1
        return float(self.teach(*_tensors(taught)))

    def _alpha_rate(self, progress: float) -> float:
        """So that a steady preference has moved by `ALPHA_TRAVEL` in the end, by the steps that this progress took."""
        foreseen = self.steps / max(progress, 1e-3)
        return float(np.clip(ALPHA_TRAVEL / ((1 - WARM) * max(1.0, foreseen)), *ALPHA_RATES))

    # --- decisions ---------------------------------------------------------------------------------------

    def _judged(self, progress: float) -> int:
        """Batches for one loss, so that all of them take their share of the work."""
        edges = len(self.selection.order)
        losses = edges * (len(self.relaxation.operations) + 1)
        return int(np.clip(6 * JUDGING * self.steps / max(progress, 1e-3) / losses, *JUDGED))

    def _select(self, progress: float) -> None:
        """Decides the edges whose time has come; in the end how much each of them counts."""
        assert self.selecting is not None
        begun, judged = self.selecting
        edges = len(self.selection.order)
        while self.selection.left and progress >= begun + SELECTION * len(self.selection.made) / edges:
            operations, (intact, loss) = self.relaxation.operations, self._losses(judged)
            nothing = operations.index(self.relaxation.nothing)
            decision = self.selection.decide(loss, intact, len(operations), nothing)
            group, row = decision.edge
            _put(self.free[group], row, np.zeros(len(decision.missed)))
            _put(self.given[group], row, np.eye(len(decision.missed))[decision.kept] * (decision.kept != nothing))
            if not self.selection.left:
                self.selection.weigh(self.relaxation.groups, self._losses(judged)[1])

    def _losses(self, judged: int) -> tuple[float, perturbation.Loss]:
        """The loss as the supernet is, and what it is without something, all on the same batches."""
        batches = [_tensors(batch) for _, batch in zip(range(judged), self.halves.stream(1, 3, self.steps))]

        def mean() -> float:
            return float(np.mean([float(self.look(x, y)[0]) for x, y in batches]))

        def loss(edge: perturbation.Edge, operation: int | None) -> float:
            group, row = edge
            kept = [np.array(np.asarray(v[group].value)) for v in (self.free, self.given)]
            there = np.ones(kept[0].shape[1])
            there[slice(None) if operation is None else operation] = 0.0
            for variable, before in zip((self.free[group], self.given[group]), kept):
                _put(variable, row, before[row] * there)
            found = mean()
            for variable, before in zip((self.free[group], self.given[group]), kept):
                variable.assign(before)
            return found

        return mean(), loss

    # --- rounds ------------------------------------------------------------------------------------------

    def measured(self) -> tuple[dict[str, float], float]:
        moved = bool(self.judgements)
        if not moved:
            assert self.last is not None
            loss, accuracy = self.look(*_tensors(self.last))
            self.judgements = [(float(loss), float(accuracy))]
        losses, accuracies = zip(*self.judgements)
        self.judgements = []
        shares, _ = self.mixture()
        preferred = {g: np.argmax(w, axis=1) for g, w in shares.items()}
        skip, nothing = (self.relaxation.operations.index(op) for op in (self.relaxation.skip, self.relaxation.nothing))
        values = {
            "loss": float(np.mean(losses)), "accuracy": float(np.mean(accuracies)),
            "skips": float(max((w == skip).sum() for w in preferred.values())),
            "nones": float(max((w == nothing).sum() for w in preferred.values())),
            **{f"entropy-{group}": entropy(w) for group, w in shares.items()},
        }
        if self.perturbing:
            values["decided"] = float(len(self.selection.made))
        if moved:
            eigenvalue = self._eigenvalue() if self.watch in ("both", "eigenvalue") else None
            if eigenvalue is not None:
                values["eigenvalue"] = eigenvalue
            self.history.append(
                {"skips": int(values["skips"]), "eigenvalue": eigenvalue, "genotypes": self._genotypes()[:MOST_FOUND]}
            )
            rounds = [collapse.Round(r["skips"], r["eigenvalue"]) for r in self.history]
            self.collapsed = collapse.judged(rounds, self.watch)
        return values, values["accuracy"]

    def mixture(self) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
        """Probabilities [edges, operations] and strengths [edges] by group."""
        shares, strengths = {}, {}
        for group, nodes in self.relaxation.groups.items():
            logits = np.asarray(self.alphas[group].value, np.float64)
            grown = np.exp(logits - logits.max(axis=1, keepdims=True))
            shares[group] = grown / grown.sum(axis=1, keepdims=True)
            strengths[group] = np.ones(len(nodes))
            if group in self.betas:
                raw, into = np.exp(np.asarray(self.betas[group].value, np.float64)), np.asarray(nodes)
                strengths[group] = raw / np.array([raw[into == node].sum() for node in nodes])
        return shares, strengths

    def _genotypes(self) -> list[str]:
        return self.relaxation.decoded(*self.selection.merged(*self.mixture()))

    def _eigenvalue(self) -> float:
        """The dominant one of the Hessian of the loss in the architecture, on the same rows in every round."""
        if self.fixed is None:
            self.fixed = next(self.halves.stream(1, 2))
        x, y = _tensors(self.fixed)
        kept = [np.asarray(v.value) for v in self.architecture]
        ends = np.cumsum([0, *(v.size for v in kept)])

        def put(flat: NDArray[np.float64]) -> None:
            for v, before, start, end in zip(self.architecture, kept, ends, ends[1:]):
                v.assign(flat[start:end].reshape(before.shape).astype(np.float32))

        def gradient(flat: NDArray[np.float64]) -> NDArray[np.float64]:
            put(flat)
            return np.asarray(self.slope(x, y)[1], np.float64)

        point = np.concatenate([v.reshape(-1) for v in kept]).astype(np.float64)
        value, self.vector = bilevel.dominant_eigenvalue(
            gradient, point, self.vector, iterations=POWER_STEPS, length=CURVATURE_STEP
        )
        put(point)
        return value

    def over(self) -> str:
        if self.perturbing and (self.selection.left or self.collapsed is None):
            return ""
        return self.collapsed.why if self.collapsed is not None else ""

    def _undecided(self) -> bool:
        if self.selection.made:
            return bool(self.selection.left)
        return min(entropy(shares) for shares in self.mixture()[0].values()) > UNDECIDED

    def remark(self) -> str:
        if self.collapsed is None and self._undecided():
            return f"after {self.steps} steps the edges hadn't decided: a longer budget, or smaller pictures, give it more"
        return ""

    def found(self) -> list[Found]:
        if self.collapsed is None and self._undecided():
            return []
        if self.selection.made and not self.selection.left:
            texts, where = self._genotypes()[:MOST_FOUND], "couldn't spare"
        elif self.collapsed is not None:
            texts, where = self.history[self.collapsed.back_to]["genotypes"], "preferred before the collapse"
        else:
            texts, where = self._genotypes()[:MOST_FOUND], "preferred at the end of the search"
        return [
            Found(
                architecture=Choice(id=self.family.id, params={**self.params, PARAMETER: text}),
                note=f"what the edges {where}" if n == 0 else "the closest second choice" if n == 1 else
                "a close second choice",
            )
            for n, text in enumerate(texts)
        ]

    # --- going on ----------------------------------------------------------------------------------------

    def state(self) -> Json:
        return {
            "steps": self.steps, "history": self.history, "vector": [float(v) for v in self.vector],
            "selecting": self.selecting, "selection": self.selection.state(),
        }

    def restore(self, state: Json) -> None:
        self.steps, self.history = int(state["steps"]), list(state["history"])
        self.vector = np.asarray(state["vector"], np.float64)
        self.halves.restart()
        rounds = [collapse.Round(r["skips"], r["eigenvalue"]) for r in self.history]
        self.collapsed = collapse.judged(rounds, self.watch)
        self.selecting = None if state["selecting"] is None else (float(state["selecting"][0]), int(state["selecting"][1]))
        self.selection.restore(state["selection"])

    def leave(self, folder: Path) -> None:
        """Nothing: of a mixture the genotypes alone are worth keeping."""


def scaleless(rank: int, channels: int) -> Any:
    """Batch normalisation without scale and shift."""
    import keras

    return keras.layers.BatchNormalization(momentum=0.9, center=False, scale=False)


def _softmax_by(logits: Any, nodes: tuple[int, ...]) -> Any:
    """[edges] → [edges, 1], summing to 1 over the edges that lead to the same node."""
    import tensorflow as tf

    grown = tf.exp(logits - tf.reduce_max(logits))
    together = tf.constant(np.equal.outer(nodes, nodes).astype(np.float32))
    return (grown / tf.linalg.matvec(together, grown))[:, None]


def _put(variable: Any, row: int, values: NDArray[np.float64]) -> None:
    """Replaces a row."""
    whole = np.array(np.asarray(variable.value))
    whole[row] = values
    variable.assign(whole)


def _tensors(batch: Batch) -> tuple[dict[str, Any], Any]:
    import tensorflow as tf

    return {name: tf.constant(array) for name, array in batch.inputs.items()}, tf.constant(batch.target)
