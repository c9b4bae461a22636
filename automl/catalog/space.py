"""The search space of a job, derived from the declarations: conditional dimensions, and the way from values to a
recipe.

An *assignment* is a dict from a dimension's name to a value. A dimension with a parent is active only when the parent
has one of the given values; inactive ones are absent. `Space.recipe` turns any assignment into a recipe that can be
built: what excludes each other is resolved by `Space.repair`, always the same way.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Mapping
from types import MappingProxyType

from automl.catalog import compose, entries, genotypes, slots
from automl.catalog.domains import Bool, Categorical, Domain, Text, neighbour
from automl.catalog.genotypes import Genotypes
from automl.spec import Choice, InvalidInput, Profile, Recipe, SearchSettings, Violation
from automl.spec.recipe import ParameterValue

NONE = "none"
Assignment = dict[str, ParameterValue]

GENOTYPE_STRATEGIES: Mapping[str, Callable[[entries.Architecture], bool]] = MappingProxyType({
    **dict.fromkeys(("evolution", "rl-ppo", "rl-rainbow", "mcts-alphazero"), lambda family: family.genotypes is not None),
    "darts": lambda family: family.relaxation is not None,
    "proxylessnas": lambda family: family.paths is not None,
    "once-for-all": lambda family: family.elastic,
})
"""Strategies that search architectures as genotypes, where the data have such, and which families they can search; the
others take families drawn by hand."""
GENOTYPES_ONLY = ("darts", "proxylessnas", "once-for-all")
"""Of them those that can search nothing else."""
USED_WHEN_DEFAULT, USED_OTHERWISE = 0.85, 0.2
"""Chance of a switch in a random assignment."""
DEFAULT_IN_SLOT = 0.4
"""Chance of a slot's default in a random assignment, beside its even chance among all."""


@dataclasses.dataclass(frozen=True)
class Dimension:
    """One parameter of the space."""

    name: str
    domain: Domain
    parent: str | None = None
    parent_values: tuple[ParameterValue, ...] = ()
    idle: tuple[tuple[str, ParameterValue], ...] = ()
    """Values of other dimensions, each of which leaves this one nothing to act on."""

    def acts(self, assignment: Mapping[str, ParameterValue]) -> bool:
        """Whether the assignment meets the condition."""
        if self.parent is not None and assignment.get(self.parent) not in self.parent_values:
            return False
        return all(assignment.get(name) != value for name, value in self.idle)

    def sample(self, rng: random.Random) -> ParameterValue:
        """A value drawn from the domain; of choices between techniques the default has the larger chance.

        With dozens of switches and slots, drawn evenly, every random recipe would be an unlikely heap of half of the
        catalogue.
        """
        if isinstance(self.domain, Categorical) and len(self.domain.values) == 1:
            return self.domain.default
        if self.name.startswith("use:"):
            return rng.random() < (USED_WHEN_DEFAULT if self.domain.default else USED_OTHERWISE)
        if self.name.startswith("slot:") and rng.random() < DEFAULT_IN_SLOT:
            return self.domain.default
        return self.domain.sample(rng)


