"""A job's events folded to what a watcher wants to see. Reads events alone, draws nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from automl_client import types


@dataclass
class TrialProgress:
    """A trial as far as its events tell."""

    id: str
    origin: str
    architecture: str
    epochs_planned: int
    epoch: int = 0
    outcome: str = "RUNNING"
    message: str = ""
    score: float | None = None
    """The best so far; larger is better."""
    value: float | None = None
    """The job's metric where the score was best, in the metric's own sign."""
    parameters: int | None = None


@dataclass
class JobProgress:
    """The fold: `apply` each event in turn."""

    metric: str = ""
    task: str = ""
    task_inferred: bool = False
    target: str = ""
    state: types.JobState = types.JobState.QUEUED
    message: str = ""
    """Of the last change of state: why it waits or ended."""
    phase: types.JobPhase | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    findings: list[types.Finding] = field(default_factory=list)
    trials: dict[str, TrialProgress] = field(default_factory=dict)
    best_trial: str = ""
    best_value: float | None = None
    """The job's metric of the best model, on validation rows."""
    best_size_bytes: int | None = None
    """Of its weights as float32."""
    artifacts: list[Mapping[str, Any]] = field(default_factory=list)
    refused: list[types.Refused] = field(default_factory=list)
    last: int = 0
    """Number of the last event."""

    def apply(self, event: types.Event) -> str:
        """Takes in an event; returns the line that tells people about it, empty when it isn't worth one."""
        self.last = event.sequence
        said = event.payload
        match event.kind:
            case "state-changed":
                self.state, self.message = types.JobState(said["state"]), said["message"]
                note = f" {self.message}" if self.message else ""
                return f"{_STATES[self.state]}{note}"
            case "phase-started":
                self.phase = next((phase for phase in types.JobPhase if phase.value == said["phase"]), None)
                return f"{phase_text(self.phase)}{': ' + said['note'] if said.get('note') else ''}"
            case "data-prepared":
                return self._prepared(said)
            case "space-derived":
                return f"Searching over {len(said['techniques'])} techniques ({said['strategy']})."
            case "trial-started":
                recipe = said["recipe"]
                earlier = self.trials.get(said["trial"])
                self.trials[said["trial"]] = TrialProgress(
                    said["trial"], said["origin"], recipe["architecture"]["id"], said["fidelity"]["epochs"],
                    score=earlier.score if earlier else None, value=earlier.value if earlier else None,
                )
            case "trial-measured":
                self._measured(said)
            case "trial-ended":
                return self._ended(said)
            case "best-changed":
                self.best_trial, self.best_size_bytes = said["trial"], said["size_bytes"]
                self.best_value = said["validation"].get(self.metric, self.best_value)
                value = "" if self.best_value is None else f": {self.metric} {self.best_value:.4f}"
                return f"Best so far is trial {self.best_trial}{value}."
            case "noted":
                return f"{'Warning: ' if said.get('severity') == 'warning' else ''}{said['message']}"
            case "compressed":
                return _compressed(said, self.metric)
            case "artifact-made":
                self.artifacts.append(said["artifact"])
                self._not_refused(said["artifact"])
                return f"Verified {said['artifact']['filename']}."
            case "artifact-refused":
                refused = said["refused"]
                self._not_refused(refused)
                self.refused.append(types.Refused(refused["format"], refused["precision"], refused["reason"]))
                return f"Not returned, {refused['format']}:{refused['precision']}: {refused['reason']}"
            case _:
                # A newer server may say more than this client knows; job-finished and sampler-state are for others.
                pass
        return ""

    @property
    def outcomes(self) -> dict[str, int]:
        """Trials by outcome, running ones under RUNNING."""
        counts: dict[str, int] = {}
        for trial in self.trials.values():
            counts[trial.outcome] = counts.get(trial.outcome, 0) + 1
        return counts

    def leaders(self, count: int) -> list[TrialProgress]:
        """The best trials, best first."""
        scored = [trial for trial in self.trials.values() if trial.score is not None]
        return sorted(scored, key=lambda trial: -(trial.score or 0.0))[:count]

    def _prepared(self, said: Mapping[str, Any]) -> str:
        self.task, self.task_inferred, self.metric = said["task"], bool(said["task_inferred"]), said["metric"]
        self.target, self.rows = said.get("target") or "", dict(said["parts"])
        self.findings = [
            types.Finding(
                one["check"], one["severity"] == "warning", one["message"], tuple(one.get("columns", ())),
                tuple(one.get("rows", ())),
            )
            for one in said["findings"]
        ]
        how = " (inferred from the data)" if self.task_inferred else ""
        known = [part for part in ("train", "validation", "test") if part in self.rows]
        counts = ", ".join(f"{self.rows[part]} {part}" for part in known)
        warnings = [f"\nWarning about the data: {one.message}" for one in self.findings if one.warning]
        return f"Task: {self.task}{how}, metric {self.metric}. Rows: {counts}.{''.join(warnings)}"

    def _measured(self, said: Mapping[str, Any]) -> None:
        trial, measured = self.trials.get(said["trial"]), said["measurement"]
        if trial is None:
            return
        trial.epoch = measured["epoch"]
        if trial.score is None or measured["score"] > trial.score:
            trial.score, trial.value = measured["score"], measured["validation"].get(self.metric, trial.value)

    def _not_refused(self, said: Mapping[str, Any]) -> None:
        """What is said of an artifact takes the place of an earlier refusal: another model may have been tried."""
        self.refused = [one for one in self.refused if (one.format, one.precision) != (said["format"], said["precision"])]

    def _ended(self, said: Mapping[str, Any]) -> str:
        trial = self.trials.get(said["trial"])
        if trial is None:
            return ""
        trial.outcome, trial.message = said["outcome"], said.get("message", "")
        trial.parameters = said.get("parameters")
        value = "" if trial.value is None else f", {self.metric} {trial.value:.4f}"
        why = f": {trial.message}" if trial.message and trial.outcome not in ("COMPLETED", "PRUNED") else ""
        return f"Trial {trial.id} ({trial.architecture}, {trial.origin}) {trial.outcome.lower()}{value}{why}"


