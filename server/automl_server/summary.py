"""What a job's events say, in a few figures: kept with an ended job, so that lists needn't fold its events again."""

from __future__ import annotations

from typing import Self

import pydantic

from automl.spec import JobPhase, JobState, Outcome, Refused
from automl.spec.event import (
    ArtifactMade,
    BestChanged,
    Compressed,
    DataPrepared,
    Payload,
    PhaseStarted,
    TrialEnded,
)


class JobSummary(pydantic.BaseModel):
    """The figures of `automl.v1.Job` that follow from the events. Metrics have their own sign (an error is positive)."""

    model_config = pydantic.ConfigDict(frozen=True)

    phase: JobPhase | None = None
    task: str = ""
    target: str = ""
    metric: str = ""
    validation_metric: float | None = None
    test_metric: float | None = None
    test_metrics: dict[str, float] = {}
    trials: dict[str, int] = {}
    goodput: float | None = None
    refused: tuple[Refused, ...] = ()

    @classmethod
    def of(cls, state: JobState) -> Self:
        """The figures of a fold; of a running job, as far as it is."""
        prepared, best, finished = state.prepared, state.best, state.finished
        metric = (finished.metric if finished else "") or (prepared.metric if prepared else "")
        validation = finished.validation if finished else None
        if validation is None and best is not None:
            validation = best.validation.get(metric)
        return cls(
            phase=state.phase,
            task=prepared.task if prepared else "",
            target=(prepared.target or "") if prepared else "",
            metric=metric,
            validation_metric=validation,
            test_metric=finished.test if finished else None,
            test_metrics=finished.test_metrics if finished else {},
            trials=state.outcomes(),
            goodput=finished.goodput if finished else None,
            refused=tuple(state.refused),
        )


def is_progress(state: JobState, payload: Payload) -> bool:
    """Whether an event, before it is folded into `state`, carries the job forward: a controller that crashes and says the
    same again after each restart makes none."""
    match payload:
        case DataPrepared():
            return state.prepared is None
        case TrialEnded(outcome=outcome):
            return outcome in (Outcome.COMPLETED, Outcome.PRUNED)
        case PhaseStarted(phase=phase):
            return state.phase is None or list(JobPhase).index(phase) > list(JobPhase).index(state.phase)
        case ArtifactMade(artifact=artifact):
            return artifact.id not in state.artifacts
        case BestChanged() | Compressed():
            return True
        case _:
            return False
