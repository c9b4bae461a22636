"""The interface of everything that proposes trials, and what its implementations share.

A sampler turns the history of a job into the next proposal. The history is the truth: it is made of the job's own trials,
so a restarted controller tells a new sampler the trials it finds in the events and goes on.

    sampler.tell(trial)            once when a trial starts (its recipe as it is really run) and once when it has ended
    sampler.ask("t0007", outlook)  the next proposal, for a trial of that id; None when there is nothing to propose now
    sampler.drop("t0007")          the proposal was not used (it didn't fit the time)

A sampler may want candidates scored before it proposes one of them (`automl.nas.zero_cost`):

    sampler.unscored(outlook)      the recipes to be scored next, () for none; asked when a slot is free
    sampler.scored(event)          what they were scored
    sampler.scores_fail()          nothing will be scored any more

And it may want a supernet trained, whose process takes a slot as a trial's does (`automl.search.supernets`):

    sampler.supernet(outlook)      the next one to be trained, None for none; asked when a slot is free
    sampler.tell_supernet(one)     one that has started, ended, or is found in the events after a restart

What every implementation keeps (`tests/contract/samplers` proves it for each):

- A proposal's recipe comes from the space it was given, and repeats no trial (a continued one has the same recipe and more
  epochs, and names the trial in `resume`).
- Several proposals may be open at once; trials end in any order.
- A trial that failed (NAN, OOM, ERROR…) is learned from and never proposed again.
- With the same seed, the same history gives the same proposal. `restore(state(), trials)` on a new sampler, with the trials
  that were told so far, makes it propose what the old one would have proposed next. State that is older than the trials
  (a crash between the two events) is caught up from the trials.
- One thread drives a sampler. `ask` raises nothing that a trial caused.
"""

from __future__ import annotations

import abc
import dataclasses
import hashlib
import random
from collections.abc import Iterable, Sequence

from automl.catalog.domains import Categorical, Int
from automl.catalog.space import Assignment, Space
from automl.search.budget import Outlook
from automl.search.supernets import Wish
from automl.spec import Fidelity, Outcome, Recipe, Supernet, Trial
from automl.spec.event import CandidatesScored
from automl.spec.model import Json

NOT_EVIDENCE = ("probe", "final")
"""Origins whose scores say nothing about a recipe: measured on a sliver of the data, or on rows that were trained on."""


@dataclasses.dataclass(frozen=True)
class Proposal:
    """What to train next."""

    recipe: Recipe
    fidelity: Fidelity
    origin: str
    resume: str | None = None
    """Id of an ended trial of the same recipe with fewer epochs, whose checkpoint is continued."""
    fits: bool = False
    """The epochs were chosen to fill the time that is left: they are not to be changed again."""
    paced: bool = False
    """They are the most that it may have, and are fitted to the time that is left while it runs (`budget.paceable`)."""
    slots: int = 1
    """That it is to hold, with their cores; see `Outlook.spread`."""


class Sampler(abc.ABC):
    """Proposes trials; see the module's docstring for the contract."""

    name: str

    def __init__(self, space: Space, seed: int):
        self.space = space
        self.seed = seed
        self.trials: dict[str, Trial] = {}
        """Everything told, in the order in which the trials started."""
        self.dropped = 0
        """Proposals that weren't used since the last trial began; part of the seed, so that another one comes."""

    @abc.abstractmethod
    def ask(self, trial: str, outlook: Outlook) -> Proposal | None:
        """The next proposal. None: nothing now; with no trial running that means nothing any more."""

    def tell(self, trial: Trial) -> None:
        """Takes in a trial that has started (outcome None) or ended."""
        if trial.id not in self.trials:
            self.dropped = 0
        self.trials[trial.id] = trial

    def drop(self, trial: str) -> None:
        """Forgets a proposal that isn't used."""
        self.dropped += 1

    def unscored(self, outlook: Outlook) -> tuple[Recipe, ...]:
        """Recipes that are to be scored before the next proposal."""
        return ()

    def scored(self, event: CandidatesScored) -> None:  # noqa: B027 — most samplers want none.
        """Takes in scores, also those from before a restart."""

    def scores_fail(self) -> None:  # noqa: B027
        """No more scores will come: propose without."""

    def supernet(self, outlook: Outlook) -> Wish | None:
        """A supernet that is to be trained next."""
        return None

    def tell_supernet(self, supernet: Supernet) -> None:  # noqa: B027
        """Takes in a supernet that has started (outcome None) or ended."""

    def state(self) -> Json:
        """What can't be found in the trials."""
        return {}

    def restore(self, state: Json, trials: Iterable[Trial]) -> None:
        """Goes on from a state (None when there is none) and the trials so far, in the order in which they started."""
        for trial in trials:
            self.tell(trial)

    def tried(self) -> set[str]:
        """Identities of the recipes that were trained or are being trained (probes don't count)."""
        return {t.recipe.identity for t in self.trials.values() if t.origin not in NOT_EVIDENCE}

    def rng(self, purpose: str, trial: str) -> random.Random:
        """The random numbers of one ask: the same history gives the same ones."""
        return random.Random(seed64(purpose, self.seed, len(self.trials), trial, self.dropped))

    def full(self, assignment: Assignment) -> Proposal:
        """The proposal to train an assignment to the end of its schedule."""
        recipe = self.space.recipe(assignment, recipe_seed(self.seed))
        return Proposal(recipe, Fidelity(epochs=recipe.epochs), self.name)

    def fresh(self, rng: random.Random, attempts: int = 50) -> Assignment | None:
        """A random assignment that wasn't tried; None when the space looks exhausted."""
        tried = self.tried()
        for _ in range(attempts):
            assignment = self.space.sample(rng)
            if self.space.recipe(assignment, recipe_seed(self.seed)).identity not in tried:
                return assignment
        return None


