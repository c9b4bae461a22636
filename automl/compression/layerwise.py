"""Sparsity and bits for each layer by an agent that learns from trying: `search`, the function of a child process.

The agent (`automl.compression.sac`) walks through the network's layers, as AMC (He et al., ECCV 2018) and HAQ (Wang et al.,
CVPR 2019) do. It sees a layer's place, kind, shape, share of weights and multiply-adds, how its weights are spread, what of
the budget is left and what it did last; it answers with the share of the layer's weights to be zero and the bits of the
others. Where the rest couldn't meet the budget any more, fewer bits are taken, then more zeros. At the end of a walk the
network is rounded so, and every step of it is rewarded with −log(δ + ΔL / ΔL₌): ΔL is the increase of the loss on training
rows, ΔL₌ that with equal bits for all. Losses of bad choices are hundreds of times those of good ones, hence the logarithm.

The budget is the mean of what a weight needs in a download, b bits of a share 1 − s of the weights and the places of the
zeros: H(s) + (1 − s)·b, with H(s) = −s log₂ s − (1 − s) log₂(1 − s).
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl.compression import finetuning, magnitude, mixed_bits
from automl.compression.sac import Agent
from automl.export import candidate as candidates

TECHNIQUE = "rl-sac"
MOST_SPARSITY = 0.8
MOST_BITS, FEWEST_BITS = 8, 2
WARM_UP = 16
"""Walks at random before the agent decides."""
LEARN = 3
"""Steps of learning for each layer walked."""
FLOOR = 0.05
"""δ: what differs by less is alike."""
CEILING = 1e3
"""Losses that overflow count as so many times that of equal bits."""
STATE = 10
TAIL = 0.1
"""Share of the time for the comparison and the writing."""
FEWEST_WALKS = 40
"""With fewer the agent has hardly begun to decide."""


@dataclasses.dataclass(frozen=True)
class Layer:
    """What the agent is told about a layer."""

    name: str
    size: int
    """Weights of its kernel."""
    features: tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Choice:
    """What becomes of a layer's kernel."""

    sparsity: float
    bits: int

    @property
    def cost(self) -> float:
        """Bits a weight in a download."""
        s = self.sparsity
        entropy = 0.0 if s in (0.0, 1.0) else -s * math.log2(s) - (1 - s) * math.log2(1 - s)
        return entropy + (1 - s) * self.bits


CHEAPEST = Choice(MOST_SPARSITY, FEWEST_BITS)
Plan = dict[str, Choice]


@dataclasses.dataclass(frozen=True)
class Found:
    plan: Plan
    loss: float
    walks: int


def search(request: dict[str, Any]) -> dict[str, Any]:
    """Lets an agent choose, and writes the candidate.

    `request`: candidate, prepared, out, metric, time_s, seed, settings ("budget": mean bits for a weight; "walks": at most).
    Returns "settings" and "notes" (what equal bits and the sensitivity analysis lose at this budget, too). Raises
    `mixed_bits.NoTime` or `magnitude.NothingToPrune`.
    """
    began = time.monotonic()
    time_s = float(request["time_s"])
    source = candidates.Candidate(Path(request["candidate"]))
    budget, walks = float(request["settings"]["budget"]), int(request["settings"]["walks"])
    settings = {"budget": budget, "walks": walks}

    from automl.data.prepared import PreparedDataset

    prepared = PreparedDataset.open(Path(request["prepared"]))
    model = source.model
    magnitude.check_worth(model)
    kernels = {layer.name: layer for layer in model._flatten_layers() if type(layer).__name__ in mixed_bits.KERNELS}
    original = {name: layer.get_weights() for name, layer in kernels.items()}
    judge = mixed_bits.judge_of(source, prepared)
    axes = {name: mixed_bits.channel(layer) for name, layer in kernels.items()}

    def applied(plan: Mapping[str, Choice]) -> float:
        """The loss with this plan; the kernels stay so."""
        for name, layer in kernels.items():
            weights = original[name]
            layer.set_weights([changed(weights[0], plan.get(name, Choice(0.0, 8)), axes[name]), *weights[1:]])
        return judge()

    def hurry() -> None:
        if time.monotonic() > began + time_s:
            raise mixed_bits.NoTime("the layers' sensitivities could not be measured in the time that was left")

    def of_bits(bits: Mapping[str, int]) -> float:
        return applied({name: Choice(0.0, b) for name, b in bits.items()})

    equal = of_bits(dict.fromkeys(kernels, mixed_bits.uniform_bits(budget)))
    base = applied({})
    found = walk(
        described(model, kernels, original), budget, applied, base=base, unit=equal - base, seed=int(request["seed"]),
        walks=walks, end=began + (1 - TAIL) * time_s - _analysis_s(judge, len(kernels)),
    )
    analysis = mixed_bits.sensitivity({name: w[0] for name, w in original.items()}, of_bits, hurry)
    by_sensitivity = of_bits(mixed_bits.refined(analysis, mixed_bits.allotted(analysis, budget), budget, of_bits, hurry))
    applied(found.plan)
    finetuning.rewritten(
        Path(request["out"]), model, finetuning.with_technique(source.recipe, TECHNIQUE, settings), source, prepared
    )
    total = sum(w[0].size for w in original.values())
    cost = sum(original[name][0].size * choice.cost for name, choice in found.plan.items()) / total
    return {"settings": settings, "notes": [
        f"{TECHNIQUE}: {cost:.2f} bits a weight on average, chosen in {found.walks} walks; the loss on {mixed_bits.ROWS} "
        f"training rows is {found.loss:.4f}, with equal bits {equal:.4f}, by the layers' sensitivities "
        f"{by_sensitivity:.4f}, of the whole network {base:.4f}.",
        f"{TECHNIQUE}: " + ", ".join(f"{n} {c.bits} bits, {c.sparsity:.0%} zero" for n, c in found.plan.items()) + ".",
    ]}


