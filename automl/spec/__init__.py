"""The frozen types that everything turns on: plain values, no behaviour beyond their own meaning, no heavy imports."""

from automl.spec.artifact import Artifact, Fit, Interval, Latency, Refused, Verification
from automl.spec.dataset import ColumnInfo, ColumnKind, DatasetInfo, Finding, Modality, Profile, Severity
from automl.spec.errors import AutoMLError, Infeasible, Internal, InvalidData, InvalidInput, Unavailable, Violation
from automl.spec.event import Event, JobPhase, JobState, LatencyForeseen
from automl.spec.job import (
    STRATEGIES,
    Budget,
    Constraints,
    DataSettings,
    FormatRequest,
    JobSpec,
    Precision,
    SearchSettings,
)
from automl.spec.recipe import Choice, Recipe
from automl.spec.supernet import Found, Supernet
from automl.spec.trial import REMEDIES, ArtifactPoint, Fidelity, Measurement, Outcome, Trial

__all__ = [
    "REMEDIES", "STRATEGIES", "Artifact", "ArtifactPoint", "AutoMLError", "Budget", "Choice", "ColumnInfo",
    "ColumnKind", "Constraints", "DataSettings", "DatasetInfo", "Event", "Fidelity", "Finding", "Fit",
    "FormatRequest", "Found", "Infeasible", "Internal", "Interval", "InvalidData", "InvalidInput", "JobPhase",
    "JobSpec", "JobState", "Latency", "LatencyForeseen", "Measurement", "Modality", "Outcome", "Precision", "Profile",
    "Recipe", "Refused", "SearchSettings", "Severity", "Supernet", "Trial", "Unavailable", "Verification", "Violation",
]
