"""What of the catalogue applies to a job's data, and why the rest doesn't: the derived space, told entry by entry."""

from __future__ import annotations

import dataclasses

from automl.catalog import entries, estimate, slots, space, validation
from automl.catalog.entries import Architecture, Technique
from automl.spec import DatasetInfo, InvalidInput, JobSpec, Profile


@dataclasses.dataclass(frozen=True)
class Verdict:
    """One entry of the catalogue, with regard to some data."""

    entry: Technique | Architecture
    applies: bool
    """True: it may be proposed, is forced, or, where it isn't searched, is done in every job or steered by an option."""
    reason: str
    """Why it doesn't apply; of what applies and isn't chosen by the search, what decides on it instead; else ""."""
    forced: bool = False
    is_default: bool = False
    """In a recipe for these data unless the search says otherwise."""


@dataclasses.dataclass(frozen=True)
class Applicability:
    """The whole catalogue, with regard to some data."""

    task: str
    profile: Profile
    """An estimate, see `automl.catalog.estimate`."""
    verdicts: tuple[Verdict, ...]
    """Of all techniques and architectures, by id."""


def of(spec: JobSpec, info: DatasetInfo) -> Applicability:
    """What applies to a job that `validation.violations` found sound, by its data's inspection.

    Raises `InvalidInput` for contradictions that show only with the data: what is forced doesn't apply to them, or
    nothing is left.
    """
    task_id = spec.task or validation.infer_task(info, spec.data.target, spec.data)
    if task_id is None:
        raise InvalidInput.at("task", "could not be inferred from the data and target; name it", reason="TASK_UNCLEAR")
    profile = estimate.profile(info, entries.tasks[task_id], spec.data, separate_test=spec.test_dataset is not None)
    derived = space.derive(task_id, profile, spec.search, frozenset(str(f) for f in spec.formats))
    found = [_verdict(entry, derived, spec) for entry in (*entries.techniques, *entries.architectures)]
    return Applicability(task_id, profile, tuple(sorted(found, key=lambda v: v.entry.id)))


def _verdict(entry: Technique | Architecture, derived: space.Space, spec: JobSpec) -> Verdict:
    if isinstance(entry, Architecture):
        reason = derived.excluded.get(entry.id, "")
        default = next((d.domain.default for d in derived.dimensions if d.name == "architecture"), None)
        return Verdict(entry, not reason, reason, entry.id in spec.search.force, default == entry.id)
    if against := entry.reason_against(derived.profile):
        return Verdict(entry, False, against)
    if not entry.searched:
        return Verdict(entry, True, f"not searched: {entry.decided_by}")
    if entry.stage in slots.AFTER_TRAINING:
        if entry.id in spec.search.forbid:
            return Verdict(entry, False, "forbidden by the user")
        return Verdict(entry, True, "decided after the search, by what the budget and the limits allow")
    reason = derived.excluded.get(entry.id, "")
    default_here = not reason and entry.is_default(derived.profile)
    return Verdict(entry, not reason, reason, entry.id in derived.forced, default_here)
