"""From a recipe to a plan: checks that its parts go together, then lets each technique transform the plan in stage
order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from automl.catalog import domains, entries, slots
from automl.catalog.plan import TrainPlan
from automl.spec import Choice, InvalidInput, Profile, Recipe, Violation
from automl.spec.recipe import ParameterValue


def violations(recipe: Recipe, profile: Profile | None = None) -> list[Violation]:
    """Every reason why the recipe can't be built: unknown ids, values outside their domain, two techniques in one slot,
    empty slots, conflicts, missing requirements, and (with a profile) what doesn't apply to the data."""
    found: list[Violation] = []
    chosen: list[entries.Technique] = []
    if recipe.architecture.id not in entries.architectures:
        found.append(_violation("architecture", entries.architectures.unknown(recipe.architecture.id), "UNKNOWN_ID"))
    else:
        family = entries.architectures[recipe.architecture.id]
        found += _bad_values(f"architecture.{family.id}", recipe.architecture, family.params)
        if profile is not None and (reason := family.reason_against(profile)):
            found.append(_violation(f"architecture.{family.id}", reason, "NOT_APPLICABLE"))
    for choice in recipe.techniques:
        if choice.id not in entries.techniques:
            found.append(_violation("techniques", entries.techniques.unknown(choice.id), "UNKNOWN_ID"))
            continue
        technique = entries.techniques[choice.id]
        if not technique.searched:
            message = f"is no part of a recipe: {technique.decided_by}"
            found.append(_violation(f"techniques.{choice.id}", message, "NOT_SEARCHED"))
            continue
        chosen.append(technique)
        found += _bad_values(f"techniques.{choice.id}", choice, technique.params)
        if profile is not None and (reason := technique.reason_against(profile)):
            found.append(_violation(f"techniques.{choice.id}", reason, "NOT_APPLICABLE"))
    for member in recipe.members:
        found += violations(member, profile)
    for slot in slots.SLOTS.values():
        held = [t.id for t in chosen if t.slot == slot.name]
        if len(held) > 1:
            found.append(_violation(f"techniques ({slot.name})", f"one technique expected, got {held}", "SLOT_TAKEN_TWICE"))
        needed = slot.part is None or slot.part in uses(recipe.architecture.id)
        needed = needed and not (slot.part == slots.HIDDEN and is_flat(recipe.architecture))
        if not held and not slot.optional and needed and profile is not None and slot_members(slot.name, profile):
            found.append(_violation(f"techniques ({slot.name})", f"a technique is needed: {slot.meaning}", "SLOT_EMPTY"))
    ids = {t.id for t in chosen} | {recipe.architecture.id}
    for first, second, reason in conflicts_among(ids):
        found.append(_violation(f"techniques.{first}", f"can't go with {second}: {reason}", "CONFLICT"))
    for technique in chosen:
        for required, reason in technique.requires.items():
            if required not in ids:
                found.append(_violation(f"techniques.{technique.id}", f"needs {required}: {reason}", "REQUIREMENT"))
    return found


def unsearched_among(ids: Iterable[str]) -> list[str]:
    """Of ids that are forced, why those can't be that no search chooses: a sentence each."""
    found = [entries.techniques[id] for id in sorted(ids) if id in entries.techniques]
    return [
        f"{one.id} can't be forced: isn't chosen by a search, {f'see {one.options}' if one.options else one.decided_by}"
        for one in found if not one.searched
    ]


def conflicts_among(ids: set[str]) -> list[tuple[str, str, str]]:
    """Pairs of ids that exclude each other, with the reason. Conflicts are declared on one side and hold for both."""
    pairs = []
    for id in sorted(ids):
        if id in entries.techniques:
            technique = entries.techniques[id]
            pairs += [(id, o, why) for o, why in sorted(technique.conflicts.items()) if o in ids]
            pairs += [
                (id, o, f"the architecture {o} lacks {slots.PARTS[technique.part]}")
                for o in sorted(ids)
                if technique.part is not None and o in entries.architectures and technique.part not in uses(o)
            ]
    return pairs


