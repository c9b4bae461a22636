"""Search by binarised paths: a step computes one path of each block, and gradients of two say which of them is worth more.

After Cai, Zhu and Han (ProxylessNAS, arXiv:1812.00332). The training rows are halved. On one half a step draws a path for
each block by the blocks' probabilities and teaches the weights of those paths alone; on the other one it draws two, and
moves their logits by the gradient of the binary gates in front of them (`automl.nas.gates`). What limits are set on, latency
or size, is expected in closed form (`automl.nas.expected`) and stands in the loss:

    L = CE + λ Σ_costs s(log(E / limit)),    s(z) = z above the limit, 0.01 z below

The published forms are CE + λ E[latency] and CE · (E[latency] / T)^β, with λ or β tuned for each device. By the logarithm
of the share of a limit λ has no unit, so that one value does for microseconds and megabytes; and what lies below its limit
costs little, so that accuracy decides within it. Without limits there is no such term: nobody asked for less than the best.

The likeliest path of each block in the end makes the genotype; it is trained anew, as an ordinary trial.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.catalog import compose, entries
from automl.catalog.blueprint import Blueprint
from automl.catalog.relaxation import likeliest
from automl.nas import expected, gates
from automl.nas.expected import Expected
from automl.nas.method import Ground, Halves, cosine, entropy, right
from automl.nas.paths import Paths
from automl.spec import Choice, Found
from automl.spec.genotype import PARAMETER
from automl.spec.model import Json
from automl.spec.supernet import COSTS, EXPECTED, LIMIT
from automl.training.batches import Batch

BATCH = 64
RATE, MOMENTUM, DECAY, CLIP = 0.1, 0.9, 1e-4, 5.0
WARM = 0.25
"""Share of the search in which only the weights learn: every path has to have had its turns."""
ALPHA_TRAVEL = 8.0
"""How far a steady preference moves a logit over the whole search, by Adam's equal steps."""
ALPHA_RATES = (1e-3, 0.1)
ALPHA_BETAS = (0.0, 0.999)
"""Without momentum: a logit that isn't drawn stands still."""
TIMING_SHARE, TIMING_S = 0.15, 20.0
"""Of the search's seconds, and at most so many, for timing operations that no table knows."""
LOOKED, MOST_FOUND = 64, 4
TURNS = 10
"""Steps that a path should have been taught in before a preference for it means more than chance."""
UNDECIDED = 0.97
"""Entropy above which the blocks' preferences are chance: nothing was found then."""


@dataclasses.dataclass(frozen=True)
class Likely:
    """A genotype that the blocks' preferences stand for."""

    genotype: str
    place: int
    """Among the likeliest; 0 is the first."""
    costs: tuple[float, ...]


