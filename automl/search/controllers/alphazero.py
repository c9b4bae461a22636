"""AlphaZero's search over decisions (Silver et al., arXiv:1712.01815; for architectures: AlphaX, arXiv:1805.07440).

A network reads a position and gives probabilities for the options of the next decision, P, and what the position is worth,
v in [-1, 1]. A proposal is a way through a tree of positions that is grown by simulations: each goes down by

    argmax_a  Q(s, a) + c P(s, a) √(1 + Σ_b N(s, b)) / (1 + N(s, a))                              (PUCT)

to a position that isn't in the tree yet, which the network judges (an end that was trained already is worth what it
showed), and adds that to the Q of all it came by. After some simulations an option is drawn by its visits, and the tree
below it goes on. At the root noise stirs the prior, so that every option has a chance.

The network learns from every training that ends: the probabilities what the search from these positions would choose (its
visits), v what the training was worth. So search makes better decisions than the network, and the network learns to make
them without.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from automl.search.controllers.decisions import Decisions, Position
from automl.search.controllers.network import Adam, Array, Chain, Dense, Tanh, masked_softmax
from automl.search.controllers.policy import Episode, Policy
from automl.search.controllers.ppo import drawn

HIDDEN = 64
RATE = 3e-3
BATCH, STEPS = 64, 8
"""Of the steps after each training that ends."""
SIMULATIONS = 192
"""Of a whole proposal; shared by its decisions, of which each gets at least `LEAST`."""
LEAST = 8
EXPLORATION = 1.2
"""c of PUCT."""
NOISE, STIR = 0.3, 0.25
"""Dirichlet's concentration, and the share of noise in the root's prior."""
DECAY = 1e-4
TEMPERATURE, HEAT = 0.5, 0.25
"""An option's chance is its visits to the power of 1 / temperature, which each candidate that was not enough raises."""


class Node:
    """A position in the tree."""

    __slots__ = ("children", "open", "position", "prior", "total", "value", "visits")

    def __init__(self, position: Position, prior: Array, value: float):
        self.position = position
        self.prior = prior
        """[options]; empty where the position is over."""
        self.value = value
        """The network's word, or what is known."""
        self.visits = np.zeros(len(prior))
        self.total = np.zeros(len(prior))
        self.open = np.ones(len(prior), bool)
        """Options behind which there is something that wasn't tried."""
        self.children: dict[int, Node] = {}

    def best(self, exploration: float) -> int:
        """The open option with the largest PUCT."""
        return int(np.where(self.open, puct(self.total, self.visits, self.prior, self.value, exploration), -np.inf).argmax())


def puct(total: Array, visits: Array, prior: Array, unvisited: float, exploration: float) -> Array:
    """Q + c P √(1 + ΣN) / (1 + N); an option that wasn't visited has the Q of its position."""
    mean = np.where(visits > 0, total / np.maximum(visits, 1), unvisited)
    return np.asarray(mean + exploration * prior * math.sqrt(1 + visits.sum()) / (1 + visits))


def _close(way: Sequence[tuple[Node, int]]) -> None:
    """Closes the last option of a way, and what has nothing open behind it."""
    for node, option in reversed(way):
        node.open[option] = False
        if node.open.any():
            return


