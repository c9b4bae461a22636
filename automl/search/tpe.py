"""Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011): Optuna's sampler over the conditional space.

A suggestion takes 11–43 ms on 40 conditional parameters. The study is built from the history for every ask, so nothing but
the trials has to survive a restart. Failed trials count as the worst score seen, so that the model keeps away from them;
running ones count as constant liars, so that slots don't get the same advice.
"""

from __future__ import annotations

from typing import Any

from automl.catalog.domains import Categorical, Domain, Float, Int
from automl.catalog.space import Assignment, Space
from automl.search.budget import Outlook
from automl.search.sampler import Proposal, Sampler, assignment_of, evidence, failed, recipe_seed, seed64

FIRST = 8
"""Trials before the model is asked; until then draws are random."""
RECENT = 400
"""The study holds as many trials: the best half of it and the latest."""


class Tpe(Sampler):
    """Models good and bad assignments by densities and proposes where their ratio is high."""

    name = "tpe"

    def __init__(self, space: Space, seed: int):
        super().__init__(space, seed)

    def ask(self, trial: str, outlook: Outlook) -> Proposal | None:
        tried = self.tried()
        for attempt in range(8):
            assignment = self.suggest(seed64("tpe", self.seed, len(self.trials), trial, attempt, self.dropped))
            if self.space.recipe(assignment, recipe_seed(self.seed)).identity not in tried:
                return self.full(assignment)
        fresh = self.fresh(self.rng("tpe-random", trial))
        return None if fresh is None else self.full(fresh)

    def suggest(self, seed: int) -> Assignment:
        """An assignment of the space (repaired) from a study of the history."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(
            seed=seed % 2**32, n_startup_trials=FIRST, multivariate=True, group=True, constant_liar=True,
            warn_independent_sampling=False,
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials(self._history(optuna))
        asked = study.ask()
        values: Assignment = {}
        for d in self.space.dimensions:
            if d.acts(values):
                values[d.name] = _suggested(asked, d.name, d.domain)
        return self.space.repair(values)

    def _history(self, optuna: Any) -> list[Any]:
        known = [t for t in self.trials.values() if t.origin not in ("probe", "final")]
        usable = {t.id for t in evidence(known)}
        scores = [t.score for t in known if t.id in usable and t.score is not None]
        worst = min(scores, default=0.0)
        found = []
        for t in known[-RECENT:]:
            assignment = assignment_of(self.space, t.recipe)
            domains = {d.name: d.domain for d in self.space.dimensions if d.name in assignment}
            state, value = optuna.trial.TrialState.RUNNING, None
            if t.id in usable:
                state, value = optuna.trial.TrialState.COMPLETE, t.score
            elif failed(t):
                if not scores:
                    continue
                state, value = optuna.trial.TrialState.COMPLETE, worst
            elif t.outcome is not None:
                continue
            found.append(
                optuna.trial.create_trial(
                    state=state, value=value, params=assignment,
                    distributions={name: _distribution(optuna, domain) for name, domain in domains.items()},
                )
            )
        return found


def _distribution(optuna: Any, domain: Domain) -> Any:
    match domain:
        case Float(low=low, high=high, log=log):
            return optuna.distributions.FloatDistribution(low, high, log=log)
        case Int(low=low, high=high, step=step, log=log):
            top = high - (high - low) % step
            return optuna.distributions.IntDistribution(low, top, log=log, step=1 if log else step)
        case Categorical(values=values):
            return optuna.distributions.CategoricalDistribution(values)
    raise TypeError(f"no distribution is defined for {type(domain).__name__}")


def _suggested(asked: Any, name: str, domain: Domain) -> Any:
    match domain:
        case Float(low=low, high=high, log=log):
            return asked.suggest_float(name, low, high, log=log)
        case Int(low=low, high=high, step=step, log=log):
            top = high - (high - low) % step
            return domain.snap(asked.suggest_int(name, low, top, log=log, step=1 if log else step))
        case Categorical(values=values):
            return asked.suggest_categorical(name, values)
    raise TypeError(f"no suggestion is defined for {type(domain).__name__}")