@dataclasses.dataclass(frozen=True)
class Space:
    """The derived space of a job. Parents stand before their children in `dimensions`."""

    task: str
    profile: Profile
    dimensions: tuple[Dimension, ...]
    forced: frozenset[str]
    excluded: Mapping[str, str]
    """Technique or architecture id → why it isn't in the space."""
    genotypes: Mapping[str, Genotypes] = dataclasses.field(default_factory=dict)
    """Of the architectures that have them, by the parameter's name ("nas-cell.genotype"): each decision is a dimension."""

    @property
    def by_genotype(self) -> bool:
        """Whether every architecture of the space is read from a genotype."""
        families = self._dimension("architecture").domain
        assert isinstance(families, Categorical)
        return all(entries.architectures[str(family)].genotypes is not None for family in families.values)

    @property
    def techniques(self) -> tuple[str, ...]:
        """Ids of all techniques that may be proposed."""
        ids: set[str] = set(self.forced)
        for dimension in self.dimensions:
            if dimension.name.startswith("slot:"):
                assert isinstance(dimension.domain, Categorical)
                ids |= {str(v) for v in dimension.domain.values if v != NONE}
            elif dimension.name.startswith("use:"):
                ids.add(dimension.name[4:])
        return tuple(sorted(ids))

    def active(self, assignment: Mapping[str, ParameterValue]) -> list[Dimension]:
        """The dimensions whose condition the assignment meets, in order."""
        return [d for d in self.dimensions if d.acts(assignment)]

    def complete(self, assignment: Mapping[str, ParameterValue]) -> Assignment:
        """The assignment with defaults for active dimensions it lacks, and without inactive ones."""
        full: Assignment = {}
        for d in self.dimensions:
            if d.acts(full):
                full[d.name] = assignment.get(d.name, d.domain.default)
        return full

    def default(self) -> Assignment:
        return self.complete({})

    def sample(self, rng: random.Random) -> Assignment:
        """A repaired assignment drawn at random."""
        values: Assignment = {}
        for d in self.dimensions:
            if d.acts(values):
                values[d.name] = d.sample(rng)
        return self.repair(values)

    def mutate(self, assignment: Assignment, rng: random.Random, changes: int = 1) -> Assignment:
        """A repaired copy in which `changes` active dimensions have a new, near value."""
        values = dict(self.complete(assignment))
        for d in rng.sample(self.active(values), k=min(changes, len(self.active(values)))):
            if d.name in values:
                values[d.name] = neighbour(d.domain, values[d.name], rng)
        return self.repair(self.complete(values))

    def repair(self, assignment: Mapping[str, ParameterValue]) -> Assignment:
        """Resolves conflicts and missing requirements; the result is complete and can be built.

        Forced techniques stay; between two others the switch gives way to the slot, and the later id to the earlier; a
        slot that must give way goes back to its default. A switch whose requirement is not met is turned off. Genotypes
        become canonical.
        """
        values = self._canonical(self.complete(assignment))
        for _ in range(len(self.dimensions)):
            ids = self._ids(values)
            pairs = compose.conflicts_among(ids)
            lacking = [
                (id, needed, why)
                for id in sorted(ids & set(self.techniques))
                for needed, why in entries.techniques[id].requires.items()
                if needed not in ids
            ]
            if not pairs and not lacking:
                return values
            first, second = pairs[0][:2] if pairs else (lacking[0][0], "")
            values = self.complete(self._without(values, first, second))
        unresolved = compose.conflicts_among(self._ids(values))
        raise AssertionError(f"the space has conflicts that no repair resolves: {unresolved}")

    def recipe(self, assignment: Mapping[str, ParameterValue], seed: int) -> Recipe:
        """The recipe of a repaired assignment."""
        values = self.repair(assignment)
        ids = self._ids(values)
        family = str(values["architecture"])
        return Recipe(
            task=self.task,
            architecture=Choice(id=family, params=self._params(values, family)),
            techniques=tuple(Choice(id=id, params=self._params(values, id)) for id in sorted(ids - {family})),
            batch_size=int(values["batch_size"]),
            epochs=int(values["epochs"]),
            seed=seed,
        )

    def assignment(self, recipe: Recipe) -> Assignment:
        """The inverse of `recipe`: where the space lacks a dimension or value of the recipe, its default stands."""
        values: Assignment = {
            "architecture": recipe.architecture.id, "batch_size": recipe.batch_size, "epochs": recipe.epochs,
        }
        for k, v in recipe.architecture.params.items():
            name = f"{recipe.architecture.id}.{k}"
            values |= self.genotypes[name].split(name, str(v)) if name in self.genotypes else {name: v}
        held = {choice.id for choice in recipe.techniques}
        for choice in recipe.techniques:
            values |= {f"{choice.id}.{k}": v for k, v in choice.params.items()}
        for d in self.dimensions:
            if d.name.startswith("slot:"):
                assert isinstance(d.domain, Categorical)
                inside = [v for v in d.domain.values if v in held]
                values[d.name] = inside[0] if inside else (NONE if NONE in d.domain.values else d.domain.default)
            elif d.name.startswith("use:"):
                values[d.name] = d.name[4:] in held
        kept = {}
        for d in self.dimensions:
            if d.name in values:
                kept[d.name] = values[d.name] if d.domain.check(values[d.name]) is None else d.domain.default
        return self.repair(kept)

    def _ids(self, values: Mapping[str, ParameterValue]) -> set[str]:
        ids = {str(values["architecture"])} | set(self.forced)
        for name, value in values.items():
            if name.startswith("slot:") and value != NONE:
                ids.add(str(value))
            elif name.startswith("use:") and value is True:
                ids.add(name[4:])
        return ids

    def _params(self, values: Mapping[str, ParameterValue], id: str) -> dict[str, ParameterValue]:
        found = {
            name.partition(".")[2]: v for name, v in values.items() if name.startswith(f"{id}.") and "/" not in name
        }
        texts = {n: g.joined(n, values) for n, g in self.genotypes.items() if n.startswith(f"{id}.")}
        return found | {name.partition(".")[2]: text for name, text in texts.items()}

    def _canonical(self, values: Assignment) -> Assignment:
        """The assignment with the genotype of its architecture as its space writes it."""
        changed = dict(values)
        for name, domain in self.genotypes.items():
            if name.startswith(f"{values['architecture']}."):
                wanted = domain.split(name, domain.joined(name, values))
                changed |= {n: v for n, v in wanted.items() if self._dimension(n).domain.check(v) is None}
        return changed

    def _without(self, values: Assignment, first: str, second: str) -> Assignment:
        """`values` with one of two ids removed (`second` may be empty)."""
        changed = dict(values)

        def removable(id: str) -> int:
            """The larger the readier to go; 0 can't."""
            if not id or id in self.forced:
                return 0
            if f"use:{id}" in values:
                return 3
            slot = self._slot_of(values, id)
            if slot is None:
                return 0
            return 2 if values[slot] != self._dimension(slot).domain.default else 1

        goes = max((second, first), key=removable)
        if removable(goes) == 0:
            raise AssertionError(f"{first} and {second} exclude each other, and neither may go")
        if f"use:{goes}" in values:
            changed[f"use:{goes}"] = False
            return changed
        slot = self._slot_of(values, goes)
        assert slot is not None
        domain = self._dimension(slot).domain
        assert isinstance(domain, Categorical)
        fallbacks = [v for v in (domain.default, NONE, *domain.values) if v in domain.values and v != goes]
        other = second if goes == first else first
        for value in fallbacks:
            if not {(a, b) for a, b, _ in compose.conflicts_among({str(value), other})}:
                changed[slot] = value
                return changed
        raise AssertionError(f"no technique of {slot} goes with {other}")

    def _slot_of(self, values: Assignment, id: str) -> str | None:
        return next((n for n, v in values.items() if n.startswith("slot:") and v == id), None)

    def _dimension(self, name: str) -> Dimension:
        return next(d for d in self.dimensions if d.name == name)


