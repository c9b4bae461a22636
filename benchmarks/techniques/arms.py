"""The two recipes of a comparison: one with a technique, one without it, and everything else equal."""

from __future__ import annotations

import dataclasses

from automl.catalog import architectures, compose, slots, space, techniques
from automl.catalog.entries import Technique
from automl.spec import InvalidInput, Profile, Recipe, SearchSettings


@dataclasses.dataclass(frozen=True)
class Arms:
    """What is compared; both recipes have seed 0 and no fold yet."""

    technique: str
    on: Recipe
    off: Recipe
    instead: str
    """The technique in its place in `off`; "" where the place is empty or it is a switch."""
    differs_too: tuple[str, ...]
    """Other ids that only one of the two has, since neither can be built without: needed by it, or excluded by it."""

    def at(self, seed: int, folds: int, epochs: int) -> tuple[Recipe, Recipe]:
        """(on, off) of one pair: the same seed, fold and length for both."""
        change = {"seed": seed + 1, "fold": f"{seed % folds}/{folds}", "epochs": epochs}
        return self.on.changed(**change), self.off.changed(**change)


def of(technique: Technique, task: str, profile: Profile) -> Arms | str:
    """The comparison on the cheapest architecture that has what the technique shapes; or why there is none."""
    if against := technique.reason_against(profile):
        return against
    families = sorted((a for a in architectures if a.reason_against(profile) is None), key=lambda a: (a.cost, a.id))
    why = "no architecture for these data has the part that it shapes"
    for family in families:
        if technique.part is not None and technique.part not in family.uses:
            continue
        try:
            base = _default(task, profile, (family.id,))
            on = _default(task, profile, (family.id, technique.id))
        except InvalidInput as refused:
            why = str(refused)
            continue
        if technique.part == slots.HIDDEN and compose.is_flat(on.architecture):
            continue
        return _without(technique, on, base, profile)
    return why


def _default(task: str, profile: Profile, force: tuple[str, ...]) -> Recipe:
    derived = space.derive(task, profile, SearchSettings(force=force))
    return derived.recipe(derived.default(), seed=0)


def _without(technique: Technique, on: Recipe, base: Recipe, profile: Profile) -> Arms | str:
    """The other arm: `on` with the slot's default in the technique's place, or without the switch; where that can't be
    built, the defaults as they are."""
    rest = tuple(choice for choice in on.techniques if choice.id != technique.id)
    instead = None
    if technique.slot is not None:
        instead = next((c for c in base.techniques if techniques[c.id].slot == technique.slot), None)
        if instead is not None and instead.id == technique.id:
            if not slots.SLOTS[technique.slot].optional:
                return "is the default of its place, with which the others are compared"
            instead = None
    off = on.changed(techniques=rest if instead is None else (*rest, instead))
    if compose.violations(off, profile):
        off = base
    ids = {choice.id for choice in on.techniques} ^ {choice.id for choice in off.techniques}
    if technique.id not in ids:
        return "the defaults can't be built without it"
    name = instead.id if instead is not None and off.has(instead.id) else ""
    return Arms(technique.id, on, off, name, tuple(sorted(ids - {technique.id, name})))