class Proxyless:
    """See the module's docstring, and `automl.nas.method.Method`."""

    def __init__(self, ground: Ground):
        import keras

        self.ground = ground
        self.family = entries.architectures[ground.recipe.architecture.id]
        assert self.family.paths is not None
        self.space = self.family.paths
        [(self.group, nodes)] = self.space.groups.items()
        params = compose.complete(ground.recipe.architecture, self.family.params)
        self.params = {name: value for name, value in params.items() if name != PARAMETER}
        self.weight = float(ground.settings["weight"])
        seed = ground.recipe.seed
        keras.utils.set_random_seed(seed % 2**32)
        self.core, net = self._core()
        self.paths = Paths(self.core, net)
        self.allowed = np.zeros((len(nodes), len(self.space.operations)), bool)
        for part in net.parts:
            if part.weighed is not None:
                self.allowed[part.weighed.row, list(part.weighed.columns)] = True
        self.allowed[~self.allowed.any(axis=1), self.space.operations.index(self.space.skip)] = True
        self.loss = ground.plan.loss.make()
        start = 1e-3 * np.random.default_rng([seed, 21]).normal(size=self.allowed.shape)
        self.alphas = keras.Variable(start, dtype="float32", name="alphas")
        self.rate = keras.Variable(RATE, dtype="float32", trainable=False, name="rate")
        self.velocities = [
            keras.Variable(np.zeros(v.shape), dtype="float32", trainable=False, name="velocity") for v in self.paths.shared
        ]
        self.architect = keras.optimizers.Adam(
            ALPHA_RATES[0], beta_1=ALPHA_BETAS[0], beta_2=ALPHA_BETAS[1], name="architect"
        )
        self.architect.build([self.alphas])
        banks = self.paths.banks.values()
        self.variables = [
            *self.paths.shared, *self.velocities, *(v for bank in banks for v in (bank.weights, bank.velocity)), self.alphas,
            *self.architect.variables,
        ]
        self.halves, self.steps = Halves(ground, BATCH), 0
        self.judgements: list[tuple[float, float]] = []
        """(loss, accuracy) of drawn networks on rows for the architecture, this round."""
        self.last: Batch | None = None
        self.costs: list[Expected] | None = None
        """None until the graphs are built: a search that goes on keeps the prices that it began with."""
        self._graphs()

    # --- the network -------------------------------------------------------------------------------------

    def _core(self) -> tuple[Any, Blueprint]:
        import keras

        from automl.architectures import _assembly, _pictures, model
        from automl.architectures.builder import Builder
        from automl.tasks import head

        ground, profile = self.ground, self.ground.meta.profile
        plan = ground.plan.replace(dropout=(), stochastic_depth=0.0, regularizer=None)
        builder = Builder(
            plan, profile, seed=ground.recipe.seed, preprocess=ground.samples.preprocess, sample=ground.samples.shown
        )
        inputs = model.input_tensors(profile, ground.samples.preprocess)
        largest = {name: ground.settings[name] for name in ("kernel", "expansion", "depth", "stages")}
        net = self.space.network(_pictures.input_shape(inputs), **self.params, **largest)

        def side_by_side(part: Any, xs: list[Any], builder: Builder) -> Any:
            """Keras only makes the layers: which of them are computed is up to `Paths`."""
            return keras.layers.Add(name=f"{part.name}_paths")(xs) if len(xs) > 1 else xs[0]

        features = _assembly.assemble(net, inputs, builder, own={"mixture": side_by_side})
        last = keras.initializers.GlorotUniform(seed=builder.seed())
        outputs = head.logits(features, ground.outputs, initializer=last, regularizer=None)
        core = keras.Model(inputs, outputs, name="supernet")
        for part in net.parts:
            for name in (f"{net[i].name}_norm" for i in part.inputs if part.kind == "add" and net[i].normalized):
                if any(layer.name == name for layer in core.layers):
                    # Paths beside a shortcut begin as nothing: drawn in turn, untrained, they would drown the others.
                    core.get_layer(name).gamma.assign(np.zeros(core.get_layer(name).gamma.shape))
        return core, net

    def _laid_down(self, columns: Sequence[int]) -> Blueprint:
        """The network of one path for each row."""
        assert self.family.blueprint is not None
        made: Blueprint = self.family.blueprint(
            self.ground.meta.profile, **self.params, **{PARAMETER: self._genotype(columns)}
        )
        return made

    def _genotype(self, columns: Sequence[int]) -> str:
        return self.space.decoded({self.group: self._alone(columns)}, {})[0]

    def _alone(self, columns: Sequence[int]) -> NDArray[np.float64]:
        return np.eye(len(self.space.operations))[list(columns)]

    # --- graphs ------------------------------------------------------------------------------------------

    def _graphs(self) -> None:
        import tensorflow as tf

        banks = [self.paths.banks[d.place] for d in self.paths.decisions]
        # A function of its own, of the weights too: forward and back are then built once.
        passed = self.passed = tf.function(self.paths.one, autograph=False, jit_compile=False, reduce_retracing=True)

        def shared() -> list[Any]:
            return [tf.convert_to_tensor(v.value) for v in self.paths.shared]

        def teach(image: Any, y: Any, drawn: Any) -> Any:
            """Descent with momentum and decay, of what was drawn alone: libraries' optimizers move whole variables."""
            segments, common = self.paths.segments(drawn), shared()
            with tf.GradientTape() as tape:
                tape.watch([segments, common])
                loss = self.loss(y, passed(image, drawn, segments, common))
            given = tape.gradient(loss, [*common, *segments], unconnected_gradients="zero")
            clipped, _ = tf.clip_by_global_norm(given, CLIP)
            gradients, rate = iter(clipped), tf.convert_to_tensor(self.rate.value)
            for v, velocity, w in zip(self.paths.shared, self.velocities, common, strict=True):
                moved = MOMENTUM * velocity.value + next(gradients) + DECAY * w
                velocity.assign(moved)
                v.assign_sub(rate * moved)
            for d, bank, w, g in zip(self.paths.decisions, banks, segments, gradients, strict=True):
                start, end = bank.bounds(drawn[d.row])
                moved = MOMENTUM * tf.convert_to_tensor(bank.velocity.value)[start:end] + g + DECAY * w
                bank.velocity.value[start:end].assign(moved)
                bank.weights.value[start:end].assign(w - rate * moved)
            return loss

        def judge(image: Any, y: Any, pairs: Any, gates: Any) -> Any:
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(gates)
                outputs = self.paths.two(image, pairs, gates, shared())
                loss = self.loss(y, outputs)
            return tape.gradient(loss, gates), loss, right(y, outputs)

        def look(image: Any, y: Any, drawn: Any) -> Any:
            outputs = passed(image, drawn, self.paths.segments(drawn), shared())
            return self.loss(y, outputs), right(y, outputs)

        self.teach, self.judge, self.look = (
            tf.function(f, autograph=False, jit_compile=False) for f in (teach, judge, look)
        )

    @property
    def traces(self) -> int:
        """Graphs that were built so far."""
        return sum(f.experimental_get_tracing_count() for f in (self.passed, self.teach, self.judge, self.look))

    def trace(self) -> None:
        import tensorflow as tf

        if self.costs is None:
            seconds = min(TIMING_S, TIMING_SHARE * float(self.ground.settings["seconds"]))
            self.costs = expected.of_settings(
                self.ground.settings, self._laid_down, self.allowed, self.ground.outputs, seconds
            )
        example = self._next(0)
        image, y = (tf.TensorSpec(a.shape, a.dtype) for a in (example.inputs["image"], example.target))
        rows = len(self.allowed)
        drawn, pairs = tf.TensorSpec((rows,), tf.int32), tf.TensorSpec((rows, 2), tf.int32)
        self.teach.get_concrete_function(image, y, drawn)
        self.judge.get_concrete_function(image, y, pairs, tf.TensorSpec((rows, 2), tf.float32))
        self.look.get_concrete_function(image, y, drawn)
        self.halves.restart()

    # --- steps -------------------------------------------------------------------------------------------

    def _next(self, half: int) -> Batch:
        return self.halves.next(half, self.steps)

    def shares(self) -> NDArray[np.float64]:
        """Probabilities of the paths [rows, columns]."""
        return gates.shares(np.asarray(self.alphas.value), self.allowed)

    def step(self, progress: float) -> float:
        import tensorflow as tf

        taught, held = self._next(0), self._next(1)
        rng = np.random.default_rng([self.ground.recipe.seed, 22, self.steps])
        self.rate.assign(RATE * cosine(progress))
        if progress >= WARM:
            self.architect.learning_rate.assign(self._alpha_rate(progress))
            self.choose(held, gates.pairs(self.shares(), rng))
        self.last = held
        self.steps += 1
        drawn = tf.constant(gates.drawn(self.shares(), rng))
        return float(self.teach(*_tensors(taught), drawn))

    def choose(self, held: Batch, two: NDArray[np.int32]) -> None:
        """A step of the logits of two paths of each block."""
        import tensorflow as tf

        before, p = np.asarray(self.alphas.value, np.float64), self.shares()
        taken = np.tile(np.array([1.0, 0.0], np.float32), (len(two), 1))
        of_gates, loss, accuracy = self.judge(*_tensors(held), tf.constant(two), tf.constant(taken))
        self.judgements.append((float(loss), float(accuracy)))
        chances = gates.of_pairs(p, two)
        within = chances / chances.sum(axis=1, keepdims=True)
        uphill = gates.gradient(np.asarray(of_gates, np.float64), within)
        for cost in self.costs or ():
            uphill += self.weight * cost.pull(p, two)
        whole = gates.spread(uphill, two, p.shape[1])
        self.architect.apply([tf.constant(whole, tf.float32)], [self.alphas])
        self.alphas.assign(gates.rescaled(np.asarray(self.alphas.value, np.float64), before, two))

    def _alpha_rate(self, progress: float) -> float:
        """So that a steady preference has moved by `ALPHA_TRAVEL` in the end, by the steps that this progress took. A logit
        is drawn in some of the steps only, and Adam's mean square counts the others too."""
        foreseen = (1 - WARM) * self.steps / max(progress, 1e-3)
        share = min(1.0, 2 / float(self.allowed.sum(axis=1).max()))
        return float(np.clip(ALPHA_TRAVEL / (max(1.0, foreseen) * share**0.5), *ALPHA_RATES))

    # --- rounds ------------------------------------------------------------------------------------------

    def measured(self) -> tuple[dict[str, float], float]:
        import tensorflow as tf

        assert self.last is not None
        p = self.shares()
        likely = np.argmax(p, axis=1).astype(np.int32)
        loss, derived = map(float, self.look(*_tensors(self.last), tf.constant(likely)))
        losses, accuracies = zip(*(self.judgements or [(loss, derived)]))
        self.judgements = []
        open_rows = self.allowed.sum(axis=1) > 1
        values = {
            "loss": float(np.mean(losses)), "accuracy": float(np.mean(accuracies)), "derived": derived,
            "skips": float((likely == self.space.operations.index(self.space.skip))[open_rows].sum()),
            f"entropy-{self.group}": entropy(p, self.allowed),
        }
        for cost in self.costs or ():
            values |= {f"{EXPECTED}{cost.unit}": cost.of(p), f"{LIMIT}{cost.unit}": cost.limit}
        return values, values["accuracy"]

    def over(self) -> str:
        return ""

    def _undecided(self) -> bool:
        return entropy(self.shares(), self.allowed) > UNDECIDED

    def remark(self) -> str:
        said = []
        if self._undecided():
            said.append(
                f"after {self.steps} steps the blocks hadn't decided: a longer budget, or smaller pictures, give it more"
            )
        elif (turns := self.steps / int(self.allowed.sum(axis=1).max())) < TURNS:
            said.append(
                f"a path was taught in about {turns:.0f} of {self.steps} steps: what the blocks prefer is mostly chance"
                + (" and cost" if self.costs else "")
            )
        first, p = self._ranked()[0], self.shares()
        for cost, value in zip(self.costs or (), first.costs):
            how = {"table": " by the table of operations", "estimated": ", estimated,"}.get(cost.source, "")
            where = "within" if value <= cost.limit else "over"
            said.append(
                f"{COSTS[cost.unit]}: {value:,.4g}{how} of the best genotype, {where} the {cost.limit:,.4g} that was aimed "
                f"at ({cost.of(p):,.4g} expected over all choices)"
            )
        for unit in expected.unpriced(self.ground.settings, self.costs or ()):
            said.append(f"{COSTS[unit]} played no part: nothing told it")
        return "; ".join(said)

    def _ranked(self) -> list[Likely]:
        """The likeliest genotypes, those within the limits before the others."""
        met: dict[str, Likely] = {}
        for columns in likeliest(list(self.shares()), LOOKED):
            text, alone = self._genotype(columns), self._alone(columns)
            met.setdefault(text, Likely(text, len(met), tuple(cost.of(alone) for cost in self.costs or ())))
        limits = [cost.limit for cost in self.costs or ()]
        return sorted(met.values(), key=lambda one: any(c > limit for c, limit in zip(one.costs, limits)))

    def found(self) -> list[Found]:
        if self._undecided():
            return []
        costs, found = self.costs or (), []
        for one in self._ranked()[:MOST_FOUND]:
            said = ["the likeliest path of each block" if one.place == 0 else "a close second choice"]
            said += [
                f"{value:,.4g} {cost.unit}{', over the limit' if value > cost.limit else ''}"
                for cost, value in zip(costs, one.costs)
            ]
            params = {**self.params, PARAMETER: one.genotype}
            found.append(Found(architecture=Choice(id=self.family.id, params=params), note="; ".join(said)))
        return found

    # --- going on ----------------------------------------------------------------------------------------

    def state(self) -> Json:
        return {"steps": self.steps, "costs": [cost.to_dict() for cost in self.costs or ()]}

    def restore(self, state: Json) -> None:
        self.steps = int(state["steps"])
        self.halves.restart()
        self.costs = [Expected.from_dict(one) for one in state["costs"]]

    def leave(self, folder: Path) -> None:
        """Nothing: the genotypes alone are worth keeping, they train anew."""


def _tensors(batch: Batch) -> tuple[Any, Any]:
    import tensorflow as tf

    return tf.constant(batch.inputs["image"]), tf.constant(batch.target)
