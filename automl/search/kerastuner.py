"""KerasTuner's oracles behind the sampler's interface.

An oracle is driven from this one thread by `create_trial`, `update_trial` and `end_trial`, each ask under a tuner id of its
own. It never touches the disk: `save` and `_save_trial` are replaced, and the state lives in the job's events. Its seed
moves by one for each parameter, so that neighbouring seeds repeat each other's trials; here every ask begins at a seed
hashed from the job's seed and the ask's number. What it is told back are the values that were really trained (after the
space's repair), so its model is of the truth.
"""

from __future__ import annotations

import abc
import math
import os
from collections.abc import Iterable
from typing import Any

from automl.catalog.domains import Categorical, Domain, Float, Int
from automl.catalog.space import Assignment, Dimension, Space
from automl.search.budget import Outlook
from automl.search.sampler import Proposal, Sampler, assignment_of, evidence, failed, seed64
from automl.spec import Trial
from automl.spec.model import Json

OBJECTIVE = "score"
REPEATS = 50
"""Proposals of one ask that may repeat a tried recipe before the space counts as exhausted."""


def library() -> Any:
    """The `keras_tuner` package; its import takes seconds and loads Keras, so it waits until an oracle is wanted."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras_tuner

    return keras_tuner


class OracleSampler(Sampler):
    """Drives one oracle. Subclasses make the oracle and say what a set of values means."""

    carries_values = True
    """Tell the oracle the values that were really trained instead of those it proposed."""

    def __init__(self, space: Space, seed: int):
        super().__init__(space, seed)
        self._asks = 0
        self._ids: dict[str, str] = {}
        """Our trial ids → the oracle's."""
        self._restored: dict[str, str] = {}
        """The same from before a restart, for trials that aren't told yet."""
        self.oracle = self._quiet(self.make(hyperparameters(self.tuned())))

    @abc.abstractmethod
    def make(self, hyperparameters: Any) -> Any:
        """The oracle. Give it `**self.common()`."""

    def tuned(self) -> Space:
        """The space that the oracle sees."""
        return self.space

    def common(self) -> dict[str, Any]:
        keras_tuner = library()
        return {
            "objective": keras_tuner.Objective(OBJECTIVE, "max"), "seed": seed64("oracle", self.seed) % (2**32 - 1) + 1,
            "allow_new_entries": False, "tune_new_entries": True,
            # After as many failures in a row an oracle raises out of `end_trial` before it has saved: count outside.
            "max_consecutive_failed_trials": 10**9,
        }

    def proposal(self, values: Assignment, oracle_trial: Any) -> Proposal:
        """What the oracle's values mean; the default trains them to the end."""
        return self.full(values)

    def ask(self, trial: str, outlook: Outlook) -> Proposal | None:
        for _ in range(REPEATS):
            proposal = self._create(trial)
            if proposal is None:
                return None
            if proposal.resume is not None or proposal.recipe.identity not in self.tried():
                return proposal
            # Different values may be repaired to one recipe: the oracle counts this one as failed and proposes another.
            self.drop(trial)
        return None

    def _create(self, trial: str) -> Proposal | None:
        self.oracle._seed_state = seed64("ask", self.seed, self._asks)
        self.reseed(seed64("state", self.seed, self._asks) % 2**32)
        created = self.oracle.create_trial(f"tuner-{self._asks}")
        if created.status != "RUNNING":
            return None
        self._asks += 1
        self._ids[trial] = created.trial_id
        self.created(created)
        return self.proposal(from_oracle(self.tuned(), created.hyperparameters.values), created)

    def reseed(self, seed: int) -> None:
        """Sets other random states of the oracle before an ask."""

    def created(self, oracle_trial: Any) -> None:
        """After the oracle has made a trial."""

    def tell(self, trial: Trial) -> None:
        known = self.trials.get(trial.id)
        super().tell(trial)
        if trial.origin in ("probe", "final"):
            return
        if trial.id not in self._ids and not self._adopt(trial):
            return
        own = self.oracle.trials[self._ids[trial.id]]
        if self.carries_values and known is None:
            extra = {k: v for k, v in own.hyperparameters.values.items() if k.startswith("tuner/")}
            own.hyperparameters.values = self._values(trial) | extra
        if trial.outcome is not None and own.status == "RUNNING":
            self._end(own, trial)

    def drop(self, trial: str) -> None:
        super().drop(trial)
        if trial in self._ids:
            own = self.oracle.trials[self._ids.pop(trial)]
            if own.status == "RUNNING":
                own.status = "FAILED"
                self.oracle.end_trial(own)

    def state(self) -> Json:
        return {"asks": self._asks, "made": len(self.oracle.trials), "ids": dict(self._ids)}

    def restore(self, state: Json, trials: Iterable[Trial]) -> None:
        """Trials keep their names in the oracle; a proposal that never became a trial is a failed one there."""
        state = state or {}
        for n in range(int(state.get("made", 0))):
            self._place(f"{n:04d}", {}, "FAILED")
        self._restored = {str(k): str(v) for k, v in state.get("ids", {}).items()}
        for trial in trials:
            self.tell(trial)
        self._asks = max(int(state.get("asks", 0)), len(self._ids))

    # --- the oracle's side -------------------------------------------------------------------------------

    def _values(self, trial: Trial) -> dict[str, Any]:
        tuned = self.tuned()
        names = {d.name for d in tuned.dimensions if tunable(d)}
        inside = assignment_of(tuned, trial.recipe)
        return {name: value for name, value in inside.items() if name in names}

    def _adopt(self, trial: Trial) -> bool:
        """Lets the oracle know a trial that it didn't propose (the portfolio's, or one from before a restart)."""
        id = self._restored.get(trial.id) or f"{len(self.oracle.trials):04d}"
        own = self._place(id, self._values(trial), "RUNNING")
        self.oracle._record_values(own)
        self.oracle.ongoing_trials[f"adopted-{id}"] = own
        self.oracle.start_order.append(id)
        self._ids[trial.id] = id
        return True

    def _place(self, id: str, values: dict[str, Any], status: str) -> Any:
        own = library().engine.trial.Trial(hyperparameters=self.oracle.hyperparameters.copy(), trial_id=id, status=status)
        own.hyperparameters.values = values
        self.oracle.trials[id] = own
        return own

    def _end(self, own: Any, trial: Trial) -> None:
        usable = trial.score is not None and math.isfinite(trial.score) and not failed(trial) and bool(evidence([trial]))
        if usable:
            self.oracle.update_trial(own.trial_id, {OBJECTIVE: float(trial.score or 0.0)})
        own.status = "COMPLETED" if usable else "FAILED"
        self.oracle.end_trial(own)

    def _quiet(self, oracle: Any) -> Any:
        oracle.verbose = 0
        oracle.save = lambda: None
        oracle._save_trial = lambda trial: None
        return oracle