def _plainest(family: entries.Architecture) -> tuple[bool, float, str]:
    """The first in this order is the default: the cheapest that most techniques can act on."""
    return bool(family.fitted_by), family.cost, family.id


def derive(
    task: str, profile: Profile, settings: SearchSettings, formats: frozenset[str] = frozenset(),
    unfit: Mapping[str, str] | None = None,
) -> Space:
    """The space for a task, the data's profile and what the user allows, forbids and forces.

    `formats` are the artifacts asked for ("tflite:int8", "saved-model"…): a technique that can't be given in one of
    them isn't proposed. `unfit` are architectures that don't fit the job for another reason, which is given; they are
    left out unless they are forced, or nothing else is left. Raises `InvalidInput` with every contradiction (forced
    and forbidden, forced but not applicable, two forced techniques that exclude each other, a slot with nothing
    left).
    """
    faults: list[Violation] = []
    excluded: dict[str, str] = {}
    families = {a.id: a for a in entries.architectures}
    values_set, wrong = compose.fixed(settings.parameters)
    faults += wrong
    forced = set(settings.force)
    for field in ("allow", "forbid", "force"):
        for position, id in enumerate(getattr(settings, field)):
            if id not in entries.techniques and id not in families:
                faults.append(_fault(f"search.{field}[{position}]", entries.techniques.unknown(id), "UNKNOWN_ID"))
    for id in sorted(forced & set(settings.forbid)):
        faults.append(_fault("search.force", f"{id} is forced and forbidden at once", "CONTRADICTION"))
    # What a forced technique needs is forced too; what excludes it leaves the space (below).
    waiting = sorted(forced)
    while waiting:
        id = waiting.pop()
        for needed, why in entries.techniques[id].requires.items() if id in entries.techniques else ():
            if needed in settings.forbid:
                message = f"{id} needs {needed} ({why}), which is forbidden"
                faults.append(_fault("search.force", message, "CONTRADICTION"))
            elif needed not in forced:
                forced.add(needed)
                waiting.append(needed)

    def excluded_by_forced(id: str) -> str | None:
        for first, second, why in compose.conflicts_among(forced | {id}):
            if id in (first, second) and id not in forced:
                return f"excluded by the forced {second if id == first else first}: {why}"
        return None

    def reason(entry: entries.Technique | entries.Architecture) -> str | None:
        if entry.id in settings.forbid:
            return "forbidden by the user"
        if against := entry.reason_against(profile):
            return against
        if isinstance(entry, entries.Technique):
            for wanted in sorted(formats):
                if hindered := entry.reason_against_format(wanted):
                    return f"can't be given as {wanted}: {hindered}"
            if entry.on_request and entry.id not in forced and entry.id not in settings.allow:
                return f"is tried on request only (force or allow it): {entry.on_request}"
            wanted_anyway = entry.id in forced or entry.is_default(profile)
            if settings.allow and entry.id not in settings.allow and not wanted_anyway:
                return "not among the techniques that the user allows"
        elif forced & set(families) and entry.id not in forced:
            return f"the user forces {', '.join(sorted(forced & set(families)))}"
        elif settings.allow and set(settings.allow) & set(families) and entry.id not in settings.allow:
            return "not among the architectures that the user allows"
        elif not (forced | set(settings.allow)) & set(families) and (why := unsought(entry)):
            return why
        return excluded_by_forced(entry.id)

    searchable = GENOTYPE_STRATEGIES.get(settings.strategy, _none)
    by_genotype = any(
        searchable(f) and f.id not in settings.forbid and f.reason_against(profile) is None for f in families.values()
    )
    if settings.strategy in GENOTYPES_ONLY:
        able = [f for f in families.values() if searchable(f)]
        asked = [id for id in sorted(forced | set(settings.allow)) if id in families and not searchable(families[id])]
        if not by_genotype or asked:
            why = f"{', '.join(asked)} can't be searched by it" if asked else "the data or the settings leave none of them"
            message = f"{settings.strategy} searches {', '.join(sorted(f.id for f in able))}, and {why}"
            faults.append(_fault("search.strategy", message, "NOT_APPLICABLE"))

    def unsought(family: entries.Architecture) -> str | None:
        """Why the strategy leaves a family alone that the user doesn't name."""
        if by_genotype and not searchable(family):
            what = "genotypes" if family.genotypes is None else "other spaces"
            return f"the strategy {settings.strategy} searches {what}; force or allow it to have it searched"
        if family.genotypes is not None and not by_genotype:
            names = " or ".join(name for name, able in GENOTYPE_STRATEGIES.items() if able(family))
            return f"is searched with the strategy {names}, or when it is forced or allowed"
        return None

    dimensions: list[Dimension] = []
    of_genotypes: dict[str, Genotypes] = {}
    usable = []
    for family in families.values():
        if against := reason(family):
            excluded[family.id] = against
        else:
            usable.append(family)
    fitting = [f for f in usable if f.id in forced or f.id not in (unfit or {})]
    if fitting and unfit:
        excluded |= {f.id: unfit[f.id] for f in usable if f not in fitting}
        usable = fitting
    for id in sorted(forced & set(excluded)):
        faults.append(_fault("search.force", f"{id} can't be forced: {excluded[id]}", "NOT_APPLICABLE"))
    if not usable:
        faults.append(_fault("search", "no architecture is left: " + _reasons(excluded), "EMPTY_SPACE"))
    else:
        ids = tuple(sorted(f.id for f in usable))
        dimensions.append(Dimension("architecture", Categorical(ids, min(usable, key=_plainest).id)))
        for family in sorted(usable, key=lambda f: f.id):
            for name, domain in family.params.items():
                named = f"{family.id}.{name}"
                if isinstance(domain, Genotypes):
                    domain, refused = domain.within(formats, str(profile.modality))
                    excluded |= {f"{named}: {option}": why for option, why in refused.items()}
                    of_genotypes[named] = domain
                    if named in values_set:
                        values_set |= domain.split(named, str(values_set.pop(named)))
                    of_family = ("architecture", (family.id,))
                    dimensions += [
                        Dimension(genotypes.dimension(named, d), d.domain, *of_family) for d in domain.decisions
                    ]
                else:
                    dimensions.append(Dimension(named, domain, "architecture", (family.id,)))

    candidates = []
    for technique in entries.techniques:
        if not technique.searched or technique.stage in slots.AFTER_TRAINING:
            continue
        with_part = tuple(sorted(f.id for f in usable if technique.part in f.uses))
        against = reason(technique)
        if against is None and technique.part is not None and not with_part:
            against = f"no architecture that is left has {slots.PARTS[technique.part]}"
        if against:
            excluded[technique.id] = against
            if technique.id in forced:
                faults.append(_fault("search.force", f"{technique.id} can't be forced: {against}", "NOT_APPLICABLE"))
        else:
            candidates.append(technique)
    faults += [_fault("search.force", message, "NOT_APPLICABLE") for message in compose.unsearched_among(forced)]
    for first, second, why in compose.conflicts_among(forced):
        faults.append(_fault("search.force", f"{first} and {second} are both forced, but {why}", "CONFLICT"))
    for slot in slots.SLOTS.values():
        members = [t for t in candidates if t.slot == slot.name]
        required = [t for t in members if t.id in forced]
        if len(required) > 1:
            names = " and ".join(t.id for t in required)
            message = f"{names} are both forced, but there is one place: {slot.meaning}"
            faults.append(_fault("search.force", message, "CONFLICT"))
        if required:
            members = required[:1]
            for t in candidates:
                if t.slot == slot.name and t.id not in forced:
                    excluded[t.id] = f"the user forces {required[0].id} in its place"
        if not members:
            wanted = slot.part is None or any(slot.part in family.uses for family in usable)
            if wanted and not slot.optional and compose.slot_members(slot.name, profile):
                faults.append(_fault("search", f"nothing is left for the slot {slot.name} ({slot.meaning})", "EMPTY_SPACE"))
            continue
        values: tuple[str, ...] = tuple(t.id for t in members)
        defaults = [t.id for t in members if t.is_default(profile)]
        if slot.optional and not required:
            values = (NONE, *values)
        default = required[0].id if required else defaults[0] if defaults else NONE if slot.optional else values[0]
        idle = tuple((f"{f.id}.{f.flat[0]}", f.flat[1]) for f in usable if slot.part == slots.HIDDEN and f.flat is not None)
        dimensions.append(Dimension(f"slot:{slot.name}", Categorical(values, default), *_with(slot.part, usable), idle))
        for t in members:
            dimensions += [Dimension(f"{t.id}.{n}", d, f"slot:{slot.name}", (t.id,)) for n, d in t.params.items()]
    for t in candidates:
        if t.slot is None:
            if t.id in forced:
                dimensions += [Dimension(f"{t.id}.{n}", d) for n, d in t.params.items()]
            else:
                dimensions.append(Dimension(f"use:{t.id}", Bool(t.is_default(profile)), *_with(t.part, usable)))
                dimensions += [Dimension(f"{t.id}.{n}", d, f"use:{t.id}", (True,)) for n, d in t.params.items()]
    dimensions += [Dimension("batch_size", batch_sizes(profile)), Dimension("epochs", epochs(profile))]
    for name in values_set:
        rung = (id := name.partition(".")[0]) in entries.techniques and entries.techniques[id].rung is not None
        if id == settings.strategy:
            continue
        if rung and id in settings.forbid:
            faults.append(_fault(f"search.parameters[{name}]", f"{id} is forbidden by the user", "CONTRADICTION"))
        elif not rung and not any(d.name == name for d in dimensions):
            id = name.partition(".")[0]
            message = f"{id} isn't in the search space: {excluded.get(id, 'no other technique leaves it a place')}"
            faults.append(_fault(f"search.parameters[{name}]", message, "NOT_APPLICABLE"))
    if faults:
        raise InvalidInput(faults)
    dimensions = [_settled(d, values_set) for d in dimensions]
    return Space(task, profile, tuple(dimensions), frozenset(forced & {t.id for t in candidates}), excluded, of_genotypes)