def seed64(*parts: object) -> int:
    """A 63-bit seed from anything printable, well spread: neighbouring inputs give unrelated seeds."""
    text = "\x1f".join(map(str, parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def recipe_seed(seed: int) -> int:
    """The seed inside the recipes of a search: one for all, so that candidates are compared on equal draws and finalists
    alone are repeated with others."""
    return seed64("recipe", seed) % 2**31


def assignment_of(space: Space, recipe: Recipe) -> Assignment:
    """`Space.assignment` with batch size and epochs moved to the nearest values of the space: the clock and memory change
    them freely, and what is learned from such a trial should count for its neighbour."""
    changes: dict[str, int] = {}
    for d in space.dimensions:
        if d.name in ("batch_size", "epochs") and isinstance(d.domain, Categorical):
            actual = getattr(recipe, d.name)
            changes[d.name] = min((int(v) for v in d.domain.values), key=lambda v: (abs(v - actual), v))
    return space.assignment(recipe.model_copy(update=changes))


def evidence(trials: Iterable[Trial]) -> list[Trial]:
    """The trials whose scores may be compared: ended with a usable model, no probes, no final fits."""
    return [t for t in trials if t.origin not in NOT_EVIDENCE and t.usable and t.fidelity.data_fraction == 1.0]


def failed(trial: Trial) -> bool:
    """Ended without a usable model."""
    return trial.outcome is not None and trial.outcome not in (Outcome.COMPLETED, Outcome.PRUNED)


def narrowed(space: Space, limit: int, base: Assignment | None = None) -> Space:
    """A space of at most `limit` free dimensions: the most important ones; the others stand at `base` (default: the
    space's defaults).

    Importance is what practice says of tuning neural nets: the learning rate first, then the architecture's size, batch
    size, regularisers' strengths, then what fills the slots, then switches.
    """
    base = space.repair(base or space.default())
    optimizer = base.get("slot:optimizer")

    def importance(name: str) -> int:
        if name == f"{optimizer}.learning_rate":
            return 0
        if name.startswith(f"{base['architecture']}."):
            return 1
        if name == "batch_size":
            return 2
        if "." in name:
            return 3
        if name.startswith("slot:"):
            return 4
        return 5 if name.startswith("use:") else 6

    free = [d for d in space.dimensions if d.name in base and values_of(d.domain) != 1 and d.name != "architecture"]
    ranked = sorted(free, key=lambda d: importance(d.name))
    kept = {d.name for d in ranked[:limit]}
    dimensions = []
    for d in space.dimensions:
        if d.name not in kept:
            value = base.get(d.name, d.domain.default)
            d = dataclasses.replace(d, domain=Categorical((value,), value))
        dimensions.append(d)
    return dataclasses.replace(space, dimensions=tuple(dimensions))


def values_of(domain: object) -> int | None:
    """How many values a domain has; None for a continuous one."""
    if isinstance(domain, Categorical):
        return len(domain.values)
    if isinstance(domain, Int):
        return (domain.high - domain.low) // domain.step + 1
    return None


def free_dimensions(space: Space) -> int:
    """Dimensions with more than one value."""
    return sum(values_of(d.domain) != 1 for d in space.dimensions)


def best_first(trials: Sequence[Trial]) -> list[Trial]:
    """Usable trials, best score first; equal ones in the order in which they started."""
    return sorted(evidence(trials), key=lambda t: -(t.score if t.score is not None else float("-inf")))