def tunable(dimension: Dimension) -> bool:
    """Whether a dimension has a choice at all."""
    return not (isinstance(dimension.domain, Categorical) and len(dimension.domain.values) == 1)


def hyperparameters(space: Space) -> Any:
    """The space as KerasTuner's `HyperParameters`, with conditional scopes for dimensions that have a parent."""
    found = library().HyperParameters()
    for d in space.dimensions:
        if not tunable(d):
            continue
        chain = _conditions(space, d)
        if chain is None:
            continue
        _register(found, d, chain)
    return found


def _conditions(space: Space, d: Dimension) -> list[tuple[str, list[Any]]] | None:
    """Parents from the root down as (name, values). Fixed parents are left out; None when a fixed one excludes `d`."""
    by_name = {e.name: e for e in space.dimensions}
    chain: list[tuple[str, list[Any]]] = []
    here = d
    while here.parent is not None:
        parent = by_name[here.parent]
        if tunable(parent):
            chain.insert(0, (parent.name, list(here.parent_values)))
        elif parent.domain.default not in here.parent_values:
            return None
        here = parent
    return chain


def _register(found: Any, d: Dimension, chain: list[tuple[str, list[Any]]]) -> None:
    if chain:
        (name, values), *rest = chain
        with found.conditional_scope(name, values):
            _register(found, d, rest)
        return
    _declare(found, d.name, d.domain)


def _declare(found: Any, name: str, domain: Domain) -> None:
    match domain:
        case Float(low=low, high=high, default=default, log=log):
            found.Float(name, low, high, sampling="log" if log else "linear", default=default)
        case Int(low=low, high=high, default=default, step=step, log=log):
            if log:
                found.Int(name, low, high, sampling="log", default=default)
            else:
                found.Int(name, low, high - (high - low) % step, step=step, default=default)
        case Categorical(values=values, default=default):
            found.Choice(name, list(values), ordered=False, default=default)
        case _:
            raise TypeError(f"no KerasTuner hyperparameter is defined for {type(domain).__name__}")


def from_oracle(space: Space, values: dict[str, Any]) -> Assignment:
    """An oracle's values as an assignment of the space: of its types, on its steps, inactive dimensions absent."""
    domains = {d.name: d.domain for d in space.dimensions}
    found: Assignment = {}
    for name, value in values.items():
        domain = domains.get(name)
        if isinstance(domain, Int):
            found[name] = domain.snap(float(value))
        elif isinstance(domain, Float):
            found[name] = min(domain.high, max(domain.low, float(value)))
        elif isinstance(domain, Categorical):
            # KerasTuner turns True and False into 1 and 0.
            found[name] = next(v for v in domain.values if v == value)
    return space.complete(found)