def _settled(dimension: Dimension, values: Mapping[str, ParameterValue]) -> Dimension:
    """The dimension with the one value that the user set, or that a text has unless a user sets it; else as it is."""
    if dimension.name not in values and not isinstance(dimension.domain, Text):
        return dimension
    value = values.get(dimension.name, dimension.domain.default)
    return dataclasses.replace(dimension, domain=Categorical((value,), value))


def _with(part: str | None, families: list[entries.Architecture]) -> tuple[str | None, tuple[ParameterValue, ...]]:
    """The condition of a dimension that shapes a part: the families that have it; none where all have."""
    having = tuple(sorted(f.id for f in families if part in f.uses))
    return (None, ()) if part is None or len(having) == len(families) else ("architecture", having)


def batch_sizes(profile: Profile) -> Categorical:
    """Powers of two between about a hundredth and a twentieth of the rows, within [16, 1024]."""
    sizes = [s for s in (16, 32, 64, 128, 256, 512, 1024) if s <= max(16, profile.rows / 8)]
    usual = min(sizes, key=lambda s: abs(s - max(32, min(256, profile.rows / 100))))
    return Categorical(tuple(sizes[-5:]) if usual in sizes[-5:] else tuple(sizes[:5]), usual)


def epochs(profile: Profile) -> Categorical:
    """Lengths of a full training; schedules span the chosen one."""
    if profile.modality == "image":
        # Few pictures are few steps an epoch: many hundred steps are wanted in all.
        if profile.rows < 1_000:
            return Categorical((30, 60, 120, 240), 60)
        return Categorical((15, 30, 60, 120), 30) if profile.rows < 5_000 else Categorical((8, 15, 30, 60), 15)
    if profile.modality == "text":
        # Every word has a vector of its own to learn: nets for texts overfit within few passes.
        return Categorical((8, 15, 30, 60), 30) if profile.rows < 2_000 else Categorical((4, 8, 15, 30), 15)
    if profile.modality == "series" and profile.rows < 2_000:
        # Few series are few steps an epoch: some hundred steps are wanted in all.
        return Categorical((30, 60, 120, 240), 60) if profile.rows < 500 else Categorical((20, 40, 80, 160), 40)
    if profile.rows < 2_000:
        return Categorical((50, 100, 200), 100)
    return Categorical((15, 30, 60, 120), 30)


def _none(family: entries.Architecture) -> bool:
    return False


def _fault(field: str, message: str, reason: str) -> Violation:
    return Violation(field=field, message=message, reason=reason)


def _reasons(excluded: Mapping[str, str]) -> str:
    return "; ".join(f"{id}: {why}" for id, why in sorted(excluded.items()))


__all__ = ["NONE", "Assignment", "Dimension", "InvalidInput", "Space", "derive"]