_STATES = {
    types.JobState.QUEUED: "The job waits.",
    types.JobState.RUNNING: "The job runs.",
    types.JobState.SUCCEEDED: "The job succeeded.",
    types.JobState.FAILED: "The job failed.",
    types.JobState.CANCELLED: "The job was cancelled.",
}

_PHASES = {
    types.JobPhase.PREPARING: "Preparing the data",
    types.JobPhase.SEARCHING: "Searching",
    types.JobPhase.FINAL_FIT: "Training the best recipe on all training rows",
    types.JobPhase.COMPRESSING: "Compressing",
    types.JobPhase.VERIFYING: "Verifying the files in their own runtimes",
    types.JobPhase.REPORTING: "Writing the report",
}


def _compressed(said: Mapping[str, Any], metric: str) -> str:
    """An attempt of the ladder as a line."""
    value = f"{metric or 'metric'} {said['validation_after']:.4f}"
    file = f", {said['size_bytes'] / 1000:.1f} KB" if said.get("size_bytes") else ""
    file += f", {said['latency_ms']:.3g} ms" if said.get("latency_ms") else ""
    if said.get("need") == "first":
        precision = f" as {said['precision']}" if said.get("precision") else ""
        return f"The model{precision}: {value}{file}{'. ' + said['reason'] if said.get('reason') else ''}."
    taken = "taken" if said["accepted"] else f"not taken{': ' + said['reason'] if said.get('reason') else ''}"
    settings = ", ".join(f"{k} {v:.3g}" if isinstance(v, float) else f"{k} {v}" for k, v in said.get("settings", {}).items())
    return f"{said['technique']}{f' ({settings})' if settings else ''}: {value}{file}: {taken}."


def phase_text(phase: types.JobPhase | None) -> str:
    """What a phase does, for people."""
    return _PHASES.get(phase, "Starting") if phase else "Starting"