class AlphaZero(Policy):
    """See the module's docstring."""

    def __init__(self, decisions: Decisions, seed: int):
        super().__init__(decisions, seed)
        rng = np.random.default_rng(seed)
        self.network = Chain(
            Dense(decisions.features, HIDDEN, rng, gain=4.0), Tanh(), Dense(HIDDEN, HIDDEN, rng), Tanh(),
            Dense(HIDDEN, decisions.columns + 1, rng, gain=0.01),
        )
        self.optimizer = Adam(self.network.weights, self.network.gradients, RATE)
        self.known: dict[Position, float] = {}
        """What finished positions were worth."""
        self.visits: dict[str, Array] = {}
        """Shares of the visits of each decision's options when the training began, [decisions taken, widest]."""

    # --- the search --------------------------------------------------------------------------------------

    def node(self, position: Position) -> Node:
        prior, value = self._judged(position)
        return Node(position, prior, self.known.get(position, value))

    def _judged(self, position: Position) -> tuple[Array, float]:
        out = self.network.forward(self.decisions.rows([position]))[0]
        if self.decisions.over(position):
            return np.zeros(0), math.tanh(float(out[-1]))
        start, stop = self.decisions.offsets[len(position)], self.decisions.offsets[len(position) + 1]
        logits = out[start:stop]
        return masked_softmax(logits, np.ones(len(logits), bool)), math.tanh(float(out[-1]))

    def simulate(self, root: Node, tried: Callable[[Position], bool]) -> None:
        """One way down to a position that is new, or an end, and its worth back up. Ways to what was tried are closed."""
        while root.open.any():
            node, way = root, []
            while True:
                option = node.best(EXPLORATION)
                way.append((node, option))
                child = node.children.get(option)
                after = self.decisions.after(node.position, option) if child is None else child.position
                over = self.decisions.over(after)
                if over and tried(after):
                    _close(way)
                    break
                if child is None or over:
                    child = node.children.setdefault(option, child or self.node(after))
                    for passed, taken in way:
                        passed.visits[taken] += 1
                        passed.total[taken] += child.value
                    return
                node = child

    def grow(self, node: Node, visits: int, tried: Callable[[Position], bool]) -> None:
        """Simulates until the position has as many visits."""
        for _ in range(visits - int(node.visits.sum())):
            self.simulate(node, tried)

    def share(self, decisions: int) -> int:
        """Visits of a position before one of its options is taken."""
        return max(LEAST, SIMULATIONS // max(1, decisions))

    def candidates(self, rng: np.random.Generator, tried: Callable[[Position], bool]) -> Iterator[Position]:
        root = self.node(self.decisions.begin())
        if not len(root.prior):
            return  # nothing to decide
        root.prior = (1 - STIR) * root.prior + STIR * rng.dirichlet(np.full(len(root.prior), NOISE))
        temperature, more = TEMPERATURE, self.share(len(self.decisions))
        visits = more
        while root.open.any():
            node, way = root, []
            while len(node.prior):
                self.grow(node, visits, tried)
                if not node.open.any():
                    break
                # After a way was closed the visits behind it stand for nothing.
                counts = node.visits * node.open
                chances = counts ** (1 / temperature) if counts.any() else node.prior * node.open
                option = drawn(chances / chances.sum(), rng)
                way.append((node, option))
                if option not in node.children:
                    node.children[option] = self.node(self.decisions.after(node.position, option))
                node = node.children[option]
            if len(node.prior):
                _close(way)
                continue
            yield node.position
            temperature += HEAT
            visits += more // 4

    # --- learning ----------------------------------------------------------------------------------------

    def began(self, key: str, end: Position) -> None:
        """What the search says now of each decision that was taken, whoever took it."""
        if key in self.visits or not (steps := self.decisions.steps(end)):
            return
        found = np.zeros((len(steps), self.decisions.widest), np.float32)
        node, share = self.node(steps[0][0]), self.share(len(self.decisions))
        for row, (position, option) in zip(found, steps):
            self.grow(node, share, lambda end: False)
            row[: len(node.visits)] = node.visits / node.visits.sum()
            node = node.children.get(option) or self.node(self.decisions.after(position, option))
        self.visits[key] = found

    def learn(self, episodes: Sequence[Episode], rng: np.random.Generator) -> None:
        self.known = {e.end: e.worth for e in episodes}
        known = [e for e in episodes if e.key in self.visits]
        if not known:
            return
        wanted = np.concatenate([self.visits[e.key] for e in known])
        ways = [[position for position, _ in self.decisions.steps(e.end)] for e in known]
        positions = [position for way in ways for position in way]
        worth = np.repeat([e.worth for e in known], [len(way) for way in ways])
        ends = [e.end for e in known]
        end_worth = np.array([e.worth for e in known])
        for _ in range(STEPS):
            drawn_rows = rng.integers(len(positions), size=BATCH)
            self._step([positions[n] for n in drawn_rows], wanted[drawn_rows], worth[drawn_rows])
            drawn_ends = rng.integers(len(ends), size=BATCH)
            self._judge([ends[n] for n in drawn_ends], end_worth[drawn_ends])

    def _step(self, positions: Sequence[Position], wanted: Array, worth: Array) -> None:
        columns, valid = self.decisions.choices(positions)
        out = self.network.forward(self.decisions.rows(positions))
        chances = masked_softmax(np.take_along_axis(out, columns, axis=1), valid)
        d = np.zeros_like(out)
        np.put_along_axis(d, np.where(valid, columns, self.decisions.columns), (chances - wanted) / len(positions), axis=1)
        d[:, -1] = by_value(out[:, -1], worth)
        self._descend(d)

    def _judge(self, ends: Sequence[Position], worth: Array) -> None:
        """Finished positions teach the value alone."""
        out = self.network.forward(self.decisions.rows(ends))
        d = np.zeros_like(out)
        d[:, -1] = by_value(out[:, -1], worth)
        self._descend(d)

    def _descend(self, d: Array) -> None:
        self.network.backward(d)
        for weight, gradient in zip(self.network.weights, self.network.gradients):
            gradient += DECAY * weight
        self.optimizer.step()


def by_value(raw: Array, worth: Array) -> Array:
    """Derivative of the mean of (tanh raw - worth)² by raw."""
    value = np.tanh(raw)
    return np.asarray(2 * (value - worth) * (1 - value**2) / len(raw))
