"""Plans and components are plain data."""

from __future__ import annotations

from automl.catalog import Component, TrainPlan


def test_a_component_is_resolved_when_it_is_made():
    component = Component("fractions:Fraction", {"denominator": 4})
    assert component.make(3) * 4 == 3


def test_changes_make_copies():
    plan = TrainPlan()
    step = Component("a:b")
    changed = plan.extended("batch_steps", step).with_options(clipnorm=1.0).tagged("soft-targets").replace(patience=3)
    assert plan == TrainPlan()
    assert changed.batch_steps == (step,)
    assert changed.with_options(use_ema=True).optimizer_options == {"clipnorm": 1.0, "use_ema": True}
    assert changed.tags == {"soft-targets"}
    assert changed.patience == 3