def changed(kernel: NDArray[Any], choice: Choice, axis: int = -1) -> NDArray[np.float32]:
    """The kernel with its smallest weights zero and the others on a grid."""
    zeros = round(choice.sparsity * kernel.size)
    kept = np.array(kernel, np.float32)
    if zeros:
        order = np.argsort(np.abs(kept), axis=None, kind="stable")
        kept.flat[order[:zeros]] = 0.0
    return mixed_bits.rounded(kept, choice.bits, axis)


def walk(
    layers: Sequence[Layer], budget: float, applied: Callable[[Plan], float], *, base: float, unit: float, seed: int,
    walks: int, end: float = math.inf,
) -> Found:
    """The best plan of so many walks, or of those until `end` (monotonic), within `budget` bits a weight. `unit`: loss that
    counts as a reward of −1. Raises `mixed_bits.NoTime`."""
    agent = Agent(STATE, 2, seed)
    unit = max(unit, 1e-4)
    best: Found | None = None
    done = 0
    while done < walks and (time.monotonic() < end):
        greedy = done == walks - 1 or done % 10 == 9
        plan, path = _walked(agent, layers, budget, explore=done < WARM_UP, greedy=greedy and done >= WARM_UP)
        loss = applied(plan)
        increase = (loss - base) / unit if math.isfinite(loss) else CEILING
        reward = -math.log(FLOOR + min(max(increase, 0.0), CEILING))
        for state, action in path:
            agent.remember(state, action, reward, state, True)
        done += 1
        if best is None or loss < best.loss:
            best = Found(plan, loss, done)
        if done >= WARM_UP // 2:
            agent.learn(LEARN * len(layers))
    if best is None or done < min(walks, FEWEST_WALKS):
        raise mixed_bits.NoTime(f"the agent had time for {done} walks through the layers; {FEWEST_WALKS} are needed")
    return dataclasses.replace(best, walks=done)


def _walked(
    agent: Agent, layers: Sequence[Layer], budget: float, *, explore: bool, greedy: bool
) -> tuple[Plan, list[tuple[NDArray[np.float64], NDArray[np.float64]]]]:
    """One walk: the plan, and states with the actions that were really taken."""
    total = sum(layer.size for layer in layers)
    left, behind = budget * total, total
    plan: Plan = {}
    path = []
    before = np.zeros(2)
    for layer in layers:
        state = np.array([*layer.features, left / (budget * total), behind / total, *before])
        wanted = agent.explore() if explore else agent.act(state, greedy=greedy)
        behind -= layer.size
        choice = affordable(meant(wanted), (left - CHEAPEST.cost * behind) / layer.size)
        before = action_of(choice, wanted)
        plan[layer.name] = choice
        path.append((state, before))
        left -= choice.cost * layer.size
    return plan, path


def meant(action: NDArray[np.float64]) -> Choice:
    """What an action in [−1, 1]² stands for; its lower half of sparsities are none."""
    sparsity = MOST_SPARSITY * max(0.0, float(action[0]))
    return Choice(round(sparsity, 3), FEWEST_BITS + round((float(action[1]) + 1) / 2 * (MOST_BITS - FEWEST_BITS)))


def action_of(choice: Choice, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """The action that stands for a choice; where that is what was wanted, the wanted one itself."""
    if choice == meant(wanted):
        return wanted
    bits = 2 * (choice.bits - FEWEST_BITS) / (MOST_BITS - FEWEST_BITS) - 1
    return np.array([choice.sparsity / MOST_SPARSITY if choice.sparsity else min(0.0, float(wanted[0])), bits])


def affordable(choice: Choice, most: float) -> Choice:
    """The choice, or with fewer bits, or then with more zeros, at `most` bits a weight."""
    for bits in range(choice.bits, FEWEST_BITS - 1, -1):
        if (lower := Choice(choice.sparsity, bits)).cost <= most + 1e-9:
            return lower
    for sparsity in np.arange(math.ceil(20 * choice.sparsity) / 20, MOST_SPARSITY, 0.05):
        if (sparser := Choice(round(float(sparsity), 3), FEWEST_BITS)).cost <= most + 1e-9:
            return sparser
    return CHEAPEST


def described(model: Any, kernels: Mapping[str, Any], weights: Mapping[str, list[NDArray[Any]]]) -> list[Layer]:
    """The layers in their order, as the agent sees them."""
    from automl.training import profile

    total = sum(w[0].size for w in weights.values())
    macs = {name: profile.macs(layer) for name, layer in kernels.items()}
    all_macs = max(1, sum(macs.values()))
    found = []
    for i, (name, layer) in enumerate(kernels.items()):
        kernel = weights[name][0]
        kind = type(layer).__name__
        found.append(Layer(name, kernel.size, (
            i / max(1, len(kernels) - 1), 1.0 if kind == "Dense" else 0.5 if kind.startswith("Depthwise") else 0.0,
            kernel.size / total, macs[name] / all_macs, math.log10(kernel.size) / 6,
            float(np.std(kernel) / max(1e-9, float(np.abs(kernel).max()))),
        )))
    return found


def _analysis_s(judge: Callable[[], float], layers: int) -> float:
    """What the sensitivity analysis takes, about, with its swaps."""
    began = time.monotonic()
    judge()
    return (time.monotonic() - began) * layers * (len(mixed_bits.CHOICES) + 10)