def reason_against_qat(recipe: Recipe) -> str:
    """Why a model of the recipe isn't for quantisation-aware training, by what is declared of its parts; "" where only the
    built model can tell."""
    if recipe.members:
        return "not for QAT: an ensemble's networks have no outputs in common that a loss could act on"
    family = recipe.architecture.id
    declared = {family: entries.architectures[family].not_for_qat} if family in entries.architectures else {}
    declared |= {c.id: entries.techniques[c.id].not_for_qat for c in recipe.techniques if c.id in entries.techniques}
    return next((f"not for QAT: {id}: {why}" for id, why in declared.items() if why), "")


def is_flat(choice: Choice) -> bool:
    """Whether a family with these parameters has no hidden layer."""
    if choice.id not in entries.architectures or (flat := entries.architectures[choice.id].flat) is None:
        return False
    name, value = flat
    return bool(complete(choice, entries.architectures[choice.id].params)[name] == value)


def uses(architecture: str) -> frozenset[str]:
    """The parts that techniques may shape in a family; none for an unknown one."""
    return entries.architectures[architecture].uses if architecture in entries.architectures else frozenset()


def slot_members(slot: str, profile: Profile) -> list[entries.Technique]:
    """The techniques that may fill a slot for these data."""
    return [t for t in entries.techniques if t.slot == slot and t.reason_against(profile) is None]


def plan_of(recipe: Recipe, profile: Profile) -> TrainPlan:
    """The plan that the recipe's techniques make, applied by stage, then by their `order`, then by id.

    Raises `InvalidInput` with every violation when the recipe's parts don't go together.
    """
    if found := violations(recipe, profile):
        raise InvalidInput(found)
    plan = TrainPlan(batch_size=recipe.batch_size, epochs=recipe.epochs)
    chosen = [(entries.techniques[choice.id], choice) for choice in recipe.techniques]
    for technique, choice in sorted(chosen, key=lambda pair: (slots.STAGES.index(pair[0].stage), pair[0].order, pair[0].id)):
        plan = technique.apply(plan, **complete(choice, technique.params))
    return plan


def complete(choice: Choice, params) -> dict:  # type: ignore[no-untyped-def, type-arg]
    """A choice's parameters, with defaults where it names none."""
    return {name: choice.params.get(name, domain.default) for name, domain in params.items()}


def fixed(parameters: Mapping[str, str]) -> tuple[dict[str, ParameterValue], list[Violation]]:
    """The values of parameters that a user sets, by "id.parameter", and what is wrong with the others."""
    values: dict[str, ParameterValue] = {}
    found = []
    for name, text in parameters.items():
        id, _, parameter = name.partition(".")
        field = f"search.parameters[{name}]"
        entry = next((registry[id] for registry in (entries.techniques, entries.architectures) if id in registry), None)
        if entry is None:
            found.append(_violation(field, entries.techniques.unknown(id), "UNKNOWN_ID"))
            continue
        domain = entry.params.get(parameter)
        if domain is None:
            known = ", ".join(sorted(entry.params)) or "none"
            found.append(_violation(field, f"{id} has no such parameter; there are: {known}", "UNKNOWN_PARAMETER"))
        elif fault := domain.check(value := domains.parsed(domain, text)):
            found.append(_violation(field, fault, "OUT_OF_RANGE"))
        else:
            values[name] = value
    return values, found


def _bad_values(field: str, choice: Choice, params) -> list[Violation]:  # type: ignore[no-untyped-def]
    found = []
    for name, value in choice.params.items():
        if name not in params:
            known = ", ".join(sorted(params)) or "none"
            found.append(_violation(f"{field}.{name}", f"no such parameter; there are: {known}", "UNKNOWN_PARAMETER"))
        elif fault := params[name].check(value):
            found.append(_violation(f"{field}.{name}", fault, "OUT_OF_RANGE"))
    return found


def _violation(field: str, message: str, reason: str) -> Violation:
    return Violation(field=field, message=message, reason=reason)
